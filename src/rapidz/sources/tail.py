"""Incremental readers of files that grow, as ``tail -f``.  They block: call them in a thread."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypedDict

from rapidz.kernel.protocol.short_repr import cut
from rapidz.sources.decoding import DamagedFile
from rapidz.sources.filesystem import (
    FileSystem,
    decompressed,
    hide_credentials,
    is_damage,
    local_status,
)
from rapidz.sources.rotation import Sibling, siblings_of

#: How many bytes, or characters, one read returns at most.
CHUNK_SIZE = 1 << 20

#: How many bytes of the beginning of a file, and before a position, identify its content.
SAMPLE = 1024

#: How many files a reader remembers that it has read.
_REMEMBERED = 100

_log = logging.getLogger("rapidz.sources")


class Chunk(NamedTuple):
    """Result of one read."""

    data: Any
    restarted: bool
    """Whether the data are the beginning of a file."""
    at_end: bool
    """Whether the read reached the end of the file."""


class FilePosition(TypedDict):
    """Position in one file, with what identifies the file."""

    offset: int
    identity: list[int] | None
    head: str
    """Hash of the first bytes of the file, at most `SAMPLE` and none behind the offset."""
    tail: str
    """Hash of the bytes before the offset, at most `SAMPLE`."""


class TailSnapshot(NamedTuple):
    """State of a reader behind one chunk."""

    offset: int
    identity: tuple[int, int] | None
    head: bytes
    """The first bytes of the file, at most `SAMPLE`."""
    recent: bytes
    """The bytes before *offset*: the chunk, and some before it."""

    def position_at(self, offset: int) -> FilePosition:
        """Return the position at *offset*, which is at most one chunk and a line back."""
        begin = self.offset - len(self.recent)
        before = self.recent[max(0, offset - SAMPLE - begin) : max(0, offset - begin)]
        return {
            "offset": offset,
            "identity": None if self.identity is None else list(self.identity),
            "head": _hash(self.head[:offset]),
            "tail": _hash(before),
        }


class ByteTail:
    """Reader of the file at a path, which may be appended to, truncated and replaced.

    Reads a file that was renamed to its end, then those that had the path after it and were
    renamed too, then the one that has the path now.
    """

    def __init__(
        self,
        files: FileSystem,
        path: str,
        from_end: bool = False,
        compression: str | None = None,
    ) -> None:
        self.path, self.offset = path, 0
        self.file: Any = None
        self.identity: tuple[int, int] | None = None
        """Device and inode of the file that was read last."""
        self._files, self._from_end, self._compression = files, from_end, compression
        self._raw: Any = None
        self._opened_once = self._was_at_end = False
        self._head = self._recent = b""
        self._keep = SAMPLE
        self._resume: FilePosition | None = None
        self._read_before: deque[tuple[tuple[int, int] | None, bytes]] = deque(maxlen=_REMEMBERED)
        """Identity and first bytes of the files that were read to their ends."""
        self._damage: Exception | None = None
        self._warned: set[str] = set()
        self.others: Callable[[], Collection[str]] = tuple
        """Paths of files that other readers read."""

    def read(self, keep: int = 0) -> Chunk:
        """Return what was appended since the last call.

        A position may be *keep* bytes back.  Raises `DamagedFile` behind what can be read of a
        compressed file that is damaged.
        """
        self._keep = keep + SAMPLE
        restarted = self._open() if self.file is None else False
        restarted = self._rewind_if_rewritten() or restarted
        data = self._read_chunk()
        while not data and self._may_follow() and (replaced := self._replaced()) is not None:
            data = self._read_chunk()
            if not data:  # the old file is exhausted: only now the new one
                self._rewind(replaced)
                restarted = True
                data = self._read_chunk()
        self._was_at_end = len(data) < CHUNK_SIZE and self._damage is None
        if self._was_at_end and not self._files.is_local:
            self.close()  # a file that grows is another object
        return Chunk(data, restarted, self._was_at_end)

    def close(self) -> None:
        """Close the file; the next `read` continues at the same position."""
        file, raw = self.file, self._raw
        self.file = self._raw = self._damage = None
        for each in (file, raw):
            if each is not None:
                each.close()

    def snapshot(self) -> TailSnapshot:
        """Return what positions in the last chunk need, which the next read changes."""
        return TailSnapshot(self.offset, self.identity, self._head, self._recent)

    def resume_at(self, position: FilePosition) -> None:
        """Continue at *position* when the file is opened, if it is the same file."""
        self.close()
        self._resume, self._opened_once = position, False

    def _read_chunk(self) -> bytes:
        data: bytes = self._read_compressed() if self._compression else self.file.read(CHUNK_SIZE)
        if data:
            if self.offset < SAMPLE:
                self._head = (self._head + data)[:SAMPLE]
            self._recent = self._recent[-self._keep :] + data
            self.offset += len(data)
        return data

    def _read_compressed(self) -> bytes:
        """Return the next chunk, or what there is of it before a damage."""
        data = bytearray()
        damage = self._damage
        try:
            while damage is None and (part := self.file.read1(CHUNK_SIZE - len(data))):
                data += part
        except Exception as error:
            if not is_damage(error, self._compression):
                raise
            if not isinstance(error, EOFError):
                data += self._read_up_to_damage(self.offset + len(data))
            self._damage = damage = error
        if damage is not None and not data:
            path, reason = hide_credentials(self.path), f"{type(damage).__name__}: {damage}"
            raise DamagedFile(f"{self._compression}: cannot read the file {path}: {cut(reason)}")
        return bytes(data)

    def _read_up_to_damage(self, begin: int) -> bytes:
        """Return what can be read from *begin* on: less at once, so that an error loses less."""
        data = bytearray()
        for count in (4096, 1):
            self.close()
            self._open_file(self.path)
            try:
                self.file.seek(begin + len(data))
                while part := self.file.read1(count):
                    data += part
            except Exception as error:
                if not is_damage(error, self._compression):
                    raise
        return bytes(data)

    def _open(self) -> bool:
        """Open the file; return whether it is read from its beginning, and was not before."""
        first = not self._opened_once
        if first and self._resume is not None:
            self._open_at_position(self._resume)
            self._opened_once, self._resume = True, None
            return False
        self._open_file(self.path)
        size, identity = self._status()
        if first and self._from_end:
            self._restart(size)
        elif not first and identity != self.identity and self._has_siblings:
            self.close()
            self._open_at_position(self.snapshot().position_at(self.offset))
            return self.offset == 0
        elif not first and (identity != self.identity or size < self.offset):
            self._restart(0)
        self.identity = identity
        self.file.seek(self.offset)
        self._opened_once = True
        return not first and self.offset == 0

    def _open_file(self, path: str) -> None:
        raw = self._files.open(path, "rb")
        if self._compression is None:
            self.file = raw
        else:
            self._raw, self.file = raw, decompressed(raw, self._compression)

    def _status(self) -> tuple[int, tuple[int, int] | None]:
        """Return size and identity of the open file."""
        if self._compression is not None:
            return self.offset, self.identity
        if not self._files.is_local:
            return self._files.status(self.path).size, None
        status = os.fstat(self.file.fileno())
        return status.st_size, (status.st_dev, status.st_ino)

    def _restart(self, offset: int) -> None:
        self.offset, self._head, self._recent = offset, b"", b""
        self._was_at_end = False
        if offset:
            self.file.seek(0)
            self._head = self.file.read(min(offset, SAMPLE))
            self.file.seek(max(0, offset - self._keep))
            self._recent = self.file.read(min(offset, self._keep))

    def _may_follow(self) -> bool:
        return self._compression is None

    def _replaced(self) -> bool | None:
        """Return True if another file has the path now, False if it was truncated, else None."""
        try:
            status = self._files.status(self.path)
        except FileNotFoundError:  # a new file may follow
            return None if self._next_rotated() is None else True
        if status.identity != self.identity:
            return True
        return False if status.size < self.offset else None

    def _rewind(self, replaced: bool) -> None:
        if replaced:
            following = self._open_following()
            self._read_before.append((self.identity, self._head))
            self.close()
            self.file = following
            self._restart(0)
            self.identity = self._status()[1]
        else:
            self._restart(0)
            self.file.seek(0)

    def _rewind_if_rewritten(self) -> bool:
        """Begin anew if the file was truncated, and has grown beyond the position since."""
        if not (self._was_at_end and self._files.is_local and self._compression is None):
            return False
        count = min(64, len(self._recent))
        found = os.pread(self.file.fileno(), count, self.offset - count)
        if len(found) < count or found == self._recent[-count:]:
            return False
        self._rewind(replaced=False)
        return True

    # --- rotation ----------------------------------------------------------------------------

    @property
    def _has_siblings(self) -> bool:
        return self._files.is_local and self._compression is None

    def _open_following(self) -> Any:
        """Open the file that had the path after the present one."""
        while True:
            newest = self._open_if_found(self.path)  # first: what is renamed from now on is found
            if (rotated := self._next_rotated()) is None:
                return newest or self._files.open(self.path, "rb")
            if newest is not None:
                newest.close()
            if (file := self._open_if_found(rotated.path)) is None:
                continue
            if local_status(os.fstat(file.fileno())).identity == rotated.identity:
                return file
            file.close()  # it was renamed meanwhile

    def _open_if_found(self, path: str) -> Any:
        try:
            return self._files.open(path, "rb")
        except FileNotFoundError:
            return None

    def _next_rotated(self) -> Sibling | None:
        """Return the file that had the path after the present one, if it was renamed too."""
        if not self._has_siblings:
            return None
        siblings = siblings_of(self.path)
        now = os.fstat(self.file.fileno()).st_mtime_ns
        ages = [each.age for each in siblings if each.identity == self.identity]
        age = max(ages, default=(now, -(10**5)))
        others = self.others()
        for each in siblings:
            if each.age <= age or each.path in others or self._has_read(each):
                continue
            if each.is_rotated:
                return each
            if each.age[0] > now and each.path not in self._warned:
                self._warned.add(each.path)
                _log.warning(
                    "%s: the file was replaced, and %s is newer than what was read, but of no "
                    "name that rotation gives: it is not read",
                    self.path,
                    each.path,
                )
        return None

    def _has_read(self, file: Sibling) -> bool:
        """Return whether *file* was read, has the path now, or no longer exists."""
        heads = [head for identity, head in self._read_before if identity == file.identity]
        try:
            if file.identity in (self.identity, self._files.status(self.path).identity):
                return True
        except FileNotFoundError:
            pass
        if not heads:
            return False
        try:
            with self._files.open(file.path, "rb") as other:
                begin = other.read(SAMPLE)
        except OSError:
            return True
        return any(begin.startswith(head) for head in heads)

    # --- resuming ----------------------------------------------------------------------------

    def _open_at_position(self, position: FilePosition) -> None:
        offset = position["offset"]
        for path in self._candidates(position):
            if self._is_at(path, position):
                self._open_file(path)
                break
        else:
            _log.warning(
                "%s: the file is not the one of the position: it is read from its beginning",
                hide_credentials(self.path),
            )
            self._open_file(self.path)
            offset = 0
        self._restart(offset)
        self.identity = self._status()[1]
        self.file.seek(offset)

    def _candidates(self, position: FilePosition) -> list[str]:
        """Return paths of files that may be the one of *position*; that of its identity first."""
        if not self._has_siblings:
            return [self.path]
        siblings = siblings_of(self.path)
        identity = tuple(position["identity"] or ())
        same = [each.path for each in siblings if each.identity == identity]
        return [*same, self.path, *[each.path for each in siblings if each.path not in same]]

    def _is_at(self, path: str, position: FilePosition) -> bool:
        """Return whether the file at *path* has the content that was read up to the position."""
        offset = position["offset"]
        try:
            self._open_file(path)
        except FileNotFoundError:
            return False
        try:
            if self._compression is None and self._files.status(path).size < offset:
                return False
            self._restart(offset)
            found = self.snapshot().position_at(offset)
            return (found["head"], found["tail"]) == (position["head"], position["tail"])
        except Exception as error:
            if is_damage(error, self._compression):
                return False
            raise
        finally:
            self.close()


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


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
