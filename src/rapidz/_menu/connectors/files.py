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

from rapidz._menu.types import ElementType, NodeOptions, SourceOptions, T, U

if TYPE_CHECKING:
    from rapidz.connectors import files
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.sources.restart import Restart


class RollingOptions(NodeOptions, total=False):
    """Options of every sink to files, and of its writer."""

    max_wait: Interval | None
    restart: bool | Restart | None
    key: str | int | Callable[[Any], Any] | None
    time: str | int | Callable[[Any], Any] | None
    roll_bytes: int | None
    roll_count: int | None
    roll_every: Interval | None
    fsync: bool
    storage_options: dict[str, Any] | None


class FileSinkOptions(RollingOptions, total=False):
    """Options of the sinks that write lines; see `to_jsonlines`."""

    batch: int
    max_bytes: int | None
    mode: Literal["a", "w", "atomic"]
    file_per_batch: bool
    compression: str | None


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

    @staticmethod
    def from_parquet(
        path: str | PathLike[str],
        *,
        output: Literal["row", "rows", "arrow", "pandas", "polars"] = "row",
        batch_rows: int = 10_000,
        columns: Sequence[str] | None = None,
        follow: bool = False,
        poll_interval: Interval = 1.0,
        storage_options: dict[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> files.from_parquet[Any]:
        """Emit the rows of Parquet files."""


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

    def to_parquet(
        self,
        path: str | PathLike[str],
        *,
        schema: Any = None,
        codec: Literal["snappy", "zstd", "gzip", "lz4", "brotli", "none"] = "snappy",
        batch: int = 10_000,
        file_per_batch: bool | None = None,
        **options: Unpack[RollingOptions],
    ) -> files.to_parquet[T]:
        """Write rows, or tables, to Parquet files."""
