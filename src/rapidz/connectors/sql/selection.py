"""SELECT statements of a source: rows behind a position, in the order of a growing key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from rapidz.connectors.sql.identifiers import Kind, escape_marks, quote

#: Values of the key columns.
Key: TypeAlias = tuple[Any, ...]

Statement: TypeAlias = tuple[str, Any]


class _Parameters:
    """Values of one statement, and the marks that stand for them."""

    def __init__(self, kind: Kind, given: Mapping[str, Any] | Sequence[Any] | None) -> None:
        self._kind: Kind = kind
        self._named = dict(given) if isinstance(given, Mapping) else None
        self._listed: list[Any] = [] if given is None or self._named is not None else list(given)

    def add(self, value: object) -> str:
        """Return the mark of a new parameter."""
        if self._named is None:
            self._listed.append(value)
            return "?" if self._kind == "sqlite" else "%s"
        name = f"rapidz_{len(self._named)}"
        self._named[name] = value
        return f":{name}" if self._kind == "sqlite" else f"%({name})s"

    def add_all(self, values: Iterable[object]) -> str:
        return "(" + ", ".join(self.add(value) for value in values) + ")"

    @property
    def values(self) -> Any:
        return self._listed if self._named is None else self._named


class Selection:
    """What a source reads: the columns of a table or query, by its key columns.

    Parameters
    ----------
    kind : "sqlite" or "postgres"
        The dialect.
    origin : str
        A quoted table, or a query in parentheses.
    keys : tuple of str
        Names of the columns of the key.
    columns : tuple of str, optional
        The columns to read; all if not given.
    given : mapping or sequence, optional
        Parameters of the query.
    """

    def __init__(
        self,
        kind: Kind,
        origin: str,
        keys: tuple[str, ...],
        columns: tuple[str, ...] | None = None,
        given: Mapping[str, Any] | Sequence[Any] | None = None,
    ) -> None:
        self.kind: Kind = kind
        self.keys = keys
        self._given = given
        chosen = "r.*" if columns is None else ", ".join(self._column(name) for name in columns)
        self._chosen, self._origin = chosen, f"FROM {origin} AS r"
        self._keys = [self._ordered(name) for name in keys]
        self._key_columns = ", ".join(self._column(name) for name in keys)

    def describe(self) -> Statement:
        """Return a statement without rows, for the names of the columns."""
        return self._statement(self._parameters(), "r.*", [], end="LIMIT 0")

    def newest(self, after: Key | None) -> Statement:
        """Return a statement for the greatest key behind *after*."""
        parameters = self._parameters()
        where = self._where(parameters, after)
        order = ", ".join(f"{key} DESC" for key in self._keys)
        end = f"ORDER BY {order} LIMIT 1"
        return self._statement(parameters, self._key_columns, where, end)

    def page(self, after: Key | None, until: Key | None, limit: int) -> Statement:
        """Return a statement for the first rows behind *after*, up to *until* and with it.

        The upper bound is applied to the rows that the index has found: planners without
        statistics would sort all rows between the two bounds.
        """
        parameters, order = self._parameters(), f"ORDER BY {', '.join(self._keys)}"
        where = self._where(parameters, after)
        end = f"{order} LIMIT {limit:d}"
        if until is None:
            return self._statement(parameters, self._chosen, where, end)
        inner, _ = self._statement(parameters, self._chosen, where, end)
        bound = " AND ".join(self._compare(parameters, "<=", until))
        return f"SELECT r.* FROM ({inner}) AS r WHERE {bound} {order}", parameters.values

    def ties(self, key: Key) -> Statement:
        """Return a statement for all rows with *key*."""
        parameters = self._parameters()
        where = [
            f"{column} = {parameters.add(value)}"
            for column, value in zip(self._keys, key, strict=True)
        ]
        return self._statement(parameters, self._chosen, where, "")

    def _where(self, parameters: _Parameters, after: Key | None) -> list[str]:
        """Return the conditions for rows behind *after* with a whole key.

        A comparison excludes a NULL of the first column alone: (2, NULL) > (1, 1) is true.
        """
        if after is None:
            return self._filled(self.keys)
        return [*self._compare(parameters, ">", after), *self._filled(self.keys[1:])]

    def _filled(self, names: Iterable[str]) -> list[str]:
        return [f"{self._column(name)} IS NOT NULL" for name in names]

    def _compare(self, parameters: _Parameters, how: str, key: Key) -> list[str]:
        if len(key) == 1:
            return [f"{self._keys[0]} {how} {parameters.add(key[0])}"]
        # The first comparison follows from the second; SQLite finds the index by it.
        first = f"{self._keys[0]} {how[0]}= {parameters.add(key[0])}"
        return [first, f"({', '.join(self._keys)}) {how} {parameters.add_all(key)}"]

    def _column(self, name: str) -> str:
        """Return a qualified name: SQLite takes an unknown bare one for a string."""
        return "r." + escape_marks(quote(name), self.kind)

    def _ordered(self, name: str) -> str:
        """Return what is compared: in SQLite byte by byte, so that equal keys are the same."""
        return self._column(name) + (" COLLATE BINARY" if self.kind == "sqlite" else "")

    def _parameters(self) -> _Parameters:
        return _Parameters(self.kind, self._given)

    def _statement(
        self, parameters: _Parameters, chosen: str, where: list[str], end: str
    ) -> Statement:
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        return f"SELECT {chosen} {self._origin}{condition} {end}".rstrip(), parameters.values


def select_from_table(
    kind: Kind, table: tuple[str, ...], keys: tuple[str, ...], columns: tuple[str, ...] | None
) -> Selection:
    """Return the selection of the rows of a table.

    >>> print(select_from_table("postgres", ("t",), ("id",), None).page((5,), None, 100)[0])
    SELECT r.* FROM "t" AS r WHERE r."id" > %s ORDER BY r."id" LIMIT 100
    """
    return Selection(kind, escape_marks(quote(*table), kind), keys, columns)


def select_from_query(
    kind: Kind,
    query: str,
    keys: tuple[str, ...],
    columns: tuple[str, ...] | None,
    given: Mapping[str, Any] | Sequence[Any] | None,
) -> Selection:
    """Return the selection of the rows of a query.

    >>> print(select_from_query("postgres", "select 1 AS id;", ("id",), None, None).describe()[0])
    SELECT r.* FROM (
    select 1 AS id
    ) AS r LIMIT 0
    """
    text = query.strip().rstrip(";")
    if given is None:
        text = escape_marks(text, kind)
    return Selection(kind, f"(\n{text}\n)", keys, columns, given)
