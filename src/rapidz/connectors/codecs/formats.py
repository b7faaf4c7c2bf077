"""Format: how a stream of bytes contains elements; framing and a codec in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rapidz.connectors.codecs.base import Codec, refuse_truncated
from rapidz.connectors.codecs.errors import DecodeError, undecodable
from rapidz.connectors.codecs.framing import MAX_SIZE, LineFramer
from rapidz.sources.decoding import StreamDecoder, TruncatedFrame, Undecoded


class StreamEncoder(Protocol):
    """Encoder of the elements of one stream of bytes."""

    def begin(self, first: Any) -> bytes:
        """Return what the stream begins with; *first* is its first element, not encoded here."""
        ...

    def encode(self, x: Any) -> bytes:
        """Return one element as bytes; raises `EncodeError`."""
        ...

    def encode_all(self, elements: Sequence[Any]) -> bytes:
        """Return elements as bytes; raises any exception if one cannot be encoded."""
        ...


class Format(Protocol):
    """Format of a stream of bytes: a file, a body, a connection."""

    name: str

    def decoder(self) -> StreamDecoder:
        """Return a decoder for one stream."""
        ...

    def encoder(self) -> StreamEncoder:
        """Return an encoder for one stream."""
        ...


class LineFormat:
    r"""Format of frames with a delimiter, each of which is one message of a codec.

    Parameters
    ----------
    codec : Codec
        Of one frame, without its delimiter.
    delimiter : bytes
        End of a frame.
    max_size : int
        Bytes of a frame at most; a longer one is `Undecoded`.
    skip_blank : bool
        Whether frames of white space only are no elements.

    >>> from rapidz.connectors.codecs import read_codec
    >>> decoder = LineFormat(read_codec("example", "json")).decoder()
    >>> decoder.feed(b"[1]\n[2")
    [[1]]
    >>> decoder.feed(b"]\n")
    [[2]]
    """

    def __init__(
        self,
        codec: Codec[Any],
        delimiter: bytes = b"\n",
        max_size: int = MAX_SIZE,
        skip_blank: bool = False,
    ) -> None:
        LineFramer(delimiter, max_size)
        self.name = codec.name
        self.codec, self.delimiter = codec, delimiter
        self.max_size, self.skip_blank = max_size, skip_blank

    def decoder(self) -> StreamDecoder:
        return LineDecoder(self)

    def encoder(self) -> StreamEncoder:
        return LineEncoder(self)


class LineDecoder:
    """Incremental decoder of a `LineFormat`."""

    def __init__(self, lines: LineFormat) -> None:
        self.has_failed = False
        self._lines = lines
        self._framer = LineFramer(lines.delimiter, lines.max_size)
        fast = lines.delimiter == b"\n" and lines.skip_blank
        self._decode_lines = lines.codec.decode_lines if fast else None
        self._frames: list[bytes] | None = []
        """Frames of the last `feed`; None: those of `_block`."""
        self._block = b""
        self._start = self._count = 0

    @property
    def pending(self) -> int:
        return self._framer.pending

    def feed(self, data: bytes) -> list[Any]:
        self._start, self.has_failed = self._framer.start, False
        block = self._framer.feed_block(data)
        if block is None:
            self._frames = self._framer.feed(data)
        else:
            self._block, self._frames = block, None
            if self._decode_lines is not None:
                try:
                    found = self._decode_lines(block)
                    self._count = len(found)
                    return found
                except DecodeError:
                    pass  # one by one
        return self._decode(self._whole_frames())

    def finish(self) -> list[Any]:
        self._start, self.has_failed = self._framer.start, False
        self._frames = self._framer.finish()
        return self._decode(self._whole_frames())

    def offset_after(self, n: int) -> int:
        if n == 0:
            return self._start
        if n == self._count and self._frames is None:
            return self._framer.start
        end, width = self._framer.start, len(self._lines.delimiter)
        frames = list(self._all_frames())
        if self._framer.is_skipping and frames and isinstance(frames[-1], TruncatedFrame):
            frames.pop()  # reported, but not consumed yet
        for frame in reversed(frames[self._index(frames, n) :]):
            end -= width + getattr(frame, "size", len(frame))
        return end

    def _index(self, frames: list[bytes], n: int) -> int:
        """Return the number of frames that contain *n* elements."""
        if not self._lines.skip_blank:
            return n
        kept = [i for i, frame in enumerate(frames, 1) if frame.strip()]
        return kept[n - 1] if n < len(kept) else len(frames)

    def _all_frames(self) -> list[bytes]:
        if self._frames is not None:
            return self._frames
        *frames, _ = self._block.split(self._lines.delimiter)
        return frames

    def _whole_frames(self) -> list[bytes]:
        frames = self._all_frames()
        return [frame for frame in frames if frame.strip()] if self._lines.skip_blank else frames

    def _decode(self, frames: list[bytes]) -> list[Any]:
        decode = self._lines.codec.decode
        found: list[Any] = []
        for frame in frames:
            try:
                found.append(decode(frame))
            except DecodeError as error:
                self.has_failed = True
                found.append(Undecoded(frame, error))
        self._count = len(found)
        return found


class LineEncoder:
    """Encoder of a `LineFormat`."""

    def __init__(self, lines: LineFormat) -> None:
        self._encode, self._delimiter = lines.codec.encode, lines.delimiter
        self._encode_lines = lines.codec.encode_lines if lines.delimiter == b"\n" else None

    def begin(self, first: Any) -> bytes:
        return b""

    def encode(self, x: Any) -> bytes:
        return self._encode(x) + self._delimiter

    def encode_all(self, elements: Sequence[Any]) -> bytes:
        if self._encode_lines is not None:
            try:
                return self._encode_lines(elements)
            except Exception:
                pass  # one by one: the codec can do more than msgspec
        encode, delimiter = self._encode, self._delimiter
        return b"".join([encode(x) + delimiter for x in elements])


def format_codec(form: Format) -> Codec[Any]:
    r"""Return the codec of messages, each of which is a whole stream: a list of elements.

    >>> from rapidz.connectors.codecs import read_codec
    >>> codec = read_codec("example", "jsonlines")
    >>> codec.encode([{"a": 1}, {"a": 2}])
    b'{"a":1}\n{"a":2}\n'
    >>> codec.decode(b'{"a": 1}\n\n{"a": 2}')
    [{'a': 1}, {'a': 2}]
    """

    def encode(elements: Any) -> bytes:
        encoder = form.encoder()
        listed = list(elements)
        if not listed:
            return b""
        data = encoder.encode_all(listed)
        return encoder.begin(listed[0]) + data

    def decode(data: bytes) -> list[Any]:
        decoder = form.decoder()
        found = decoder.feed(bytes(data))
        found += decoder.finish()
        for i, x in enumerate(found, 1):
            if type(x) is Undecoded:
                raise undecodable(form.name, f"element {i}: {x.error}", data)
        return found

    return Codec(form.name, encode, refuse_truncated(form.name, decode))
