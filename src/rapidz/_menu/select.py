"""Typed methods of the operators that select elements."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard, Unpack, overload

from rapidz._menu.types import AcceptsKeywords, AnyFn, ElementType, Fn, NodeOptions, P, T, U
from rapidz.kernel.graph.registry import identity

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from rapidz.kernel.graph.stream import Stream
    from rapidz.kernel.protocol.intervals import Interval


class SelectMethods(ElementType[T]):
    """Operators that pass some elements on unchanged and drop the others."""

    @overload
    def filter(
        self, predicate: Callable[[T], TypeIs[U]], *, stream_name: str | None = None
    ) -> Stream[U]: ...
    @overload
    def filter(
        self, predicate: Callable[[T], TypeGuard[U]], *, stream_name: str | None = None
    ) -> Stream[U]: ...
    @overload
    def filter(
        self, predicate: Fn[T, P, object], *args: P.args, **kwargs: P.kwargs
    ) -> Stream[T]: ...
    @overload
    def filter(self, predicate: AcceptsKeywords[T, object], **kwargs: Any) -> Stream[T]: ...
    @overload
    def filter(
        self: SelectMethods[U | None], predicate: None, *, stream_name: str | None = None
    ) -> Stream[U]: ...
    @overload
    def filter(self, predicate: None, *, stream_name: str | None = None) -> Stream[T]: ...
    @overload
    def filter(
        self, predicate: AnyFn[T, object], *args: Any, stream_name: str | None, **kwargs: Any
    ) -> Stream[T]: ...
    def filter(self, predicate: Any, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Keep the elements that satisfy a predicate, or, with None, are true."""

    def remove(self, predicate: Callable[[T], object]) -> Stream[T]:
        """Drop the elements that satisfy a predicate."""

    def unique(
        self,
        history: int | None = None,
        key: Callable[[T], Any] = identity,
        maxsize: int | None = None,
        hashable: bool | None = None,
        *,
        within: Interval | None = None,
        timestamp: Any = None,
        **options: Unpack[NodeOptions],
    ) -> Stream[T]:
        """Drop duplicates: elements whose key has occurred before."""

    def slice(
        self,
        start: int | None = None,
        end: int | None = None,
        step: int | None = None,
        **options: Unpack[NodeOptions],
    ) -> Stream[T]:
        """Keep the elements at some positions, as ``list[start:end:step]`` does."""
