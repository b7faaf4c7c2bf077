"""from_sql and to_sql with SQLite: files of the standard library's own database."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import logging
import pickle
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connectors.helpers import no_leaks, run_and_kill, wait_until

from rapidz import RefCounter, Restart, Retry, Stream
from rapidz.connectors.sql.database import read_database
from rapidz.testing import check_operator

Row = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "test.db")


@contextlib.contextmanager
def connected(path: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def execute(path: str, *statements: str) -> list[Any]:
    """Run statements; return the rows of the last one."""
    with connected(path) as connection:
        rows: list[Any] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows


def connect_traced(path: str, statements: list[str]) -> sqlite3.Connection:
    """Connect as a source does; *statements* gets those that are run."""
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.set_trace_callback(statements.append)
    return connection


def make_events(path: str, n: int = 0) -> None:
    execute(path, "CREATE TABLE events (id INTEGER PRIMARY KEY, name TEXT, value REAL)")
    add_events(path, n)


def add_events(path: str, n: int, name: str = "e") -> None:
    with connected(path) as connection:
        connection.execute("BEGIN")
        rows = ((f"{name}{i}", i / 2) for i in range(n))
        connection.executemany("INSERT INTO events (name, value) VALUES (?, ?)", rows)
        connection.execute("COMMIT")


def read_all(*args: Any, **kwargs: Any) -> list[Any]:
    """Return what a source emits that ends behind the last row."""
    source: Any = Stream.from_sql(*args, follow=False, **kwargs)
    seen: list[Any] = source.sink_to_list()
    source.start()
    source.close(timeout=30)
    return seen


def ids(rows: list[Any]) -> list[Any]:
    return [row["id"] for row in rows]


# --- the source -----------------------------------------------------------------------------------


def test_rows_are_dicts_in_the_order_of_the_key(path: str) -> None:
    make_events(path)
    execute(path, "INSERT INTO events VALUES (7, 'b', 2.5), (3, 'a', NULL), (9, NULL, 1.0)")
    assert read_all(path, "events", key="id") == [
        {"id": 3, "name": "a", "value": None},
        {"id": 7, "name": "b", "value": 2.5},
        {"id": 9, "name": None, "value": 1.0},
    ]


def test_new_rows_follow_those_that_were_there(path: str) -> None:
    make_events(path, 3)
    with no_leaks():
        source = Stream.from_sql(path, "events", key="id", poll_interval="5ms")
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 3)
        assert source.state == "running"
        add_events(path, 2)
        wait_until(lambda: len(seen) == 5)
        source.close()
    assert ids(seen) == [1, 2, 3, 4, 5]


def test_a_hundred_thousand_rows_come_once_and_in_order(path: str) -> None:
    make_events(path, 100_000)
    assert ids(read_all(path, "events", key="id")) == list(range(1, 100_001))


def test_position_is_the_key_of_the_last_row_that_was_pushed(path: str) -> None:
    make_events(path, 5)
    source = Stream.from_sql(path, "events", key="id", follow=False)
    positions: list[Any] = []
    source.sink(lambda row: positions.append((row["id"], source.position())))
    assert source.position() is None
    source.start()
    source.join(timeout=30)
    assert positions == [(n, n) for n in range(1, 6)]
    assert pickle.loads(pickle.dumps(source.position())) == 5
    source.close()


def test_seek_continues_behind_a_position(path: str) -> None:
    make_events(path, 5)
    source = Stream.from_sql(path, "events", key="id", follow=False)
    seen = source.sink_to_list()
    for position in (3, None, 5):
        source.seek(position)
        source.start()
        source.join(timeout=30)
    source.close()
    assert ids(seen) == [4, 5, 1, 2, 3, 4, 5]


def test_after_and_from_end_say_where_to_begin(path: str) -> None:
    make_events(path, 5)
    assert ids(read_all(path, "events", key="id", after=3)) == [4, 5]
    assert read_all(path, "events", key="id", from_end=True) == []
    source = Stream.from_sql(path, "events", key="id", from_end=True, poll_interval="5ms")
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: source.position() == 5)
    add_events(path, 1)
    wait_until(lambda: seen)
    source.close()
    assert ids(seen) == [6]


def test_start_after_stop_continues_with_the_next_row(path: str) -> None:
    make_events(path, 100)
    source = Stream.from_sql(path, "events", key="id", fetch_size=7, poll_interval="5ms")
    seen: list[Any] = []

    def take(row: Row) -> None:
        seen.append(row["id"])
        if row["id"] % 10 == 0:
            source.stop()

    source.sink(take)
    for n in range(10, 101, 10):
        source.start()
        wait_until(lambda n=n: len(seen) == n and source.state == "stopped")  # type: ignore[misc]
    assert seen == list(range(1, 101))
    source.close()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    keys=st.lists(st.integers(0, 6), max_size=25),
    size=st.integers(1, 6),
    lag=st.sampled_from([None, 0]),
)
def test_equal_keys_are_complete_across_pages(
    path: str, keys: list[int], size: int, lag: Any
) -> None:
    execute(path, "DROP TABLE IF EXISTS t", "CREATE TABLE t (k, n INTEGER PRIMARY KEY)")
    with connected(path) as connection:
        connection.executemany("INSERT INTO t (k) VALUES (?)", [(key,) for key in keys])
    seen = read_all(path, "t", key="k", fetch_size=size, lag=lag)
    assert [row["k"] for row in seen] == sorted(keys)
    assert {row["n"] for row in seen} == set(range(1, len(keys) + 1))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=15, unique=True),
    size=st.integers(1, 5),
    start=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_a_key_of_two_columns_is_compared_as_a_tuple(
    path: str, rows: list[tuple[int, int]], size: int, start: tuple[int, int] | None
) -> None:
    execute(path, "DROP TABLE IF EXISTS t", "CREATE TABLE t (a, b, PRIMARY KEY (a, b))")
    with connected(path) as connection:
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    seen = read_all(path, "t", key=("a", "b"), fetch_size=size, after=start)
    expected = sorted(row for row in rows if start is None or row > start)
    assert [(row["a"], row["b"]) for row in seen] == expected


def test_a_stop_among_equal_keys_repeats_them_and_loses_none(path: str) -> None:
    execute(path, "CREATE TABLE t (k, n INTEGER PRIMARY KEY)")
    execute(path, "INSERT INTO t (k) VALUES (1), (2), (2), (2), (3)")
    source = Stream.from_sql(path, "t", key="k", follow=False)
    seen: list[tuple[int, int]] = []

    def take(row: Row) -> None:
        seen.append((row["k"], row["n"]))
        if len(seen) == 3:
            source.stop()

    source.sink(take)
    source.start()
    wait_until(lambda: source.state == "stopped")
    assert source.position() == 1
    source.start()
    source.join(timeout=30)
    source.close()
    assert seen == [(1, 1), (2, 2), (2, 3), (2, 2), (2, 3), (2, 4), (3, 5)]


def test_keys_that_differ_in_case_are_different_keys(path: str) -> None:
    execute(path, "CREATE TABLE t (k TEXT COLLATE NOCASE)")
    execute(path, "INSERT INTO t VALUES ('b'), ('A'), ('a'), ('B')")
    seen = read_all(path, "t", key="k", fetch_size=1)
    assert [row["k"] for row in seen] == ["A", "B", "a", "b"]


def test_rows_without_a_key_are_left_out(path: str) -> None:
    execute(path, "CREATE TABLE t (k, j)", "INSERT INTO t VALUES (NULL, 1), (1, NULL), (2, 2)")
    assert [row["k"] for row in read_all(path, "t", key="k")] == [1, 2]
    assert [row["k"] for row in read_all(path, "t", key=["k", "j"])] == [2]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(*[st.none() | st.integers(0, 3)] * 2), max_size=15, unique=True),
    size=st.integers(1, 5),
    start=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_null_in_a_key_of_two_columns_costs_no_other_row(
    path: str, rows: list[Any], size: int, start: tuple[int, int] | None
) -> None:
    execute(path, "DROP TABLE IF EXISTS t", "CREATE TABLE t (a, b)")
    with connected(path) as connection:
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    seen = read_all(path, "t", key=("a", "b"), fetch_size=size, after=start)
    whole = sorted(row for row in rows if None not in row)
    assert [(x["a"], x["b"]) for x in seen] == [k for k in whole if start is None or k > start]


def test_a_poll_that_finds_only_null_keys_waits_for_the_next(path: str) -> None:
    execute(path, "CREATE TABLE t (a, b)", "INSERT INTO t VALUES (1, 1)")
    polls: list[str] = []
    connect = functools.partial(connect_traced, path, polls)
    source = Stream.from_sql(connect, "t", key=("a", "b"), poll_interval="1 min")
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: len(polls) >= 4)
    source.stop()
    execute(path, "INSERT INTO t VALUES (1, 2), (2, NULL)")
    polls.clear()
    source.start()
    wait_until(lambda: len(seen) == 2 and len(polls) >= 4)
    source.close()
    assert seen == [{"a": 1, "b": 1}, {"a": 1, "b": 2}]
    assert len(polls) == 4  # the columns, the newest row, a page, nothing newer


def test_a_newest_row_that_is_never_read_makes_no_busy_loop(path: str) -> None:
    execute(path, "CREATE TABLE t (k)", "INSERT INTO t VALUES (1)")
    polls: list[str] = []
    clock = itertools.count()

    def connect() -> sqlite3.Connection:
        connection = connect_traced(path, polls)
        connection.create_function("clock", 0, lambda: next(clock))
        return connection

    query = "SELECT clock() AS now FROM t"  # greater when its page is read
    source = Stream.from_sql(connect, query=query, key="now", poll_interval="1 min")
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: len(polls) >= 3)
    source.close()
    assert len(polls) == 3  # the columns, the newest row, a page
    assert seen == []


def alter_events(path: str) -> None:
    """Move the columns of the table: the third one has another name and other values."""
    execute(
        path,
        "ALTER TABLE events DROP COLUMN name",
        "ALTER TABLE events ADD COLUMN extra",
        "INSERT INTO events VALUES (2, 0.5, 'x')",
    )


def test_rows_have_the_columns_that_the_table_has_now(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_events(path, 1)
    caplog.set_level(logging.INFO, "rapidz.sources")
    source = Stream.from_sql(path, "events", key="id", poll_interval="5ms")
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: len(seen) == 1)
    alter_events(path)
    execute(path, "INSERT INTO events VALUES (3, 1.5, 'y')")
    wait_until(lambda: len(seen) == 3)
    assert source.state == "running"
    source.close()
    assert seen == [
        {"id": 1, "name": "e0", "value": 0.0},
        {"id": 2, "value": 0.5, "extra": "x"},
        {"id": 3, "value": 1.5, "extra": "y"},
    ]
    told = [record.getMessage() for record in caplog.records if "columns" in record.getMessage()]
    assert len(told) == 1
    assert "['id', 'value', 'extra'], before ['id', 'name', 'value']" in told[0]


def test_a_column_keeps_a_name_that_sqlite_replaces_in_subqueries(path: str) -> None:
    execute(path, 'CREATE TABLE t (id, "true")', "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    seen = read_all(path, "t", key="id", fetch_size=1)
    assert seen == [{"id": 1, "true": "a"}, {"id": 2, "true": "b"}]


def test_a_key_that_is_another_column_by_now_is_found(path: str) -> None:
    execute(path, "CREATE TABLE t (a, id, n)", "INSERT INTO t VALUES ('a', 1, 9)")
    source = Stream.from_sql(path, "t", key="id", poll_interval="5ms", fetch_size=2)
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: len(seen) == 1)
    execute(
        path,
        "ALTER TABLE t DROP COLUMN a",
        "INSERT INTO t VALUES (2, 8), (2, 7), (3, 6), (4, 5)",
    )
    wait_until(lambda: len(seen) == 5)
    assert source.position() == 4
    source.close()
    assert [(row["id"], row["n"]) for row in seen] == [(1, 9), (2, 8), (2, 7), (3, 6), (4, 5)]


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        (
            {"type": dict},
            "",
            "columns of .events. must stay the same with type=, .*'extra'.* after",
        ),
        ({}, "RENAME COLUMN id TO number", "key must be of the columns of .events.*, got 'id'"),
        (
            {"columns": ["name"]},
            "RENAME COLUMN name TO title",
            "columns must be of the columns of .events.*, got 'name'",
        ),
        ({}, "RENAME TO old", "table must exist in the database, got .events."),
    ],
)
def test_a_change_of_the_table_that_the_source_cannot_follow_is_named(
    path: str, options: dict[str, Any], change: str, message: str
) -> None:
    make_events(path, 1)
    source = Stream.from_sql(path, "events", key="id", poll_interval="5ms", **options)
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: len(seen) == 1)
    if not change:
        alter_events(path)
    else:
        execute(path, f"ALTER TABLE events {change}")
    if "title" in change:
        execute(path, "INSERT INTO events (title) VALUES ('new')")
    wait_until(lambda: source.state == "failed")
    assert len(seen) == 1
    with pytest.raises(ValueError, match=message):
        source.close()


def test_a_query_takes_parameters_by_place_and_by_name(path: str) -> None:
    make_events(path, 10)
    by_place = "SELECT id, name, 'a;b' AS x FROM events WHERE value > ? AND id <> ? -- above"
    seen = read_all(path, query=by_place, params=[1.5, 6], key="id", fetch_size=2)
    assert ids(seen) == [5, 7, 8, 9, 10]
    assert seen[0] == {"id": 5, "name": "e4", "x": "a;b"}
    by_name = "SELECT * FROM events WHERE value > :least;"
    seen = read_all(path, query=by_name, params={"least": 3.5}, key="id", after=8)
    assert ids(seen) == [9, 10]


def test_columns_says_what_to_read_beside_the_key(path: str) -> None:
    make_events(path, 1)
    seen = read_all(path, "events", key="id", columns=["value"])
    assert seen == [{"value": 0.0, "id": 1}]


@dataclasses.dataclass
class Event:
    id: int
    name: str
    value: float

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("value must not be negative")


class Pair(NamedTuple):
    id: int
    name: str


def test_rows_can_be_objects_of_a_type(path: str) -> None:
    make_events(path, 2)
    assert read_all(path, "events", key="id", type=Event) == [
        Event(1, "e0", 0.0),
        Event(2, "e1", 0.5),
    ]
    assert read_all(path, "events", key="id", columns=["id", "name"], type=Pair)[1] == (2, "e1")


def test_a_row_that_the_type_refuses_goes_to_the_policy(path: str) -> None:
    make_events(path, 4)
    execute(path, "UPDATE events SET value = -1 WHERE id IN (2, 4)")
    source = Stream.from_sql(path, "events", key="id", type=Event, follow=False)
    failures = source.errors.sink_to_list()
    seen = source.sink_to_list()
    source.start()
    source.close(timeout=30)
    assert [event.id for event in seen] == [1, 3]
    assert [failure.element for failure in failures] == [
        {"id": 2, "name": "e1", "value": -1.0},
        {"id": 4, "name": "e3", "value": -1.0},
    ]
    assert source.position() == 4


def test_a_refused_row_without_a_policy_fails_the_source_once(path: str) -> None:
    make_events(path, 3)
    execute(path, "UPDATE events SET value = -1 WHERE id = 2")
    source = Stream.from_sql(path, "events", key="id", type=Event, follow=False)
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    with pytest.raises(ValueError, match="must not be negative"):
        source.join(timeout=30)
    source.start()  # behind that row
    source.join(timeout=30)
    source.close()
    assert [event.id for event in seen] == [1, 3]


def test_undecodable_text_goes_to_the_policy_as_bytes(path: str) -> None:
    make_events(path, 4)
    execute(path, "UPDATE events SET name = CAST(X'66FF' AS TEXT) WHERE id IN (2, 3)")
    source = Stream.from_sql(path, "events", key="id", follow=False)
    failures = source.errors.sink_to_list()
    seen = source.sink_to_list()
    source.start()
    source.close(timeout=30)
    assert ids(seen) == [1, 4]
    assert [failure.element for failure in failures] == [
        {"id": 2, "name": b"f\xff", "value": 0.5},
        {"id": 3, "name": b"f\xff", "value": 1.0},
    ]
    assert isinstance(failures[0].exception, UnicodeDecodeError)


def test_a_key_that_cannot_be_decoded_is_no_row_to_skip(path: str) -> None:
    execute(path, "CREATE TABLE t (k TEXT)", "INSERT INTO t VALUES ('a'), (CAST(X'FF' AS TEXT))")
    source = Stream.from_sql(path, "t", key="k", follow=False)
    source.start()
    with pytest.raises(ValueError, match="key 'k' of a row behind None cannot be decoded"):
        source.join(timeout=30)
    source.destroy()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "evnts", "key": "id"}, 'table must exist in the database, got "evnts"'),
        ({"table": "app.events", "key": "id"}, 'table must exist in the database, got "app"."e'),
        ({"table": "events", "key": "idd"}, "key must be of the columns of .* got 'idd'"),
        ({"table": "events", "key": ["id", "x"]}, "key must be of the columns of .* got 'x'"),
        ({"table": "events", "key": "id", "columns": ["y"]}, "columns must be of .* got 'y'"),
        ({"query": "SELECT 1 AS id", "key": "k"}, "key must be of the columns of the query"),
    ],
)
def test_a_missing_table_or_column_is_named_at_the_start(
    path: str, options: dict[str, Any], message: str
) -> None:
    make_events(path, 1)
    source = Stream.from_sql(path, **options)
    source.start()
    wait_until(lambda: source.state == "failed")
    with pytest.raises(ValueError, match=message):
        source.join(timeout=30)
    source.destroy()


def test_a_source_starts_once_its_table_was_made(path: str) -> None:
    execute(path, "CREATE TABLE other (x)")
    source = Stream.from_sql(path, "events", key="id", follow=False)
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    with pytest.raises(ValueError, match="table must exist"):
        source.join(timeout=30)
    make_events(path, 2)
    source.start()
    source.close(timeout=30)
    assert ids(seen) == [1, 2]


def test_a_file_that_does_not_exist_is_not_made(path: str) -> None:
    source = Stream.from_sql(path, "events", key="id")
    source.start()
    with pytest.raises(FileNotFoundError, match="from_sql: database must be a file of SQLite"):
        source.join(timeout=30)
    source.destroy()
    stream = Stream[Any]()
    node = stream.to_sql(path, "events")
    with pytest.raises(FileNotFoundError, match="to_sql: database must be a file of SQLite"):
        stream.emit({"id": 1})
    node.destroy()
    assert not Path(path).exists()


class CountingCursor(sqlite3.Cursor):
    def fetchall(self) -> list[Any]:
        rows = super().fetchall()
        CountingConnection.fetched += len(rows)
        return rows


class CountingConnection(sqlite3.Connection):
    fetched = 0

    def cursor(self, factory: Any = CountingCursor) -> Any:
        return super().cursor(factory)


def test_a_slow_sink_keeps_at_most_one_page_in_memory(path: str) -> None:
    make_events(path, 5000)
    CountingConnection.fetched = 0
    source = Stream.from_sql(
        lambda: sqlite3.connect(path, factory=CountingConnection),
        "events",
        key="id",
        fetch_size=50,
        follow=False,
        lag=0,
    )
    ahead: list[int] = []

    async def slow(row: Row) -> None:
        ahead.append(CountingConnection.fetched - row["id"])
        if row["id"] % 100 == 0:
            await asyncio.sleep(0.001)

    source.sink(slow)
    source.start()
    source.close(timeout=60)
    assert len(ahead) == 5000
    assert max(ahead) <= 51 + 5000 // 49  # a page, the newest row, and a row read twice a page


def test_twenty_starts_and_stops_leave_nothing_behind(path: str) -> None:
    make_events(path, 50)
    source = Stream.from_sql(path, "events", key="id", poll_interval="1ms", fetch_size=5)
    seen = source.sink_to_list()
    with no_leaks():
        for n in range(20):
            source.start()
            if n % 2:
                wait_until(lambda n=n: len(seen) > min(2 * n, 49))  # type: ignore[misc]
            source.stop()
        source.join(timeout=30)
    assert ids(seen) == list(range(1, len(seen) + 1))
    source.close()


def test_a_locked_file_is_read_when_it_is_free(path: str) -> None:
    make_events(path, 2)

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=0)

    source = Stream.from_sql(
        connect, "events", key="id", poll_interval="1ms", restart=Restart(0.01)
    )
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: len(seen) == 2)
    with connected(path) as writer:
        writer.execute("PRAGMA locking_mode = EXCLUSIVE")
        writer.execute("BEGIN EXCLUSIVE")
        wait_until(lambda: source.state == "restarting")
        writer.execute("INSERT INTO events (name) VALUES ('late')")
        writer.execute("COMMIT")
    wait_until(lambda: len(seen) == 3)
    assert source.state == "running"
    source.close()


def test_a_long_query_ends_at_a_stop(path: str) -> None:
    make_events(path, 1)
    endless = """
        WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
        SELECT id FROM n WHERE id < 0
    """
    started = threading.Event()

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path)
        connection.set_progress_handler(lambda: started.set(), 1000)
        return connection

    source = Stream.from_sql(connect, query=endless, key="id")
    with no_leaks():
        source.start()
        assert started.wait(30)
        source.stop()
        source.join(timeout=30)
    source.close()


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((3, "t"), {"key": "id"}, "database must be a path, an address or a function"),
        (("mysql://u:pw@h/d", "t"), {"key": "id"}, "database must be of SQLite or PostgreSQL"),
        (("x.db",), {"key": "id"}, "table or query must be given, got neither"),
        (("x.db", "t"), {"query": "SELECT 1", "key": "id"}, "query must be given, got both"),
        (("x.db", "a.b.c"), {"key": "id"}, "table must be a name, 'schema.table' or a tuple"),
        (("x.db", ""), {"key": "id"}, "table must be a name that is not empty and has no NUL"),
        (("x.db", "t"), {"key": "a\0b"}, "key must be a name that is not empty and has no NUL"),
        (("x.db", "t"), {"key": []}, "key must be one or more different names"),
        (("x.db", "t"), {"key": 5}, "key must be a name or several names"),
        (("x.db", "t"), {"key": "\udcff"}, "key must be a name in UTF-8"),
        (("x.db", "t"), {"key": "id", "params": [1]}, "params must be None without a query"),
        (("x.db",), {"query": " ;", "key": "id"}, "query must be a SELECT"),
        (("x.db",), {"query": "SELECT 1", "params": "x", "key": "id"}, "params must be a sequence"),
        (("x.db", "t"), {"key": "id", "listen": "c"}, "listen must be None with SQLite"),
        (("x.db", "t"), {"key": "id", "fetch_size": 0}, "fetch_size must be an int >= 1"),
        (("x.db", "t"), {"key": "id", "type": 3}, "type must be callable"),
        (("x.db", "t"), {"key": "id", "poll_interval": -1}, "poll_interval must be"),
        (("x.db", "t"), {"key": "id", "lag": "soon"}, "lag must be"),
        (("x.db", "t"), {"key": "id", "after": 1, "from_end": True}, "after must be None"),
        (("x.db", "t"), {"key": ["a", "b"], "after": 1}, "position must be a tuple of the 2"),
        (("x.db", "t"), {"key": ["a", "b"], "after": (1, None)}, "position must have no None"),
    ],
)
def test_bad_arguments_are_refused_when_built(
    arguments: Any, options: dict[str, Any], error: str
) -> None:
    with pytest.raises((TypeError, ValueError), match="from_sql: .*" + error) as caught:
        Stream.from_sql(*arguments, **options)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"table": 3}, "table must be a name"),
        ({"table": "t", "key": ""}, "key must be a name that is not empty"),
        ({"table": "t", "columns": ["a", "a"]}, "columns must be one or more different names"),
        ({"table": "t", "max_bytes": 5}, "max_bytes must be None"),
        ({"table": "t", "batch": 0}, "batch must be an int >= 1"),
    ],
)
def test_bad_arguments_of_the_sink_are_refused_when_built(
    options: dict[str, Any], error: str
) -> None:
    stream = Stream[Any]()
    with pytest.raises((TypeError, ValueError), match="to_sql: " + error):
        stream.to_sql("x.db", **options)
    assert not list(stream.downstreams)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("file.db", "sqlite"),
        ("/a/b c.db", "sqlite"),
        ("sqlite:///relative.db", "sqlite"),
        ("file:x.db?mode=ro", "sqlite"),
        ("odd=name.db", "sqlite"),
        (Path("host=x"), "sqlite"),
        ("postgresql://host/db", "postgres"),
        ("postgres://u:p@host", "postgres"),
        ("host=localhost dbname=x", "postgres"),
        ("dbname = x", "postgres"),
    ],
)
def test_the_address_says_which_database_is_meant(address: Any, kind: str) -> None:
    if kind == "postgres":
        pytest.importorskip("psycopg", reason="needs psycopg")
    assert read_database("from_sql", address).kind == kind


def test_postgres_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError) as caught:
        Stream.from_sql("postgresql://me:hunter2@host/db", "t", key="id")
    assert str(caught.value) == "from_sql: needs psycopg: pip install 'rapidz[postgres]'"


def test_a_function_must_return_a_connection(path: str) -> None:
    async def connect() -> None: ...

    for wrong in (lambda: 3, lambda: connect()):
        source = Stream.from_sql(wrong, "t", key="id")
        source.start()
        with pytest.raises(TypeError, match="database must be a function that returns a sqlite3"):
            source.join(timeout=30)
        source.destroy()


# --- the sink -------------------------------------------------------------------------------------


def test_each_kind_of_element_becomes_a_row(path: str) -> None:
    msgspec = pytest.importorskip("msgspec", reason="needs msgspec")
    make_events(path)
    struct = msgspec.defstruct("Reading", [("id", int), ("value", float)])
    with Stream[Any]() as source:
        source.to_sql(path, "events")
        source.emit_many(
            [
                {"id": 1, "name": "a"},
                Event(2, "b", 1.5),
                Pair(3, "c"),
                struct(4, 2.5),
                {"name": "e"},
            ]
        )
    assert execute(path, "SELECT * FROM events") == [
        (1, "a", None),
        (2, "b", 1.5),
        (3, "c", None),
        (4, None, 2.5),
        (5, "e", None),
    ]


def test_columns_choose_fields_and_name_the_items_of_tuples(path: str) -> None:
    make_events(path)
    with Stream[Any]() as source:
        source.to_sql(path, "events", columns=["id", "name"], batch=10)
        source.emit_many([(1, "a"), [2, "b"], {"name": "c", "id": 3, "other": 5}, Event(4, "d", 1)])
    rows = execute(path, "SELECT * FROM events")
    assert rows == [(1, "a", None), (2, "b", None), (3, "c", None), (4, "d", None)]


def test_a_batch_is_one_transaction(path: str) -> None:
    make_events(path)
    statements: list[str] = []

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path)
        connection.set_trace_callback(statements.append)
        return connection

    with Stream[Any]() as source:
        source.to_sql(connect, "events", batch=4)
        source.emit_many({"name": str(n)} for n in range(10))
    assert statements.count("COMMIT") == 3
    assert len(execute(path, "SELECT * FROM events")) == 10


def test_a_hundred_thousand_elements_are_written_in_order(path: str) -> None:
    make_events(path)
    elements = [{"name": str(n), "value": n} for n in range(100_000)]
    source = Stream.from_iterable(elements)
    source.to_sql(path, "events", batch=1000)
    source.start()
    source.close(timeout=60)
    rows = execute(path, "SELECT id, name FROM events ORDER BY id")
    assert rows == [(n + 1, str(n)) for n in range(100_000)]


def test_a_key_replaces_rows_and_the_last_of_a_batch_wins(path: str) -> None:
    execute(path, "CREATE TABLE t (a, b, n DEFAULT 'new', m, PRIMARY KEY (a, b))")
    execute(path, "INSERT INTO t VALUES (1, 1, 'old', 'kept'), (1, 2, 'old', 'kept')")
    with Stream[Any]() as source:
        source.to_sql(path, "t", key=["a", "b"], batch=10)
        source.emit_many([{"a": 1, "b": 1, "n": n} for n in range(3)])
        source.emit_many([{"b": 3, "a": 1}, {"a": 1, "b": 2}])  # nothing to replace with
    assert execute(path, "SELECT * FROM t ORDER BY b") == [
        (1, 1, 2, "kept"),
        (1, 2, "old", "kept"),
        (1, 3, "new", None),
    ]


def test_the_rows_of_a_batch_may_have_different_columns(path: str) -> None:
    execute(path, "CREATE TABLE t (n INTEGER PRIMARY KEY, a DEFAULT 'x', b DEFAULT 'y')")
    elements: list[Row] = [{"a": 1}, {"b": 2}, {"b": 3}, {"a": 4, "b": 4}, {"b": 5, "a": 6}]
    with Stream[Any]() as source:
        source.to_sql(path, "t", batch=10)
        source.emit_many(elements)
    assert execute(path, "SELECT a, b FROM t ORDER BY n") == [
        (1, "y"),
        ("x", 2),
        ("x", 3),
        (4, 4),
        (6, 5),
    ]


BAD = [
    {"id": 1, "name": "again"},  # not unique
    {"id": 2, "name": object()},  # no value of SQLite
    {"id": 1 << 70, "name": "long"},  # too large
    {"id": 3, "nme": "misspelt"},  # no column
    "no row",
    {"id": 4, "name": "\udcff"},  # not UTF-8
]


@pytest.mark.parametrize("batch", [1, 3, 100])
@pytest.mark.parametrize("bad", BAD, ids=[str(n) for n in range(len(BAD))])
def test_a_row_that_cannot_be_written_fails_alone(path: str, bad: Any, batch: int) -> None:
    make_events(path)
    good = [{"id": n, "name": str(n)} for n in (1, 10, 11, 12, 13)]
    with Stream[Any]() as source:
        node = source.to_sql(path, "events", batch=batch)
        failures = node.errors.sink_to_list()
        source.emit_many([*good[:3], bad, *good[3:]])
    assert [row[0] for row in execute(path, "SELECT id FROM events")] == [1, 10, 11, 12, 13]
    assert [failure.element for failure in failures] == [bad]
    assert failures[0].node is node


def test_failures_name_the_column_the_table_and_its_columns(path: str) -> None:
    make_events(path)
    source = Stream[Any]()
    node = source.to_sql(path, "events", key="id")
    for x, message in (
        ({"nme": 1, "id": 1}, """must be of the columns of "events", .*'value'\\], got 'nme'"""),
        ({"name": "a"}, "must have the key 'id', got the columns"),
        ({}, "must have the key 'id'"),
        (7, "must be a mapping, a dataclass, a named tuple or a Struct .* got 7"),
        ((7, 8), r"must be .* \(or a tuple, with columns=\), got \(7, 8\)"),
    ):
        with pytest.raises((ValueError, TypeError), match="to_sql: element " + message):
            source.emit(x)
    node.destroy()


def test_all_bad_rows_of_a_batch_are_skipped_and_counted(path: str) -> None:
    make_events(path)
    with Stream[Any]() as source:
        node = source.to_sql(path, "events", batch=50).on_error("skip")
        source.emit_many({"id": n % 40} for n in range(100))
    assert node.skipped == 60
    assert [row[0] for row in execute(path, "SELECT id FROM events")] == list(range(40))


def test_without_a_policy_the_batch_raises_for_its_bad_rows(path: str) -> None:
    make_events(path)
    source = Stream[Any]()
    node = source.to_sql(path, "events", batch=4)
    with pytest.raises(ExceptionGroup, match="2 of 4 rows were not written") as caught:
        source.emit_many([{"id": 1}, {"id": 1}, {"id": 2}, {"id": 2}])
    assert all(isinstance(error, sqlite3.IntegrityError) for error in caught.value.exceptions)
    with pytest.raises(sqlite3.IntegrityError):
        source.emit_many([{"id": 3}, {"id": 3}, {"id": 4}, {"id": 5}])
    node.destroy()
    assert [row[0] for row in execute(path, "SELECT id FROM events")] == [1, 2, 3, 4, 5]


def test_a_retry_writes_only_what_was_refused(path: str) -> None:
    execute(path, "CREATE TABLE t (n INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    execute(path, "INSERT INTO t (name) VALUES ('b')")
    source = Stream[Any]()
    node = source.to_sql(path, "t", batch=3).on_error(Retry(times=3, wait=0, then="skip"))
    attempts: list[Any] = []
    settle = node._rows._settle

    def settle_and_free(batch: Any, rejected: Any) -> None:
        attempts.append(sorted(rejected))
        if len(attempts) == 2:
            execute(path, "DELETE FROM t WHERE name = 'b'")
        settle(batch, rejected)

    node._rows._settle = settle_and_free  # type: ignore[method-assign]
    source.emit_many([{"name": "a"}, {"name": "b"}, {"name": "c"}])
    source.close()
    assert attempts == [[1], [1], []]
    assert sorted(row[0] for row in execute(path, "SELECT name FROM t")) == ["a", "b", "c"]
    assert node.skipped == 0


def test_a_missing_table_is_named_and_the_sink_works_once_it_exists(path: str) -> None:
    execute(path, "CREATE TABLE other (x)")
    source = Stream[Any]()
    node = source.to_sql(path, "events")
    failures = node.errors.sink_to_list()
    source.emit({"id": 1})
    assert 'to_sql: table must exist in the database, got "events"' in str(failures[0].exception)
    make_events(path)
    source.emit({"id": 2})
    source.close()
    assert execute(path, "SELECT id FROM events") == [(2,)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "nme"}, "key must be of the columns of \"events\", .* got 'nme'"),
        ({"columns": ["id", "vlue"]}, "columns must be of the columns .* got 'vlue'"),
        ({"key": "name"}, 'key must be the columns of a primary key or unique index of "events"'),
        ({"key": "id", "columns": ["name"]}, "columns must have the key 'id'"),
    ],
)
def test_a_wrong_key_or_column_is_named_at_the_first_write(
    path: str, options: dict[str, Any], message: str
) -> None:
    make_events(path)
    source = Stream[Any]()
    node = source.to_sql(path, "events", **options)
    with pytest.raises(ValueError, match="to_sql: " + message):
        source.emit({"id": 1, "name": "a"})
    node.destroy()
    assert execute(path, "SELECT * FROM events") == []


def test_a_column_that_the_table_gets_later_is_written(path: str) -> None:
    make_events(path)
    with Stream[Any]() as source:
        node = source.to_sql(path, "events").on_error("skip")
        source.emit({"id": 1, "unit": "m"})
        execute(path, "ALTER TABLE events ADD COLUMN unit")
        source.emit({"id": 2, "unit": "s"})
    assert node.skipped == 1
    assert execute(path, "SELECT id, unit FROM events") == [(2, "s")]


def test_a_locked_file_is_written_when_it_is_free(path: str) -> None:
    make_events(path)

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=0, check_same_thread=False)

    source = Stream.from_iterable([{"id": n} for n in range(1, 51)])
    node = source.to_sql(connect, "events", batch=10, restart=Restart(0.01, limit=0.01))
    attempts: list[int] = []
    transient = node.writer.is_transient

    def is_transient(error: Exception) -> bool:
        attempts.append(len(attempts))
        return transient(error)

    node.writer.is_transient = is_transient  # type: ignore[method-assign]
    with connected(path) as other:
        other.execute("BEGIN IMMEDIATE")
        source.start()
        wait_until(lambda: len(attempts) >= 3)
        other.execute("ROLLBACK")
    source.close(timeout=30)
    assert [row[0] for row in execute(path, "SELECT id FROM events")] == list(range(1, 51))


def test_elements_are_done_when_their_batch_is_committed(path: str) -> None:
    make_events(path)
    done: list[int] = []

    async def main() -> None:
        source = Stream[Any](asynchronous=True)
        source.to_sql(path, "events", batch=3)
        for n in range(1, 5):
            counter = RefCounter(cb=functools.partial(done.append, n))
            await source.emit({"id": n}, metadata=[{"ref": counter}])
            committed = execute(path, "SELECT count(*) FROM events")[0][0]
            await asyncio.sleep(0)
            assert len(done) == committed
        await source.close()

    asyncio.run(main())
    assert done == [1, 2, 3, 4]


@pytest.mark.parametrize("batch", [1, 3])
def test_the_sink_passes_the_checks_of_operators(path: str, batch: int) -> None:
    execute(path, "CREATE TABLE t (n CHECK (n <> 'bad'))")
    elements = [{"n": n} for n in range(6)]
    check_operator(
        lambda stream: stream.to_sql(path, "t", batch=batch), elements, fails_on={"n": "bad"}
    )


def test_the_sink_leaves_no_thread_or_file_behind(path: str) -> None:
    make_events(path)
    with no_leaks():
        for n in range(20):
            source = Stream.from_iterable([{"name": str(n)}] * 7)
            node = source.to_sql(path, "events", batch=3, max_wait="1s")
            source.start()
            if n % 2:
                source.join(timeout=30)
                node.destroy()
            else:
                source.close(timeout=30)
    assert execute(path, "SELECT count(*) FROM events") == [(140,)]


# --- names and values -----------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = text.filter(lambda name: name and not name.lower().startswith("sqlite_"))
values = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.binary(max_size=20)
)
NASTY = ['"; DROP TABLE kept; --', "a'b", "100%", ":x", "?", "a.b", "select", "%s", "x]", "`"]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    table=names | st.sampled_from(NASTY),
    column=names | st.sampled_from(NASTY),
    rows=st.lists(values | st.sampled_from(NASTY), min_size=1, max_size=4),
    upsert=st.booleans(),
)
def test_no_name_or_value_is_taken_for_sql(
    tmp_path: Path, table: str, column: str, rows: list[Any], upsert: bool
) -> None:
    key = "the key" if column.lower() != "the key" else "other"
    path = str(tmp_path / "names.db")
    quoted = ['"' + name.replace('"', '""') + '"' for name in (table, key, column)]
    execute(
        path,
        f"DROP TABLE IF EXISTS {quoted[0]}",
        f"CREATE TABLE {quoted[0]} ({quoted[1]} INTEGER PRIMARY KEY, {quoted[2]})",
    )
    elements = [{key: n, column: value} for n, value in enumerate(rows)]
    with Stream[Any]() as source:
        source.to_sql(path, (table,), key=key if upsert else None, batch=2)  # type: ignore[arg-type]
        source.emit_many(elements)
    assert read_all(path, (table,), key=key, columns=[column, key]) == elements
    assert execute(path, "SELECT count(*) FROM sqlite_master WHERE type = 'table'") >= [(1,)]
    execute(path, f"DROP TABLE {quoted[0]}")


# --- a process that is killed ---------------------------------------------------------------------

COPY = """
    import sys
    from rapidz import Stream
    path, total, key = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None
    import sqlite3
    def newest():
        connection = sqlite3.connect(path)
        row = connection.execute("SELECT max(id) FROM copy").fetchone()
        connection.close()
        return row[0]
    source = Stream.from_sql(path, "events", key="id", after=newest(), follow=False, fetch_size=100)
    source.to_sql(path, "copy", key=key, batch=50)
    print("ready", flush=True)
    source.start()
    source.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("total", "kills"),
    [(4_000, 2), pytest.param(100_000, 10, marks=pytest.mark.soak)],
)
def test_a_killed_copy_goes_on_where_it_was(path: str, total: int, kills: int) -> None:
    make_events(path, total)
    execute(
        path,
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE copy (n INTEGER PRIMARY KEY, id INTEGER, name, value)",
    )

    def written() -> int:
        count: int = execute(path, "SELECT count(*) FROM copy")[0][0]
        return count

    assert run_and_kill(
        COPY,
        *(path, total, ""),
        kills=kills,
        progress=written,
        total=total // 2,
        pause=(0.0, 0.01),
    )
    rows = execute(path, "SELECT id FROM copy ORDER BY n")
    assert [row[0] for row in rows] == list(range(1, total + 1))  # none lost, none twice
