"""MessagePack codec, by msgspec."""

from __future__ import annotations

from typing import Any

from rapidz.connectors.codecs.base import Codec
from rapidz.connectors.codecs.errors import unencodable
from rapidz.connectors.codecs.json_codec import decode_by


def msgpack_codec(operator: str, type: Any = None) -> Codec[Any]:
    """Return the MessagePack codec, for elements of *type* if given.

    Raises ImportError where msgspec is not installed.

    >>> codec = msgpack_codec("to_nats")
    >>> codec.decode(codec.encode({"a": [1, b"x"]}))
    {'a': [1, b'x']}
    """
    try:
        import msgspec
    except ImportError:
        raise ImportError(
            f"{operator}: codec 'msgpack' needs msgspec: pip install msgspec"
        ) from None
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(Any if type is None else type).decode

    def encode_or_raise(x: Any) -> bytes:
        try:
            return encode(x)
        except RecursionError:
            raise unencodable("msgpack", "nested too deeply, or in itself", x) from None
        except (TypeError, ValueError, OverflowError) as error:
            raise unencodable("msgpack", error, x) from None

    return Codec("msgpack", encode_or_raise, decode_by("msgpack", decode, msgspec.MsgspecError))
