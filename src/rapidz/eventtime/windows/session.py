"""Session windows: elements of a key that follow each other closely, and merge."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import count, repeat
from typing import Any, ClassVar

from rapidz.eventtime.clock import NEVER
from rapidz.eventtime.wheel import Wheel
from rapidz.eventtime.windows.base import WindowNode
from rapidz.eventtime.windows.results import WindowResult
from rapidz.eventtime.windows.session_state import Border, SessionState, restore_sessions
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.tracked_element import TrackedElement, unbox

#: From so many sessions on, those that have ended leave together, up to a tick later.
MANY = 256
#: Ticks of the wheel in a gap.
TICKS = 64


class Session:
    """One session: its timestamps as the source writes time, and the state of its elements."""

    __slots__ = (
        *("closed", "due", "emitted", "end", "entries", "finals"),
        *("gone", "key", "last", "number", "start", "state"),
    )

    def __init__(
        self, key: Any, number: int, start: Any, end: Any, state: Any = None, due: int | None = None
    ) -> None:
        self.key = key
        self.number = number
        self.start = self.last = start
        self.end = end
        self.state = state
        self.entries: Sequence[TrackedElement] = ()
        """The elements themselves, where they carry metadata."""
        self.due = due
        """The instant at which the node looks at it."""
        self.closed = self.gone = False
        """Whether the watermark has passed the end; whether it was merged or dropped."""
        self.emitted = False
        """Whether a result was emitted for its present start."""
        self.finals = 0
        """How many of those were final."""


class session_window(WindowNode):
    """Windows that end when no element of the key has come for a *gap*, in nanoseconds."""

    _needs_local_elements: ClassVar[bool] = True
    _ends_run: ClassVar[bool] = True

    def __init__(self, *args: Any, gap: int, **kwargs: Any) -> None:
        self._gap = gap
        self._latest: dict[Any, Session] = {}
        """The latest session of each key."""
        self._earlier: dict[Any, list[Session]] = {}
        """The other sessions of a key, in order, where there are any."""
        self._tick = max(gap // TICKS, 1)
        self._wheel: Wheel[Session] = Wheel(self._tick)
        """Sessions by their end, or an earlier end: one that has grown moves when met."""
        self._border = Border()
        self._changed: dict[Session, None] = {}
        """Those that have changed since the last early results, if there are such."""
        self._numbers = count()
        super().__init__(*args, **kwargs)

    @property
    def open_count(self) -> int:
        """How many sessions are open."""
        return sum(not session.closed for session in self._all())

    def _all(self) -> list[Session]:
        """Return all sessions, by key, in order."""
        return [session for key in self._latest for session in self._of(key)]

    def _of(self, key: Any) -> list[Session]:
        """Return the sessions of *key*, in order."""
        latest = self._latest.get(key)
        return [] if latest is None else [*self._earlier.get(key, ()), latest]

    def _put(self, key: Any, sessions: list[Session]) -> None:
        """Let *sessions* be those of *key*."""
        if not sessions:
            self._latest.pop(key, None)
            self._earlier.pop(key, None)
            return
        self._latest[key] = sessions[-1]
        if len(sessions) > 1:
            self._earlier[key] = sessions[:-1]
        else:
            self._earlier.pop(key, None)

    # --- elements -----------------------------------------------------------------------------

    def _can_inline(self) -> bool:
        options = self._options
        return (
            options.emit == "close"
            and options.early is None
            and self._domain.kind is not None
            and not self._pipeline.tracked
        )

    def inline(self, code: Code, port: int = 0) -> None:
        domain = self._domain
        latest, border = code.bind("latest", self._latest), code.bind("border", self._border)
        take, failure = code.bind("take", self._taker()), code.bind("failure", self._failure_of())
        if domain.adds_exactly:
            end = f"ts + {code.bind('gap', domain.delta(self._gap))}"
        else:
            end = f"{code.bind('end_of', self._end_of)}(ts)"
        if self._takes_final_only:
            code.nest("x.final")
        code.line("try:")
        code.depth += 1
        code.read("ts", self._timestamp)
        key = "None" if self._key is None else code.read("key", self._key)
        code.line(f"s = {latest}.get({key})")
        before = f"ts + {domain.delta(domain.rounding)}" if domain.rounding else "ts"
        exact = "ts.__class__ is int and " if domain.kind == "number" and domain.integral else ""
        code.line(f"if {exact}s is not None and s.start <= ts and {before} < s.end >= {border}.at:")
        code.depth += 1
        self._fold.write_next(code, "s.state", "ts")
        code.line(f"if ts > s.last: s.last = ts; s.end = {end}")
        code.depth -= 1
        if self._key is None:
            code.line(f"else: {take}(x, ts, None)")
        else:  # most others begin a session, after the latest of the key if there is one
            code.line(f"elif {exact}(s is None or s.end <= ts) and (end := {end}) >= {border}.at:")
            code.depth += 1
            self._fold.write_first(code, "a", "ts")
            code.line(f"{code.bind('begin', self._beginner())}(ts, {key}, end, s, a)")
            code.depth -= 1
            code.line(f"else: {take}(x, ts, {key})")
        code.depth -= 1
        code.line("except Exception as error:")
        code.line(f"    raise {failure}(x, error)")

    def _taker(self) -> Callable[[Any, Any, Any], None]:
        ref, domain, exact = weakref.ref(self), self._domain, self._domain.adds_exactly

        def take(x: Any, ts: Any, key: Any) -> None:
            if (node := ref()) is not None:
                node._owe(node._take(x, ts, key))
                if exact and not domain.adds_exactly:
                    node._invalidate()  # the first float: ends are rounded from now on

        return take

    def _beginner(self) -> Callable[[Any, Any, Any, Session | None, Any], None]:
        """Return what begins a session that touches no other one and is surely not late."""
        to_ns, gap, numbers = self._domain.to_ns, self._gap, self._numbers
        latest, earlier, watch = self._latest, self._earlier, self._wheel.add

        def begin(ts: Any, key: Any, end: Any, before: Session | None, state: Any) -> None:
            due = to_ns(ts) + gap
            latest[key] = session = Session(key, next(numbers), ts, end, state, due)
            if before is not None:
                earlier.setdefault(key, []).append(before)
            watch(due, session)

        return begin

    def compile(self, push: Push[WindowResult], port: int = 0) -> Push[Any]:
        if self._can_inline():
            return self._compile_inline(None, port)
        ref = weakref.ref(self)

        def step(x: Any) -> Pending:
            if (node := ref()) is None:
                return None
            since = attribution.last_serial
            try:
                element = unbox(x)
                if node._takes_final_only and not element.final:
                    return None
                ts = node._timestamp(element)
                key = None if node._key is None else node._key(element)
                node.check_key(key)
                wait = node._take(x, ts, key)
            except Exception as error:
                raise node._failed(unbox(x), error, since)  # noqa: B904 - its cause is set
            if node._domain.kind is not None and node._can_inline():
                node._invalidate()  # the kind of timestamps is known now
            return wait

        return step

    def _check_window(self, t: int) -> None:
        self._domain.check_span(t, t + self._gap, self._operator)

    def _end_of(self, ts: Any) -> Any:
        return self._domain.from_ns(self._domain.to_ns(ts) + self._gap)

    def _take(self, x: Any, ts: Any, key: Any) -> Pending:
        """Take *x* into the sessions that it touches, which become one, or into a new one."""
        to_ns, reached, gap = self._domain.to_ns, self._clock.caught_up(), self._gap
        t = to_ns(ts)
        if any(not each.closed and to_ns(each.end) <= reached for each in self._of(key)):
            self._owe(self._on_time(reached))
            reached = self._clock.arrived()  # a sink may have moved it
        touched = [
            each for each in self._of(key) if to_ns(each.start) < t + gap and t < to_ns(each.end)
        ]
        end = max([t + gap, *(to_ns(each.end) for each in touched)])
        if end + self._options.lateness <= reached:
            return self._send_late(unbox(x), reached - t, self._domain, ((t, t + gap),))
        states = {key: self._merged_state(touched)} if touched else {}
        self._fold.add(states, key, unbox(x), ts)  # nothing has changed yet, if this fails
        session = touched[0] if touched else self._open(key, ts)
        results = self._grow(session, touched, ts)
        session.state = states[key]
        if type(x) is TrackedElement:
            session.entries = [*session.entries, x]
        session.closed = end <= reached
        if session.closed or self._options.emit == "update":
            results.append(self._result(session))
        self._watch(session, end + self._options.lateness if session.closed else end)
        self._set_timer()
        self._note_change(session)
        return self._emit_all(results) if results else None

    def _merged_state(self, touched: list[Session]) -> Any:
        state = touched[0].state
        for each in touched[1:]:
            state = self._fold.merge(state, each.state)
        return state

    def _open(self, key: Any, ts: Any) -> Session:
        """Begin a session of *key* at *ts*."""
        session = Session(key, next(self._numbers), ts, self._end_of(ts))
        self._put(key, sorted([*self._of(key), session], key=lambda each: each.start))
        return session

    def _grow(self, session: Session, touched: list[Session], ts: Any) -> list[WindowResult]:
        """Let *session* be all of *touched* and an element at *ts*; return what is withdrawn."""
        start = min(session.start, ts)
        withdrawn = [
            self._withdrawn(each)
            for each in touched
            if each.emitted and (each is not session or each.start != start)
        ]
        session.start = start
        for each in touched[1:]:
            each.gone = True
            session.number = min(session.number, each.number)
            session.entries = [*session.entries, *each.entries]
            if each.last > session.last:
                session.last, session.end = each.last, each.end
        if ts > session.last:
            session.last, session.end = ts, self._end_of(ts)
        if len(touched) > 1:
            self._put(session.key, [each for each in self._of(session.key) if not each.gone])
        return withdrawn

    def _watch(self, session: Session, when: int) -> None:
        """Look at *session* at the instant *when*; earlier will do while it is open."""
        due = session.due
        if due is None or due > when or (session.closed and due != when):
            session.due = when
            self._wheel.add(when, session)

    def _set_timer(self) -> None:
        """Set the timer for the earliest session, or a tick when there are many."""
        wheel, clock, tick = self._wheel, self._clock, self._domain.tick
        if len(self._latest) < MANY:
            clock.shift, when = tick, wheel.next()
        else:  # results are older than the timer by as much as a bucket
            clock.shift, when = tick + self._tick, wheel.next_tick()
        if when < clock.timer:
            clock.set_timer(when)
        self._border.at = self._domain.lower(clock.timer)

    # --- results ------------------------------------------------------------------------------

    def _result(self, session: Session) -> WindowResult:
        """Return the result of *session* as it is now, and note that it was emitted."""
        value, final = self._fold.result(session.state), session.closed
        revision = session.finals if final else 0
        session.emitted = True
        session.finals += final
        return self._row(session, value, final, revision)

    def _note_final(self, session: Session) -> int:
        """Close *session*, of which a result is emitted; return the revision of that."""
        session.closed = session.emitted = True
        session.finals += 1
        return session.finals - 1

    def _withdrawn(self, session: Session) -> WindowResult:
        """Return that the result of *session* is withdrawn: it has grown to the left or merged."""
        final, revision = session.finals > 0, session.finals
        session.emitted, session.finals = False, 0
        return self._row(session, None, final, revision)

    def _row(self, session: Session, value: Any, final: bool, revision: int) -> WindowResult:
        start, end = map(self._domain.as_written, (session.start, session.end))
        return WindowResult(session.key, start, end, value, final, revision)

    def _note_change(self, session: Session) -> None:
        if self._options.early is not None:
            self._changed[session] = None
            self._start_early()

    def _early_results(self, changed_only: bool) -> list[WindowResult]:
        sessions = list(self._changed) if changed_only else self._all()
        self._changed.clear()
        left = [each for each in sessions if not (each.closed or each.gone)]
        left.sort(key=lambda each: (self._domain.to_ns(each.end), each.number))
        return [self._result(each) for each in left]

    def _open_windows(self) -> list[tuple[int, int]]:
        to_ns = self._domain.to_ns
        left = [each for each in self._all() if not each.closed]
        return [(to_ns(each.start), to_ns(each.end)) for each in left]

    # --- the watermark --------------------------------------------------------------------------

    def _on_time(self, t: int) -> Pending:
        lateness, watch, met = self._options.lateness, self._wheel.add, self._wheel.take(t)
        over = self._find_over([one for when, one in met if when == one.due and not one.gone], t)
        over.sort()
        closed = [session for _, _, session in over]
        results: Iterable[Any] = self._closed(closed)
        if self._pipeline.tracked:
            results = self._with_entries(results, [session.entries for session in closed])
        for end, _, session in over:
            if end + lateness <= t:
                if not session.gone:
                    self._drop(session)
            else:
                session.due = end + lateness
                watch(end + lateness, session)
        self._clock.timer = NEVER
        self._set_timer()
        return self._emit_all(results) if over else None

    def _find_over(self, sessions: list[Session], t: int) -> list[tuple[int, int, Session]]:
        """Return those of *sessions* that have ended, with end and number.

        Those that were corrected for the last time are dropped; the others have grown.
        """
        over: list[tuple[int, int, Session]] = []
        grown: list[tuple[int, Session]] = []
        ends = self._domain.all_to_ns([session.end for session in sessions])
        for end, session in zip(ends, sessions, strict=True):
            if session.closed:
                self._drop(session)
            elif end <= t:
                over.append((end, session.number, session))
            else:
                session.due = end
                grown.append((end, session))
        self._wheel.add_all(grown)
        return over

    def _closed(self, sessions: list[Session]) -> Iterable[WindowResult]:
        """Close *sessions*; return their results."""
        revisions: Iterable[int] = repeat(0)
        if self._options.lateness or any(session.finals for session in sessions):
            revisions = [self._note_final(session) for session in sessions]
        values = self._fold.results([session.state for session in sessions])
        all_written = self._domain.all_as_written
        rows = zip(
            [session.key for session in sessions],
            all_written([session.start for session in sessions]),
            all_written([session.end for session in sessions]),
            values,
            repeat(True),
            revisions,
        )
        return map(tuple.__new__, repeat(WindowResult), rows)

    def _drop(self, session: Session) -> None:
        """Forget *session*: it is closed for good."""
        session.gone = True
        key = session.key
        if key in self._earlier:
            self._put(key, [each for each in self._of(key) if not each.gone])
        elif self._latest.get(key) is session:
            del self._latest[key]

    def _snapshot(self) -> SessionState:
        return self._latest, self._earlier, list(self._wheel)

    def _restore(self, state: SessionState) -> None:
        self._numbers = count(restore_sessions(state, self._latest, self._earlier, self._wheel))
        self._set_timer()
