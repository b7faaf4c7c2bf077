"""KeyedNode: base class of the nodes that keep one state a key."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rapidz.eventtime.clock import END, NEVER, EventClock, joined
from rapidz.eventtime.domain import SECOND, nanoseconds
from rapidz.eventtime.event_time import definitions_upstream
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keyed.evicted import SendsEvicted
from rapidz.eventtime.keyed.in_order_clock import InOrderClock
from rapidz.eventtime.keyed.state import KeyedState, StateView
from rapidz.eventtime.keys import refuse_key
from rapidz.eventtime.time_graph import give_clock
from rapidz.eventtime.time_node import TimeNode
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime.supervision import push_supervised
from rapidz.kernel.runtime.timer import Timer

T = TypeVar("T")


class KeyedNode(SendsEvicted[T], TimeNode[T]):
    """Base class of the nodes that keep one state a key, within bounds.

    Time is event time where an `event_time` is upstream, else the clock of the pipeline.  A state
    that has reached its time to live leaves when the watermark passes that instant, or by a timer
    of the loop; without a loop when the next element comes.  It is never read after that instant.

    Parameters
    ----------
    operator : str
        Its name, for errors.
    upstream : KeyedStream
        Where elements come from, and their keys.
    start : object
        The first state of a key.
    ttl : float, str or timedelta, optional
        How long a state lives after it was last written.
    max_keys : int, optional
        How many keys there are at most.
    awaits : bool
        Whether the node's own function is asynchronous.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where the `event_time` upstream found it.
    timed : bool
        The node has a clock even if it has no time to live.
    """

    def __init__(
        self,
        operator: str,
        upstream: Any,
        start: Any,
        ttl: Any = None,
        max_keys: int | None = None,
        awaits: bool = False,
        timestamp: Any = None,
        ttl_name: str = "ttl",
        timed: bool = False,
        **kwargs: Any,
    ) -> None:
        length = None if ttl is None else nanoseconds(ttl, operator=operator, argument=ttl_name)
        if max_keys is not None:
            check_count(operator, "max_keys", max_keys)
        self._operator = operator
        self.key_getter: Getter = upstream.key_getter
        self._state = KeyedState(start, length, max_keys)
        self._owed: list[Any] = []
        """What an element is to wait for besides itself."""
        self._by_event_time = timed or (
            length is not None and bool(timestamp is not None or definitions_upstream([upstream]))
        )
        if self._by_event_time:
            super().__init__(operator, [upstream], timestamp, **kwargs)
            self._choose_clock(awaits)
        else:
            super(TimeNode, self).__init__(upstream, **kwargs)
        self._wall = Timer(self)
        if not self._state.bounded:
            self._state.table.on_unbounded = unbounded_warner(self)

    def __str__(self) -> str:
        name = f"{self.name}; " if self.name else ""
        func = vars(self).get("func") or vars(self).get("build")
        what = "" if func is None else f": {getattr(func, '__name__', type(func).__name__)}"
        return f"<{name}{self._operator}{what}>"

    __repr__ = __str__

    # --- state for users ----------------------------------------------------------------------

    @property
    def state(self) -> Any:
        """The states by key: a live mapping.  May be assigned, whole or key by key."""
        return StateView(self._state, self._time_reader())

    @state.setter
    def state(self, states: Mapping[Any, Any]) -> None:
        StateView(self._state, self._time_reader()).replace(states)
        self._settle()

    @property
    def key_count(self) -> int:
        """How many keys the node has states of."""
        return len(self._state.table)

    # --- time ---------------------------------------------------------------------------------

    def _choose_clock(self, awaits: bool) -> None:
        """Have a clock that fits whether the node's own function is asynchronous."""
        kind = InOrderClock if awaits else EventClock
        if type(self._clock) is not kind:
            before, clock = self._clock, kind(self)
            clock.reached, clock.timer = before.reached, before.timer
            give_clock(self, clock)

    def _time_reader(self) -> Callable[[], int]:
        """Return what tells the present time in nanoseconds, -END if it is not known."""
        if self._state.ttl is None:
            return _no_time
        if not self._by_event_time:
            return _reader(self._pipeline.monotonic)
        ref = weakref.ref(self)

        def watermark() -> int:
            node = ref()
            if node is None:
                return -END
            reached: int = node._clock.arrived()
            return reached

        return watermark

    def _element_time(self) -> Callable[[Any], int] | None:
        """Return what reads the time of an element; None if it does not matter."""
        state = self._state
        if state.ttl is None:
            return None
        now = self._time_reader()
        if self._by_event_time:
            to_ns, getter = self._domain.to_ns, self._timestamp

            def happened(x: Any) -> int:
                state.sweep(now())
                return to_ns(getter(x))

            return happened
        state.resume(now())

        def present(_: Any) -> int:
            t = now()
            state.sweep(t)
            return t

        return present

    # --- lines --------------------------------------------------------------------------------

    def _write_key(self, code: Code) -> str:
        """Write that the variable ``key`` is the key of ``x``; return its name."""
        getter = self.key_getter
        if getter.mode is None:
            code.line(f"key = {code.bind('first_key', self._first_key())}(x)")
            return "key"
        if getter.mode in ("call", "element"):
            return code.read("key", getter)
        code.line("try:")
        code.depth += 1
        written = len(code.lines)
        code.read("key", getter)
        if len(code.lines) == written:
            code.line("pass")
        code.depth -= 1
        code.line("except Exception as error:")
        code.line(f"    raise {code.bind('failure', getter.failure)}(x, error) from error")
        return "key"

    def _write_guarded(self, code: Code, text: str) -> None:
        """Write *text*, which uses the key as such: it may not be hashable."""
        code.line("try:")
        code.line(f"    {text}")
        code.line("except TypeError as error:")
        refuse = code.bind("refuse", functools.partial(refuse_key, self._operator))
        code.line(f"    raise {refuse}(key, error) from error")

    def _write_read(self, code: Code) -> None:
        """Write that ``s`` is the state of the key of ``x``."""
        self._write_key(code)
        if not self._state.bounded:
            table = self._state.table
            states = code.bind("states", table.states)
            self._write_guarded(code, f"s = {states}.get(key, MISSING)")
            code.line(f"if s is MISSING: s = {code.bind('first', table.first)}(key)")
            return
        time = self._element_time()
        now = "0" if time is None else f"{code.bind('time', time)}(x)"
        code.line(f"now = {now}")
        self._write_guarded(code, f"s = {code.bind('read', self._state.read)}(key, now)")
        self._write_settle(code)

    def _write_write(self, code: Code, new: str, *, drops: bool = False) -> None:
        """Write that *new* is the state of the key; None is no state if *drops*."""
        state = self._state
        if drops:
            dropper = state.drop if state.bounded else state.table.pop
            code.line(f"if {new} is None: {code.bind('drop', dropper)}(key)")
        otherwise = "else: " if drops else ""
        if not state.bounded:
            code.line(f"{otherwise}{code.bind('states', state.table.states)}[key] = {new}")
            return
        code.line(f"{otherwise}{code.bind('write', state.write)}(key, {new}, now)")
        self._write_settle(code)

    def _write_settle(self, code: Code) -> None:
        settle = code.bind("settle", self._settler())
        code.line(f"if {code.bind('state', self._state)}.unsettled: {settle}()")

    def _first_key(self) -> Callable[[Any], Any]:
        """Return what reads the key of a first element, which shows where it is."""
        ref, getter = weakref.ref(self), self.key_getter

        def first_key(x: Any) -> Any:
            key = getter(x)
            if (node := ref()) is not None:
                node._invalidate()
            return key

        return first_key

    def _with_owed(self, step: Push[Any]) -> Push[Any]:
        """Return *step*, which waits for what it has evicted too."""
        ref, owed = weakref.ref(self), self._owed

        def step_and_owed(x: Any) -> Pending:
            wait = step(x)
            if owed and (node := ref()) is not None:
                waits = [wait, *owed]
                owed.clear()
                return joined(node, waits)
            return wait

        return step_and_owed

    def _with_watermark(self, step: Push[Any]) -> Push[Any]:
        """Return *step* of an asynchronous function, which sees the watermark as it is now."""
        if not self._by_event_time:
            return step
        arrived = self._clock.arrived

        def step_at_watermark(x: Any) -> Pending:
            arrived()  # noted, unless elements before this one are in flight
            return step(x)

        return step_at_watermark

    # --- eviction -----------------------------------------------------------------------------

    def _settler(self) -> Callable[[], None]:
        ref = weakref.ref(self)

        def settle() -> None:
            if (node := ref()) is not None:
                node._settle()

        return settle

    def _settle(self) -> None:
        """Send what was evicted, and ask for the instant at which the next state is to leave."""
        state = self._state
        state.unsettled = False
        if state.evicted and (wait := self._send_evicted()) is not None:
            self._owed.append(wait)
        if state.ttl is not None:
            self._ask()

    def _ask(self) -> None:
        state = self._state
        due = state.wheel.next()
        if due == state.armed or self._ended:
            return
        if self._by_event_time:
            state.armed = due
            self._clock.set_timer(due)
        elif self._pipeline.needs_loop:
            state.armed = due
            self._set_wall(due)

    def _set_wall(self, due: int) -> None:
        ref = weakref.ref(self)
        if due == NEVER:
            self._wall.cancel()
            return

        def fire() -> None:
            if (node := ref()) is not None:
                node._run_in_order(functools.partial(node._leave, due))

        self._wall.set(self._pipeline, due / SECOND, fire)

    def _leave(self, due: int) -> Pending:
        """Let the states leave that have reached their time to live: a timer has fired."""
        self._wall.cancel()
        state = self._state
        state.armed = NEVER
        state.sweep(max(due, self._time_reader()()))
        wait = self._send_evicted()
        state.unsettled = False
        self._ask()
        return wait

    def _on_time(self, t: int) -> Pending:
        state = self._state
        state.sweep(t)
        state.unsettled = False
        state.armed = self._clock.timer = state.wheel.next()
        return self._send_evicted()

    def _send_evicted(self) -> Pending:
        """Send what was evicted; what that raises is a pending failure."""
        evicted = self._state.take_evicted()
        stream = self._evicted
        if stream is None or not len(stream.downstreams):
            return None
        send, waits, left = stream._outlet.send, list[Any](), iter(evicted)
        try:
            waits += [push_supervised(self._pipeline, send, pair) for pair in left]
        except BaseException:  # an interrupt: the others are sent with what is evicted next
            self._state.evicted[:0] = left
            raise
        return joined(self, waits)

    # --- for the engine -------------------------------------------------------------------------

    def _snapshot(self) -> Any:
        return self._state.snapshot()

    def _restore(self, state: Any) -> None:
        self._state.restore(state)
        self._settle()

    def _emit_at_end(self) -> Pending:
        return super()._emit_at_end() if self._by_event_time else None

    def _stop_background_work(self) -> None:
        self._wall.cancel()

    def _on_end(self) -> None:
        self._wall.cancel()
        self._state.armed = NEVER

    def _on_restart(self) -> None:
        self._state.unsettled = True

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._wall.cancel()
        self._state.armed = NEVER
        self._state.unsettled = True


def _no_time() -> int:
    return 0


def _reader(seconds: Callable[[], float]) -> Callable[[], int]:
    return lambda: round(seconds() * SECOND)


def unbounded_warner(node: Any) -> Callable[[], None]:
    """Return what warns that the state of *node* grows without a bound."""
    ref = weakref.ref(node)

    def warn() -> None:
        if (node := ref()) is not None:
            warnings.warn(
                f"{node}: has states of {node.key_count} keys, and no bound: give ttl= or "
                "max_keys=, or raise rapidz.options(unbounded_keys_warning=...)",
                RuntimeWarning,
                stacklevel=2,
            )

    return warn
