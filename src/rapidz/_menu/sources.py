"""Typed static methods that begin a stream at a source."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, TextIO, Unpack, overload

from rapidz._menu.types import ElementType, QueueLike, SourceOptions, T, U

if TYPE_CHECKING:
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.sources.base import Source


class SourceMethods(ElementType[T]):
    """Sources, as static methods: ``Stream.from_iterable(...)``."""

    @staticmethod
    def from_iterable(iterable: Iterable[U], **options: Unpack[SourceOptions]) -> Source[U]:
        """Emit the items of an iterable, and end."""

    @staticmethod
    def from_async_iterable(
        aiterable: AsyncIterable[U], **options: Unpack[SourceOptions]
    ) -> Source[U]:
        """Emit the items of an asynchronous iterable, and end."""

    @overload
    @staticmethod
    def from_periodic(
        callback: Callable[[], Awaitable[U]],
        poll_interval: Interval = 0.1,
        **options: Unpack[SourceOptions],
    ) -> Source[U]: ...
    @overload
    @staticmethod
    def from_periodic(
        callback: Callable[[], U], poll_interval: Interval = 0.1, **options: Unpack[SourceOptions]
    ) -> Source[U]: ...
    @staticmethod
    def from_periodic(callback: Any, poll_interval: Interval = 0.1, **options: Any) -> Source[Any]:
        """Call a function at every interval, and emit its results."""

    @staticmethod
    def from_textfile(
        f: str | PathLike[str] | TextIO | Any,
        poll_interval: Interval = 0.1,
        delimiter: str = "\n",
        from_end: bool = False,
        *,
        encoding: str = "utf-8",
        follow: bool = True,
        max_size: int = 1 << 24,
        compression: str | None = "infer",
        storage_options: dict[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[str]:
        """Follow files, and emit their lines."""

    @staticmethod
    def filenames(
        path: str | PathLike[str],
        poll_interval: Interval = 0.1,
        *,
        force_polling: bool = False,
        storage_options: dict[str, Any] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Source[str]:
        """Watch a directory, and emit the names of new files."""

    @staticmethod
    def from_q(
        q: QueueLike[U], sleep_time: Interval = 0.01, **options: Unpack[SourceOptions]
    ) -> Source[U]:
        """Emit the elements of a queue."""
