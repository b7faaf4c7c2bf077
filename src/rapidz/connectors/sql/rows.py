"""Rows of a batch: elements as columns and values, and those that no row can be made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from rapidz.kernel.protocol.short_repr import short_repr

#: The columns of a row.
Shape: TypeAlias = tuple[str, ...]

#: Why elements cannot be written, by their numbers in the batch.
Rejected: TypeAlias = dict[int, Exception]


class RowGroup:
    """Consecutive rows with the same columns, and the numbers of their elements."""

    __slots__ = ("numbers", "rows", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.numbers: list[int] = []
        self.rows: list[Sequence[Any]] = []

    def halves(self) -> tuple[RowGroup, RowGroup]:
        """Return the first and the second half of the rows."""
        middle = len(self.rows) // 2
        first, second = RowGroup(self.shape), RowGroup(self.shape)
        first.numbers, first.rows = self.numbers[:middle], self.rows[:middle]
        second.numbers, second.rows = self.numbers[middle:], self.rows[middle:]
        return first, second


class RowPlan:
    """How elements become rows of one table.

    Parameters
    ----------
    columns : tuple of str, optional
        The columns to write; if not given, those that each element has.
    key : tuple of str
        Columns that each row must have.
    """

    def __init__(self, table: str, columns: Shape | None, key: Shape) -> None:
        self._table, self._columns, self._key = table, columns, key
        self._known: Collection[str] = ()
        self._shapes: dict[Shape, str] = {}
        self.unknown = False
        """Whether an element had a column that the table does not have."""

    def read_columns(self, known: Collection[str]) -> None:
        """Take the columns that the table has."""
        self._known, self.unknown = known, False
        self._shapes.clear()

    def check(self) -> None:
        """Raise if a column that was given is none of the table."""
        for argument, names in (("key", self._key), ("columns", self._columns or ())):
            for name in names:
                if name not in self._known:
                    raise ValueError(self._message(argument, name))
        for name in self._key:
            if self._columns is not None and name not in self._columns:
                raise ValueError(
                    f"to_sql: columns must have the key {name!r}, got {short_repr(self._columns)}"
                )

    def groups(
        self, batch: Sequence[Any], numbers: Sequence[int], rejected: Rejected
    ) -> list[RowGroup]:
        """Return the rows of the elements with these *numbers*; add the others to *rejected*."""
        if (alike := self._group_alike(batch, numbers)) is not None:
            return [alike]
        groups: list[RowGroup] = []
        group, shape = None, None
        for number in numbers:
            try:
                found, row = self._row(batch[number])
                if found != shape:
                    self._check_shape(found)
                    group = RowGroup(shape := found)
                    groups.append(group)
            except Exception as error:
                rejected[number], group, shape = error, None, None
                continue
            assert group is not None
            group.numbers.append(number)
            group.rows.append(row)
        return groups

    def _group_alike(self, batch: Sequence[Any], numbers: Sequence[int]) -> RowGroup | None:
        """Return the rows of a batch whose elements are of one kind and shape; else None.

        Does in a few calls what `groups` does for each element.
        """
        kinds = set(map(type, batch))
        if len(kinds) != 1 or len(numbers) != len(batch):
            return None
        first = batch[0]
        names = tuple(first) if type(first) is dict else field_names(first)
        shape = self._columns or names
        if not shape or not names or self._shapes.get(shape) != "":
            return None
        if type(first) is dict and self._columns is None and set(map(len, batch)) != {len(shape)}:
            return None
        if type(first) is not dict and any("." in name for name in shape):
            return None  # which attrgetter would take for a path
        read = itemgetter(*shape) if type(first) is dict else attrgetter(*shape)
        try:
            rows: list[Any] = list(map(read, batch))
        except (KeyError, AttributeError):
            return None
        group = RowGroup(shape)
        group.numbers = list(numbers)
        group.rows = rows if len(shape) > 1 else [(value,) for value in rows]
        return group

    def _row(self, x: Any) -> tuple[Shape, Sequence[Any]]:
        columns = self._columns
        if type(x) is dict or isinstance(x, Mapping):
            if columns is None:
                return tuple(x), tuple(x.values())
            try:
                return columns, [x[name] for name in columns]
            except KeyError as error:
                raise ValueError(
                    f"to_sql: element must have the column {short_repr(error.args[0])}, "
                    f"got {short_repr(x)}"
                ) from None
        names = field_names(x)
        if names is None:
            if columns is None or not isinstance(x, (tuple, list)):
                raise TypeError(
                    "to_sql: element must be a mapping, a dataclass, a named tuple or a Struct"
                    f"{' (or a tuple, with columns=)' if columns is None else ' or a tuple'}, "
                    f"got {short_repr(x)}"
                )
            if len(x) != len(columns):
                raise ValueError(
                    f"to_sql: element must have {len(columns)} values, got {short_repr(x)}"
                )
            return columns, x
        if columns is not None:
            names = columns
        try:
            return names, [getattr(x, name) for name in names]
        except AttributeError:
            raise ValueError(
                f"to_sql: element must have the attributes {', '.join(names)}, got {short_repr(x)}"
            ) from None

    def _check_shape(self, shape: Shape) -> None:
        fault = self._shapes.get(shape)
        if fault is None:
            if len(self._shapes) > _CACHED:
                self._shapes.clear()
            fault = self._shapes[shape] = self._fault(shape)
        if fault:
            raise ValueError(fault)

    def _fault(self, shape: Shape) -> str:
        for name in shape:
            if name not in self._known:
                self.unknown = True
                return self._message("element", name)
        for name in self._key:
            if name not in shape:
                return (
                    f"to_sql: element must have the key {name!r}, got the columns "
                    f"{short_repr(shape)}"
                )
        return "" if shape else "to_sql: element must have columns, got none"

    def _message(self, argument: str, name: object) -> str:
        return (
            f"to_sql: {argument} must be of the columns of {self._table}, "
            f"{short_repr(list(self._known))}, got {name!r}"
        )


def field_names(x: Any) -> Shape | None:
    """Return the names of the fields of a dataclass, named tuple or Struct; else None.

    >>> from fractions import Fraction
    >>> print(field_names(Fraction(1, 2)))
    None
    """
    kind = type(x)
    try:
        return _FIELDS[kind]
    except KeyError:
        if len(_FIELDS) > _CACHED:
            _FIELDS.clear()
        names = _FIELDS[kind] = _find_fields(kind)
        return names


_CACHED = 1000
"""How many shapes and types are remembered."""

_FIELDS: dict[type, Shape | None] = {}


def _find_fields(kind: type) -> Shape | None:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    for attribute in ("_fields", "__struct_fields__"):
        names = getattr(kind, attribute, None)
        if isinstance(names, tuple):
            return names
    return None
