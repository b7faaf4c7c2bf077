"""Typed methods of the connectors: files."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from rapidz._menu.types import ElementType, SourceOptions, T, U, WriterOptions

if TYPE_CHECKING:
    from rapidz.connectors import files
    from rapidz.kernel.protocol.intervals import Interval


class FileSinkOptions(WriterOptions, total=False):
    """Options of every sink to files; see `to_jsonlines`."""

    mode: Literal["a", "w", "atomic"]
    key: str | int | Callable[[Any], Any] | None
    time: str | int | Callable[[Any], Any] | None
    roll_bytes: int | None
    roll_count: int | None
    roll_every: Interval | None
    file_per_batch: bool
    fsync: bool
    compression: str | None
    storage_options: dict[str, Any] | None


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
    ) -> files.from_csv[dict[str, str]]: ...
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
    ) -> files.from_csv[U]: ...
    @staticmethod
    def from_csv(path: Any, type: Any = None, **options: Any) -> files.from_csv[Any]:
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
    ) -> files.from_jsonlines[Any]: ...
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
    ) -> files.from_jsonlines[U]: ...
    @staticmethod
    def from_jsonlines(path: Any, type: Any = None, **options: Any) -> files.from_jsonlines[Any]:
        """Emit the values in files of JSON lines."""


class FileSinks(ElementType[T]):
    """Sinks, as methods of the stream that they consume."""

    def to_csv(
        self,
        path: str | PathLike[str],
        *,
        header: bool = True,
        names: Sequence[str] | None = None,
        delimiter: str = ",",
        quotechar: str = '"',
        encoding: str = "utf-8",
        **options: Unpack[FileSinkOptions],
    ) -> files.to_csv[T]:
        """Write every element as a row of CSV."""

    def to_jsonlines(
        self,
        path: str | PathLike[str],
        *,
        codec: Any = "json",
        **options: Unpack[FileSinkOptions],
    ) -> files.to_jsonlines[T]:
        """Write every element as a line of JSON."""

    def to_textfile(
        self,
        path: str | PathLike[str],
        *,
        end: str = "\n",
        encoding: str = "utf-8",
        **options: Unpack[FileSinkOptions],
    ) -> files.to_textfile[T]:
        """Write every element, a string, as a line of text."""
