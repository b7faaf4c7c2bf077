"""Typed methods of the operators that collect elements into windows."""

# The methods have no bodies, as in a stub.
# mypy: disable-error-code="empty-body"
# pyright: reportReturnType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from rapidz._menu.types import ElementType, Keep, Key, NodeOptions, T
from rapidz.kernel.graph.registry import identity

if TYPE_CHECKING:
    from rapidz.kernel.graph.stream import Stream
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.operators import window


class WindowMethods(ElementType[T]):
    """Operators that emit one collection for several elements."""

    def partition(
        self,
        n: int,
        timeout: Interval | None = None,
        key: Key[T] | None = None,
        **options: Unpack[NodeOptions],
    ) -> Stream[tuple[T, ...]]:
        """Collect *n* elements into a tuple."""

    def partition_unique(
        self, n: int, key: Key[T] = identity, keep: Keep = "first", **options: Unpack[NodeOptions]
    ) -> Stream[tuple[T, ...]]:
        """Collect elements with *n* distinct keys into a tuple."""

    def sliding_window(
        self,
        n: int | None = None,
        return_partial: bool = False,
        *,
        time: Interval | None = None,
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> Stream[tuple[T, ...]]:
        """Emit the last *n* elements, or those of the last *time*, for every element."""

    def timed_window(
        self,
        interval: Interval,
        emit_empty: bool = True,
        align: bool = False,
        **options: Unpack[NodeOptions],
    ) -> Stream[list[T]]:
        """Collect the elements of every interval into a list."""

    def timed_window_unique(
        self,
        interval: Interval,
        key: Key[T] = identity,
        keep: Keep = "first",
        emit_empty: bool = True,
        align: bool = False,
        **options: Unpack[NodeOptions],
    ) -> Stream[tuple[T, ...]]:
        """Collect the elements of every interval into a tuple, one for each key."""

    def collect(
        self, cache: Any = None, metadata_cache: Any = None, **options: Unpack[NodeOptions]
    ) -> window.collect[T]:
        """Collect elements, and emit them as a tuple at a `flush`."""
