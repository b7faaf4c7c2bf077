"""Databases: which one an address means, and how to connect to it."""

from __future__ import annotations

import inspect
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeAlias
from urllib.parse import unquote

from rapidz.connectors.extras import require
from rapidz.connectors.secrets import short_hidden_repr
from rapidz.connectors.sql.identifiers import Kind
from rapidz.kernel.protocol.short_repr import short_repr

_SCHEME = re.compile(r"([a-zA-Z][\w+.-]*)://")
_CONNINFO = re.compile(
    r"\s*(host|hostaddr|port|dbname|user|password|passfile|service|sslmode|sslrootcert|"
    r"application_name|connect_timeout|options|target_session_attrs)\s*=",
)

#: Results of SQLite, without their extension, that another attempt may not meet.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_IOERR,
}


class SqliteDatabase:
    """A file of SQLite, or a function that opens one."""

    kind: ClassVar[Kind] = "sqlite"

    def __init__(self, operator: str, target: str | Callable[[], Any]) -> None:
        self._operator, self._target = operator, target

    def connect(self) -> sqlite3.Connection:
        """Return a new connection, which begins transactions only by statements."""
        if callable(self._target):
            connection = self._target()
            if not isinstance(connection, sqlite3.Connection):
                if inspect.iscoroutine(connection):
                    connection.close()
                raise TypeError(
                    f"{self._operator}: database must be a function that returns a "
                    f"sqlite3.Connection, or an `async def` one for PostgreSQL; it returned "
                    f"{short_repr(connection)}"
                )
            if connection.in_transaction:
                raise ValueError(
                    f"{self._operator}: database must return a connection without an open "
                    f"transaction, got {short_repr(connection)}"
                )
            connection.isolation_level = None
            return connection
        return self._open(self._target)

    def _open(self, path: str) -> sqlite3.Connection:
        if path.startswith("file:"):
            uri = path
        else:
            if not Path(path).exists():
                raise FileNotFoundError(
                    f"{self._operator}: database must be a file of SQLite that exists, "
                    f"got {short_hidden_repr(path)}"
                )
            uri = Path(path).absolute().as_uri() + "?mode=rw"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    @staticmethod
    def is_transient(error: Exception) -> bool:
        """Return whether SQLite was locked or could not read or write for now."""
        code = getattr(error, "sqlite_errorcode", None)
        return isinstance(error, sqlite3.OperationalError) and (code or 0) & 0xFF in _PASSING


class PostgresDatabase:
    """A PostgreSQL server, or an ``async def`` function that connects to one."""

    kind: ClassVar[Kind] = "postgres"

    def __init__(self, operator: str, target: str | Callable[[], Any]) -> None:
        self._operator, self._target = operator, target
        self.psycopg = require(operator, "psycopg", extra="postgres")
        if isinstance(target, str):
            try:
                self.psycopg.conninfo.conninfo_to_dict(target)
            except self.psycopg.Error:  # whose message has parts of it
                raise ValueError(
                    f"{operator}: database must be an address or connection string of "
                    f"PostgreSQL; this one cannot be parsed (not shown: it may have a password)"
                ) from None

    async def connect(self) -> Any:
        """Return a new connection that commits each statement."""
        if isinstance(self._target, str):
            return await self.psycopg.AsyncConnection.connect(self._target, autocommit=True)
        connection = await self._target()
        if not isinstance(connection, self.psycopg.AsyncConnection):
            raise TypeError(
                f"{self._operator}: database must be an `async def` function that returns a "
                f"psycopg.AsyncConnection; it returned {short_repr(connection)}"
            )
        await connection.set_autocommit(True)
        return connection

    def is_transient(self, error: Exception) -> bool:
        """Return whether the connection was lost, or the transaction may succeed if repeated."""
        psycopg = self.psycopg
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            return not isinstance(error, psycopg.errors.NotSupportedError)
        return isinstance(error, (OSError, TimeoutError))


Database: TypeAlias = SqliteDatabase | PostgresDatabase


def read_database(operator: str, database: Any) -> Database:
    """Return the database that *database* means.

    >>> read_database("from_sql", "events.db").kind
    'sqlite'
    >>> read_database("from_sql", "mysql://me:secret@host/db")
    Traceback (most recent call last):
    ...
    ValueError: from_sql: database must be of SQLite or PostgreSQL, got 'mysql://me:***@host/db'
    """
    if isinstance(database, os.PathLike):
        return SqliteDatabase(operator, os.fspath(database))
    if isinstance(database, str) and database:
        return _read_address(operator, database)
    if inspect.iscoroutinefunction(database):
        return PostgresDatabase(operator, database)
    if callable(database):
        return SqliteDatabase(operator, database)
    raise TypeError(
        f"{operator}: database must be a path, an address or a function that connects, "
        f"got {short_hidden_repr(database)}"
    )


def _read_address(operator: str, address: str) -> Database:
    scheme = _SCHEME.match(address)
    if scheme is None:
        if _CONNINFO.match(address):
            return PostgresDatabase(operator, address)
        return SqliteDatabase(operator, address)
    if scheme[1] in ("postgres", "postgresql"):
        return PostgresDatabase(operator, address)
    if scheme[1] == "sqlite":
        return SqliteDatabase(operator, unquote(address[scheme.end() :]).removeprefix("/"))
    raise ValueError(
        f"{operator}: database must be of SQLite or PostgreSQL, got {short_hidden_repr(address)}"
    )
