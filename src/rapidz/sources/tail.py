"""Incremental readers of files that grow, as ``tail -f``.  They block: call them in a thread."""

from __future__ import annotations

import codecs
import io
import os
from typing import Any, NamedTuple

#: How many bytes, or characters, one read returns at most.
CHUNK_SIZE = 1 << 16


class Chunk(NamedTuple):
    """Result of one read."""

    text: Any
    restarted: bool
    """Whether the text is the beginning of a file."""
    at_end: bool
    """Whether the read reached the end of the file."""


class PathTail:
    """Reader of the file at a path, which may be appended to, truncated and replaced."""

    def __init__(self, path: str, encoding: str, from_end: bool) -> None:
        self.file: Any = None
        self._path = path
        self._from_end = from_end
        self._place: tuple[int, int] | None = None
        """Device and inode of the file that was read last."""
        self._position = 0
        decoder = codecs.getincrementaldecoder(encoding)()
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def read(self) -> Chunk:
        """Return what was appended since the last call."""
        restarted = self._open() if self.file is None else False
        data = self._read_chunk()
        if not data and (replaced := self._replaced()) is not None:
            data = self._read_chunk()
            if not data:  # the old file is exhausted: only now the new one
                self._rewind(replaced)
                restarted = True
                data = self._read_chunk()
        self._position += len(data)
        return Chunk(self._decoder.decode(data), restarted, len(data) < CHUNK_SIZE)

    def _read_chunk(self) -> bytes:
        data: bytes = self.file.read(CHUNK_SIZE)
        return data

    def close(self) -> None:
        """Close the file; the next `read` continues at the same position."""
        file, self.file = self.file, None
        if file is not None:
            file.close()

    def _open(self) -> bool:
        self.file = open(self._path, "rb", buffering=0)  # noqa: SIM115  the run closes it
        status = os.fstat(self.file.fileno())
        first, place = self._place is None, (status.st_dev, status.st_ino)
        if first and self._from_end:
            self._position = status.st_size
        elif place != self._place or status.st_size < self._position:
            self._position = 0
            self._decoder.reset()
        self._place = place
        self.file.seek(self._position)
        return not first and self._position == 0

    def _replaced(self) -> bool | None:
        """Return True if another file has the path now, False if it was truncated, else None."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None  # a new file may follow
        if (status.st_dev, status.st_ino) != self._place:
            return True
        return False if status.st_size < self._position else None

    def _rewind(self, replaced: bool) -> None:
        if replaced:
            self.close()
            self._open()
        else:
            self._position = 0
            self._decoder.reset()
            self.file.seek(0)


class FileTail:
    """Reader of an open file object, which may be appended to and truncated."""

    def __init__(self, file: Any, from_end: bool) -> None:
        self.file = file
        self._seek_end = from_end

    def read(self) -> Chunk:
        """Return what was appended since the last call."""
        if self._seek_end:
            self._seek_end = False
            self.file.seek(0, io.SEEK_END)
        restarted, data = False, self.file.read(CHUNK_SIZE)
        if not data and self._is_truncated():
            self.file.seek(0)
            restarted, data = True, self.file.read(CHUNK_SIZE)
        return Chunk(data, restarted, len(data) < CHUNK_SIZE)

    def close(self) -> None:
        """Do nothing: the caller owns the file."""

    def _is_truncated(self) -> bool:
        try:
            position: int = getattr(self.file, "buffer", self.file).tell()
            return os.fstat(self.file.fileno()).st_size < position
        except (AttributeError, OSError, ValueError):
            return False  # not a file on a disk
