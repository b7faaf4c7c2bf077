"""Key context: what the methods of a process see of the key and the time, and what they change."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from rapidz.eventtime.clock import END, EventClock
from rapidz.eventtime.domain import SECOND, TimeDomain
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keyed.in_order_clock import InOrderClock
from rapidz.eventtime.timer_table import TimerTable
from rapidz.kernel.protocol.intervals import Interval, seconds
from rapidz.kernel.protocol.short_repr import short_repr

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

#: How many timers a key may set once the stream has ended.
MAX_TIMERS_AT_END: Final = 1000

Change: TypeAlias = tuple[Literal["at", "after", "cancel"], Hashable, int]


class KeyTimer(NamedTuple):
    """A timer of a process: what a `Failure` has for an element if ``on_timer`` failed."""

    key: Any
    t: Any
    """The instant it was set for, as the source writes time; None for one of the wall clock."""
    name: Hashable


class ProcessState:
    """What one process keeps: a state a key, and the timers of event time and of the wall clock.

    *clock*, *domain* and *timestamp* are None where the stream has no event time.
    """

    __slots__ = (
        "_node",
        "clock",
        "domain",
        "dropped",
        "ended",
        "event_timers",
        "set_at_end",
        "states",
        "takes_timers",
        "timestamp",
        "wall_changed",
        "wall_set_at",
        "wall_timers",
    )

    def __init__(self, node: Node, takes_timers: bool) -> None:
        self.states: dict[Hashable, Any] = {}
        self.event_timers = TimerTable()
        self.wall_timers = TimerTable()
        """Those of the clock of the pipeline, in nanoseconds."""
        self.wall_changed = False
        self.wall_set_at = 0
        """When a timer of the wall clock was last set."""
        self.takes_timers = takes_timers
        self._node = weakref.ref(node)
        self.clock: InOrderClock | None = None
        self.domain: TimeDomain | None = None
        self.timestamp: Getter | None = None
        self.ended = False
        """Whether the timers that are left fire because the stream ends."""
        self.set_at_end: dict[Hashable, int] = {}
        self.dropped = 0
        """How many timers were not set at the end, for their key has set too many."""

    def loop_time(self) -> int:
        """Return the time of the pipeline's clock, in nanoseconds."""
        node = self._node()
        return 0 if node is None else round(node._pipeline.clock.time() * SECOND)

    def has_loop(self) -> bool:
        """Return whether the pipeline has an event loop that fires timers of the wall clock."""
        node = self._node()
        return node is not None and node._pipeline.needs_loop

    def resume_wall_timers(self) -> None:
        """Go on with the timers of a loop that has ended, on one whose clock may begin anew."""
        now = self.loop_time()
        if (ahead := self.wall_set_at - now) > 0:
            timers = list(self.wall_timers)
            self.wall_timers.clear()
            for t, key, name in timers:
                self.wall_timers.set(key, name, t - ahead)
            self.wall_set_at = now

    def commit(self, key: Hashable, changes: list[Change]) -> bool:
        """Make the changes of timers that a method has asked for, as it has returned.

        Returns whether a timer of event time is earlier than all before.
        """
        asks = False
        for kind, name, t in changes:
            if kind == "at":
                asks |= self._set(key, name, t)
                continue
            self.event_timers.cancel(key, name)
            if kind == "after":
                self.wall_set_at = self.loop_time()
                self.wall_timers.set(key, name, self.wall_set_at + t)
                self.wall_changed = True
            else:
                self.wall_changed |= self.wall_timers.cancel(key, name)
        return asks

    def _set(self, key: Hashable, name: Hashable, t: int) -> bool:
        if self.ended:
            count = self.set_at_end[key] = self.set_at_end.get(key, 0) + 1
            if count > MAX_TIMERS_AT_END:
                self.dropped += 1
                return False
        if len(self.wall_timers):
            self.wall_changed |= self.wall_timers.cancel(key, name)
        self.event_timers.set(key, name, t)
        if self.clock is None or t >= self.clock.timer:
            return False
        self.clock.set_timer(t)
        return True


