"""Exceptions of codecs; they contain no part of the data, which may be secret."""

from __future__ import annotations

from rapidz.kernel.protocol.short_repr import cut
from rapidz.sources.decoding import DecodeError, describe_unicode_error, undecodable

__all__ = ["DecodeError", "EncodeError", "describe_unicode_error", "undecodable", "unencodable"]


class EncodeError(ValueError):
    """Object that a codec cannot encode; the message has its type and the reason."""


def unencodable(codec: str, reason: object, x: object) -> EncodeError:
    """Return the error for an object that *codec* cannot encode.

    >>> unencodable("text", "must be a str", 3)
    EncodeError('text: cannot encode int: must be a str')
    """
    return EncodeError(f"{codec}: cannot encode {type(x).__name__}: {cut(str(reason))}")
