"""Typed decoding: build dataclasses from decoded JSON, or from strings, and check every value.

Strict conversion is what msgspec does in its strict mode; `rapidz` uses it where msgspec is not
installed.  Lax conversion reads values from strings, as CSV has them.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import enum
import math
import re
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, Union

from rapidz.kernel.protocol.short_repr import short_repr

Convert: TypeAlias = Callable[[Any], Any]

_DATETIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INT = re.compile(r"[+-]?[0-9]{1,4300}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|nan)", re.I)
_KINDS = {dict: "object", list: "array", type(None): "null"}


class Mismatch(ValueError):
    """Value that is not of its declared type."""

    place = ""
    """Where the value is in the element; empty: it is the element."""


def converter(kind: Any, lax: bool = False) -> Convert:
    """Return a function that checks and converts a value to type *kind*.

    Parameters
    ----------
    kind : type or annotation
        A dataclass, a Struct, an Enum, a standard type, or a container or union of them.
    lax : bool
        Whether to read numbers, booleans and None (the empty string) from strings.

    >>> converter(list[int])([1, 2])
    [1, 2]
    >>> converter(list[int])([1, "2"])
    Traceback (most recent call last):
    ...
    rapidz.connectors.codecs.typed.Mismatch: expected int, got str - at [1]
    """
    try:
        found = (lax and _LAX.get(kind)) or _STRICT.get(kind)
    except TypeError:  # an annotation that is not hashable
        found = None
    if found is not None:
        return found
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _union([*arguments], lax)
    if origin is Literal:
        return _one_of(arguments, lax)
    if origin is typing.Annotated:
        return converter(arguments[0], lax)
    if not lax and (origin or kind) in (list, set, frozenset, tuple, dict):
        return _container(origin or kind, arguments)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member(kind, lax)
    if is_record(kind):
        return _record(kind, lax)
    raise TypeError(f"cannot convert to {short_repr(kind)} without msgspec")


def is_record(kind: object) -> bool:
    """Return whether *kind* is a dataclass or a Struct."""
    return isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__")
    )


def fields_of(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return the annotation of each field of a record type, and whether it is required."""
    hints = typing.get_type_hints(kind)
    if dataclasses.is_dataclass(kind):
        missing = dataclasses.MISSING
        return {
            f.name: (hints[f.name], f.default is missing and f.default_factory is missing)
            for f in dataclasses.fields(kind)
            if f.init
        }
    names = kind.__struct_fields__
    optional = names[len(names) - len(kind.__struct_defaults__) :]
    return {name: (hints[name], name not in optional) for name in names}


def _record(kind: Any, lax: bool) -> Convert:
    fields = {
        name: (converter(hint, lax), required) for name, (hint, required) in fields_of(kind).items()
    }

    def convert(x: Any) -> Any:
        if type(x) is not dict:
            raise _unexpected("object", x)
        values = {}
        for name, (build, required) in fields.items():
            if name in x:
                try:
                    values[name] = build(x[name])
                except Mismatch as error:
                    raise _located(error, f".{name}") from None
            elif required:
                raise Mismatch(f"object has no field {name!r}")
        return kind(**values)

    return convert


def _container(kind: Any, arguments: tuple[Any, ...]) -> Convert:
    if kind is dict:
        key, value = arguments or (Any, Any)
        if key not in (str, Any):
            raise TypeError(f"cannot convert keys to {short_repr(key)} without msgspec")
        each = converter(value)
        return lambda x: {k: _at(k, each, v) for k, v in _checked(dict, x).items()}
    if kind is tuple and arguments[-1:] != (Ellipsis,) and arguments:
        every = [converter(a) for a in arguments]
        return lambda x: tuple(
            _at(i, build, v)
            for i, (build, v) in enumerate(zip(every, _sized(every, x), strict=True))
        )
    item = converter(arguments[0] if arguments else Any)
    return lambda x: kind([_at(i, item, v) for i, v in enumerate(_checked(list, x))])


