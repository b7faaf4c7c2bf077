"""Output file: what a sink writes to; appended to, or renamed when it is complete."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Sequence
from typing import Any

from rapidz.connectors.codecs import EncodeError, StreamEncoder
from rapidz.connectors.files.members import cut_torn_member
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.filesystem import FileSystem, compressed

#: End of the name of a file that is not complete; no key of a template has it: see `quote_key`.
PART = "~part"


class OutputFile:
    """One file that is written to; it is created with the first byte.

    After a failure it is as long as before the batch: `cut_back`.  A local file can be
    closed meanwhile, by `suspend`; the next write continues it.

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
        self.can_resume = files.is_local
        self.exists = False
        """Whether something was written."""
        self._files, self._mode = files, mode
        self._name = path + PART if mode == "atomic" else path
        self._compression, self._has_lines = compression, has_lines
        if files.is_local and mode != "a":
            _check_regular(path, mode)
        if files.is_local and mode == "a" and compression is not None:
            cut_torn_member(path, compression)
        self.begun = mode == "a" and _size_of(files, path) > 0
        """Whether the file has content, so that no header follows."""
        self._raw: Any = None
        self._stream: Any = None
        self._unwritten = Unwritten()
        self._batch: tuple[int, int, bool] = 0, 0, self.begun
        self._from: int | None = None
        self._end = 0
        self._cut: tuple[int, int] | None = None

    def begin_batch(self) -> None:
        """Remember the state, for `cut_back`."""
        self._batch, self._from = (self.size, self.count, self.begun), None

    def cut_back(self) -> bool:
        """Cut off what was written since `begin_batch`; return whether the file can go on."""
        if self._from is not None:
            self._cut_off(self._from, self._end)
            self._from = None
            self.size, self.count, self.begun = self._batch
        return True

    def write(self, data: bytes) -> None:
        """Write *data*, all or nothing as far as the file system allows."""
        if not data:
            return
        if self._compression is not None:
            self._drain()
            if self._stream is None:
                self._stream = compressed(self._unwritten, self._compression)
            self._stream.write(data)
        elif self._files.is_local:
            self._write_whole(data)
        else:
            self._ready().write(data)
        self.size += len(data)
        self.begun = True

    def flush(self, sync: bool) -> None:
        """Pass on what is buffered; with *sync*, wait until the disk has it."""
        if self._stream is not None:
            self._stream.flush()
            self._drain()
        if sync and self._raw is not None:
            self._sync()

    def finish(self, sync: bool) -> None:
        """Close the file, and give it its final name."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._drain()
        if not self.exists:
            return
        raw = self._ready()
        if sync:
            self._sync()
        self._raw = self._from = None
        raw.close()
        if self._mode == "atomic":
            self._files.replace(self._name, self.path)
            if sync and self._files.is_local:
                _sync_folder(self.path)

    def suspend(self) -> None:
        """Close the file as it is; the next write opens it again."""
        raw, self._raw = self._raw, None
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.close()

    def _ready(self) -> Any:
        """Return the file, open."""
        if self._raw is None:
            if not self.exists:
                self._files.make_folder_of(self._name)
                self._end_last_line()
            self._raw = self._open("ab" if self.exists or self._mode == "a" else "wb")
            self.exists = True
        if self._cut is not None:
            (to, end), self._cut = self._cut, None
            self._cut_off(to, end)
            if self._cut is not None:
                raise OSError(errno.EIO, "cannot cut off a part of a batch", self._name)
        return self._raw

    def _open(self, mode: str) -> Any:
        if self._files.is_local:
            return open(self._name, mode, buffering=0)
        return self._files.open(self._name, mode)

    def _write_whole(self, data: bytes) -> None:
        """Write *data*; after a failure, such as a full disk, cut off the part that was written."""
        raw = self._ready()
        before, rest = os.fstat(raw.fileno()).st_size, memoryview(data)
        try:
            while rest:
                rest = rest[raw.write(rest) :]
        except BaseException:
            self._cut_off(before, before + len(data) - len(rest))
            raise
        if self._from is None:
            self._from = before
        self._end = before + len(data)

    def _cut_off(self, to: int, end: int) -> None:
        """Cut the file to length *to*, unless its length is not *end*: others append to it too."""
        try:
            status = os.fstat(self._raw.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size == end > to:
                self._raw.truncate(to)
                self._raw.seek(0, os.SEEK_END)
        except OSError:
            self._cut = to, end  # tried again before the next write

    def _drain(self) -> None:
        """Write what is compressed; after a failure the rest stays for the next time."""
        data = self._unwritten.data
        while data:
            del data[: self._ready().write(bytes(data))]

    def _sync(self) -> None:
        """Wait until the disk has the file; devices and pipes have no disk."""
        if self._files.is_local and stat.S_ISREG(os.fstat(self._raw.fileno()).st_mode):
            os.fsync(self._raw.fileno())

    def _end_last_line(self) -> None:
        """End the last line, of which a killed process may have written a part."""
        if not (self.begun and self._has_lines and self._files.is_local):
            return
        if self._compression is not None:
            return
        with open(self._name, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
            self.size = file.tell()


class Unwritten:
    """File in memory: what is compressed, and not yet written."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: Any) -> int:
        """Add *data*."""
        self.data += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: `OutputFile` writes it."""


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


def _check_regular(path: str, mode: str) -> None:
    """Raise if *path* is a device, a pipe or a folder, which can be neither replaced nor cut."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(
            f"path must be a regular file for mode {mode}, got the device, pipe or socket "
            f"{short_repr(path)}"
        )


def _sync_folder(path: str) -> None:
    """Wait until the disk has the name of a new file."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
