"""Span window: the elements of the last span of time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Any


class SpanWindow:
    """The elements of the last span of time, with their instants, both in order.

    An element that is exactly as old as the span is out.
    """

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: tuple[tuple[float, ...], tuple[Any, ...]] = ((), ())
        """The instants and elements that the next window may contain too."""

    def resume(self, now: float) -> None:
        """Note the present time, by a clock that may be another one than before."""
        instants, elements = self.kept
        if instants and instants[-1] > now:
            ahead = instants[-1] - now
            self.kept = tuple(instant - ahead for instant in instants), elements

    def adder(self, span: float, n: int | None) -> Callable[[Any, float], tuple[Any, ...]]:
        """Return the function that adds an element of an instant, and returns its window.

        The window has *n* elements at most.  Elements that the next one cannot
        contain are released before it is returned.
        """
        most = math.inf if n is None else n

        def add(x: Any, now: float) -> tuple[Any, ...]:
            while True:
                before = self.kept
                instants, elements = before
                first = bisect_right(instants, now - span)
                instants, window = (*instants[first:], now), (*elements[first:], x)
                if len(window) > most:
                    instants, window = instants[-n:], window[-n:]  # type: ignore[operator]
                kept = (instants, window)
                if len(window) == most:
                    kept = (instants[1:], window[1:])
                if self.kept is before:  # else a finalizer has emitted first
                    break
            self.kept = kept
            return window

        return add
