"""Identifiers of SQL: names of tables and columns, checked and quoted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from rapidz.kernel.protocol.short_repr import short_repr

Kind: TypeAlias = Literal["sqlite", "postgres"]

#: Bytes of an identifier that PostgreSQL keeps; it cuts off the rest without an error.
_POSTGRES_LENGTH = 63


def read_name(operator: str, argument: str, name: object, kind: Kind) -> str:
    """Return *name* if it can be the name of a table or column.

    >>> read_name("to_sql", "key", "", "sqlite")
    Traceback (most recent call last):
    ...
    ValueError: to_sql: key must be a name that is not empty and has no NUL, got ''
    """
    if not isinstance(name, str):
        raise TypeError(f"{operator}: {argument} must be a name, got {short_repr(name)}")
    if not name or "\0" in name:
        raise ValueError(
            f"{operator}: {argument} must be a name that is not empty and has no NUL, "
            f"got {short_repr(name)}"
        )
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(
            f"{operator}: {argument} must be a name in UTF-8, got {short_repr(name)}"
        ) from None
    if kind == "postgres" and length > _POSTGRES_LENGTH:
        raise ValueError(
            f"{operator}: {argument} must be a name of at most {_POSTGRES_LENGTH} bytes, "
            f"got {short_repr(name)}"
        )
    return name


def read_names(operator: str, argument: str, names: object, kind: Kind) -> tuple[str, ...]:
    """Return one name or several as a tuple, without duplicates.

    >>> read_names("to_sql", "key", ["a", "b"], "sqlite")
    ('a', 'b')
    """
    if isinstance(names, str):
        return (read_name(operator, argument, names, kind),)
    if not isinstance(names, Iterable):
        raise TypeError(
            f"{operator}: {argument} must be a name or several names, got {short_repr(names)}"
        )
    read = tuple(read_name(operator, argument, name, kind) for name in names)
    if not read or len(set(read)) < len(read):
        raise ValueError(
            f"{operator}: {argument} must be one or more different names, got {short_repr(names)}"
        )
    return read


def read_table(operator: str, table: object, kind: Kind) -> tuple[str, ...]:
    """Return the parts of the name of a table: ``"schema.table"`` has two, a tuple its items.

    >>> read_table("to_sql", "app.events", "postgres")
    ('app', 'events')
    >>> read_table("to_sql", ("app", "a.b"), "postgres")
    ('app', 'a.b')
    """
    parts: Sequence[Any] | Any = table.split(".") if isinstance(table, str) else table
    if not isinstance(parts, (tuple, list)) or not 1 <= len(parts) <= 2:
        raise TypeError(
            f"{operator}: table must be a name, 'schema.table' or a tuple of these two names, "
            f"got {short_repr(table)}"
        )
    return tuple(read_name(operator, "table", part, kind) for part in parts)


def quote(*names: str) -> str:
    """Return *names* as a quoted and qualified identifier.

    >>> print(quote("app", 'the "best" table'))
    "app"."the ""best"" table"
    """
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def quote_all(names: Iterable[str]) -> str:
    """Return *names* as a list of quoted identifiers.

    >>> print(quote_all(["a", "b"]))
    "a", "b"
    """
    return ", ".join(quote(name) for name in names)


def escape_marks(sql: str, kind: Kind) -> str:
    """Return *sql* such that a percent sign in it is none of a parameter.

    >>> escape_marks('"100%"', "postgres")
    '"100%%"'
    """
    return sql.replace("%", "%%") if kind == "postgres" else sql


def check_columns(
    operator: str, origin: str, found: Sequence[str], key: Sequence[str], columns: Sequence[str]
) -> None:
    """Raise for a column that is none of those *found* in *origin*, or that it has twice."""
    for argument, names in (("key", key), ("columns", columns)):
        for name in names:
            if name not in found:
                raise ValueError(
                    f"{operator}: {argument} must be of the columns of {origin}, "
                    f"{short_repr(found)}, got {name!r}"
                )
    if len(set(found)) < len(found):
        raise ValueError(
            f"{operator}: query must have columns of different names, got {short_repr(found)}"
        )
