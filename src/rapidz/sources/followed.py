"""Reader of files in pieces: elements of one or many files, and the positions behind them.

Its methods that read block: call them in a thread, one at a time.
"""

from __future__ import annotations

import functools
import io
import operator
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from rapidz.sources.decoding import DamagedFile, DecodeError, StreamDecoder, Undecoded, copy_of
from rapidz.sources.filesystem import FileSystem, compression_of, hide_credentials, is_pattern
from rapidz.sources.tail import ByteTail, FileTail
from rapidz.sources.textlines import AnyTextDecoder

#: How many bytes are decoded at once, on the loop of the source.
SLICE = 1 << 15

#: How many files that match a pattern are open between two polls at most.
MAX_OPEN = 100


class MarkedFile(Protocol):
    """File with the position behind the last batch."""

    mark: Any

    @property
    def path(self) -> str:
        """The path of the file."""
        ...


class FileBatch:
    """Elements of one file that were read at once, and an iterator of those not emitted yet."""

    def __init__(
        self,
        elements: list[Any],
        has_failed: bool,
        file: MarkedFile,
        end: Callable[[int], Any],
    ) -> None:
        self.elements, self.has_failed, self.file = elements, has_failed, file
        self.rest: Iterator[Any] = iter(elements)
        self._end = end

    def __iter__(self) -> Iterator[Any]:
        return self.rest

    @property
    def is_empty(self) -> bool:
        """Whether there are no elements."""
        return not self.elements

    @property
    def ended(self) -> bool:
        """Whether all elements are emitted."""
        return operator.length_hint(self.rest) == 0

    def mark(self) -> None:
        """Set the position of the file behind the last element that was emitted."""
        if n := self._emitted:
            self.file.mark = functools.partial(self._end, n)  # computed when it is asked for

    def position(self) -> Any:
        """Return the position of the file behind the last element that was emitted."""
        n = self._emitted
        return self._end(n) if n else resolve(self.file.mark)

    @property
    def _emitted(self) -> int:
        return len(self.elements) - operator.length_hint(self.rest)


def unreadable(file: MarkedFile, error: DecodeError) -> FileBatch:
    """Return a batch for a file that cannot be read on; its position stays where it was."""
    mark = file.mark
    failed = Undecoded(hide_credentials(file.path), error)
    return FileBatch([failed], True, file, lambda _: resolve(mark))


def resolve(mark: Any) -> Any:
    """Return the position that a mark is, or computes."""
    return mark() if callable(mark) else mark


class FollowedFile:
    """One file, its decoder, and the position behind the last batch."""

    def __init__(self, tail: ByteTail, make_decoder: Callable[[], StreamDecoder]) -> None:
        self.tail, self.decoder = tail, make_decoder()
        self.mark: Any = None
        """Position behind the last batch that was emitted; None before the first one."""
        self.is_at_end = False
        self.is_done = False
        self.damaged_size: int | None = None
        """Size of the file when it was found damaged."""
        self._make_decoder = make_decoder
        self._base = 0
        """Offset at which the decoder began."""
        self._chunk: Any = None
        self._begun = False
        self._undecoded, self._decoded, self._ends_file = b"", 0, False

    @property
    def path(self) -> str:
        """The path that the file had when it was read last."""
        return self.tail.path

    def resume_at(self, position: Any) -> None:
        """Continue at a position, if the file is the same."""
        self.mark = position
        self._base = position["offset"]
        if "names" in position:
            self.decoder.names = position["names"]  # type: ignore[attr-defined]
        self.tail.resume_at(position)

    def read(self) -> FileBatch:
        """Return the elements of the next chunk, which may be none."""
        if self.has_undecoded:
            return self._decode_slice()
        chunk, self._chunk = self._chunk or self.tail.read(self.decoder.pending), None
        if chunk.restarted:
            self._chunk, self.is_at_end = chunk._replace(restarted=False), False
            rest = self.decoder.finish()
            self.decoder, self._base = self._make_decoder(), 0
            begin_of_next = self.tail.snapshot()
            return self._batch(rest, lambda _: begin_of_next.position_at(0))
        if not self._begun:
            self._begun = True
            if (begin := self.tail.offset - len(chunk.data)) != self._base:
                self.decoder, self._base = self._make_decoder(), begin
        self._undecoded, self._decoded, self._ends_file = chunk.data, 0, chunk.at_end
        self.is_at_end = False
        return self._decode_slice()

    def _decode_slice(self) -> FileBatch:
        """Return the elements of the next part of the chunk that was read."""
        begin, self._decoded = self._decoded, self._decoded + SLICE
        part = self._undecoded[begin : self._decoded]
        if not self.has_undecoded:
            self._undecoded, self.is_at_end = b"", self._ends_file
        return self._batch(self.decoder.feed(part))

    @property
    def has_undecoded(self) -> bool:
        """Whether a part of the last chunk is not decoded yet."""
        return self._decoded < len(self._undecoded)

    def finish(self) -> FileBatch:
        """Return the last element, if it is incomplete."""
        return self._batch(self.decoder.finish())

    def _batch(self, elements: list[Any], end: Callable[[int], Any] | None = None) -> FileBatch:
        return FileBatch(elements, self.decoder.has_failed, self, end or self._positions())

    def _positions(self) -> Callable[[int], Any]:
        """Return a function that says the position behind an element, also after the next read."""
        tail, decoder, base = self.tail.snapshot(), copy_of(self.decoder), self._base

        def position(n: int) -> Any:
            try:
                offset = decoder.offset_after(n)
            except io.UnsupportedOperation:
                return None
            found: Any = tail.position_at(base + offset)
            if (names := getattr(decoder, "names", None)) is not None:
                found["names"] = names
            return found

        return position


