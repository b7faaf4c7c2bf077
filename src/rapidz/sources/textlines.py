"""Incremental decoder of text: lines, or what ends with another delimiter."""

from __future__ import annotations

import codecs
import io
from typing import Any

from rapidz.sources.decoding import (
    TruncatedFrame,
    Undecoded,
    describe_unicode_error,
    undecodable,
)

#: Encodings whose bytes below 128 are ASCII characters, wherever they are.
_ASCII_BYTES = ("utf-8", "ascii", "iso8859", "cp125", "latin")

#: Where `str.splitlines` splits ASCII text, next to the line feed.
_OTHER_BREAKS = "\r\x0b\x0c\x1c\x1d\x1e"


def text_decoder(encoding: str, delimiter: str, max_size: int) -> TextDecoder | AnyTextDecoder:
    """Return the decoder for *encoding*, with offsets where the encoding allows them."""
    name = codecs.lookup(encoding).name
    if name == "utf-8-sig" or name.startswith(_ASCII_BYTES):
        return TextDecoder("utf-8" if name == "utf-8-sig" else encoding, delimiter, max_size, name)
    return AnyTextDecoder(encoding, delimiter, max_size)


class TextDecoder:
    r"""Incremental decoder of text in an encoding whose line feed is one byte.

    Elements include their delimiter.  Line breaks ``\r\n`` and ``\r`` become ``\n``, unless the
    delimiter contains ``\r``.

    >>> decoder = text_decoder("utf-8", "\n", 1000)
    >>> decoder.feed(b"one\r\ntw"), decoder.feed(b"o\nthr"), decoder.finish()
    (['one\n'], ['two\n'], ['thr'])
    """

    def __init__(self, encoding: str, delimiter: str, max_size: int, name: str = "") -> None:
        self.has_failed = False
        self._encoding, self._delimiter, self._max_size = encoding, delimiter, max_size
        self._mark = delimiter.encode(encoding)
        self._by_lines = delimiter == "\n"
        self._translates = "\r" not in delimiter
        self._skips_bom = name == "utf-8-sig"
        self._carry = b""
        self._block: bytes = b""
        """What the last call returned, in bytes."""
        self._start = 0
        """Offset of `_block`."""
        self._count = 0
        """How many elements `_block` has."""
        self._skipping = False
        """Whether the beginning of the incomplete line was too long, and returned."""
        self._dropped = 0
        """Number of bytes of that line that were dropped."""

    @property
    def pending(self) -> int:
        return len(self._carry)

    @property
    def text(self) -> str:
        """The incomplete line, as far as it can be decoded."""
        return self._translated(self._carry.decode(self._encoding, "ignore"))

    def feed(self, data: bytes) -> list[Any]:
        self._advance()
        if self._skips_bom and not self._start and not self._carry:
            cut = len(codecs.BOM_UTF8) * data.startswith(codecs.BOM_UTF8)
            self._start, data = cut, data[cut:]
        if self._carry:
            data = self._carry + data
        end = self._end_of_lines(data)
        block, self._carry = data[:end], data[end:]
        return self._skip_rest(block) + self._limit()

    def finish(self) -> list[Any]:
        self._advance()
        block, self._carry = self._carry, b""
        if self._skipping:
            self._start += self._dropped + len(block)
            self._skipping, self._dropped, block = False, 0, b""
        self._block = block
        found = self._decode(block)
        self._count = len(found)
        return found

    def offset_after(self, n: int) -> int:
        if n == 0:
            return self._start
        if n == self._count:
            return self._start + len(self._block)
        pieces = self._pieces(self._block)
        return self._start + sum(map(len, pieces[:n]))

    def _advance(self) -> None:
        self._start += len(self._block)
        self._block, self.has_failed = b"", False

    def _end_of_lines(self, data: bytes) -> int:
        end = data.rfind(self._mark)
        end = end + len(self._mark) if end >= 0 else 0
        if self._by_lines and (last := data.rfind(b"\r", end, len(data) - 1)) >= 0:
            return last + 1  # a carriage return at the very end may be half of a line break
        return end

    def _skip_rest(self, block: bytes) -> list[Any]:
        """Decode *block*, without the rest of a line that was too long."""
        if block and self._skipping:
            self._skipping = False
            cut = len(self._pieces(block)[0])
            self._start, block = self._start + self._dropped + cut, block[cut:]
            self._dropped = 0
        self._block = block
        found = self._decode(block)
        self._count = len(found)
        return found

    def _limit(self) -> list[Any]:
        """Return the beginning of an incomplete line that is too long, and drop it."""
        if len(self._carry) <= self._max_size:
            return []
        carry, self._carry = self._carry, b""
        found = [] if self._skipping else [self._undecoded(carry)]
        self._skipping = True
        self._dropped += len(carry)
        return found

    def _pieces(self, block: bytes) -> list[bytes]:
        """Return *block* in pieces, each of which is one element."""
        if self._by_lines:
            return block.splitlines(keepends=True)
        *pieces, rest = block.split(self._mark)
        return [piece + self._mark for piece in pieces] + ([rest] if rest else [])

    def _decode(self, block: bytes) -> list[Any]:
        if not block:
            return []
        try:
            text = block.decode(self._encoding)
        except UnicodeDecodeError:
            return [self._decode_one(piece) for piece in self._pieces(block)]
        if len(block) > self._max_size and max(map(len, self._pieces(block))) > self._max_size:
            return [self._decode_one(piece) for piece in self._pieces(block)]
        if self._by_lines:
            if text.isascii() and not any(map(text.__contains__, _OTHER_BREAKS)):
                return text.splitlines(keepends=True)
            return io.StringIO(text, newline=None if "\r" in text else "\n").readlines()
        *lines, rest = self._translated(text).split(self._delimiter)
        delimiter = self._delimiter
        return [line + delimiter for line in lines] + ([rest] if rest else [])

    def _decode_one(self, piece: bytes) -> Any:
        if len(piece) > self._max_size + len(self._mark):
            return self._undecoded(piece)
        try:
            return self._translated(piece.decode(self._encoding))
        except UnicodeDecodeError as error:
            self.has_failed = True
            raw = piece.removesuffix(self._mark)
            return Undecoded(raw, undecodable("text", describe_unicode_error(error), raw))

    def _translated(self, text: str) -> str:
        if self._translates and "\r" in text:
            return text.replace("\r\n", "\n").replace("\r", "\n")
        return text

    def _undecoded(self, piece: bytes) -> Undecoded:
        self.has_failed = True
        frame = TruncatedFrame.of(piece.removesuffix(self._mark), self._max_size)
        return Undecoded(frame, undecodable("text", "the line is longer than max_size", frame))


