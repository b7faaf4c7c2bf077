"""Output file: what a sink writes to; appended to, or renamed when it is complete."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from typing import Any

from rapidz.connectors.codecs import EncodeError, StreamEncoder
from rapidz.sources.filesystem import FileSystem, compressed

#: Extension of a file that is not complete.
PART = ".part"


class OutputFile:
    """One file that is open for writing.

    Parameters
    ----------
    files : FileSystem
        Where it is.
    path : str
        Its final name.
    mode : str
        ``"a"`` appends, ``"w"`` overwrites, ``"atomic"`` writes under another name, and renames at
        the end.
    compression : str, optional
        Name of the compression.
    has_lines : bool
        Whether the content ends with a line feed, so that an incomplete line can be ended.
    """

    def __init__(
        self,
        files: FileSystem,
        path: str,
        mode: str,
        compression: str | None = None,
        has_lines: bool = True,
    ) -> None:
        self.path, self.size, self.count = path, 0, 0
        self.opened_at = time.monotonic()
        self._files, self._is_atomic = files, mode == "atomic"
        self._name = path + PART if self._is_atomic else path
        files.make_folder_of(self._name)
        self.was_empty = mode != "a" or not _size_of(files, path)
        if not self.was_empty and has_lines and files.is_local and compression is None:
            self._end_last_line()
        self._raw: Any = self._open("ab" if mode == "a" else "wb")
        self._stream: Any = None if compression is None else compressed(self._raw, compression)

    def write(self, data: bytes) -> None:
        """Write *data*, all or nothing as far as the file system allows."""
        if not data:
            return
        if self._stream is not None:
            self._stream.write(data)
        elif self._files.is_local:
            self._write_whole(data)
        else:
            self._raw.write(data)
        self.size += len(data)

    def flush(self, sync: bool) -> None:
        """Pass on what is buffered; with *sync*, wait until the disk has it."""
        if self._stream is not None:
            self._stream.flush()
        if self._files.is_local:
            self._raw.flush()
            if sync:
                os.fsync(self._raw.fileno())

    def finish(self, sync: bool) -> None:
        """Close the file, and give it its final name."""
        try:
            if self._stream is not None:
                self._stream.close()
            if sync and self._files.is_local:
                os.fsync(self._raw.fileno())
        finally:
            self._raw.close()
        if self._is_atomic:
            self._files.replace(self._name, self.path)
            if sync and self._files.is_local:
                _sync_folder(self.path)

    def _open(self, mode: str) -> Any:
        if self._files.is_local:
            return open(self._name, mode, buffering=0)
        return self._files.open(self._name, mode)

    def _write_whole(self, data: bytes) -> None:
        """Write *data*; after a failure, such as a full disk, cut off the part that was written."""
        before = os.fstat(self._raw.fileno()).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._raw.write(rest) :]
        except BaseException:
            with contextlib.suppress(OSError):
                self._raw.truncate(before)
                self._raw.seek(0, os.SEEK_END)
            raise

    def _end_last_line(self) -> None:
        """End the last line, of which a killed process may have written a part."""
        with open(self._name, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
            self.size = file.tell()


class BatchEncodeError(EncodeError):
    """Some elements of a batch could not be encoded; the others were written."""

    def __init__(self, failures: Sequence[tuple[Any, Exception]]) -> None:
        super().__init__(f"{len(failures)} elements: the first: {failures[0][1]}")
        self.failures = failures


def encode_each(
    encoder: StreamEncoder, elements: Sequence[Any], failures: list[tuple[Any, Exception]]
) -> bytes:
    """Return *elements* in one piece; add those that cannot be encoded to *failures*."""
    try:
        return encoder.encode_all(elements)
    except Exception:
        parts = []
        for x in elements:
            try:
                parts.append(encoder.encode(x))
            except Exception as error:
                failures.append((x, error))
        return b"".join(parts)


def _size_of(files: FileSystem, path: str) -> int:
    try:
        return files.status(path).size
    except FileNotFoundError:
        return 0


def _sync_folder(path: str) -> None:
    """Wait until the disk has the name of a new file."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