class FileReader:
    """Reader of a file, or of all files that match a pattern, one after the other."""

    def __init__(
        self,
        files: FileSystem,
        path: str,
        make_decoder: Callable[[], StreamDecoder],
        *,
        follow: bool,
        from_end: bool = False,
        compression: Any = None,
    ) -> None:
        self.path = path
        self.is_many = is_pattern(path) and not (files.is_local and _exists(files, path))
        self.followed: dict[str, FollowedFile] = {}
        self._files, self._make_decoder = files, make_decoder
        self._follow, self._from_end, self._compression = follow, from_end, compression
        self._queue: deque[FollowedFile] | None = None
        self.has_positions = getattr(make_decoder(), "has_offsets", True)

    def read(self) -> FileBatch | None:
        """Return elements that are new; None once all files are read to their present ends."""
        if self._queue is None:
            self._queue = deque(self._list())
        while self._queue:
            file = self._queue[0]
            batch = self._read_file(file)
            if batch is not None and batch.elements:
                return batch
            if file.is_at_end or batch is None:
                self._queue.popleft()
        self._queue = None
        self._from_end = self._from_end and not self.is_many
        return None

    def decode_next(self) -> FileBatch | None:
        """Return elements of what was read already, without a read; None if all is decoded."""
        while self._queue and self._queue[0].has_undecoded:
            if not (batch := self._queue[0].read()).is_empty:
                return batch
        return None

    def _read_file(self, file: FollowedFile) -> FileBatch | None:
        if file.is_done and not self._has_changed(file):
            return None
        try:
            batch = file.read()
        except DamagedFile as error:
            file.tail.close()
            file.is_done, file.damaged_size = True, _size_of(self._files, file.path)
            return unreadable(file, error)
        except FileNotFoundError:
            if not self.is_many:
                raise
            self.followed.pop(file.tail.path, None)  # it was deleted meanwhile
            return file.finish()
        if file.is_at_end and not batch.elements:
            if not self._follow:
                file.is_done = True
                batch = file.finish()
            if not self._follow or len(self.followed) > MAX_OPEN:
                file.tail.close()
        return batch

    def _has_changed(self, file: FollowedFile) -> bool:
        """Return whether a damaged file has changed, as one that was not complete."""
        if not self._follow or file.damaged_size is None:
            return False
        if _size_of(self._files, file.path) in (None, file.damaged_size):
            return False
        file.is_done, file.damaged_size = False, None
        return True

    def position(self) -> Any:
        """Return the positions of all files behind the batches that were emitted."""
        followed = list(self.followed.items())  # a read that is in flight may add some
        marks = {path: resolve(file.mark) for path, file in followed}
        return {path: mark for path, mark in marks.items() if mark is not None}

    def resume_at(self, position: Any) -> None:
        """Continue at *position*, a result of `position`."""
        self.reset()
        for path, place in position.items():
            self._follow_file(path).resume_at(place)

    def reset(self) -> None:
        """Forget all files: the next `read` begins anew."""
        self.close()
        self.followed.clear()
        self._queue = None

    def close(self) -> None:
        """Close all files."""
        for file in self.followed.values():
            file.tail.close()

    def finish_incomplete(self) -> list[FileBatch]:
        """Return what is incomplete at the ends of files."""
        files = [file for file in self.followed.values() if file.is_at_end]
        batches = [file.finish() for file in files if file.decoder.pending]
        return [batch for batch in batches if batch.elements]

    def _list(self) -> list[FollowedFile]:
        paths = self._files.glob(self.path) if self.is_many else [self.path]
        if self.is_many:
            paths = self._rebind_renamed(paths)
        return [self.followed.get(path) or self._follow_file(path) for path in paths]

    def _rebind_renamed(self, paths: list[str]) -> list[str]:
        """Give files that were renamed their new paths; read them before the others."""
        by_identity: dict[Any, str] = {
            identity: path
            for path, file in self.followed.items()
            if (identity := _identity_of(file)) is not None
        }
        renamed = []
        for path in paths:
            if path in self.followed:
                continue
            try:
                old = by_identity.get(self._files.status(path).identity)
            except FileNotFoundError:
                continue
            if old is not None and self._has_other_file(old, path):
                file = self.followed.pop(old)
                file.tail.path = path
                self.followed[path] = file
                renamed.append(path)
        return renamed + [path for path in paths if path not in renamed]

    def _has_other_file(self, old: str, new: str) -> bool:
        """Return whether the path *old* has no longer the file that *new* has."""
        try:
            return self._files.status(old).identity != self._files.status(new).identity
        except FileNotFoundError:
            return True

    def _follow_file(self, path: str) -> FollowedFile:
        compression = compression_of("files", path, self._compression)
        tail = ByteTail(self._files, path, self._from_end, compression)
        if self.is_many:
            tail.others = lambda: self._files.glob(self.path)
        file = self.followed[path] = FollowedFile(tail, self._make_decoder)
        return file


