"""Codecs and formats: how elements are bytes, in messages and in streams of bytes.

A `Codec` encodes one element as one message.  A `Format` contains many elements in a stream of
bytes: a file, a TCP connection, the body of a request.  No codec runs pickle.
"""

from __future__ import annotations

from typing import Any

from rapidz.connectors.codecs.base import RAW, TEXT, Codec, pair_codec
from rapidz.connectors.codecs.csv_format import CsvFormat
from rapidz.connectors.codecs.errors import DecodeError, EncodeError
from rapidz.connectors.codecs.formats import (
    Format,
    LineFormat,
    StreamEncoder,
    format_codec,
)
from rapidz.connectors.codecs.framing import MAX_SIZE, LineFramer
from rapidz.connectors.codecs.json_codec import json_codec
from rapidz.connectors.codecs.msgpack_codec import msgpack_codec
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.decoding import StreamDecoder, TruncatedFrame, Undecoded

__all__ = [
    "MAX_SIZE",
    "Codec",
    "CsvFormat",
    "DecodeError",
    "EncodeError",
    "Format",
    "LineFormat",
    "LineFramer",
    "StreamDecoder",
    "StreamEncoder",
    "TruncatedFrame",
    "Undecoded",
    "read_codec",
    "read_format",
]

_NAMES = ("raw", "text", "json", "msgpack", "jsonlines", "csv")


def read_codec(operator: str, codec: Any, type: Any = None) -> Codec[Any]:
    """Return the codec of messages that the argument *codec* of an operator means.

    Parameters
    ----------
    operator : str
        For messages.
    codec : str, Codec, Format or pair of functions
        ``"raw"``, ``"text"``, ``"json"`` or ``"msgpack"``: a message is one element;
        ``"jsonlines"``, ``"csv"`` or a `Format`: a message is a list of elements;
        or ``(encode, decode)``.
    type : dataclass, Struct or type, optional
        Of the elements, for the codecs that are named, except ``"raw"`` and ``"text"``.

    >>> codec = read_codec("from_kafka", "json")
    >>> codec.decode(b'{"a": 1}')
    {'a': 1}
    >>> codec.decode(b'{"a": secret}')
    Traceback (most recent call last):
    ...
    rapidz.sources.decoding.DecodeError: json: cannot decode 13 bytes: ...
    """
    if isinstance(codec, str):
        return _named(operator, codec, type)
    if type is not None:
        raise _untyped(operator, codec)
    if isinstance(codec, Codec):
        return codec
    if isinstance(codec, tuple) and len(codec) == 2 and all(map(callable, codec)):
        return pair_codec(*codec)
    if hasattr(codec, "decoder") and hasattr(codec, "encoder"):
        form: Any = codec
        return format_codec(form)
    raise TypeError(_rule(operator, codec))


def read_format(
    operator: str,
    codec: Any,
    type: Any = None,
    *,
    delimiter: bytes = b"\n",
    max_size: int = MAX_SIZE,
) -> Format:
    r"""Return the format of a stream of bytes that the argument *codec* of an operator means.

    ``"csv"`` is a `CsvFormat`; every other codec is that of one frame, which ends with *delimiter*.
    ``"json"`` and ``"jsonlines"`` skip blank frames.

    >>> form = read_format("from_tcp", "json", max_size=100)
    >>> form.decoder().feed(b'{"a": 1}\n\nnull\n{')
    [{'a': 1}, None]
    """
    if codec == "csv":
        return CsvFormat(type=type, max_size=max_size, operator=operator)
    if hasattr(codec, "decoder"):
        if type is not None:
            raise _untyped(operator, codec)
        found: Format = codec
        return found
    one = read_codec(operator, "json" if codec == "jsonlines" else codec, type)
    return LineFormat(one, delimiter, max_size, skip_blank=codec in ("json", "jsonlines"))


def _named(operator: str, codec: str, type: Any) -> Codec[Any]:
    if codec == "json":
        return json_codec(_checked_type(operator, type))
    if codec == "msgpack":
        return msgpack_codec(operator, type)
    if codec in ("jsonlines", "csv"):
        return format_codec(read_format(operator, codec, type))
    if codec not in _NAMES:
        raise ValueError(_rule(operator, codec))
    if type is not None:
        raise _untyped(operator, codec)
    return RAW if codec == "raw" else TEXT


def _checked_type(operator: str, type: Any) -> Any:
    try:
        json_codec(type)
    except TypeError as error:
        raise TypeError(f"{operator}: type must be one that can be decoded: {error}") from None
    return type


def _untyped(operator: str, codec: object) -> TypeError:
    return TypeError(
        f"{operator}: type must be None for this codec, which makes elements itself: "
        f"{short_repr(codec)}"
    )


def _rule(operator: str, codec: object) -> str:
    names = ", ".join(map(repr, _NAMES))
    rule = f"{operator}: codec must be {names}, a Codec, a Format or (encode, decode)"
    return f"{rule}, got {short_repr(codec)}"
