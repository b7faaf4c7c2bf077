"""The slices of aligned windows: elements between two neighbouring borders, by number."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from rapidz.kernel.compile.intermediate import MISSING
from rapidz.kernel.runtime.tracked_element import TrackedElement


class Slice:
    """Elements between two neighbouring borders of windows: a state for each key."""

    __slots__ = ("changed", "entries", "states")

    def __init__(self) -> None:
        self.entries: dict[Any, list[TrackedElement]] = {}
        """The elements themselves, where they carry metadata."""
        self.states: dict[Any, Any] = {}
        self.changed: dict[Any, None] = {}
        """The keys that have changed since the last early results, if there are such."""


class SliceTable:
    """The slices that a node has, by number; those of a span are found without a search of all.

    >>> slices = SliceTable()
    >>> for number in (7, 3, 5):
    ...     slices.add(number).states["a"] = number
    >>> slices.numbers
    [3, 5, 7]
    >>> [slice_.states for slice_ in slices.between(4, 8)]
    [{'a': 5}, {'a': 7}]
    """

    def __init__(self) -> None:
        self._slices: dict[int, Slice] = {}
        self.numbers: list[int] = []
        """In order."""
        self.get = self._slices.get

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: int) -> Slice:
        return self._slices[number]

    def __iter__(self) -> Iterator[Slice]:
        return iter(self._slices.values())

    def add(self, number: int) -> Slice:
        """Return a new slice *number*."""
        self._slices[number] = slice_ = Slice()
        insort(self.numbers, number)
        return slice_

    def between(self, start: int, stop: int) -> list[Slice]:
        """Return the slices from number *start* on and before *stop*, in order."""
        slices = self._slices
        return [slices[number] for number in self.numbers_between(start, stop)]

    def numbers_between(self, start: int, stop: int) -> list[int]:
        """Return the numbers of the slices from *start* on and before *stop*, in order."""
        numbers = self.numbers
        return numbers[bisect_left(numbers, start) : bisect_left(numbers, stop)]

    def drop(self, n: int) -> None:
        """Drop the first *n* slices."""
        for number in self.numbers[:n]:
            del self._slices[number]
        del self.numbers[:n]

    def snapshot(self) -> dict[int, tuple[dict[Any, Any], dict[Any, None]]]:
        """Return what the slices have, without metadata of elements."""
        return {n: (each.states, each.changed) for n, each in self._slices.items()}

    def restore(self, snapshot: dict[int, tuple[dict[Any, Any], dict[Any, None]]]) -> None:
        """Have the slices of *snapshot*, and no others."""
        self._slices.clear()
        self.numbers = sorted(snapshot)
        for number, (states, changed) in snapshot.items():
            self._slices[number] = slice_ = Slice()
            slice_.states, slice_.changed = states, changed

    def states_over(
        self, key: Any, pivot: int, spans: Sequence[range], merge: Callable[[Any, Any], Any]
    ) -> list[Any]:
        """Return the state of *key* in each of *spans*, which all have slice *pivot*.

        *spans* are ranges of numbers, in order; the state is `MISSING` where there are no
        elements of *key*.  It takes three merges or fewer a span, or a slice.
        """
        if not spans:
            return []
        numbers, states = list[int](), list[Any]()
        for number in self.numbers_between(spans[0].start, spans[-1].stop):
            state = self._slices[number].states.get(key, MISSING)
            if state is not MISSING:
                numbers.append(number)
                states.append(state)
        at = bisect_left(numbers, pivot)
        suffixes = [*accumulate(reversed(states[:at]), lambda later, state: merge(state, later))]
        suffixes.reverse()
        prefixes = [*accumulate(states[at:], merge)]
        merged = []
        for span in spans:
            first, last = bisect_left(numbers, span.start), bisect_left(numbers, span.stop) - 1
            left = suffixes[first] if first < at else MISSING
            right = prefixes[last - at] if last >= at else MISSING
            if left is MISSING or right is MISSING:
                merged.append(right if left is MISSING else left)
            else:
                merged.append(merge(left, right))
        return merged
