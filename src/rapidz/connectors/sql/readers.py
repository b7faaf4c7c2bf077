"""Readers: run the statements of a source, for SQLite in its thread, for PostgreSQL on the loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeAlias

from rapidz.connectors.sql.database import PostgresDatabase, SqliteDatabase
from rapidz.connectors.sql.identifiers import quote
from rapidz.connectors.sql.selection import Statement

Row: TypeAlias = tuple[Any, ...]

#: By the number of a row and of a column: why a value could not be decoded; it is bytes.
Broken: TypeAlias = dict[int, dict[int, Exception]]


class Page:
    """Rows of one statement, the names of its columns, and which values are raw bytes."""

    __slots__ = ("broken", "names", "rows")

    def __init__(self, names: list[str], rows: list[Row]) -> None:
        self.names, self.rows = names, rows
        self.broken: Broken = {}


class Reader(Protocol):
    """One connection of a source."""

    async def open(self) -> None:
        """Connect."""

    async def describe(self, statement: Statement) -> list[str]:
        """Return the names of the columns of *statement*."""
        raise NotImplementedError

    async def fetch(self, statement: Statement) -> Page:
        """Return all rows of *statement*."""
        raise NotImplementedError

    async def writers(self) -> frozenset[str]:
        """Return the transactions in progress that may have written to the table."""
        raise NotImplementedError

    async def wait(self, seconds: float) -> None:
        """Wait, or until the database reports news."""

    async def close(self) -> None:
        """Disconnect."""

    def is_missing(self, error: Exception) -> bool:
        """Return whether *error* says that the table does not exist."""
        raise NotImplementedError


class SqliteReader:
    """Reads from SQLite, in the one thread that *in_thread* calls functions in."""

    def __init__(self, database: SqliteDatabase, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._database, self._in_thread = database, in_thread
        self._connection: sqlite3.Connection | None = None
        self._opened = False

    async def open(self) -> None:
        self._opened = True
        await self._in_thread(self._open)

    async def describe(self, statement: Statement) -> list[str]:
        names: list[str] = await self._in_thread(self._describe, statement)
        return names

    async def fetch(self, statement: Statement) -> Page:
        page: Page = await self._in_thread(self._fetch, statement)
        return page

    async def writers(self) -> frozenset[str]:
        return frozenset()  # SQLite has one writer at a time: keys become visible in order

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        if not self._opened:
            return
        if self._connection is not None:
            self._connection.interrupt()
        # Behind a call that was cancelled and still runs; a `stop` may come only now.
        await _in_spite_of_cancellation(self._in_thread(self._close))

    def is_missing(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.OperationalError) and "no such table" in str(error)

    def _open(self) -> None:
        self._connection = self._database.connect()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _execute(self, statement: Statement) -> sqlite3.Cursor:
        assert self._connection is not None
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor.execute(*statement)

    def _describe(self, statement: Statement) -> list[str]:
        return _names(self._execute(statement))

    def _fetch(self, statement: Statement) -> Page:
        try:
            cursor = self._execute(statement)
            return Page(_names(cursor), cursor.fetchall())
        except sqlite3.OperationalError as error:
            if "Could not decode" not in str(error):
                raise
            return self._fetch_undecodable(statement)

    def _fetch_undecodable(self, statement: Statement) -> Page:
        """Read text as bytes, and decode it here, where one value spoils only its row."""
        assert self._connection is not None
        factory = self._connection.text_factory
        self._connection.text_factory = _Text
        try:
            cursor = self._execute(statement)
            names, found = _names(cursor), cursor.fetchall()
        finally:
            self._connection.text_factory = factory
        page = Page(names, [])
        for row in found:
            _append_decoded(page, row, lambda _, value: _decode_text(value))
        return page


def _names(cursor: Any) -> list[str]:
    """Return the columns of the result that *cursor* has now: a table may get others."""
    return [column[0] for column in cursor.description]


async def _in_spite_of_cancellation(work: Awaitable[Any]) -> None:
    """Wait for *work* to its end; a cancellation takes effect afterwards."""
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


class _Text(bytes):
    """Text that is not decoded yet."""


def _decode_text(value: Any) -> Any:
    return value.decode() if type(value) is _Text else value


def _append_decoded(page: Page, row: Iterable[Any], decode: Callable[[int, Any], Any]) -> None:
    """Append a row; what *decode* fails for stays bytes."""
    values = []
    for at, value in enumerate(row):
        try:
            values.append(decode(at, value))
        except Exception as error:
            page.broken.setdefault(len(page.rows), {})[at] = error
            values.append(bytes(value))
    page.rows.append(tuple(values))


_WRITERS = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
AND (relation = to_regclass(%s)
     OR relation IN (SELECT relid FROM pg_partition_tree(to_regclass(%s))))
"""


class PostgresReader:
    """Reads from PostgreSQL by one connection, and listens there."""

    def __init__(
        self, database: PostgresDatabase, table: tuple[str, ...] | None, channel: str | None
    ) -> None:
        self._database, self._channel = database, channel
        self._table = None if table is None else quote(*table)
        self._connection: Any = None

    async def open(self) -> None:
        self._connection = await self._database.connect()
        if self._channel is not None:
            await self._connection.execute(f"LISTEN {quote(self._channel)}")

    async def describe(self, statement: Statement) -> list[str]:
        return _names(await self._connection.execute(*statement, prepare=False))

    async def fetch(self, statement: Statement) -> Page:
        psycopg = self._database.psycopg
        async with self._connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
            # A prepared statement would fail when the table gets other columns.
            await cursor.execute(*statement, prepare=False)
            try:
                return Page(_names(cursor), await cursor.fetchall())
            except psycopg.DataError:
                return self._decode_each(cursor)

    async def writers(self) -> frozenset[str]:
        if self._table is None:
            return frozenset()
        found = await self.fetch((_WRITERS, (self._table, self._table)))
        return frozenset(row[0] for row in found.rows)

    async def wait(self, seconds: float) -> None:
        if self._channel is None:
            await asyncio.sleep(seconds)
            return
        async for _ in self._connection.notifies(timeout=seconds, stop_after=1):
            pass

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def is_missing(self, error: Exception) -> bool:
        errors = self._database.psycopg.errors
        return isinstance(error, (errors.UndefinedTable, errors.InvalidSchemaName))

    def _decode_each(self, cursor: Any) -> Page:
        """Decode value by value, so that one that Python cannot have spoils only its row."""
        result, connection = cursor.pgresult, self._connection
        loads = []
        for at in range(result.nfields):
            kind, form = result.ftype(at), result.fformat(at)
            loader = connection.adapters.get_loader(kind, form)
            loader = loader or connection.adapters.get_loader(0, form)
            loads.append(loader(kind, connection).load)
        page = Page(_names(cursor), [])
        for number in range(result.ntuples):
            row = [result.get_value(number, at) for at in range(result.nfields)]
            _append_decoded(page, row, lambda at, raw: None if raw is None else loads[at](raw))
        return page
