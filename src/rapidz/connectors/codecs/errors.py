"""Exceptions of codecs and framing; they contain no part of the data, which may be secret."""

from __future__ import annotations

from rapidz.kernel.protocol.short_repr import cut


class DecodeError(ValueError):
    """Bytes that a codec cannot decode.

    The message has the codec, the reason and the number of bytes, and no part of the bytes: these
    are the ``element`` of the `Failure` that a policy sends on.
    """


class EncodeError(ValueError):
    """Object that a codec cannot encode; the message has its type and the reason."""


def undecodable(codec: str, reason: object, data: object) -> DecodeError:
    """Return the error for *data* that *codec* cannot decode.

    >>> undecodable("json", "trailing characters", b"1 2")
    DecodeError('json: cannot decode 3 bytes: trailing characters')
    """
    return DecodeError(f"{codec}: cannot decode {_size(data)}: {cut(str(reason))}")


def unencodable(codec: str, reason: object, x: object) -> EncodeError:
    """Return the error for an object that *codec* cannot encode.

    >>> unencodable("text", "must be a str", 3)
    EncodeError('text: cannot encode int: must be a str')
    """
    return EncodeError(f"{codec}: cannot encode {type(x).__name__}: {cut(str(reason))}")


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
