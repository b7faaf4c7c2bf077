"""JSON codec: msgspec where it is installed, else the standard library, with the same results."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rapidz.connectors.codecs import stdlib_json
from rapidz.connectors.codecs.base import Codec, check_whole, refuse_truncated
from rapidz.connectors.codecs.errors import (
    DecodeError,
    describe_unicode_error,
    undecodable,
    unencodable,
)
from rapidz.connectors.codecs.typed import Mismatch, converter
from rapidz.sources.decoding import TruncatedFrame

#: Messages of msgspec that quote a part of the data.
_QUOTED_VALUE = re.compile(r"(Invalid enum value) .*?(?= - at|$)", re.DOTALL)


def json_codec(type: Any = None) -> Codec[Any]:
    """Return the JSON codec, for elements of *type* if given.

    >>> codec = json_codec()
    >>> codec.encode({"a": [1, None]})
    b'{"a":[1,null]}'
    >>> codec.decode(b'{"a": [1, null]}')
    {'a': [1, None]}
    """
    try:
        import msgspec
    except ImportError:
        return stdlib_codec(type)
    return msgspec_codec(msgspec, type)


def msgspec_codec(msgspec: Any, type: Any = None) -> Codec[Any]:
    """Return the codec by msgspec."""
    decoder = msgspec.json.Decoder(Any if type is None else type)
    encoder = msgspec.json.Encoder()
    return Codec(
        "json",
        _encode_by(encoder.encode),
        decode_by("json", decoder.decode, msgspec.MsgspecError),
        decode_by("json", decoder.decode_lines, msgspec.MsgspecError),
        encoder.encode_lines,
    )


def stdlib_codec(type: Any = None) -> Codec[Any]:
    """Return the codec by the standard library."""
    if type is None:
        return Codec("json", stdlib_json.encode, refuse_truncated("json", stdlib_json.decode))
    convert = converter(type)

    def decode(data: bytes) -> Any:
        try:
            return convert(stdlib_json.decode(data))
        except DecodeError:
            raise
        except Mismatch as error:
            raise undecodable("json", error, data) from None
        except (TypeError, ValueError) as error:  # of `__post_init__`
            raise undecodable("json", error, data) from None

    return Codec("json", stdlib_json.encode, refuse_truncated("json", decode))


def decode_by(name: str, decode: Callable[[bytes], Any], failures: Any) -> Callable[[bytes], Any]:
    """Return *decode*, which raises *failures*, with the errors of codec *name*."""

    def decode_or_raise(data: bytes) -> Any:
        if type(data) is TruncatedFrame:
            check_whole(name, data)
        try:
            return decode(data)
        except UnicodeError as error:
            raise undecodable(name, describe_unicode_error(error), data) from None
        except RecursionError:
            raise undecodable(name, "nested too deeply", data) from None
        except (failures, TypeError, ValueError, OverflowError, MemoryError) as error:
            raise undecodable(name, _QUOTED_VALUE.sub("\\1", str(error)), data) from None

    return decode_or_raise


def _encode_by(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def encode_or_raise(x: Any) -> bytes:
        try:
            return encode(x)
        except (TypeError, ValueError, OverflowError):
            return stdlib_json.encode(x)  # keys that are bool or None, subclasses of int and str
        except RecursionError:
            raise unencodable("json", "nested too deeply, or in itself", x) from None

    return encode_or_raise