def _union(kinds: list[Any], lax: bool) -> Convert:
    if lax and type(None) in kinds and str in kinds:
        kinds = [str]  # the empty string is a string
    elif type(None) in kinds:
        kinds = [type(None), *(k for k in kinds if k is not type(None))]
    if float in kinds and int in kinds:  # an int stays one
        kinds = [*(k for k in kinds if k is not float), float]
    builds = [converter(k, lax) for k in kinds]
    expected = " or ".join(_name(k) for k in kinds)

    def convert(x: Any) -> Any:
        for build in builds:
            try:
                return build(x)
            except Mismatch as error:
                if len(builds) == 1 or error.place:
                    raise
        raise _unexpected(expected, x)

    return convert


def _one_of(values: tuple[Any, ...], lax: bool) -> Convert:
    def convert(x: Any) -> Any:
        for value in values:
            if (type(value) is type(x) and value == x) or (lax and str(value) == x):
                return value
        raise Mismatch("value is none of the allowed ones")

    return convert


def _member(kind: type[enum.Enum], lax: bool) -> Convert:
    find = _one_of(tuple(member.value for member in kind), lax)
    return lambda x: kind(find(x))


def _at(place: Any, build: Convert, x: Any) -> Any:
    """Build the item of *x* at a key or an index."""
    try:
        return build(x)
    except Mismatch as error:
        raise _located(error, f"[{short_repr(place)}]") from None


def _located(error: Mismatch, place: str) -> Mismatch:
    """Return *error* with *place* before the place that it has."""
    message = str(error).partition(" - at ")[0]
    located = Mismatch(f"{message} - at {place}{error.place}")
    located.place = place + error.place
    return located


def _checked(kind: type, x: Any) -> Any:
    if type(x) is not kind:
        raise _unexpected(_name(kind), x)
    return x


def _sized(every: list[Convert], x: Any) -> list[Any]:
    if len(_checked(list, x)) != len(every):
        raise Mismatch(f"expected array of length {len(every)}, got {len(x)}")
    return list(x)


def _unexpected(expected: str, x: Any) -> Mismatch:
    return Mismatch(f"expected {expected}, got {_name(type(x))}")


def _name(kind: Any) -> str:
    return _KINDS.get(kind) or str(getattr(kind, "__name__", kind))


def _exactly(kind: type) -> Convert:
    def convert(x: Any) -> Any:
        if type(x) is kind:
            return x
        raise _unexpected(_name(kind), x)

    return convert


def _to_float(x: Any) -> float:
    if type(x) is float:
        return x
    if type(x) is int:
        try:
            return float(x)
        except OverflowError:
            raise Mismatch("number out of range") from None
    raise _unexpected("float", x)


def _parsed(expected: str, pattern: re.Pattern[str] | None, parse: Convert) -> Convert:
    """Return a converter of strings that match *pattern* and that *parse* accepts."""

    def convert(x: Any) -> Any:
        if type(x) is not str:
            raise _unexpected(expected, x)
        try:
            if pattern is None or pattern.fullmatch(x):
                return parse(x)
        except (ValueError, binascii.Error, OverflowError):
            pass
        raise Mismatch(f"invalid {expected}")

    return convert


def _parse_datetime(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.upper())


def _parse_bool(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _parse_finite(text: str) -> float:
    number = float(text)
    if math.isinf(number) and "n" not in text.lower():
        raise ValueError
    return number


_BOOL = re.compile(r"true|false|0|1", re.IGNORECASE)

_STRICT: dict[Any, Convert] = {
    Any: lambda x: x,
    object: lambda x: x,
    None: _exactly(type(None)),
    type(None): _exactly(type(None)),
    bool: _exactly(bool),
    int: _exactly(int),
    str: _exactly(str),
    float: _to_float,
    bytes: _parsed("base64", None, lambda text: base64.b64decode(text, validate=True)),
    datetime.datetime: _parsed("datetime", _DATETIME, _parse_datetime),
    datetime.date: _parsed("date", _DATE, datetime.date.fromisoformat),
    uuid.UUID: _parsed("UUID", None, uuid.UUID),
}
_LAX: dict[Any, Convert] = {
    None: _parsed("null", re.compile(""), lambda text: None),
    type(None): _parsed("null", re.compile(""), lambda text: None),
    bool: _parsed("bool", _BOOL, _parse_bool),
    int: _parsed("int", _INT, int),
    float: _parsed("float", _FLOAT, _parse_finite),
}
