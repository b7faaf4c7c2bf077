"""File source: base class of the sources that emit the content of files."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, await_result
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.bulk import BulkSource
from rapidz.sources.decoding import Undecoded
from rapidz.sources.followed import FileBatch, FileReader, ObjectReader
from rapidz.sources.live_interval import LiveInterval
from rapidz.sources.run import ResumableWait

T = TypeVar("T")


class FileSource(BulkSource[T]):
    """Source of the elements of files.

    Reads in a thread, a large chunk at a time, and decodes on the loop, a small slice at a time.

    What cannot be decoded goes to the policy of the source, with the raw bytes as the element of
    the `Failure`; without a policy the source fails, and `start` resumes behind it.  So does
    a compressed file that is damaged, behind what can be read of it, with its path as the element.

    Parameters
    ----------
    reader : object
        A `FileReader`, or what has its methods.
    follow : bool
        Whether to poll the files for more, for ever.
    poll_interval : float or str
        Seconds between two polls.
    **kwargs
        Options of every `Source`.
    """

    seekable: ClassVar[bool] = True
    poll_interval: LiveInterval = LiveInterval()

    def __init__(self, reader: Any, follow: bool, poll_interval: Interval, **kwargs: Any) -> None:
        self.poll_interval = poll_interval
        self.follow = follow
        self.infinite = follow  # type: ignore[misc]
        self._reader: FileReader | ObjectReader = reader
        self._batch: FileBatch | None = None
        self._reading = ResumableWait()
        self._has_read_all = False
        self._seek_to: Any = None
        super().__init__(**kwargs)

    async def run(self) -> None:
        clock = self._pipeline.clock
        if self._seek_to is not None:
            await self._reading.discard()
            self._with_positions().resume_at(self._seek_to)
            self._seek_to = None
        if self._has_read_all:
            self._reader.reset()
            self._has_read_all = False
        try:
            if not self.follow:
                await self._emit_new()
                self._has_read_all = self._may_emit()
            while self.follow and self._may_emit():
                due = clock.time() + self.poll_interval
                await self._apply_policy(self._emit_new)
                await asyncio.sleep(max(0.0, due - clock.time()))
        finally:
            self._reading.when_done(self._reader.close)

    def position(self) -> Any:
        """Return where a later run would resume, behind the last element that was pushed.

        For each file: the offset, device and inode, and hashes of what is before the offset.
        """
        position = self._with_positions().position()
        if self._seek_to is not None:
            return self._seek_to
        if (batch := self._batch) is not None:
            position[batch.file.path] = batch.position()
        return {path: place for path, place in position.items() if place is not None}

    def seek(self, position: Any) -> None:
        """Resume at *position*, a result of `position`, at the next `start`.

        A file that is not the one of the position, by its content, is read from its beginning,
        with a warning; a local file that was renamed is found, and read to its end first.
        """
        name = type(self).__name__
        if not self.stopped:
            raise RuntimeError(f"{name}: seek needs a source that does not run: call stop() first")
        if not isinstance(position, dict) or not all(
            isinstance(place, dict) and {"offset", "identity", "head", "tail"} <= place.keys()
            for place in position.values()
        ):
            raise TypeError(
                f"{name}: position must be a result of position(), got {short_repr(position)}"
            )
        self._batch, self._has_read_all = None, False
        self._with_positions()
        self._seek_to = position

    def _with_positions(self) -> Any:
        if getattr(self._reader, "has_positions", False):
            return self._reader
        raise io.UnsupportedOperation(
            f"{self}: a file object, or text that is neither UTF-8 nor of one byte for each "
            "character, has no positions"
        )

    async def _emit_new(self) -> None:
        """Emit all elements that there are now."""
        while True:
            if self._batch is not None:
                await self._emit_batch(self._batch)
            if not self._may_emit():
                return
            if self._batch is None:
                self._batch = await self._reading.result(self._read)
                self.connected()
            if self._batch is None:
                return

    def _read(self) -> Any:
        return self.in_thread(self._reader.read)

    async def _emit_batch(self, batch: FileBatch) -> None:
        """Emit a batch, and those that are decoded without a read."""
        if batch.has_failed:
            await self._emit_each(batch)
            if batch.ended:
                batch.mark()
                self._batch = None
        else:
            elements: Any = DecodedElements(self, batch)
            await self._emit_in_bulk(elements)

    def _next_decoded(self) -> FileBatch | None:
        """Return the next batch without a read, once the present one is emitted."""
        if self._batch is not None:
            self._batch.mark()
        self._batch = self._reader.decode_next()
        return self._batch

    async def _emit_each(self, batch: FileBatch) -> None:
        """Emit a batch of which some elements could not be decoded."""
        for x in batch.rest:
            if type(x) is Undecoded:
                await self._settle_undecodable(x.raw, x.error, None, None)
            else:
                for wait in self._emit(x):
                    await wait
            if not self._may_emit():
                return

    def _emit_buffered(self) -> Pending:
        while self._batch is not None and self._batch.ended:  # stopped behind its last element
            self._next_decoded()
        if self._batch is not None or self._reading.is_pending or not self.follow:
            return None  # the rest of the line may follow, or other lines
        waits: list[Any] = []
        for batch in self._reader.finish_incomplete():
            for x in batch.rest:
                if type(x) is Undecoded:
                    settling = self._settle_undecodable(x.raw, x.error, None, None)
                    waits.append(self._pipeline.start(settling))
                else:
                    waits += self._emit(x)
            batch.mark()
        return await_result(waits, self._pipeline.start) if waits else None


class DecodedElements:
    """Iterator of the elements of a batch, and of those that are decoded without a read.

    Ends before a batch of which some elements could not be decoded.
    """

    def __init__(self, source: FileSource[Any], batch: FileBatch) -> None:
        self.ended = False
        self._source = source
        self._elements = itertools.chain.from_iterable(self._batches(batch))

    def __iter__(self) -> Iterator[Any]:
        return self._elements

    def _batches(self, batch: FileBatch | None) -> Iterator[Iterator[Any]]:
        while batch is not None and not batch.has_failed:
            yield batch.rest
            batch = self._source._next_decoded()
        self.ended = True
