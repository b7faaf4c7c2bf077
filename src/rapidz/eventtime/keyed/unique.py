"""Distinct keys: `unique` of a keyed stream."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from rapidz.eventtime.keyed.keyed_node import KeyedNode
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.compile.intermediate import MISSING
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.push import Push
from rapidz.kernel.protocol.short_repr import short_repr

T = TypeVar("T")


class keyed_unique(KeyedNode[T]):
    """Drop elements whose key has occurred before.

    Emits an element, as it is, whose key is not among those remembered.  Applies back pressure when
    downstream does.

    Parameters
    ----------
    history : int, optional
        Number of keys to remember, first in, first out; unlimited by default.
    maxsize : int, optional
        As *history*, but with the least recently used key dropped first.
    within : float, str or timedelta, optional
        How long a key is remembered after its last element that was emitted: by event time where
        an `event_time` is upstream, else by the clock.  An element older than that one is dropped.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where the `event_time` upstream found it.

    >>> from rapidz import Stream
    >>> source = Stream()
    >>> node = source.event_time(1).key_by(0).unique(within="1 min").sink(print)
    >>> source.emit_many([("a", 0), ("a", 59), ("b", 59), ("a", 60)])
    ('a', 0)
    ('b', 59)
    ('a', 60)
    """

    _passes_elements: ClassVar[bool] = True

    def __init__(
        self,
        upstream: Any,
        history: int | None = None,
        maxsize: int | None = None,
        within: Any = None,
        *,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> None:
        for name, value in (("history", history), ("maxsize", maxsize)):
            if value is not None:
                check_count("unique", name, value)
        if maxsize is not None and (history is not None or within is not None):
            other = "history" if history is not None else "within"
            raise ValueError(
                f"unique: maxsize must not be given with {other}, got {short_repr(maxsize)} and "
                f"{short_repr(within if history is None else history)}"
            )
        self._refreshes = maxsize is not None
        most = history if maxsize is None else maxsize
        super().__init__(
            "unique",
            upstream,
            MISSING,
            within,
            most,
            timestamp=timestamp,
            ttl_name="within",
            **kwargs,
        )

    def _can_inline(self) -> bool:
        return not (self._state.bounded and self._pipeline.needs_loop)

    def inline(self, code: Code, port: int = 0) -> None:
        self._write_read(code)
        if self._refreshes:
            refresh = code.bind("refresh", self._state.entries.move_to_end)
            code.line(f"if s is not MISSING: {refresh}(key)")
        code.nest("s is MISSING")
        self._write_write(code, "None")

    def compile(self, push: Push[T], port: int = 0) -> Push[T]:
        step = self._compile_inline(push, port)
        return step if self._can_inline() else self._with_owed(step)
