"""Aligned windows, tumbling and sliding, kept in slices."""

from __future__ import annotations

import functools
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from math import gcd
from typing import Any, ClassVar

from rapidz.eventtime.clock import END, NEVER
from rapidz.eventtime.windows.base import Unknown, WindowNode
from rapidz.eventtime.windows.results import WindowResult, window_results
from rapidz.eventtime.windows.slice_stacks import SliceStacks, union
from rapidz.eventtime.windows.slices import Slice, SliceTable
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.compile.intermediate import MISSING
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.tracked_element import TrackedElement, unbox

_FEW = 4
"""Windows of so many slices are merged anew each time."""


class LastSlice:
    """The slice of the last element, with its borders as the source writes time."""

    __slots__ = ("end", "start", "states")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know of none: nothing is between the borders."""
        self.states: Any = None
        self.start: Any = Unknown()
        self.end: Any = None


class aligned_window(WindowNode):
    """Windows of one size, one every so often: a window is the sum of its slices.

    Parameters
    ----------
    size, every, offset : int
        In nanoseconds: windows begin at *offset* and every *every* after and before.
    """

    _needs_local_elements: ClassVar[bool] = True
    _ends_run: ClassVar[bool] = True

    def __init__(self, *args: Any, size: int, every: int, offset: int, **kwargs: Any) -> None:
        self._size, self._every = size, every
        self._width = gcd(size, every)
        self._offset = offset % every
        self._slices = SliceTable()
        """Slice *n* begins at ``offset + n * width``."""
        self._last = LastSlice()
        self._closed = -END
        """No window that ends here or earlier is open."""
        self._revisions: dict[tuple[int, Any], int] = {}
        """By end of the window and key: how often a closed one was corrected."""
        super().__init__(*args, **kwargs)
        overlaps = size // self._width > _FEW
        self._stacks = self._stacks_of(lambda slice_: slice_.states) if overlaps else None
        """The slices of the windows that close, merged, if that is quicker."""

    def _stacks_of(self, read: Callable[[Slice], dict[Any, Any]]) -> SliceStacks:
        return SliceStacks(self._slices, read, self._fold.merge, self._fold.merge_all)

    # --- arithmetic ---------------------------------------------------------------------------

    def _number(self, t: int) -> int:
        """Return the number of the slice of the instant *t*."""
        return (t - self._offset) // self._width

    def _start_of(self, number: int) -> int:
        return self._offset + number * self._width

    def _first_end(self, number: int) -> int:
        """Return the end of the first window that has slice *number*."""
        end = self._start_of(number + 1) - self._offset - self._size
        return -(-end // self._every) * self._every + self._offset + self._size

    def _last_end(self, number: int) -> int:
        """Return the end of the last window that has slice *number*."""
        start = (self._start_of(number) - self._offset) // self._every * self._every
        return start + self._offset + self._size

    def _ends(self, number: int) -> range:
        """Return the ends of all windows that have slice *number*."""
        return range(self._first_end(number), self._last_end(number) + 1, self._every)

    def _numbers(self, end: int) -> range:
        """Return the numbers of the slices of the window that ends at *end*."""
        last = self._number(end)
        return range(last - self._size // self._width, last)

    # --- elements -----------------------------------------------------------------------------

    def _can_inline(self) -> bool:
        options = self._options
        return options.emit == "close" and options.early is None and not self._pipeline.tracked

    def inline(self, code: Code, port: int = 0) -> None:
        last = code.bind("last", self._last)
        find, failure = code.bind("find", self._finder()), code.bind("failure", self._failure_of())
        if self._takes_final_only:
            code.nest("x.final")
        code.line("try:")
        code.depth += 1
        ts = code.read("ts", self._timestamp)
        key = "None" if self._key is None else code.read("key", self._key)
        code.line(
            f"p = {last}.states if {last}.start <= {ts} < {last}.end else {find}({ts}, {key}, x)"
        )
        code.line("if p is not None:")
        code.depth += 1
        self._fold.write(code, "p", key, ts)
        code.depth -= 2
        code.line("except Exception as error:")
        code.line(f"    raise {failure}(x, error)")

    def compile(self, push: Push[WindowResult], port: int = 0) -> Push[Any]:
        if self._can_inline():
            return self._compile_inline(None, port)
        ref = weakref.ref(self)

        def step(x: Any) -> Pending:
            if (node := ref()) is None:
                return None
            since = attribution.last_serial
            try:
                return node._take(x)
            except Exception as error:
                raise node._failed(unbox(x), error, since)  # noqa: B904 - its cause is set

        return step

    def _finder(self) -> Callable[[Any, Any, Any], dict[Any, Any] | None]:
        """Return what finds the states that an element goes into, for generated lines."""
        ref, unknown = weakref.ref(self), self._domain.kind is None

        def find(ts: Any, key: Any, x: Any) -> dict[Any, Any] | None:
            if (node := ref()) is None:
                return None
            states = node._find(ts, key, x)
            if unknown:
                node._invalidate()  # the kind of timestamps is known now
            return states

        return find

    def _find(self, ts: Any, key: Any, x: Any) -> dict[Any, Any] | None:
        """Return the states of the slice of *ts*; None if it was late, or a correction."""
        number = self._number(self._domain.to_ns(ts))
        slice_ = self._slices.get(number)
        if slice_ is None and (slice_ := self._open(number, ts, x)) is None:
            return None
        stacks = self._stacks
        if self._first_end(number) <= self._closed and self._options.lateness:
            self._correct(number, slice_, key, x, ts)
            return None
        if stacks is not None and number < stacks.stop:
            stacks.change(number)
            return slice_.states
        last, domain = self._last, self._domain
        last.start = domain.lower(self._start_of(number))
        last.end = domain.upper(self._start_of(number + 1))
        last.states = slice_.states
        return slice_.states

    def _open(self, number: int, ts: Any, x: Any) -> Slice | None:
        """Open slice *number*, unless all windows over it are closed for good."""
        clock = self._clock
        reached = clock.caught_up()
        if (slice_ := self._slices.get(number)) is not None:  # by what a sink has sent back
            return slice_
        over = self._last_end(number) + self._options.lateness
        if reached >= over:
            windows = tuple((end - self._size, end) for end in self._ends(number))
            by = reached - self._domain.to_ns(ts)
            self._owe(self._send_late(unbox(x), by, self._domain, windows))
            return None
        first, last = self._first_end(number) - self._size, self._last_end(number)
        self._domain.check_span(first, last, self._operator)
        # within the emission of results, windows that are due by now leave after it
        self._closed = max(self._closed, min(reached, clock.timer - 1))
        slice_ = self._slices.add(number)
        clock.shift = self._domain.tick  # results are older than the end of their window
        clock.set_timer(self._due(number))
        return slice_

    def _due(self, number: int) -> int:
        """Return when the next window over slice *number* closes; else when it is dropped."""
        last = self._last_end(number)
        if last <= self._closed:
            return last + self._options.lateness
        return self._first_open_end(number)

    def _first_open_end(self, number: int) -> int:
        return self._first_end_after(self._closed, number)

    def _first_end_after(self, t: int, number: int) -> int:
        """Return the end, after *t*, of the first window that has slice *number*."""
        first = self._first_end(number)
        if first > t:
            return first
        return first + ((t - first) // self._every + 1) * self._every

    # --- elements, when each may emit -----------------------------------------------------------

    def _take(self, x: Any) -> Pending:
        """Take *x* in, and emit what it changes, as the options say."""
        element = unbox(x)
        if self._takes_final_only and not element.final:
            return None
        ts = self._timestamp(element)
        key = None if self._key is None else self._key(element)
        self.check_key(key)
        states = self._find(ts, key, x)
        if states is None:
            return None
        self._fold.add(states, key, element, ts)
        self._start_early()
        number = self._number(self._domain.to_ns(ts))
        if type(x) is TrackedElement:
            self._slices[number].entries.setdefault(key, []).append(x)
        if self._options.early is not None:
            self._slices[number].changed[key] = None
        if self._options.emit == "update":
            return self._emit_all(self._updates(number, key))
        return None

    def _updates(self, number: int, key: Any) -> list[WindowResult]:
        """Return the results of *key* in the open windows over slice *number*."""
        ends = self._open_ends(number)
        states = self._states_over(key, number, ends)
        return [self._result(end, key, s, False) for end, s in zip(ends, states, strict=True)]

    def _states_over(self, key: Any, number: int, ends: Sequence[int]) -> list[Any]:
        """Return the state of *key* in the windows that end at *ends*, all over slice *number*."""
        spans = [self._numbers(end) for end in ends]
        return self._slices.states_over(key, number, spans, self._fold.merge)

    def _open_ends(self, number: int) -> range:
        return range(self._first_open_end(number), self._last_end(number) + 1, self._every)

    def _correct(self, number: int, slice_: Slice, key: Any, x: Any, ts: Any) -> None:
        """Take *x* into a slice with closed windows; emit those that may be amended anew."""
        lateness = self._options.lateness
        amended = [end for end in self._ends(number) if end <= self._closed < end + lateness]
        before = self._states_over(key, number, amended)
        self._fold.add(slice_.states, key, unbox(x), ts)
        if self._stacks is not None:
            self._stacks.change(number)
        results = []
        after = self._states_over(key, number, amended)
        for end, old, state in zip(amended, before, after, strict=True):
            at = (end, key)
            if old is not MISSING:
                self._revisions[at] = self._revisions.get(at, 0) + 1
            results.append(self._result(end, key, state, True, self._revisions.get(at, 0)))
        if self._options.emit == "update":
            results += self._updates(number, key)
        self._owe(self._emit_all(results))

    # --- results ------------------------------------------------------------------------------

    def _states(self, end: int, stacks: SliceStacks | None) -> dict[Any, Any]:
        """Return the states of the window that ends at *end*, in the order of its slices.

        They change no more, as results are made of them one by one.
        """
        numbers = self._numbers(end)
        if stacks is not None:
            return stacks.states(numbers.start, numbers.stop)
        parts = [each.states for each in self._slices.between(numbers.start, numbers.stop)]
        if len(parts) > 1:
            return self._fold.merge_all(parts)
        if self._size != self._width or self._options.lateness:  # the slice lives on
            return dict(parts[0])
        return parts[0]

    def _result(
        self, end: int, key: Any, state: Any, final: bool, revision: int = 0
    ) -> WindowResult:
        from_ns = self._domain.from_ns
        value = self._fold.result(state)
        return WindowResult(key, from_ns(end - self._size), from_ns(end), value, final, revision)

    def _results(
        self, end: int, states: dict[Any, Any], *, final: bool = True
    ) -> Iterator[WindowResult]:
        from_ns = self._domain.from_ns
        values = self._fold.results(states.values())
        return window_results(states, from_ns(end - self._size), from_ns(end), values, final)

    def _entries(self, end: int, key: Any) -> list[TrackedElement]:
        """Return the tracked elements of *key* in the window that ends at *end*."""
        numbers = self._numbers(end)
        slices = self._slices.between(numbers.start, numbers.stop)
        return [entry for each in slices for entry in each.entries.get(key, ())]

    def _early_results(self, changed_only: bool) -> list[WindowResult]:
        results: list[WindowResult] = []
        windows = self._changed_states() if changed_only else self._open_states()
        for end, states in windows:
            results += self._results(end, states, final=False)
        for slice_ in self._slices:
            slice_.changed.clear()
        return results

    def _open_states(self) -> Iterator[tuple[int, dict[Any, Any]]]:
        """Yield the ends of the open windows, with their states."""
        stacks = self._stacks_of(lambda slice_: slice_.states)
        for end in self._ends_until(END):
            yield end, self._states(end, stacks)

    def _changed_states(self) -> Iterator[tuple[int, dict[Any, Any]]]:
        """Yield the ends of the open windows, with the states that have changed."""
        changed = dict.fromkeys(chain.from_iterable(slice_.changed for slice_ in self._slices))
        keys_of = SliceStacks(self._slices, lambda s: s.changed, lambda a, b: None, union)
        known = self._stacks_of(lambda s: {k: s.states[k] for k in changed if k in s.states})
        for end in self._ends_until(END):
            if keys := self._states(end, keys_of):
                states = self._states(end, known)
                yield end, {key: states[key] for key in keys}

    @property
    def open_count(self) -> int:
        """How many windows are open, each key counted."""
        slices = self._slices
        return sum(len(slices[n].states) * len(self._open_ends(n)) for n in slices.numbers)

    def _open_windows(self) -> list[tuple[int, int]]:
        return [(end - self._size, end) for end in self._ends_until(END)]

    # --- the watermark --------------------------------------------------------------------------

    def _on_time(self, t: int) -> Pending:
        self._last.forget()
        results: list[Iterable[Any]] = []
        for end in self._ends_until(t):
            states = self._states(end, self._stacks)
            closed: Iterable[Any] = self._results(end, states)
            if self._pipeline.tracked:
                entries_of = functools.partial(self._entries, end)  # no local keeps them alive
                closed = self._with_entries(closed, map(entries_of, states))
            results.append(closed)
        self._closed = max(self._closed, t)
        self._drop(t)
        self._clock.timer = self._next_due()
        return self._emit_all(chain.from_iterable(results))

    def _next_due(self) -> int:
        """Return when a window closes, or a slice is dropped: the oldest ones are the first."""
        numbers = self._slices.numbers
        at = self._after(self._closed)
        first = [*numbers[:1], *numbers[at : at + 1]]
        return min(map(self._due, first), default=NEVER)

    def _after(self, end: int) -> int:
        """Return the place of the first slice that is in a window that ends after *end*."""
        return bisect_right(self._slices.numbers, end, key=self._last_end)

    def _ends_until(self, t: int) -> Iterator[int]:
        """Yield the ends, up to *t*, of the open windows that have elements."""
        numbers, done = self._slices.numbers, self._closed
        while (at := self._after(done)) < len(numbers):
            number = numbers[at]
            first = self._first_end_after(done, number)
            for end in range(first, min(t, self._last_end(number)) + 1, self._every):
                yield end
                done = end
            if self._last_end(number) > t:
                return

    def _drop(self, t: int) -> None:
        """Drop the slices whose windows are closed for good at *t*."""
        lateness = self._options.lateness
        self._slices.drop(self._after(t - lateness))
        for at in [at for at in self._revisions if at[0] + lateness <= t]:
            del self._revisions[at]

    # --- state ----------------------------------------------------------------------------------

    def _snapshot(self) -> Any:
        return self._slices.snapshot(), self._closed, self._revisions

    def _restore(self, state: Any) -> None:
        slices, self._closed, self._revisions = state
        self._last.forget()
        self._slices.restore(slices)
        if self._stacks is not None:
            self._stacks = self._stacks_of(lambda slice_: slice_.states)
        self._clock.set_timer(self._next_due())
