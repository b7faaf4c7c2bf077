"""INSERT statements of a sink: rows of one shape, upserted where there is a key."""

from __future__ import annotations

from rapidz.connectors.sql.identifiers import Kind, escape_marks, quote, quote_all
from rapidz.connectors.sql.rows import Shape


class Insertion:
    """Statements that write rows with the columns of *shape* into a table.

    >>> print(Insertion("sqlite", ("t",), ("id", "name"), ("id",)).values())
    INSERT INTO "t" ("id", "name") VALUES (?, ?) \
ON CONFLICT ("id") DO UPDATE SET "name" = EXCLUDED."name"
    """

    def __init__(self, kind: Kind, table: tuple[str, ...], shape: Shape, key: Shape) -> None:
        self._kind: Kind = kind
        self._table = quote(*table)
        self._shape, self._key = shape, key

    def values(self) -> str:
        """Return the statement for one row, with a parameter for each column."""
        mark = "?" if self._kind == "sqlite" else "%s"
        marks = ", ".join(mark for _ in self._shape)
        head, conflict = self._head(), self._conflict()
        return (
            escape_marks(head, self._kind)
            + f" VALUES ({marks})"
            + escape_marks(conflict, self._kind)
        )

    def copy(self) -> str:
        """Return the statement that copies rows into the table."""
        return f"COPY {self._table} ({quote_all(self._shape)}) FROM STDIN"

    def stage(self, name: str) -> list[str]:
        """Return the statements that make the temporary table *name* for rows to be upserted."""
        columns = quote_all(self._shape)
        return [
            f"DROP TABLE IF EXISTS {quote('pg_temp', name)}",
            f"CREATE TEMPORARY TABLE {quote(name)} ON COMMIT DELETE ROWS AS "
            f"SELECT 0::int AS {quote(_NUMBER)}, {columns} FROM {self._table} WITH NO DATA",
        ]

    def copy_to_stage(self, name: str) -> str:
        """Return the statement that copies rows, each behind its number, into that table."""
        columns = quote_all((_NUMBER, *self._shape))
        return f"COPY {quote('pg_temp', name)} ({columns}) FROM STDIN"

    def merge(self, name: str) -> str:
        """Return the statement that upserts the rows of that table: of equal keys the last one."""
        columns, keys = quote_all(self._shape), quote_all(self._key)
        return (
            f"{self._head()} SELECT DISTINCT ON ({keys}) {columns} FROM {quote('pg_temp', name)} "
            f"ORDER BY {keys}, {quote(_NUMBER)} DESC{self._conflict()}"
        )

    def explain(self) -> str:
        """Return a statement that fails if the key is not unique, and writes nothing."""
        nulls = ", ".join("NULL" for _ in self._key)
        keys = quote_all(self._key)
        return (
            f"EXPLAIN INSERT INTO {self._table} ({keys}) VALUES ({nulls}) "
            f"ON CONFLICT ({keys}) DO NOTHING"
        )

    def _head(self) -> str:
        return f"INSERT INTO {self._table} ({quote_all(self._shape)})"

    def _conflict(self) -> str:
        if not self._key:
            return ""
        others = [name for name in self._shape if name not in self._key]
        changes = ", ".join(f"{quote(name)} = EXCLUDED.{quote(name)}" for name in others)
        action = f"UPDATE SET {changes}" if others else "NOTHING"
        return f" ON CONFLICT ({quote_all(self._key)}) DO {action}"


_NUMBER = "rapidz number"
"""Column of temporary tables: which row of the batch."""
