"""Timing wheel: entries in buckets by the instant at which they are due."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

E = TypeVar("E")

NEVER: Final = 1 << 90
"""An instant that no watermark reaches: the next one of an empty wheel."""

_time: Final = itemgetter(0)


def _latest_first(timed: tuple[int, Any]) -> int:
    return -timed[0]


def _without(
    entries: list[tuple[int, E]], cancelled: Counter[tuple[int, int]]
) -> list[tuple[int, E]]:
    """Return the entries that are not cancelled; strike out the cancellations met."""
    kept = []
    for timed in entries:
        which = timed[0], id(timed[1])
        if which not in cancelled:
            kept.append(timed)
        elif cancelled[which] == 1:
            del cancelled[which]
        else:
            cancelled[which] -= 1
    return kept


class Wheel(Generic[E]):
    """Timing wheel: entries that are due at an instant, in buckets of one tick.

    An entry is due once the watermark is at its instant or later.  Bucket *n* has
    the instants after ``n * tick`` up to ``(n + 1) * tick``: at this last one, the end of
    the bucket, all of it is due.  `take` is exact: it returns what is due and nothing
    else, whatever the tick.

    Only buckets with entries exist, and only their numbers are kept in a heap: `add`
    costs a look-up, `take` a comparison while nothing is due, and a jump of the
    watermark the buckets that have entries.  The bucket that the watermark has
    entered is sorted once.

    Parameters
    ----------
    tick : int
        Width of a bucket in nanoseconds, at least 1.  Buckets should have some entries each.

    >>> wheel = Wheel(10)
    >>> wheel.add(12, "b"), wheel.add(20, "c"), wheel.add(-3, "a"), wheel.add(95, "d")
    (20, 20, 0, 100)
    >>> wheel.next(), wheel.take(-4), wheel.take(12)
    (-3, [], [(-3, 'a'), (12, 'b')])
    >>> wheel.next(), wheel.next_tick(), wheel.take(90), len(wheel)
    (20, 20, [(20, 'c')], 1)
    """

    __slots__ = (
        "_buckets",
        "_cancelled",
        "_earliest",
        "_front",
        "_order",
        "_reach",
        "_stale",
        "_tick",
    )

    def __init__(self, tick: int) -> None:
        if tick < 1:
            raise ValueError(f"Wheel: tick must be an int >= 1, got {tick}")
        self._tick = tick
        self._buckets: dict[int, list[tuple[int, E]]] = {}
        self._order: list[int] = []
        """Numbers of the buckets, a heap."""
        self._front: list[tuple[int, E]] = []
        """What is due up to `_reach`, the earliest entry last."""
        self._reach = -NEVER
        self._earliest = NEVER
        self._cancelled: Counter[tuple[int, int]] = Counter()
        """How many entries to leave out, by instant and identity of the entry."""
        self._stale = 0
        """How many that is in all."""

    def add(self, t: int, entry: E) -> int:
        """Add an entry that is due at *t*.

        Returns
        -------
        int
            The end of its bucket, less than a tick after *t*: a node that may be late by a
            tick asks for a watermark at this instant, the others for one at *t*.
        """
        if t < self._earliest:
            self._earliest = t
        tick = self._tick
        number = (t - 1) // tick
        bucket = self._buckets.get(number)
        if bucket is not None:
            bucket.append((t, entry))
        elif t > self._reach:
            self._buckets[number] = [(t, entry)]
            heappush(self._order, number)
        else:
            front = self._front
            front.insert(bisect_left(front, -t, key=_latest_first), (t, entry))
        return (number + 1) * tick

    def add_all(self, timed: Iterable[tuple[int, E]]) -> None:
        """Add entries, each with the instant at which it is due."""
        buckets, tick, add, earliest = self._buckets, self._tick, self.add, self._earliest
        for one in timed:
            bucket = buckets.get((one[0] - 1) // tick)
            if bucket is not None and one[0] >= earliest:
                bucket.append(one)
            else:
                add(*one)
                earliest = self._earliest

    def cancel(self, t: int, entry: E) -> None:
        """Cancel an entry that was added for *t* and has not been taken.

        The entry leaves its bucket when the bucket is met, or when more than half of the
        entries are cancelled.
        """
        self._cancelled[t, id(entry)] += 1
        self._stale += 1
        if self._stale % 1024 == 0 and 2 * self._stale > self._count():
            self._rebuild()

    def take(self, watermark: int) -> list[tuple[int, E]]:
        """Remove and return what is due at *watermark*.

        Returns
        -------
        list of (int, entry)
            By instant, then in the order in which they were added.
        """
        if watermark < self._earliest:
            return []
        due = self._take_front(watermark)
        order, tick = self._order, self._tick
        while order and order[0] * tick < watermark:
            number = heappop(order)
            bucket = self._buckets.pop(number)
            end = (number + 1) * tick
            if end <= watermark:
                bucket.sort(key=_time)
                due += bucket
            else:
                bucket.reverse()
                bucket.sort(key=_time, reverse=True)
                self._front, self._reach = bucket, end
                due += self._take_front(watermark)
        self._earliest = self._first_possible()
        if not self._stale:
            return due
        live = _without(due, self._cancelled)
        self._stale -= len(due) - len(live)
        return live

    def next(self) -> int:
        """Return the earliest instant at which an entry may be due.

        No entry is due before it.  After ``take(t)`` it is later than *t*.  `NEVER` if the wheel is
        empty.
        """
        return self._earliest

    def next_tick(self) -> int:
        """Return the end of the earliest bucket, `NEVER` if the wheel is empty."""
        tick = self._tick
        if self._front:
            return ((self._front[-1][0] - 1) // tick + 1) * tick
        return (self._order[0] + 1) * tick if self._order else NEVER

    def clear(self) -> None:
        """Remove all entries."""
        self._buckets.clear()
        self._order.clear()
        self._front.clear()
        self._cancelled.clear()
        self._stale = 0
        self._earliest = NEVER

    def __len__(self) -> int:
        return self._count() - self._stale

    def __iter__(self) -> Iterator[tuple[int, E]]:
        """Iterate over ``(t, entry)`` in the order in which `take` returns them."""
        entries = self._front[::-1]
        for number in sorted(self._order):
            entries += sorted(self._buckets[number], key=_time)
        return iter(_without(entries, self._cancelled.copy()))

    def _take_front(self, watermark: int) -> list[tuple[int, E]]:
        front = self._front
        if not front or front[-1][0] > watermark:
            return []
        first = bisect_left(front, -watermark, key=_latest_first)
        due = front[first:]
        due.reverse()
        del front[first:]
        return due

    def _first_possible(self) -> int:
        if self._front:
            return self._front[-1][0]
        return self._order[0] * self._tick + 1 if self._order else NEVER

    def _count(self) -> int:
        return len(self._front) + sum(map(len, self._buckets.values()))

    def _rebuild(self) -> None:
        entries = list(self)
        self.clear()
        for t, entry in entries:
            self.add(t, entry)
