"""JSON by the standard library, with the results that msgspec gives.

`rapidz.connectors.codecs.json_codec` uses it where msgspec is not installed, and for the few
objects that msgspec refuses: subclasses of int and str, keys that are bool or None.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import math
import re
import uuid
from typing import Any

from rapidz.connectors.codecs.errors import describe_unicode_error, undecodable, unencodable

#: Numbers that may exceed a float: a large exponent, or hundreds of digits.
_LARGE_NUMBER = re.compile(r"[0-9][eE]\+?0*[0-9]{3}|[0-9]{300}")


def encode(x: Any) -> bytes:
    """Return *x* as JSON in UTF-8."""
    try:
        return _write(to_plain(x)).encode()
    except UnicodeEncodeError as error:
        raise unencodable("json", describe_unicode_error(error), x) from None
    except RecursionError:
        raise unencodable("json", "nested too deeply, or in itself", x) from None
    except (TypeError, ValueError) as error:
        raise unencodable("json", error, x) from None


def decode(data: bytes | bytearray | memoryview | str) -> Any:
    """Return the value that the JSON document *data* contains."""
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        value = (_bounded if _LARGE_NUMBER.search(text) else _plain).decode(text)
        if "\\u" in text:
            _write(value).encode()  # refuses half of a surrogate pair
    except UnicodeError as error:
        raise undecodable("json", describe_unicode_error(error), data) from None
    except json.JSONDecodeError as error:
        raise undecodable("json", f"{error.msg} at character {error.pos}", data) from None
    except RecursionError:
        raise undecodable("json", "nested too deeply", data) from None
    except (TypeError, ValueError) as error:
        raise undecodable("json", error, data) from None
    return value


def to_plain(x: Any) -> Any:
    """Return *x* of dicts, lists, str, int, float, bool and None only.

    Raises TypeError for an object that JSON cannot represent.
    """
    kind = type(x)
    if kind is str or kind is int or kind is bool or x is None:
        return x
    if kind is float:
        return x if math.isfinite(x) else None
    if kind is dict:
        return {k if type(k) is str else _key(k): to_plain(v) for k, v in x.items()}
    if kind is list or kind is tuple:
        return [to_plain(v) for v in x]
    return _unusual(x)


def _unusual(x: Any) -> Any:
    """Return the representation of an object that JSON has no type for."""
    if isinstance(x, enum.Enum):
        return to_plain(x.value)
    if isinstance(x, dict):
        return {_key(k): to_plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple, set, frozenset)):
        return [to_plain(v) for v in x]
    if isinstance(x, str):
        return str.__str__(x)
    if isinstance(x, int):
        return int(x)
    if isinstance(x, float):
        return to_plain(float(x))
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return {f.name: to_plain(getattr(x, f.name)) for f in dataclasses.fields(x)}
    if (fields := getattr(x, "__struct_fields__", None)) is not None and not isinstance(x, type):
        return {name: to_plain(getattr(x, name)) for name in fields}
    return _text(x)


def _text(x: Any) -> str:
    """Return the text of an object that is a string in JSON."""
    if isinstance(x, (bytes, bytearray, memoryview)):
        return base64.b64encode(x).decode()
    if isinstance(x, (datetime.datetime, datetime.time)):
        return _iso(x)
    if isinstance(x, datetime.date):
        return x.isoformat()
    if isinstance(x, datetime.timedelta):
        return _duration(x)
    if isinstance(x, (uuid.UUID, decimal.Decimal)):
        return str(x)
    raise TypeError(f"JSON has no {type(x).__name__}")


def _key(x: Any) -> str:
    if isinstance(x, enum.Enum):
        return _key(x.value)
    if isinstance(x, str):
        return str.__str__(x)
    if isinstance(x, bool):
        return "true" if x else "false"
    if x is None:
        return "null"
    if isinstance(x, int):
        return int.__repr__(x)
    if isinstance(x, float):
        return re.sub(r"e([+-]?)0*", lambda match: "e" + match[1].strip("+"), float.__repr__(x))
    if isinstance(x, (dict, list, tuple, set, frozenset)):
        raise TypeError(f"a key must not be a {type(x).__name__}")
    return _text(x)


def _iso(x: datetime.datetime | datetime.time) -> str:
    offset = x.utcoffset()
    text = x.replace(tzinfo=None).isoformat()
    if offset is None:
        return text
    minutes = round(offset.total_seconds() / 60)
    if not minutes:
        return text + "Z"
    sign = "-" if minutes < 0 else "+"
    return f"{text}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _duration(x: datetime.timedelta) -> str:
    sign, x = ("-", -x) if x < datetime.timedelta() else ("", x)
    days = f"{x.days}D" if x.days else ""
    rest = f"{x.microseconds:06}".rstrip("0")
    seconds = f"T{x.seconds}{'.' if rest else ''}{rest}S" if x.seconds or rest else ""
    return f"{sign}P{days}{seconds}" if days or seconds else "P0D"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_plain = json.JSONDecoder(parse_constant=_refuse_constant)
_bounded = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
