"""Codec: the pair of functions that turns elements into messages, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from rapidz.connectors.codecs.errors import DecodeError, undecodable, unencodable
from rapidz.sources.decoding import TruncatedFrame as TruncatedFrame

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """Message codec: one element is one message, that is a string of bytes.

    Attributes
    ----------
    name : str
        For messages and `repr`.
    encode : callable
        Return the message of an element; raises `EncodeError`.
    decode : callable
        Return the element of a message; raises `DecodeError`, which has no part of the message.
    decode_lines : callable, optional
        Return the elements of many messages, each of which ends with a line feed; faster than one
        by one.
    encode_lines : callable, optional
        Return the messages of many elements, each of which ends with a line feed.
    """

    name: str
    encode: Callable[[T], bytes] = field(repr=False)
    decode: Callable[[bytes], T] = field(repr=False)
    decode_lines: Callable[[bytes], list[T]] | None = field(default=None, repr=False)
    encode_lines: Callable[[Sequence[T]], bytes] | None = field(default=None, repr=False)


def check_whole(name: str, data: bytes) -> None:
    """Raise the `DecodeError` of a `TruncatedFrame`."""
    if type(data) is TruncatedFrame:
        raise undecodable(name, "the frame is longer than max_size", data)


def refuse_truncated(name: str, decode: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Return *decode*, which refuses a `TruncatedFrame`.

    >>> refuse_truncated("raw", bytes)(TruncatedFrame(b"x" * 20))
    Traceback (most recent call last):
    ...
    rapidz.sources.decoding.DecodeError: raw: cannot decode 20 bytes: the frame is longer \
than max_size
    """

    def decode_whole(data: bytes) -> T:
        check_whole(name, data)
        return decode(data)

    return decode_whole


def pair_codec(encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> Codec[Any]:
    """Return the codec of two functions; what *decode* raises is the cause of a `DecodeError`.

    >>> codec = pair_codec(lambda x: str(x).encode(), int)
    >>> codec.encode(5), codec.decode(b"5")
    (b'5', 5)
    """
    name = getattr(decode, "__qualname__", type(decode).__name__)

    def decode_or_raise(data: bytes) -> Any:
        check_whole(name, data)
        try:
            return decode(data)
        except DecodeError:
            raise
        except Exception as error:
            raise undecodable(name, type(error).__name__, data) from error

    return Codec("functions", encode, decode_or_raise)


def _as_bytes(x: Any) -> bytes:
    if type(x) is bytes:
        return x
    if isinstance(x, (bytes, bytearray, memoryview)):
        return bytes(x)
    if isinstance(x, str):
        return x.encode()
    raise unencodable("raw", "must be bytes or str", x)


def _encode_text(x: Any) -> bytes:
    if not isinstance(x, str):
        raise unencodable("text", "must be a str", x)
    try:
        return x.encode()
    except UnicodeEncodeError:
        raise unencodable("text", "a surrogate has no UTF-8", x) from None


def _decode_text(data: bytes) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise undecodable("text", f"no UTF-8 at byte {error.start}", data) from None


#: Bytes as they are; a str is written in UTF-8.
RAW: Codec[bytes] = Codec("raw", _as_bytes, refuse_truncated("raw", lambda data: data))
#: UTF-8.
TEXT: Codec[str] = Codec("text", _encode_text, refuse_truncated("text", _decode_text))
