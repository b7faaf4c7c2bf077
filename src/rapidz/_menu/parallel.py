"""Typed methods that move a stream to a pool or a cluster."""

# The methods have no bodies, as in a stub.
# mypy: disable-error-code="empty-body"
# pyright: reportReturnType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack, overload

from rapidz._menu.types import Backend, ElementType, ExecutorLike, NodeOptions, T

if TYPE_CHECKING:
    from rapidz.parallel.lanes.lane_stream import LaneStream
    from rapidz.parallel.nodes.stream import ParallelStream


class ParallelMethods(ElementType[T]):
    """Execution on pools and clusters."""

    @overload
    def scatter(
        self,
        backend: Backend = "dask",
        *,
        client: ExecutorLike | None = None,
        batch: int | Literal["auto"] = "auto",
        ordered: bool = True,
        **options: Unpack[NodeOptions],
    ) -> ParallelStream[T]: ...
    @overload
    def scatter(
        self,
        backend: Backend = "dask",
        *,
        client: ExecutorLike | None = None,
        partitions: int,
        batch: int | Literal["auto"] = "auto",
        **options: Unpack[NodeOptions],
    ) -> LaneStream: ...
    def scatter(
        self,
        backend: Backend = "dask",
        *,
        client: ExecutorLike | None = None,
        partitions: int | None = None,
        batch: int | Literal["auto"] = "auto",
        ordered: bool = True,
        **options: Unpack[NodeOptions],
    ) -> ParallelStream[T] | LaneStream:
        """Send elements to a pool or a cluster, where operators run up to `gather`."""
