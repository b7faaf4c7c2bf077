"""Typed methods of the connectors: sql."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from rapidz._menu.types import ElementType, NodeOptions, SourceOptions, T, U

if TYPE_CHECKING:
    import os

    from typing_extensions import Unpack

    from rapidz.connectors.sql import from_sql, to_sql
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.sources.restart import Restart


class SqlSources(ElementType[T]):
    """Sources, as static methods: ``Stream.from_x(...)``."""

    @overload
    @staticmethod
    def from_sql(
        database: str | os.PathLike[str] | Callable[[], Any],
        table: str | tuple[str, str] | None = None,
        *,
        query: str | None = None,
        params: Mapping[str, Any] | Sequence[Any] | None = None,
        key: str | Sequence[str],
        after: Any = None,
        from_end: bool = False,
        columns: Sequence[str] | None = None,
        type: None = None,
        poll_interval: Interval = 1.0,
        lag: Interval | None = None,
        listen: str | None = None,
        follow: bool = True,
        fetch_size: int = 1000,
        **options: Unpack[SourceOptions],
    ) -> from_sql[dict[str, Any]]: ...

    @overload
    @staticmethod
    def from_sql(
        database: str | os.PathLike[str] | Callable[[], Any],
        table: str | tuple[str, str] | None = None,
        *,
        query: str | None = None,
        params: Mapping[str, Any] | Sequence[Any] | None = None,
        key: str | Sequence[str],
        after: Any = None,
        from_end: bool = False,
        columns: Sequence[str] | None = None,
        type: Callable[..., U],
        poll_interval: Interval = 1.0,
        lag: Interval | None = None,
        listen: str | None = None,
        follow: bool = True,
        fetch_size: int = 1000,
        **options: Unpack[SourceOptions],
    ) -> from_sql[U]: ...

    @staticmethod
    def from_sql(*args: Any, **kwargs: Any) -> Any:
        """Emit the rows of a table or query, in the order of a key, and then new ones."""


class SqlSinks(ElementType[T]):
    """Sinks, as methods of the stream that they consume."""

    def to_sql(
        self,
        database: str | os.PathLike[str] | Callable[[], Any],
        table: str | tuple[str, str],
        *,
        key: str | Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        batch: int = 1,
        max_wait: Interval | None = None,
        restart: bool | Restart | None = None,
        **options: Unpack[NodeOptions],
    ) -> to_sql[T]:
        """Write every element as a row of a table."""
