"""Windows that overlap much: two stacks of merged slices, a few merges for each result."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from rapidz.eventtime.windows.slices import Slice, SliceTable
from rapidz.kernel.compile.intermediate import MISSING

States: TypeAlias = dict[Any, Any]

Suffix: TypeAlias = tuple[int, int, Any, Any, Any]
"""From a slice on to the end of the front: number of the slice, place, key, state of the key,
and its next suffix, that of the next slice that has the key."""

_DISORDER = 16
"""So many of the newest slices may change, and are merged for each window."""

_PATIENCE = 2
"""So many windows are merged from all their slices after one of them has changed."""


class SliceStacks:
    """Merges slices for one window after the other, each of which starts and stops later.

    The slices of a window are a front, of which the merged suffixes are known, a back, which is
    merged as it grows, and a few at the end that may still change.  When the front is used up,
    the back becomes the front.  So each slice is merged twice, however many windows it is in,
    and there is one suffix for each key of each slice of the front.

    A slice that changes after it was merged (an element that is late for some windows, and not
    for others) makes all that is known void.  Where that happens again and again, windows are
    merged from all their slices.

    Parameters
    ----------
    slices : SliceTable
        The slices.
    states_of : callable
        ``states_of(slice_)`` returns the dict of states by key of a slice.
    merge : callable
        ``merge(a, b)`` returns the state of both, *a* being the earlier one.
    merge_all : callable
        Merges dicts of states by key into a new one, in the order of the dicts.
    """

    def __init__(
        self,
        slices: SliceTable,
        states_of: Callable[[Slice], States],
        merge: Callable[[Any, Any], Any],
        merge_all: Callable[[Sequence[States]], States],
    ) -> None:
        self._slices, self._states_of = slices, states_of
        self._merge, self._merge_all = merge, merge_all
        self.stop: float = float("-inf")
        """The windows so far have slices before this one."""
        self._disorder = self._seen = 0
        """How many of the newest slices may change, and of how many one has."""
        self._start = self._wait = 0
        self._forget()

    def _forget(self) -> None:
        self._front: list[Suffix] = []
        """The first suffix of each key, in order."""
        self._pivot: int | None = None
        self._back: States = {}
        self._back_stop = 0

    def change(self, number: int) -> None:
        """Know that slice *number* changes."""
        if not self._start <= number < self.stop:
            return  # it is in no window to come, or was in none
        age = int(self.stop) - number
        if age <= _DISORDER:
            self._seen = max(self._seen, age)
            self._disorder = max(self._disorder, age)
        if self._pivot is not None and number < self._back_stop:
            self._forget()
            self._wait = _PATIENCE

    def states(self, start: int, stop: int) -> States:
        """Return the states by key of the slices from number *start* on and before *stop*.

        Keys come slice by slice, in the order of the dicts; the dict is a new one.
        """
        self._start, self.stop = start, stop
        try:
            parts = self._parts(start, stop)
            return parts[0] if len(parts) == 1 else self._merge_all(parts)
        except BaseException:
            self._forget()
            raise

    def _parts(self, start: int, stop: int) -> list[States]:
        """Return the states of neighbouring spans of the window; if it is one, as a new dict."""
        if self._wait:
            self._wait -= 1
            return [{}, *(states for _, states in self._between(start, stop))]
        if self._pivot is None or start >= self._pivot:
            self._disorder, self._seen = self._seen, 0
            self._turn(start, max(start, stop - self._disorder))
        else:
            self._leave(start)
            self._grow(max(self._back_stop, stop - self._disorder))
        parts = [{key: state for _, _, key, state, _ in self._front}]
        if self._back:
            parts.append(self._back)
        return parts + [states for _, states in self._between(self._back_stop, stop)]

    def _between(self, start: int, stop: int) -> list[tuple[int, States]]:
        slices, states_of = self._slices, self._states_of
        return [(n, states_of(slices[n])) for n in slices.numbers_between(start, stop)]

    def _turn(self, start: int, stop: int) -> None:
        """Make the slices from *start* on and before *stop* the front, with no back."""
        merge, first, place = self._merge, dict[Any, Suffix](), 0
        for number, states in reversed(self._between(start, stop)):
            for key, state in reversed(states.items()):
                place -= 1
                if (later := first.get(key)) is not None:
                    state = merge(state, later[3])
                first[key] = (number, place, key, state, later)
        self._front = sorted(first.values())
        self._pivot = self._back_stop = stop
        self._back = {}

    def _leave(self, start: int) -> None:
        """Take what is before slice *start* from the front."""
        n = bisect_left(self._front, (start,))
        if not n:
            return
        moved = []
        for suffix in self._front[:n]:
            later = suffix[4]
            while later is not None and later[0] < start:
                later = later[4]
            if later is not None:
                moved.append(later)
        self._front[:n] = []
        if moved:
            self._front += moved
            self._front.sort()  # two runs, the first of which is in order

    def _grow(self, stop: int) -> None:
        """Merge the slices before *stop* into the back."""
        if stop <= self._back_stop:
            return
        merge, back, get = self._merge, self._back, self._back.get
        for _, states in self._between(self._back_stop, stop):
            for key, state in states.items():
                before = get(key, MISSING)
                back[key] = state if before is MISSING else merge(before, state)
        self._back_stop = stop


def union(parts: Sequence[States]) -> States:
    """Return the keys of all *parts*, in order, without states."""
    return {key: None for part in parts for key in part}
