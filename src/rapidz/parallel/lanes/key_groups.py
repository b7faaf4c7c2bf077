"""Key groups: the lane of a key, by a hash that is the same in every process and every run.

Keys are divided into a fixed number of groups, and groups into lanes, each a
range of neighbours: another number of lanes moves whole groups.  Keys that are equal have the
same group, whatever their type.
"""

from __future__ import annotations

import datetime
import enum
import uuid
import zlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from numbers import Number
from typing import Any, Final

from rapidz.kernel.protocol.short_repr import short_repr

#: How many groups there are, and so how many lanes there may be.
KEY_GROUPS: Final = 1024
#: How many keys a `LaneFinder` remembers.
_REMEMBERED: Final = 1 << 16

_RULE: Final = (
    "scatter: key must consist of None, numbers, strings, bytes, dates, times, UUIDs, enum "
    "members, tuples, frozensets or frozen dataclasses"
)


def key_group(key: Any) -> int:
    """Return the group of *key*: the same in every process, whatever the hash seed.

    Raises TypeError for a key that has no canonical form.

    >>> key_group("ada") == key_group("ada"), key_group(1) == key_group(1.0) == key_group(True)
    (True, True)
    """
    return zlib.crc32(encode_key(key)) % KEY_GROUPS


def lane_of_group(group: int, lanes: int) -> int:
    """Return the lane of a *group*, of so many *lanes*.

    >>> lane_of_group(0, 4), lane_of_group(KEY_GROUPS - 1, 4)
    (0, 3)
    """
    return group * lanes // KEY_GROUPS


def encode_key(key: Any) -> bytes:
    """Return the canonical form of *key*; keys that are equal have the same one.

    >>> encode_key(("a", 1)) == encode_key(("a", 1.0))
    True
    """
    if isinstance(key, str):
        return _sized(b"s", str.encode(key, "utf-8", "surrogatepass"))
    if key is None:
        return b"n"
    if isinstance(key, Number):
        return _sized(b"i", _encode_number(key))
    if isinstance(key, bytes):
        return _sized(b"b", key)
    if isinstance(key, tuple):
        return _sized(b"t", b"".join(map(encode_key, key)))
    if isinstance(key, frozenset):
        return _sized(b"f", b"".join(sorted(map(encode_key, key))))
    return _encode_other(key)


def _sized(kind: bytes, data: bytes) -> bytes:
    return b"%s%d:%s" % (kind, len(data), data)


def _encode_number(key: Any) -> bytes:
    """Encode the exact value, for numbers of different types may be equal."""
    if isinstance(key, int):
        return b"%d" % key
    if isinstance(key, complex) or not hasattr(key, "as_integer_ratio"):
        return _encode_rare_number(key)
    try:
        above, below = key.as_integer_ratio()
    except OverflowError:
        return b"inf" if key > 0 else b"-inf"
    except ValueError:
        return b"nan"
    return b"%d" % above if below == 1 else b"%d/%d" % (above, below)


def _encode_rare_number(key: Any) -> bytes:
    if isinstance(key, complex):
        real = _encode_number(key.real)
        return real if not key.imag else real + b"+" + _encode_number(key.imag)
    if hasattr(key, "item"):  # of numpy
        return _encode_number(key.item())
    raise TypeError(f"{_RULE}, got {short_repr(key)}")


def _encode_other(key: Any) -> bytes:
    if isinstance(key, datetime.datetime):
        return _encode_datetime(key)
    if isinstance(key, datetime.date):
        return b"d%d" % key.toordinal()
    if isinstance(key, datetime.timedelta):
        length = (key.days * 86_400 + key.seconds) * 10**9 + key.microseconds * 1000
        return b"l%d" % (length + getattr(key, "nanoseconds", 0))
    if isinstance(key, datetime.time) and key.tzinfo is None:
        return _sized(b"c", key.replace(fold=0).isoformat().encode())
    if isinstance(key, uuid.UUID):
        return b"u" + key.bytes
    if isinstance(key, enum.Enum):
        return _sized(b"e", f"{type(key).__module__}.{type(key).__qualname__}.{key.name}".encode())
    if is_dataclass(key) and type(key).__hash__ is not object.__hash__:
        values = tuple(getattr(key, each.name) for each in fields(key) if each.compare)
        return _sized(b"r", type(key).__qualname__.encode() + encode_key(values))
    raise TypeError(f"{_RULE}, got {short_repr(key)}")


def _encode_datetime(key: datetime.datetime) -> bytes:
    if key != key:
        return b"nat"
    kind = b"a"
    if key.utcoffset() is None:
        kind, key = b"m", key.replace(tzinfo=datetime.UTC)
    since = key - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    seconds = since.days * 86_400 + since.seconds
    return kind + b"%d" % (
        seconds * 10**9 + since.microseconds * 1000 + getattr(key, "nanosecond", 0)
    )


class LaneFinder:
    """Finds the lanes of keys, and remembers those of the last ones.

    Parameters
    ----------
    lanes : int
        How many lanes there are.
    """

    __slots__ = ("_known", "_lanes")

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._known: dict[Any, int] = {}

    def __call__(self, key: Any) -> int:
        """Return the lane of *key*."""
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        lane = self._known[key] = lane_of_group(key_group(key), self._lanes)
        return lane


class LaneKey:
    """Reads the key of an element in a lane; refuses one that belongs to another lane.

    Parameters
    ----------
    read : callable
        Reads the key.
    lane : int
        The lane.
    find : LaneFinder
        Finds the lane of a key.
    """

    def __init__(self, read: Callable[[Any], Any], lane: int, find: LaneFinder) -> None:
        self._read, self._lane, self._find = read, lane, find

    def __call__(self, x: Any) -> Any:
        """Return the key of *x*."""
        key = self._read(x)
        if self._find(key) != self._lane:
            raise ValueError(
                "key_by: key must be the one by which elements were scattered, "
                f"got {short_repr(key)}, which is in another lane"
            )
        return key
