"""Writers of batches: one transaction each, in which a row that is refused costs no other one."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rapidz.connectors.sql.database import SqliteDatabase
from rapidz.connectors.sql.identifiers import quote
from rapidz.connectors.sql.insertion import Insertion
from rapidz.connectors.sql.rows import Rejected, RowGroup, RowPlan, Shape
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sinks.writer import Writer
from rapidz.sources.restart import Restart


class RowWriter(Writer[Any]):
    """Writes batches of rows; remembers which elements the database has refused.

    The others of the batch are written.  If the policy tries again, the batch comes again, and
    only the rows that were refused are written then.
    """

    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        table: tuple[str, ...],
        columns: Shape | None,
        key: Shape,
        is_retried: Callable[[], bool],
    ) -> None:
        self._table, self._key = table, key
        self._plan = RowPlan(quote(*table), columns, key)
        self._is_retried = is_retried
        self.rejected: Rejected = {}
        """Why elements of the last batch were refused, by their numbers."""
        self.rejection: Exception | None = None
        """What the last write raised for them."""
        self._partly_written: list[Any] | None = None

    def forget(self) -> None:
        """Forget the last batch: it does not come again."""
        self._partly_written, self.rejected, self.rejection = None, {}, None

    def _unwritten(self, batch: Sequence[Any]) -> Sequence[int]:
        """Return the numbers of the elements to write."""
        before = self._partly_written
        if before is None or len(before) != len(batch):
            return range(len(batch))
        if any(x is not y for x, y in zip(before, batch, strict=True)):
            return range(len(batch))
        return sorted(self.rejected)

    def _settle(self, batch: Sequence[Any], rejected: Rejected) -> None:
        """Raise for the elements that were refused; the others are written."""
        self.forget()
        if not rejected:
            return
        errors = [error.with_traceback(None) for error in rejected.values()]
        error = errors[0]
        if len(errors) > 1:
            message = f"to_sql: {len(errors)} of {len(batch)} rows were not written"
            error = ExceptionGroup(message, errors)
        self.rejected, self.rejection = rejected, error
        if self._is_retried():
            self._partly_written = list(batch)
        raise error

    def _missing_table(self) -> ValueError:
        return ValueError(f"to_sql: table must exist in the database, got {quote(*self._table)}")

    def _ambiguous_key(self) -> ValueError:
        return ValueError(
            f"to_sql: key must be the columns of a primary key or unique index of "
            f"{quote(*self._table)}, got {short_repr(self._key)}"
        )


class SqliteWriter(RowWriter):
    """Writes to SQLite."""

    def __init__(self, database: SqliteDatabase, *args: Any) -> None:
        super().__init__(*args)
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._statements: dict[Shape, str] = {}

    def open(self) -> None:
        self._connection = self._database.connect()
        try:
            self._read_columns()
            self._plan.check()
            if self._key:
                self._check_key()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def is_transient(self, error: Exception) -> bool:
        return self._database.is_transient(error)

    def write_many(self, payloads: Sequence[Any]) -> None:
        rejected: Rejected = {}
        numbers = self._unwritten(payloads)
        groups = self._plan.groups(payloads, numbers, rejected)
        if self._plan.unknown:  # the table may have got new columns
            self._read_columns()
            rejected.clear()
            groups = self._plan.groups(payloads, numbers, rejected)
        if groups:
            self._write(groups, rejected)
        self._settle(payloads, rejected)

    def _write(self, groups: list[RowGroup], rejected: Rejected) -> None:
        """Write all in one transaction."""
        execute = self._get_connection().execute
        execute("BEGIN IMMEDIATE")
        try:
            for group in groups:
                self._insert(group, rejected)
            execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have done so itself
                execute("ROLLBACK")
            raise

    def _insert(self, group: RowGroup, rejected: Rejected) -> None:
        """Insert rows; where one is refused, halve them until it is found."""
        connection = self._get_connection()
        connection.execute("SAVEPOINT rapidz")
        try:
            connection.executemany(self._statement(group.shape), group.rows)
        except Exception as error:
            if not _is_of_a_row(error) or not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO rapidz")
            if len(group.rows) == 1:
                rejected[group.numbers[0]] = error
            else:
                for half in group.halves():
                    self._insert(half, rejected)
        connection.execute("RELEASE rapidz")

    def _statement(self, shape: Shape) -> str:
        statement = self._statements.get(shape)
        if statement is None:
            statement = Insertion("sqlite", self._table, shape, self._key).values()
            if len(self._statements) > 1000:
                self._statements.clear()
            self._statements[shape] = statement
        return statement

    def _get_connection(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def _read_columns(self) -> None:
        *schema, table = self._table
        rows = self._get_connection().execute(
            f"SELECT name FROM pragma_table_xinfo(?{', ?' if schema else ''})", (table, *schema)
        )
        names = [row[0] for row in rows]
        if not names:
            raise self._missing_table()
        self._plan.read_columns(names)

    def _check_key(self) -> None:
        statement = Insertion("sqlite", self._table, self._key, self._key).explain()
        try:
            self._get_connection().execute(statement).fetchall()
        except sqlite3.OperationalError as error:
            if "ON CONFLICT" not in str(error):
                raise
            raise self._ambiguous_key() from error


def _is_of_a_row(error: Exception) -> bool:
    """Return whether values are at fault, and not the database."""
    if isinstance(error, sqlite3.Error):
        kinds = (
            sqlite3.IntegrityError,
            sqlite3.DataError,
            sqlite3.InterfaceError,
            sqlite3.ProgrammingError,
        )
        return isinstance(error, kinds)
    return not isinstance(error, (OSError, MemoryError))