class ObjectReader:
    """Reader of an open file object, of text or bytes."""

    def decode_next(self) -> FileBatch | None:
        """Return None: what was read is decoded."""
        return None

    def __init__(self, tail: FileTail, decoder: AnyTextDecoder) -> None:
        self.path = "a file object"
        self.tail, self.decoder = tail, decoder
        self.mark: Any = None
        self._chunk: Any = None
        self._is_at_end = False

    def read(self) -> FileBatch | None:
        """Return elements that are new; None once the file is read to its present end."""
        while True:
            chunk, self._chunk = self._chunk or self.tail.read(), None
            self._is_at_end = chunk.at_end
            if chunk.restarted and self.decoder.text:
                self._chunk = chunk._replace(restarted=False)
                return self._batch(self.decoder.finish())
            if elements := self.decoder.add(chunk.data):
                return self._batch(elements)
            if self._is_at_end:
                return None

    def finish_incomplete(self) -> list[FileBatch]:
        """Return what is incomplete at the end of the file."""
        if not (self._is_at_end and self.decoder.text):
            return []
        return [self._batch(self.decoder.finish())]

    def reset(self) -> None:
        """Do nothing: the caller owns the file."""

    def close(self) -> None:
        """Do nothing: the caller owns the file."""

    def _batch(self, elements: list[Any]) -> FileBatch:
        return FileBatch(elements, self.decoder.has_failed, self, lambda _: None)


def _identity_of(file: FollowedFile) -> tuple[int, int] | None:
    if file.tail.identity is not None:
        return file.tail.identity
    mark = resolve(file.mark)
    known = mark["identity"] if mark is not None else None
    return None if known is None else (known[0], known[1])


def _size_of(files: FileSystem, path: str) -> int | None:
    try:
        return files.status(path).size
    except FileNotFoundError:
        return None


def _exists(files: FileSystem, path: str) -> bool:
    try:
        files.status(path)
    except OSError:
        return False
    return True
