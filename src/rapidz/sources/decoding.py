"""Incremental decoders: what a source of bytes expects of them, and the error they report."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from rapidz.kernel.protocol.short_repr import cut


class DecodeError(ValueError):
    """Bytes that cannot be decoded.

    The message has the codec, the reason and the number of bytes, and no part of the bytes: these
    are the ``element`` of the `Failure` that a policy sends on.
    """


class DamagedFile(DecodeError):
    """Compressed file that cannot be read on; the message has its path."""


class TruncatedFrame(bytes):
    """The first bytes of a frame that was longer than the limit; no codec decodes it.

    >>> frame = TruncatedFrame.of(b"longer than five", 5)
    >>> frame, frame.size
    (b'longe', 16)
    """

    size: int = 0
    """How many bytes of the frame had arrived."""

    @classmethod
    def of(cls, frame: bytes, limit: int) -> TruncatedFrame:
        """Return the first *limit* bytes of *frame*."""
        truncated = cls(frame[:limit])
        truncated.size = len(frame)
        return truncated


class Undecoded(NamedTuple):
    """What a stream decoder returns in place of an element that it cannot decode."""

    raw: Any
    """The bytes of the frame, a `TruncatedFrame` if it was too long."""
    error: DecodeError


class StreamDecoder(Protocol):
    """Incremental decoder of a stream of bytes; buffers at most one incomplete frame.

    Elements are returned in the order of the stream, an `Undecoded` in place of each one that
    cannot be decoded.  A decoder never raises for what it is fed.
    """

    has_failed: bool
    """Whether the last call returned an `Undecoded`."""

    def feed(self, data: Any) -> list[Any]:
        """Add *data*, and return the elements that are complete."""
        ...

    def finish(self) -> list[Any]:
        """Return the element of an incomplete last frame, if any; the next `feed` begins anew."""
        ...

    def offset_after(self, n: int) -> int:
        """Return how many bytes there are, from the first `feed` on, up to the end of element *n*.

        Elements are counted from 1, in what the last call returned; 0 is the end of what earlier
        calls returned.
        """
        ...

    @property
    def pending(self) -> int:
        """Number of bytes that are buffered."""
        ...


def copy_of(decoder: Any) -> Any:
    """Return a decoder with the present offsets of *decoder*."""
    other = object.__new__(type(decoder))
    vars(other).update(vars(decoder))
    if (framer := vars(decoder).get("_framer")) is not None:
        other._framer = copy_of(framer)
    return other


def undecodable(codec: str, reason: object, data: object) -> DecodeError:
    """Return the error for *data* that *codec* cannot decode.

    >>> undecodable("json", "trailing characters", b"1 2")
    DecodeError('json: cannot decode 3 bytes: trailing characters')
    """
    return DecodeError(f"{codec}: cannot decode {_size(data)}: {cut(str(reason))}")


def describe_unicode_error(error: UnicodeError) -> str:
    r"""Return the reason of *error*; its own message repeats a part of the data.

    >>> try:
    ...     b"caf\xe9".decode()
    ... except UnicodeDecodeError as error:
    ...     describe_unicode_error(error)
    'no utf-8 at byte 3: unexpected end of data'
    """
    if isinstance(error, UnicodeDecodeError):
        return f"no {error.encoding} at byte {error.start}: {error.reason}"
    if isinstance(error, UnicodeEncodeError):
        return f"no {error.encoding} for the character at {error.start}: {error.reason}"
    return "no text of this encoding"


def _size(data: object) -> str:
    try:
        count = len(data)  # type: ignore[arg-type]
    except TypeError:
        return type(data).__name__
    kind = "character" if isinstance(data, str) else "byte"
    return f"{count} {kind}{'' if count == 1 else 's'}"
