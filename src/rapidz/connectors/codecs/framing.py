"""Framing: split a stream of bytes into frames, incrementally and within a limit of memory."""

from __future__ import annotations

from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.decoding import TruncatedFrame

#: Bytes of a frame at most, unless another limit is given.
MAX_SIZE = 1 << 20


class LineFramer:
    r"""Incremental splitter at a delimiter; a final frame needs none.

    Buffers at most *max_size* bytes.  A frame that is longer is returned as a `TruncatedFrame` of
    its first *max_size* bytes, as soon as the limit is exceeded; the rest is dropped up to the next
    delimiter, and the frames that follow are complete.

    Parameters
    ----------
    delimiter : bytes
        End of a frame; not empty.
    max_size : int
        Bytes of a frame at most, without its delimiter.

    >>> framer = LineFramer(max_size=5)
    >>> framer.feed(b"one\ntw"), framer.feed(b"o\nlonger than five\nthree\nfo")
    ([b'one'], [b'two', b'longe', b'three'])
    >>> framer.finish()
    [b'fo']
    """

    def __init__(self, delimiter: bytes = b"\n", max_size: int = MAX_SIZE) -> None:
        if not isinstance(delimiter, bytes) or not delimiter:  # type: ignore[redundant-expr]
            raise ValueError(
                f"framing: delimiter must be bytes, and not empty, got {short_repr(delimiter)}"
            )
        check_count("framing", "max_size", max_size)
        self.delimiter, self.max_size = delimiter, max_size
        self._parts: list[bytes] = []
        self._size = 0
        self._skipping = False
        self._total = 0
        self.start = 0
        """Offset of the beginning of the incomplete frame, in bytes from the first `feed` on."""

    @property
    def is_skipping(self) -> bool:
        """Whether the incomplete frame is too long, and was returned already."""
        return self._skipping

    @property
    def pending(self) -> int:
        """Number of bytes of the incomplete frame that are buffered."""
        return self._size

    def feed(self, data: bytes) -> list[bytes]:
        """Add *data*, and return the frames that are complete."""
        self._total += len(data)
        if self.delimiter not in self._tail() + data:
            self._keep(data)
            return self._overflow()
        if self._size:
            data = self._take() + data
        *frames, rest = data.split(self.delimiter)
        if self._skipping:
            self._skipping = False
            del frames[0]
        if max(map(len, frames), default=0) > self.max_size:
            frames = [self._limited(frame) for frame in frames]
        self._keep(rest)
        self.start = self._total - len(rest)
        return frames + self._overflow()

    def feed_block(self, data: bytes) -> bytes | None:
        """Add *data*, and return the complete frames in one piece, with their delimiters.

        Returns None, and adds nothing, where a frame may exceed the limit: call `feed` then.
        """
        if self._skipping or len(self.delimiter) > 1 or self._size + len(data) > self.max_size:
            return None
        self._total += len(data)
        end = data.rfind(self.delimiter) + 1
        if not end:
            self._keep(data)
            return b""
        block = self._take() + data[:end] if self._size else data[:end]
        self._keep(data[end:])
        self.start = self._total - self._size
        return block

    def finish(self) -> list[bytes]:
        """Return the incomplete frame, if any, and start again."""
        rest = self._take()
        skipping, self._skipping = self._skipping, False
        self.start = self._total
        return [] if skipping or not rest else [rest]

    def _tail(self) -> bytes:
        """Return as many buffered bytes as may belong to a delimiter."""
        count = len(self.delimiter) - 1
        return b"".join(self._parts[-count:])[-count:] if count else b""

    def _keep(self, data: bytes) -> None:
        if data:
            self._parts.append(data)
            self._size += len(data)

    def _take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return data

    def _overflow(self) -> list[bytes]:
        """Return the incomplete frame if it is too long; skip its rest."""
        if self._skipping:
            self._keep_tail()
            return []
        if self._size <= self.max_size + len(self.delimiter) - 1:
            return []
        frame = self._limited(b"".join(self._parts))
        self._skipping = True
        self._keep_tail()
        return [frame]

    def _keep_tail(self) -> None:
        tail = self._tail()
        self._take()
        self._keep(tail)

    def _limited(self, frame: bytes) -> bytes:
        return frame if len(frame) <= self.max_size else TruncatedFrame.of(frame, self.max_size)
