"""Typed methods of the connectors: files."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack, overload

from rapidz._menu.types import ElementType, SourceOptions, T, U

if TYPE_CHECKING:
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.sources.base import Source


class FileSources(ElementType[T]):
    """Sources, as static methods: ``Stream.from_x(...)``."""

    @overload
    @staticmethod
    def from_csv(
        path: str | PathLike[str],
        type: None = None,
        *,
        header: bool = True,
        names: Sequence[str] | None = None,
        delimiter: str = ",",
        quotechar: str = '"',
        encoding: str = "utf-8",
        follow: bool = False,
        poll_interval: Interval = 0.1,
        max_size: int = 1 << 24,
        compression: str | None = "infer",
        storage_options: dict[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[dict[str, str]]: ...
    @overload
    @staticmethod
    def from_csv(
        path: str | PathLike[str],
        type: type[U],
        *,
        header: bool = True,
        names: Sequence[str] | None = None,
        delimiter: str = ",",
        quotechar: str = '"',
        encoding: str = "utf-8",
        follow: bool = False,
        poll_interval: Interval = 0.1,
        max_size: int = 1 << 24,
        compression: str | None = "infer",
        storage_options: dict[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[U]: ...
    @staticmethod
    def from_csv(path: Any, type: Any = None, **options: Any) -> Source[Any]:
        """Emit the rows of CSV files."""

    @overload
    @staticmethod
    def from_jsonlines(
        path: str | PathLike[str],
        type: None = None,
        *,
        codec: Any = "json",
        follow: bool = False,
        from_end: bool = False,
        poll_interval: Interval = 0.1,
        max_size: int = 1 << 24,
        compression: str | None = "infer",
        storage_options: dict[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[Any]: ...
    @overload
    @staticmethod
    def from_jsonlines(
        path: str | PathLike[str],
        type: type[U],
        *,
        codec: Any = "json",
        follow: bool = False,
        from_end: bool = False,
        poll_interval: Interval = 0.1,
        max_size: int = 1 << 24,
        compression: str | None = "infer",
        storage_options: dict[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[U]: ...
    @staticmethod
    def from_jsonlines(path: Any, type: Any = None, **options: Any) -> Source[Any]:
        """Emit the values in files of JSON lines."""


class FileSinks(ElementType[T]):
    """Sinks, as methods of the stream that they consume."""
