"""Bounded, safe repr: how messages show a value of any kind.

A message must not cost more than what it is about.  `repr` of a list of ten
million items takes seconds and as much memory again; a ``__repr__`` that raises
would replace the error it was to describe.  `short_repr` looks at the first few
items only, cuts long texts, and never raises.

Not bounded: the time that a ``__repr__`` written by a user takes.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

#: At most so many items of a container, and characters of a text, are shown by default.
ITEMS, LENGTH = 10, 200
#: How deep containers are shown in each other.
DEPTH = 3
#: Integers with more bits than this are described: their digits take quadratic time.
MOST_BITS = 512

#: Packages whose arrays and tables are described by their shape.
_FRAMES = frozenset({"numpy", "pandas", "polars", "pyarrow", "cudf", "dask"})


def short_repr(value: object, items: int = ITEMS, length: int = LENGTH) -> str:
    """Return a repr of *value* that is cheap to make, of about *length* characters at most.

    >>> short_repr(list(range(10**6)))
    '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]'
    >>> short_repr("x" * 10**6, length=20)
    "'xxxxxxxx...xxxxxxx'"
    """
    return cut(_Writer(items, length).write(value, DEPTH), 2 * length)


def cut(text: str, length: int = LENGTH) -> str:
    """Return *text* with its middle left out, if it is longer than *length*."""
    if len(text) <= length:
        return text
    head = max(0, (length - 2) // 2)
    tail = max(0, length - 3 - head)
    return f"{text[:head]}...{text[len(text) - tail :]}"


class _Writer:
    """Writes one value; knows how much of it to show."""

    def __init__(self, items: int, length: int) -> None:
        self._items, self._length = items, length

    def write(self, value: Any, depth: int) -> str:
        kind = type(value)
        try:
            return self._written(value, kind, depth)
        except Exception as error:
            return f"<{kind.__name__} whose repr raised {type(error).__name__}>"

    def _written(self, value: Any, kind: type, depth: int) -> str:
        base: Any
        for base in (str, bytes, bytearray):
            if isinstance(value, base) and (
                kind.__repr__ is base.__repr__ or base.__len__(value) > self._length
            ):
                return self._text(value, base)
        base = int
        if isinstance(value, int) and kind.__repr__ is base.__repr__:
            bits = value.bit_length()
            return int.__repr__(value) if bits <= MOST_BITS else f"<{kind.__name__} of {bits} bits>"
        for base, write in _CONTAINERS.items():
            if isinstance(value, base):
                if kind.__repr__ is base.__repr__:
                    return write(self, value, depth)
                if kind.__module__ == "collections":
                    return f"{kind.__name__}({write(self, value, depth)})"
        if fields := _fields(value, kind):
            shown = (f"{name}={self._inner(getattr(value, name), depth)}" for name in fields)
            return self._several(shown, f"{kind.__qualname__}(", ")", len(fields))
        from_frames = kind.__module__.partition(".")[0] in _FRAMES
        if from_frames and (described := _shaped(value, kind)):
            return described
        return cut(repr(value), self._length)

    def _text(self, value: Any, base: Any) -> str:
        length = base.__len__(value)
        if length <= self._length:
            return str(base.__repr__(value))
        take = base.__getitem__
        half = self._length // 2
        head = repr(base(take(value, slice(0, half))))
        tail = repr(base(take(value, slice(length - half, length))))
        opening = tail.index(tail[-1] if base is not bytearray else tail[-2])
        closing = 1 if base is not bytearray else 2
        return cut(f"{head[:-closing]}...{tail[opening + 1 :]}", self._length)

    def _inner(self, value: Any, depth: int) -> str:
        return self.write(value, depth - 1) if depth > 1 else _outline(value)

    def _several(self, shown: Iterable[str], opening: str, closing: str, count: int) -> str:
        """Join what is *shown* of *count* items, as far as it goes."""
        parts: list[str] = []
        left = self._length
        for part in itertools.islice(shown, self._items):
            parts.append(part)
            left -= len(part)
            if left <= 0:
                break
        if count > len(parts):
            parts.append("...")
        return f"{opening}{', '.join(parts)}{closing}"

    def _list(self, value: Any, depth: int) -> str:
        each = (self._inner(x, depth) for x in list.__iter__(value))
        return self._several(each, "[", "]", list.__len__(value))

    def _tuple(self, value: Any, depth: int) -> str:
        each = (self._inner(x, depth) for x in tuple.__iter__(value))
        count = tuple.__len__(value)
        return self._several(each, "(", ",)" if count == 1 else ")", count)

    def _dict(self, value: Any, depth: int) -> str:
        each = (
            f"{self._inner(key, depth)}: {self._inner(x, depth)}" for key, x in dict.items(value)
        )
        return self._several(each, "{", "}", dict.__len__(value))

    def _set(self, value: Any, depth: int) -> str:
        opening, closing = ("{", "}") if isinstance(value, set) else ("frozenset({", "})")
        count = len(value)
        if not count:
            return f"{type(value).__name__}()"
        return self._several((self._inner(x, depth) for x in value), opening, closing, count)

    def _deque(self, value: Any, depth: int) -> str:
        return self._several((self._inner(x, depth) for x in value), "deque([", "])", len(value))


_CONTAINERS: dict[Any, Callable[[_Writer, Any, int], str]] = {
    list: _Writer._list,
    tuple: _Writer._tuple,
    dict: _Writer._dict,
    set: _Writer._set,
    frozenset: _Writer._set,
    collections.deque: _Writer._deque,
}


def _outline(value: Any) -> str:
    """Return a container nested too deep to be shown, or anything else, in short."""
    for base, outline in ((list, "[...]"), (tuple, "(...)"), (dict, "{...}"), (set, "{...}")):
        if isinstance(value, base):
            return outline if len(value) else repr(base())
    if isinstance(value, (str, bytes, int, float, type(None))):
        return short_repr(value, length=40)
    return f"<{type(value).__name__}>"


def _fields(value: Any, kind: Any) -> tuple[str, ...]:
    """Return the fields of a named tuple or data class whose repr is the generated one."""
    made = getattr(kind, "__dataclass_params__", None)
    if made is not None:
        if made.repr and hasattr(kind.__repr__, "__wrapped__"):
            return tuple(field.name for field in dataclasses.fields(kind) if field.repr)
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        made_by = getattr(kind.__repr__, "__globals__", {}).get("__name__")
        if made_by == "collections":
            return tuple(kind._fields)
    return ()


def _shaped(value: Any, kind: type) -> str:
    """Describe an array or a table by its shape; empty for what is neither."""
    shape: Any = getattr(value, "shape", None)
    dtype: Any = getattr(value, "dtype", None)
    if not isinstance(shape, tuple) or (shape == () and kind.__name__ != "ndarray"):
        return ""
    if kind.__name__ == "ndarray" and value.size <= 10 and dtype.kind in "biufcmM":
        return " ".join(repr(value).split())
    of = "" if dtype is None else f", dtype {dtype}"
    return f"<{kind.__name__} of shape {shape}{of}>"
