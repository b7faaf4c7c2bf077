"""State of a process: what it keeps of each key, and the timers of both clocks."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from rapidz.eventtime.clock import NEVER
from rapidz.eventtime.domain import SECOND, TimeDomain
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keyed.in_order_clock import InOrderClock
from rapidz.eventtime.keyed.state import KeyedState
from rapidz.eventtime.timer_table import TimerTable

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
        "_names",
        "_node",
        "clock",
        "domain",
        "dropped",
        "ended",
        "event_timers",
        "monotonic",
        "set_at_end",
        "states",
        "takes_timers",
        "timestamp",
        "wall_changed",
        "wall_set_at",
        "wall_timers",
    )

    def __init__(
        self, node: Node, takes_timers: bool, ttl: int | None = None, max_keys: int | None = None
    ) -> None:
        self.states = KeyedState(None, ttl, max_keys)
        self.event_timers = TimerTable()
        self.wall_timers = TimerTable()
        """Those of the clock of the pipeline, in nanoseconds."""
        self._names: dict[Hashable, set[Hashable]] = {}
        """The names of the timers of a key that has a state, if keys are limited in number."""
        self.wall_changed = False
        """Whether the loop is to be asked for another instant."""
        self.wall_set_at = 0
        """When a timer of the wall clock was last set."""
        self.takes_timers = takes_timers
        self._node = weakref.ref(node)
        self.clock: InOrderClock | None = None
        self.domain: TimeDomain | None = None
        self.timestamp: Getter | None = None
        self.monotonic: Callable[[], float] = time.monotonic
        """The clock of the pipeline, which it has without a loop too."""
        self.ended = False
        """Whether the timers that are left fire because the stream ends."""
        self.set_at_end: dict[Hashable, int] = {}
        self.dropped = 0
        """How many timers were not set at the end, for their key has set too many."""

    # --- time -------------------------------------------------------------------------------

    def loop_time(self) -> int:
        """Return the time of the pipeline's clock, in nanoseconds."""
        return round(self.monotonic() * SECOND)

    def has_loop(self) -> bool:
        """Return whether the pipeline has an event loop that fires timers of the wall clock."""
        node = self._node()
        return node is not None and node._pipeline.needs_loop

    def instant_of(self, x: Any) -> int:
        """Return when the call for *x* counts as made, where keys have a time to live."""
        if self.states.ttl is None:
            return 0
        if self.domain is None or self.timestamp is None:
            return self.loop_time()
        return self.domain.to_ns(self.timestamp(x))

    def instant_of_timer(self, t: int, table: TimerTable) -> int:
        """Return when the call for a timer counts as made."""
        if self.states.ttl is None or (table is self.event_timers):
            return t
        return self.loop_time() if self.clock is None else self.clock.arrived()

    def next_due(self) -> int:
        """Return the earliest instant of event time at which something may be due."""
        due = self.event_timers.next()
        return due if self.states.ttl is None else min(due, self.states.wheel.next())

    def next_of_wall(self) -> int:
        """Return the same by the clock of the pipeline."""
        due = self.wall_timers.next()
        return due if self.clock is not None else min(due, self.states.wheel.next())

    def resume_wall_timers(self) -> None:
        """Go on with the timers of a loop that has ended, on one whose clock may begin anew."""
        now = self.loop_time()
        if self.clock is None:
            self.states.resume(now)
        if (ahead := self.wall_set_at - now) > 0:
            timers = list(self.wall_timers)
            self.wall_timers.clear()
            for t, key, name in timers:
                self.wall_timers.set(key, name, t - ahead)
            self.wall_set_at = now

    # --- keys -------------------------------------------------------------------------------

    def read(self, key: Hashable, now: int) -> Any:
        """Return the state of *key*, None if it has none at *now*."""
        states = self.states
        return states.read(key, now) if states.bounded else states.table[key]

    def commit(self, key: Hashable, state: Any, now: int, changes: list[Change]) -> bool:
        """Keep what a method has assigned, and make the changes of timers that it has asked for.

        Returns whether there is something earlier to wait for than before, or something to send.
        """
        asks = bool(changes) and self._change(key, changes)
        states = self.states
        if not states.bounded:
            if state is not None:
                states.table[key] = state
            else:
                states.table.pop(key)
            return asks
        if state is None:
            states.drop(key)
        else:
            kept = [t for kind, _, t in changes if kind == "at"]
            states.write(key, state, max([now, *kept]))  # no state leaves before its timers
        return self._settle() or asks

    def _settle(self) -> bool:
        states, clock = self.states, self.clock
        if states.ttl is not None:
            due = states.wheel.next()
            if clock is None:
                self.wall_changed |= due != NEVER
            elif due < clock.timer:
                clock.set_timer(due)
                return True
        return bool(states.evicted)

    def take_evicted(self) -> list[tuple[Hashable, Any]]:
        """Return the keys that have left by a bound, with their states; their timers are gone."""
        evicted = self.states.take_evicted()
        for key, _ in evicted:
            for name in self._names.pop(key, ()):
                self.event_timers.cancel(key, name)
                self.wall_timers.cancel(key, name)
        return evicted

    def snapshot(self) -> tuple[Any, list[tuple[int, Hashable, Hashable]], Any]:
        """Return the states, the timers of event time in the order they are due, their names."""
        timers = [(each.t, each.key, each.name) for each in self.event_timers]
        return self.states.snapshot(), timers, self._names

    def restore(self, snapshot: tuple[Any, list[tuple[int, Hashable, Hashable]], Any]) -> None:
        """Have the states and timers of a `snapshot` and no others."""
        states, timers, self._names = snapshot
        self.states.restore(states)
        self.event_timers.clear()
        for t, key, name in timers:
            self.event_timers.set(key, name, t)

    # --- timers -----------------------------------------------------------------------------

    def note_fired(self, key: Hashable, name: Hashable) -> None:
        """Note that a timer is set no more."""
        if self._names and (names := self._names.get(key)) is not None:
            names.discard(name)
            if not names:
                del self._names[key]

    def _change(self, key: Hashable, changes: list[Change]) -> bool:
        asks = False
        for kind, name, t in changes:
            if kind != "cancel" and self.states.max_keys is not None:
                self._names.setdefault(key, set()).add(name)
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
                self.note_fired(key, name)
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