class KeyContext:
    """Context of one call of ``on_element`` or ``on_timer``: key, time, state and timers.

    What a method changes by it takes effect when the method has returned, and not if it raises an
    exception: the state that was assigned, the timers that were set or cancelled.

    Attributes
    ----------
    key : object
        The key, None where the stream has no keys.
    name : hashable
        The name of the timer in ``on_timer``, else None.
    """

    __slots__ = ("_changes", "_element", "_process", "_state", "_timer", "key", "name")

    def __init__(self, process: ProcessState) -> None:
        self._process = process
        self._changes: list[Change] | None = None
        """None outside of a call."""
        self._state: Any = None
        self._element: Any = None
        self._timer: KeyTimer | None = None
        self.key: Any = None
        self.name: Hashable = None

    # --- what it knows ----------------------------------------------------------------------

    @property
    def time(self) -> Any:
        """The timestamp of the element, or the instant the timer was set for, as the source has it.

        None for a timer of the wall clock.
        """
        if self._timer is not None:
            return self._timer.t
        return self._timed("time")[1](self._element)

    @property
    def watermark(self) -> Any:
        """The watermark as the source writes time: no element before it is expected.

        None before the first element; the greatest value that there is once the stream has
        ended.
        """
        now = self._timed("watermark")[0].arrived()
        return None if now <= -END else self._domain.limit(now)

    @property
    def is_late(self) -> bool:
        """Whether the element, or the timer, is older than the watermark."""
        clock, _ = self._timed("is_late")
        time = self.time
        return time is not None and self._domain.to_ns(time) < clock.arrived()

    @property
    def ended(self) -> bool:
        """Whether the stream has ended, so that no element follows and all timers fire.

        A timer that sets itself again looks at this, or the process sets it up to 1,000 times.
        """
        return self._process.ended

    # --- state ------------------------------------------------------------------------------

    @property
    def state(self) -> Any:
        """The state of the key: any object, None until it is assigned and after it is deleted."""
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        self._check_open("state")
        self._state = value

    @state.deleter
    def state(self) -> None:
        self.state = None

    # --- timers -----------------------------------------------------------------------------

    def at(self, t: Any, name: Hashable = None) -> None:
        """Have ``on_timer`` called once the watermark has reached *t*.

        Parameters
        ----------
        t : number or datetime
            As the timestamps of the stream.  If the watermark has passed it already, the call
            follows directly on the present one.
        name : hashable
            A timer of the same key and name that is set already is moved.
        """
        self._timed("at")
        self._check_timer("at", name)
        domain = self._domain
        integral = domain.integral
        try:
            instant = domain.to_ns(t)
        except (TypeError, ValueError, OverflowError) as error:
            raise type(error)(
                f"process: at: t must be a time like the timestamps of the stream, "
                f"got {short_repr(t)}"
            ) from error
        finally:
            domain.integral = integral  # that says what the elements have
        self._changes.append(("at", name, instant))  # type: ignore[union-attr]

    def after(self, delay: Interval, name: Hashable = None) -> None:
        """Have ``on_timer`` called after *delay* by the clock of the pipeline.

        Parameters
        ----------
        delay : float, str or timedelta
            Seconds, or a string such as ``"500ms"``, at least 0.
        name : hashable
            A timer of the same key and name that is set already is moved.
        """
        self._check_timer("after", name)
        if not self._process.has_loop():
            raise RuntimeError(
                "process: ctx.after needs an event loop, got a pipeline without: no method of the "
                "class names `after`, so pass `asynchronous=` to Stream"
            )
        length = seconds(delay, operator="process: after", argument="delay", allow_zero=True)
        self._changes.append(("after", name, round(length * SECOND)))  # type: ignore[union-attr]

    def cancel(self, name: Hashable = None) -> None:
        """Cancel the timer *name* of the key, of event time or of the wall clock, if it is set."""
        self._check_open("cancel")
        hash(name)
        self._changes.append(("cancel", name, 0))  # type: ignore[union-attr]

    # --- for the process --------------------------------------------------------------------

    def open(self, key: Any, element: Any, timer: KeyTimer | None) -> None:
        """Begin a call for *key*."""
        self.key, self._element, self._timer = key, element, timer
        self.name = None if timer is None else timer.name
        self._state = self._process.states.get(key)
        self._changes = []

    def close(self, *, commit: bool) -> bool:
        """End the call; make the changes if *commit*; return whether a timer is the earliest."""
        key, changes = self.key, self._changes or []
        state, self._changes = self._state, None
        self._element = self._timer = self._state = None
        if not commit:
            return False
        states = self._process.states
        if state is not None:
            states[key] = state
        else:
            states.pop(key, None)
        return bool(changes) and self._process.commit(key, changes)

    @property
    def _domain(self) -> TimeDomain:
        domain = self._process.domain
        assert domain is not None
        return domain

    def _timed(self, what: str) -> tuple[EventClock, Getter]:
        clock, timestamp = self._process.clock, self._process.timestamp
        if clock is None or timestamp is None:
            raise RuntimeError(f"process: ctx.{what} needs `event_time` upstream, got none")
        return clock, timestamp

    def _check_open(self, what: str) -> None:
        if self._changes is None:
            raise RuntimeError(
                f"process: ctx.{what} must be used while on_element or on_timer runs, got a use "
                "after it has returned"
            )

    def _check_timer(self, what: str, name: Hashable) -> None:
        self._check_open(what)
        hash(name)
        if not self._process.takes_timers:
            raise TypeError(f"process: ctx.{what} needs a method on_timer, got a class without")
