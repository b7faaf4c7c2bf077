"""Typed methods of the operators that change when elements are emitted."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Unpack, overload

from rapidz._menu.types import AnyFn, ElementType, Fn, NodeOptions, P, T, U

if TYPE_CHECKING:
    from rapidz.kernel.graph.stream import Stream
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.operators import pace
    from rapidz.operators.pace.throttle import Edge


class PaceMethods(ElementType[T]):
    """Operators that buffer, delay, throttle or await elements."""

    def buffer(self, n: int, **options: Unpack[NodeOptions]) -> Stream[T]:
        """Buffer up to *n* elements, so that the upstream does not wait."""

    def delay(
        self, interval: Interval, spaced: bool = True, **options: Unpack[NodeOptions]
    ) -> Stream[T]:
        """Delay every element by an interval."""

    def rate_limit(self, interval: Interval, **options: Unpack[NodeOptions]) -> Stream[T]:
        """Throttle: emit elements at least an interval apart."""

    def debounce(self, interval: Interval, **options: Unpack[NodeOptions]) -> pace.debounce[T]:
        """Emit the newest element once no other has arrived for an interval."""

    def throttle(
        self, interval: Interval, edge: Edge = "leading", **options: Unpack[NodeOptions]
    ) -> pace.throttle[T]:
        """Emit at most one element an interval; drop the others."""

    def sample(self, interval: Interval, **options: Unpack[NodeOptions]) -> pace.sample[T]:
        """Emit the newest element at each interval, if there is a new one."""

    def latest(self, **options: Unpack[NodeOptions]) -> Stream[T]:
        """Buffer only the newest element; drop those that it replaces."""

    @overload
    def map_async(
        self, func: Fn[T, P, Awaitable[U]], *args: P.args, **kwargs: P.kwargs
    ) -> Stream[U]: ...
    @overload
    def map_async(
        self,
        func: AnyFn[T, Awaitable[U]],
        *args: Any,
        parallelism: int = 1,
        stop_on_exception: bool = False,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> Stream[U]: ...
    def map_async(self, func: Any, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Apply an asynchronous function to several elements concurrently, in order."""
