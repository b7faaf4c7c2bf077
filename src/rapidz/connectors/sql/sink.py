"""Sink that writes elements as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from rapidz.connectors.sql.database import PostgresDatabase, read_database
from rapidz.connectors.sql.identifiers import read_names, read_table
from rapidz.connectors.sql.postgres_writer import PostgresWriter
from rapidz.connectors.sql.writers import RowWriter, SqliteWriter
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.runtime.failures import Failure, Retry
from rapidz.sinks.writer_sink import WriterSink

T = TypeVar("T")


@Stream.register_api()
class to_sql(WriterSink[T]):
    """Write every element as a row of a table.

    Elements are mappings, dataclasses, named tuples or Structs, whose fields are columns;
    a column that an element does not have gets its default.  With *columns*, they may be
    tuples too.

    Each batch is one transaction.  Applies back pressure until it is committed, and then
    its elements are done.  Without *key* rows are inserted; with it a row replaces the one
    that has the same key.  After a lost connection, a serialization failure or a locked
    file, the batch is written again in a new transaction.  If the connection was lost
    during the commit, its rows may then be there twice; with a key they are not.

    A row that the database refuses, and an element that is no row, fail alone: the policy
    of the sink gets them, and the rest of the batch is written.

    Parameters
    ----------
    upstream : Stream
        The elements.
    database : str, path or callable
        As for `from_sql`.
    table : str or tuple
        The table: ``"name"``, ``"schema.name"`` or ``("schema", "name")``.  It must exist.
    key : str or sequence of str, optional
        Columns of a primary key or unique index, by which rows are replaced.
    columns : sequence of str, optional
        The columns to write; if not given, those that each element has.
    batch : int
        Rows of a transaction.
    max_wait : float or str, optional
        The longest time that an element waits for its batch.
    **kwargs
        Options of every `WriterSink`.

    Raises `ValueError` at the first write if table, key or columns do not exist.

    >>> import sqlite3, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     connection = sqlite3.connect(f"{folder}/totals.db")
    ...     _ = connection.execute("CREATE TABLE totals (name PRIMARY KEY, total)")
    ...     with Stream() as source:
    ...         node = source.to_sql(f"{folder}/totals.db", "totals", key="name", batch=100)
    ...         source.emit_many([{"name": "a", "total": n} for n in (1, 2, 3)])
    ...     rows = connection.execute("SELECT * FROM totals").fetchall()
    ...     connection.close()
    >>> rows
    [('a', 3)]
    """

    def __init__(
        self,
        upstream: Stream[T],
        database: Any,
        table: str | tuple[str, str],
        *,
        key: str | Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("max_bytes") is not None:
            raise TypeError("to_sql: max_bytes must be None: rows are counted, by batch")
        target = read_database("to_sql", database)
        kind = target.kind
        name = read_table("to_sql", table, kind)
        keys = () if key is None else read_names("to_sql", "key", key, kind)
        chosen = None if columns is None else read_names("to_sql", "columns", columns, kind)
        rows: RowWriter
        if isinstance(target, PostgresDatabase):
            rows = PostgresWriter(target, name, chosen, keys, self._is_retried)
        else:
            rows = SqliteWriter(target, name, chosen, keys, self._is_retried)
        self._rows = rows
        super().__init__(upstream, rows, **kwargs)

    def _is_retried(self) -> bool:
        return isinstance(self._effective_policy, Retry)

    def _each_failure(self, failure: Failure) -> Sequence[Failure]:
        rows = self._rows
        if failure.exception is not rows.rejection:
            return super()._each_failure(failure)
        batch = failure.element if self._batches else (failure.element,)
        failures = [
            Failure(batch[number], error, self, failure.attempts)
            for number, error in sorted(rows.rejected.items())
        ]
        rows.forget()
        return failures
