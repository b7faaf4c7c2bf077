"""Timer table: one timer per key and name, on a timing wheel."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from rapidz.eventtime.wheel import NEVER, Wheel

_TICK: Final = 1_000_000_000
_MIN_STALE: Final = 1024
"""How many stale entries the wheel may have, however few timers are set."""


class DueTimer(NamedTuple):
    """A timer: the instant for which it was set, its key and its name."""

    t: int
    key: Hashable
    name: Hashable


class _Entry:
    """What lies on the wheel for a timer."""

    __slots__ = ("key", "name", "queued", "serial", "t")

    def __init__(self, key: Hashable, name: Hashable, t: int, serial: int) -> None:
        self.key = key
        self.name = name
        self.t = t
        self.serial = serial
        """The number of the call that set the timer; -1 once it is cancelled."""
        self.queued = t
        """Where it lies on the wheel, at *t* or before; `NEVER` once it has left the wheel."""


class TimerTable:
    """Timers of keys, each with a name: setting one again moves it.

    `set` and `cancel` cost a look-up.  A timer that is moved to a later instant stays
    where it is on the wheel until the watermark meets it there; one that is cancelled or moved to
    an earlier instant leaves a stale entry there, of which there are never more than timers.
    `pop` returns timers by instant, then in the order in which they were set.

    Parameters
    ----------
    tick : int
        Width of a bucket of the wheel in nanoseconds.

    >>> table = TimerTable()
    >>> table.set("b", None, 20), table.set("a", None, 20), table.set("a", "alarm", 10)
    (True, True, True)
    >>> table.set("b", None, 20), table.cancel("a", "alarm"), len(table)
    (False, True, 2)
    >>> table.pop(19), table.pop(20), table.pop(20), table.pop(20)
    (None, DueTimer(t=20, key='a', name=None), DueTimer(t=20, key='b', name=None), None)
    """

    __slots__ = ("_ready", "_serial", "_stale", "_timers", "_wheel")

    def __init__(self, tick: int = _TICK) -> None:
        self._timers: dict[tuple[Hashable, Hashable], _Entry] = {}
        self._wheel: Wheel[_Entry] = Wheel(tick)
        self._ready: list[tuple[int, int, _Entry]] = []
        """What a watermark has met and `pop` has not returned yet: a heap."""
        self._serial = 0
        self._stale = 0
        """How many entries on the wheel are cancelled."""

    def set(self, key: Hashable, name: Hashable, t: int) -> bool:
        """Set the timer *name* of *key* to *t*; return whether it is a new one."""
        timers, which = self._timers, (key, name)
        entry = timers.get(which)
        self._serial = serial = self._serial + 1
        if entry is not None:
            if entry.queued <= t:
                entry.t, entry.serial = t, serial
                return False
            self._drop(entry)
        timers[which] = new = _Entry(key, name, t, serial)
        self._wheel.add(t, new)
        return entry is None

    def cancel(self, key: Hashable, name: Hashable) -> bool:
        """Cancel the timer *name* of *key*; return whether it was set."""
        entry = self._timers.pop((key, name), None)
        if entry is not None:
            self._drop(entry)
        return entry is not None

    def get(self, key: Hashable, name: Hashable) -> int | None:
        """Return the instant for which the timer *name* of *key* is set, None if it is not."""
        entry = self._timers.get((key, name))
        return None if entry is None else entry.t

    def pop(self, watermark: int) -> DueTimer | None:
        """Remove and return the first timer that is due at *watermark*, None if none is."""
        if self._wheel.next() <= watermark:
            self._meet(watermark)
        ready = self._ready
        while ready and ready[0][0] <= watermark:
            t, serial, entry = heappop(ready)
            if entry.serial == serial:
                del self._timers[entry.key, entry.name]
                return DueTimer(t, entry.key, entry.name)
        return None

    def next(self) -> int:
        """Return the earliest instant at which a timer may be due, `NEVER` if none is set.

        Once `pop` has returned None for a watermark, it is later than that watermark.
        """
        if not self._timers:
            return NEVER
        ready, earliest = self._ready, self._wheel.next()
        return min(ready[0][0], earliest) if ready else earliest

    def clear(self) -> None:
        """Cancel all timers."""
        self._timers.clear()
        self._wheel.clear()
        self._ready.clear()
        self._stale = 0

    def __len__(self) -> int:
        return len(self._timers)

    def __iter__(self) -> Iterator[DueTimer]:
        """Iterate over the timers in the order in which they are due."""
        entries = sorted(self._timers.values(), key=lambda entry: (entry.t, entry.serial))
        return iter([DueTimer(entry.t, entry.key, entry.name) for entry in entries])

    def _meet(self, watermark: int) -> None:
        due = []
        for _, entry in self._wheel.take(watermark):
            if entry.serial < 0:
                self._stale -= 1
            elif entry.t > watermark:
                entry.queued = entry.t
                self._wheel.add(entry.t, entry)
            else:
                entry.queued = NEVER
                due.append((entry.t, entry.serial, entry))
        ready = self._ready
        if len(due) > len(ready):
            ready += due
            heapify(ready)
        else:
            for one in due:
                heappush(ready, one)

    def _drop(self, entry: _Entry) -> None:
        entry.serial = -1
        if entry.queued == NEVER:
            return
        self._stale += 1
        if self._stale > max(_MIN_STALE, len(self._timers)):
            live = [timed for timed in self._wheel if timed[1].serial >= 0]
            self._wheel.clear()
            self._stale = 0
            for queued, one in live:
                self._wheel.add(queued, one)