class AnyTextDecoder:
    """Incremental decoder of text in any encoding, or of text and bytes that were read as such.

    Has no offsets.
    """

    has_offsets = False

    def __init__(self, encoding: str, delimiter: str, max_size: int) -> None:
        self.has_failed = False
        self.text: Any = ""
        """The incomplete line."""
        self._delimiter, self._max_size = delimiter, max_size
        self._decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder(encoding)(), translate="\r" not in delimiter
        )
        self._skipping = False

    @property
    def pending(self) -> int:
        return len(self.text)

    def feed(self, data: Any) -> list[Any]:
        self.has_failed = False
        try:
            return self.add(self._decoder.decode(data))
        except UnicodeDecodeError as error:
            self._decoder.reset()
            self.has_failed = True
            return [Undecoded(data, undecodable("text", describe_unicode_error(error), data))]

    def add(self, text: Any) -> list[Any]:
        """Add text, or bytes, that need no decoding."""
        self.has_failed = False
        delimiter: Any = self._delimiter.encode() if isinstance(text, bytes) else self._delimiter
        *lines, self.text = ((self.text or text[:0]) + text).split(delimiter)
        lines = [line + delimiter for line in lines]
        if lines and self._skipping:
            self._skipping = False
            del lines[0]
        if len(self.text) > self._max_size:
            rest, self.text = self.text, text[:0]
            if not self._skipping:
                self.has_failed = self._skipping = True
                reason = "the line is longer than max_size"
                rest = rest[: self._max_size]
                lines.append(Undecoded(rest, undecodable("text", reason, rest)))
        return lines

    def finish(self) -> list[Any]:
        self.has_failed = False
        rest, self.text = self.text, self.text[:0]
        skipping, self._skipping = self._skipping, False
        self._decoder.reset()
        return [rest] if rest and not skipping else []

    def offset_after(self, n: int) -> int:
        raise io.UnsupportedOperation("text in this encoding has no offsets")
