"""Source over the rows of a table or query that grows by a key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, ClassVar, TypeVar

from rapidz.connectors.sql.commit_lag import CommitLag
from rapidz.connectors.sql.database import PostgresDatabase, read_database
from rapidz.connectors.sql.identifiers import (
    check_columns,
    quote,
    read_name,
    read_names,
    read_table,
)
from rapidz.connectors.sql.page_cursor import PageCursor
from rapidz.connectors.sql.readers import Page, PostgresReader, Reader, Row, SqliteReader
from rapidz.connectors.sql.selection import (
    Key,
    Selection,
    Statement,
    select_from_query,
    select_from_table,
)
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_callable, check_count
from rapidz.kernel.protocol.intervals import Interval, seconds
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import LiveInterval
from rapidz.sources.bulk import BulkSource, EndAwareIterator
from rapidz.sources.restart import Restart

T = TypeVar("T")

_log = logging.getLogger("rapidz.sources")

_LONG_WAIT = 30.0
"""Seconds of waiting for other transactions before a warning."""


@Stream.register_api(staticmethod)
class from_sql(BulkSource[T]):
    """Emit the rows of a table or query, in the order of a key that grows, and then new ones.

    Reads pages of rows behind the last key, and asks again at every interval.
    Emits a dict for each row, or an object of *type*.  Requests the next page when
    downstream has capacity: at most one page is in memory.

    Delivers every row that is inserted with a greater key; updates and deletions of
    rows that were emitted are not seen.  `position` is the key of the last row that was
    emitted, and `seek` sets the key to continue behind: with a stored position no row
    is lost.  A lost connection is opened again, and reading continues there.

    Parameters
    ----------
    database : str, path or callable
        Of SQLite: a path, or a function that returns a `sqlite3.Connection`.  Of
        PostgreSQL: an address ``"postgresql://..."`` or connection string, or an
        ``async def`` function that returns a `psycopg.AsyncConnection`.
    table : str or tuple, optional
        The table or view: ``"name"``, ``"schema.name"`` or ``("schema", "name")``.
    query : str, optional
        A SELECT statement instead of a table.
    params : sequence or mapping, optional
        Parameters of *query*, as the client library takes them.
    key : str or sequence of str
        The column or columns whose values grow with every new row.  Rows where one is
        NULL are left out.  Rows with equal keys must become visible together.
    after : object, optional
        Begin behind this key; a tuple if *key* has several columns.
    from_end : bool
        Begin behind the newest row.
    columns : sequence of str, optional
        The columns to read, with those of the key; all if not given.
    type : callable, optional
        Called with the columns as keyword arguments: a dataclass or other class.  A row
        that it refuses goes to the policy of the source.
    poll_interval : float or str
        Time between polls: seconds, or a string such as ``"500ms"``.
    lag : float or str, optional
        How long to wait for transactions that took a lower key and commit later.  By
        default, until those have ended that wrote to the table of PostgreSQL; a query, a
        view and SQLite have no wait.
    listen : str, optional
        A channel of PostgreSQL whose notifications start a poll at once.
    follow : bool
        Wait for new rows; False: end after the last row.
    fetch_size : int
        Rows of a page, at least 1.
    **kwargs
        Options of every `Source`.

    Raises `ValueError` for a table or column that does not exist when it starts, or that is
    gone later.  Rows have the columns that the table has when they are read; with *type*
    other columns than at the start are an error.

    >>> import sqlite3, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     connection = sqlite3.connect(f"{folder}/events.db")
    ...     _ = connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, name)")
    ...     _ = connection.execute("INSERT INTO events (name) VALUES ('a'), ('b')")
    ...     connection.commit(), connection.close()
    ...     source = Stream.from_sql(f"{folder}/events.db", "events", key="id", follow=False)
    ...     rows = source.sink_to_list()
    ...     source.start()
    ...     source.join()
    (None, None)
    >>> rows, source.position()
    ([{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'b'}], 2)
    """

    infinite: ClassVar[bool | None] = True
    seekable: ClassVar[bool] = True
    default_restart: ClassVar[Restart | None] = Restart()
    poll_interval: LiveInterval = LiveInterval()

    def __init__(
        self,
        database: Any,
        table: str | tuple[str, str] | None = None,
        *,
        query: str | None = None,
        params: Mapping[str, Any] | Sequence[Any] | None = None,
        key: str | Sequence[str],
        after: Any = None,
        from_end: bool = False,
        columns: Sequence[str] | None = None,
        type: Any = None,
        poll_interval: Interval = 1.0,
        lag: Interval | None = None,
        listen: str | None = None,
        follow: bool = True,
        fetch_size: int = 1000,
        **kwargs: Any,
    ) -> None:
        self._database = read_database("from_sql", database)
        kind = self._database.kind
        self._key = read_names("from_sql", "key", key, kind)
        chosen = None if columns is None else read_names("from_sql", "columns", columns, kind)
        self._selection = self._select(table, query, params, chosen)
        if type is not None:
            check_callable("from_sql", "type", type)
        if listen is not None:
            if kind != "postgres":
                raise ValueError(
                    f"from_sql: listen must be None with SQLite, got {short_repr(listen)}"
                )
            listen = read_name("from_sql", "listen", listen, kind)
        check_count("from_sql", "fetch_size", fetch_size)
        if from_end and after is not None:
            raise ValueError(
                f"from_sql: after must be None with from_end=True, got {short_repr(after)}"
            )
        self.poll_interval = poll_interval
        self._lag = None if lag is None else _read_lag(lag)
        self._type, self._channel = type, listen
        self._follow, self._fetch_size, self._from_end = follow, fetch_size, from_end
        self._position: Key | None = None
        self._cursor: PageCursor | None = None
        self._names: list[str] = []
        self._shown: list[str] = []  # what the results call them
        if after is not None:
            self.seek(after)
        super().__init__(**kwargs)

    # --- position ------------------------------------------------------------------------------

    def position(self) -> Any:
        """Return the key of the last row that was emitted; None: no row was.

        It is a tuple if the key has several columns.  Of rows with equal keys the last one counts.
        """
        cursor = self._cursor
        position = self._position if cursor is None else cursor.position()
        return position[0] if position is not None and len(self._key) == 1 else position

    def seek(self, position: Any) -> None:
        """Continue behind *position* at the next `start`; None: at the first row."""
        if position is None:
            self._position = None
            return
        if len(self._key) == 1:
            position = (position,)
        elif not isinstance(position, (tuple, list)) or len(position) != len(self._key):
            raise ValueError(
                f"from_sql: position must be a tuple of the {len(self._key)} values of the key "
                f"{self._key}, got {short_repr(position)}"
            )
        if None in position:
            raise ValueError(f"from_sql: position must have no None, got {short_repr(position)}")
        self._position, self._from_end = tuple(position), False

    # --- the run -------------------------------------------------------------------------------

    async def run(self) -> None:
        reader = self._reader()
        try:
            await reader.open()
            await self._read_columns(reader)
            self.connected()
            if self._from_end:
                self._position, self._from_end = await self._newest(reader), False
            await self._poll(reader)
        finally:
            await reader.close()

    def _is_infinite(self) -> bool:
        return self._follow

    def _is_transient(self, error: Exception) -> bool:
        return self._database.is_transient(error)

    async def _poll(self, reader: Reader) -> None:
        """Emit the rows of the table, and then new ones."""
        lag = CommitLag(self._lag) if self._lag else None
        now = asyncio.get_running_loop().time
        emitted: Key | None = None
        while self._may_emit():
            newest, pause = await self._newest(reader), self.poll_interval
            until = newest
            if newest is not None and lag is not None:
                lag.see(newest, now())
                until, wait = lag.bound(now()), lag.wait(now())
                until = None if until == emitted else until
                pause = pause if wait is None else min(pause, wait)
            elif newest is not None and self._lag is None:
                await self._wait_for_writers(reader)
            if until is not None:
                before, emitted = self._position, until
                await self._emit_until(reader, until)
                if self._position == before:  # the newest row is gone, or changes its key
                    await reader.wait(pause)
            elif newest is None and not self._follow:
                return
            else:
                await reader.wait(pause)

    async def _emit_until(self, reader: Reader, until: Key) -> None:
        """Emit the rows behind the position, up to *until* and with it."""
        size = self._fetch_size
        while self._may_emit():
            page = await self._fetch(reader, self._selection.page(self._position, until, size))
            full = len(page.rows) >= size
            if full:
                last = self._key_of(page.rows[-1])
                while page.rows and self._key_of(page.rows[-1]) == last:
                    page.rows.pop()  # others with this key may be on the next page
                if not page.rows:
                    page = await self._fetch(reader, self._selection.ties(last))
            await self._emit_page(page)
            if not full:
                return

    async def _emit_page(self, page: Page) -> None:
        """Emit the rows of a page; the policy gets those that cannot be decoded."""
        self._check_keys(page)
        cursor = self._cursor = PageCursor(page, self._names, self._key_of, self._position)
        try:
            while True:
                await self._emit_in_bulk(EndAwareIterator(cursor.elements(self._type)))
                if cursor.refusal is None:
                    return
                await self._refuse(*cursor.refusal)
        finally:
            self._position, self._cursor = cursor.position(), None

    async def _refuse(self, row: dict[str, Any], error: Exception) -> None:
        """Let the policy handle a row that cannot be decoded."""

        def fail(_: Any) -> Any:
            raise error

        await self.emit_decoded(row, fail)

    async def _wait_for_writers(self, reader: Reader) -> None:
        """Wait until every transaction has ended that may yet commit a lower key."""
        pause, begin, warned = 0.005, asyncio.get_running_loop().time(), False
        pending = await reader.writers()
        while pending:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.25)
            pending &= await reader.writers()
            waited = asyncio.get_running_loop().time() - begin
            if pending and not warned and waited > _LONG_WAIT:
                warned = True
                _log.warning(
                    "%s: waits for %d transactions that write to the table, for %.0f s; "
                    "lag=0 does not wait",
                    self,
                    len(pending),
                    waited,
                )

    # --- the table -----------------------------------------------------------------------------

    def _select(
        self, table: Any, query: Any, params: Any, columns: tuple[str, ...] | None
    ) -> Selection:
        if (table is None) == (query is None):
            raise TypeError(
                "from_sql: table or query must be given, got "
                + ("neither" if table is None else "both")
            )
        kind = self._database.kind
        if columns is not None:
            columns = tuple(dict.fromkeys((*columns, *self._key)))
        self._columns = columns
        if query is None:
            if params is not None:
                raise TypeError("from_sql: params must be None without a query")
            self._table: tuple[str, ...] | None = read_table("from_sql", table, kind)
            return select_from_table(kind, self._table, self._key, columns)
        if not isinstance(query, str) or not query.strip(" ;\n\t"):
            raise TypeError(f"from_sql: query must be a SELECT, got {short_repr(query)}")
        if isinstance(params, str) or not isinstance(params, (Mapping, Sequence, NoneType)):
            raise TypeError(
                f"from_sql: params must be a sequence or a mapping, got {short_repr(params)}"
            )
        self._table = None
        return select_from_query(kind, query, self._key, columns, params)

    def _reader(self) -> Reader:
        if isinstance(self._database, PostgresDatabase):
            return PostgresReader(self._database, self._table, self._channel)
        return SqliteReader(self._database, self.in_thread)

    async def _read_columns(self, reader: Reader) -> None:
        """Check table and columns, and find the columns of the key."""
        try:
            found = await reader.describe(self._selection.describe())
        except Exception as error:
            if self._table is None or not reader.is_missing(error):
                raise
            raise ValueError(
                f"from_sql: table must exist in the database, got {self._origin}"
            ) from error
        check_columns("from_sql", self._origin, found, self._key, self._columns or ())
        self._names = found if self._columns is None else list(self._columns)
        self._shown = self._names
        self._key_at = tuple(self._names.index(name) for name in self._key)

    @property
    def _origin(self) -> str:
        return "the query" if self._table is None else quote(*self._table)

    async def _fetch(self, reader: Reader, statement: Statement) -> Page:
        """Return the rows of a statement; their columns may be others than at the start."""
        page = await self._query(reader, statement)
        while self._columns is None and page.names != self._shown:
            shown, before = page.names, self._names
            await self._read_columns(reader)
            self._compare_columns(before)
            page = await self._query(reader, statement)
            if page.names == shown:
                self._shown = shown  # SQLite shows some names of a subquery otherwise
        return page

    async def _query(self, reader: Reader, statement: Statement) -> Page:
        """Run a statement; if it fails, say which table or column is missing by now."""
        try:
            return await reader.fetch(statement)
        except Exception as error:
            if not self._is_transient(error):
                await self._read_columns(reader)
            raise

    def _compare_columns(self, before: list[str]) -> None:
        """Report that the columns are others than *before*, or raise if they must not be."""
        names, origin = self._names, self._origin
        if names == before:
            return
        if self._type is not None and set(names) != set(before):
            raise ValueError(
                f"from_sql: columns of {origin} must stay the same with type=, "
                f"got {short_repr(names)} after {short_repr(before)}"
            )
        _log.info("%s: columns are now %s, before %s", self, short_repr(names), short_repr(before))

    def _key_of(self, row: Row) -> Key:
        return tuple([row[at] for at in self._key_at])

    def _check_keys(self, page: Page) -> None:
        """Raise if a key could not be decoded: reading could not continue behind it."""
        for broken in page.broken.values():
            for at in self._key_at:
                if at in broken:
                    raise ValueError(
                        f"from_sql: key {short_repr(self._names[at])} of a row "
                        f"behind {short_repr(self.position())} "
                        f"cannot be decoded"
                    ) from broken[at]

    async def _newest(self, reader: Reader) -> Key | None:
        """Return the greatest key behind the position."""
        page = await self._query(reader, self._selection.newest(self._position))
        return page.rows[0] if page.rows else None


def _read_lag(lag: Interval) -> float:
    return seconds(lag, operator="from_sql", argument="lag", allow_zero=True)
