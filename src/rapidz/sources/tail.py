"""Reading on in a file that others write to. All of this blocks: it is for threads."""

from __future__ import annotations

import codecs
import io
import os
from typing import Any, NamedTuple

#: At most so many bytes, or characters, are read at once.
CHUNK = 1 << 16


class Piece(NamedTuple):
    """What was read at once."""

    text: Any
    anew: bool
    """Whether a file begins here, instead of going on."""
    at_end: bool
    """Whether this was all there was."""


class Tail:
    """Reads what is appended to the file at *path*, also when that is cut off or replaced."""

    def __init__(self, path: str, encoding: str, from_end: bool) -> None:
        self.file: Any = None
        self._path = path
        self._from_end = from_end
        self._place: tuple[int, int] | None = None
        """Device and inode of the file that was read last, and how far."""
        self._position = 0
        decoder = codecs.getincrementaldecoder(encoding)()
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def read(self) -> Piece:
        """What has come since."""
        anew = self._open() if self.file is None else False
        data = self._more()
        if not data and (replaced := self._replaced()) is not None:
            data = self._more()
            if not data:  # else it was written to until the last moment: first that
                self._begin(replaced)
                anew = True
                data = self._more()
        self._position += len(data)
        return Piece(self._decoder.decode(data), anew, len(data) < CHUNK)

    def _more(self) -> bytes:
        data: bytes = self.file.read(CHUNK)
        return data

    def close(self) -> None:
        """Close the file; the next `read` goes on from here."""
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
        """Whether another file is in the place of this one (True) or it was cut off (False)."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None  # for now, perhaps: the next one will come
        if (status.st_dev, status.st_ino) != self._place:
            return True
        return False if status.st_size < self._position else None

    def _begin(self, replaced: bool) -> None:
        if replaced:
            self.close()
            self._open()
        else:
            self._position = 0
            self._decoder.reset()
            self.file.seek(0)


class Given:
    """Reads what is appended to a file that is open already, also when that is cut off."""

    def __init__(self, file: Any, from_end: bool) -> None:
        self.file = file
        self._to_end = from_end

    def read(self) -> Piece:
        """What has come since."""
        if self._to_end:
            self._to_end = False
            self.file.seek(0, io.SEEK_END)
        anew, data = False, self.file.read(CHUNK)
        if not data and self._cut_off():
            self.file.seek(0)
            anew, data = True, self.file.read(CHUNK)
        return Piece(data, anew, len(data) < CHUNK)

    def close(self) -> None:
        """Leave the file to whom it belongs."""

    def _cut_off(self) -> bool:
        try:
            position: int = getattr(self.file, "buffer", self.file).tell()
            return os.fstat(self.file.fileno()).st_size < position
        except (AttributeError, OSError, ValueError):
            return False  # nothing on a disk
