"""from_sql and to_sql with a PostgreSQL server that the tests start, kill and start again."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import functools
import logging
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connectors.helpers import no_leaks, run_and_kill, wait_for_all, wait_until
from tests.connectors.postgres import PostgresServer
from tests.connectors.proxy import CuttingProxy
from tests.connectors.tls_proxy import tls_proxy

from rapidz import RefCounter, Restart, Retry, Stream

psycopg: Any = pytest.importorskip("psycopg", reason="needs psycopg")

pytestmark = pytest.mark.server

Row = dict[str, Any]

EVENTS = "CREATE TABLE events (id bigserial PRIMARY KEY, name text, value float8)"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def db(server: PostgresServer) -> Iterator[Any]:
    """A connection to an empty database."""
    with server.connect() as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        yield connection


@pytest.fixture
def _staged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches are upserted as large ones are."""
    monkeypatch.setattr("rapidz.connectors.sql.postgres_writer._STAGE_FROM", 5)


def rows(db: Any, query: str) -> list[Any]:
    found: list[Any] = db.execute(query).fetchall()
    return found


def make_events(db: Any, n: int = 0) -> None:
    db.execute(EVENTS)
    add_events(db, n)


def add_events(db: Any, n: int) -> None:
    db.execute(
        "INSERT INTO events (name, value) SELECT 'e' || i, i / 2.0 "
        "FROM generate_series(0, %s - 1) AS i",
        (n,),
    )


def read_all(*args: Any, **kwargs: Any) -> list[Any]:
    """Return what a source emits that ends behind the last row."""
    source: Any = Stream.from_sql(*args, follow=False, **kwargs)
    seen: list[Any] = source.sink_to_list()
    source.start()
    source.close(timeout=60)
    return seen


def write_all(elements: Any, *args: Any, **kwargs: Any) -> Any:
    source = Stream.from_iterable(elements)
    node = source.to_sql(*args, **kwargs)
    source.start()
    source.close(timeout=60)
    return node


def ids(seen: list[Any]) -> list[Any]:
    return [row["id"] for row in seen]


# --- the source -----------------------------------------------------------------------------------


def test_a_hundred_thousand_rows_go_through_in_order(server: PostgresServer, db: Any) -> None:
    make_events(db, 100_000)
    db.execute("CREATE TABLE copy (n bigserial, id bigint, name text, value float8)")
    source = Stream.from_sql(server.url, "events", key="id", follow=False)
    source.to_sql(server.conninfo, "copy", batch=1000)
    source.start()
    source.close(timeout=120)
    assert [row[0] for row in rows(db, "SELECT id FROM copy ORDER BY n")] == list(range(1, 100_001))


@pytest.mark.usefixtures("_staged")
def test_values_keep_their_types(server: PostgresServer, db: Any) -> None:
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a numeric, b timestamptz, c jsonb, d uuid, "
        "e int[], f bytea, g boolean, h date, i json)"
    )
    row = {
        "id": 1,
        "a": decimal.Decimal("1.50"),
        "b": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
        "c": {"x": [1, None, "ä"]},
        "d": uuid.UUID(int=7),
        "e": [1, 2],
        "f": b"\x00\xff",
        "g": True,
        "h": datetime.date(2026, 1, 2),
        "i": [1, {"y": 2}],
    }
    many = [{**row, "id": n} for n in range(20)]
    write_all(many, server.url, "t", batch=20)
    write_all([{**row, "id": n} for n in range(20, 40)], server.url, "t", batch=20, key="id")
    write_all([{**row, "id": 40}], server.url, "t")
    seen = read_all(server.url, "t", key="id")
    assert seen == [{**row, "id": n} for n in range(41)]


def test_new_rows_follow_and_a_notification_wakes_the_source(
    server: PostgresServer, db: Any
) -> None:
    make_events(db, 2)
    with no_leaks():
        source = Stream.from_sql(
            server.url, "events", key="id", listen='the "channel"', poll_interval="1h"
        )
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 2)
        for n in range(3, 8):
            add_events(db, 1)
            db.execute('NOTIFY "the ""channel"""')
            wait_until(lambda n=n: len(seen) == n)  # type: ignore[misc]
        source.close()
    assert ids(seen) == [1, 2, 3, 4, 5, 6, 7]


def test_a_notification_during_a_poll_is_not_lost(server: PostgresServer, db: Any) -> None:
    make_events(db)
    source = Stream.from_sql(server.url, "events", key="id", listen="c", poll_interval="1h")
    seen: list[Any] = []

    def take(row: Row) -> None:
        seen.append(row["id"])
        if len(seen) < 50:
            with server.connect() as other:
                other.execute("INSERT INTO events (name) VALUES ('next')")
                other.execute("NOTIFY c")

    source.sink(take)
    source.start()
    wait_until(lambda: source.started)
    end = time.monotonic() + 30
    while not seen and time.monotonic() < end:  # it may not listen yet
        add_events(db, 1)
        db.execute("NOTIFY c")
        time.sleep(0.05)
    wait_until(lambda: len(seen) >= 50)
    source.close()


def test_rows_of_open_transactions_are_waited_for(server: PostgresServer, db: Any) -> None:
    make_events(db, 1)
    source = Stream.from_sql(server.url, "events", key="id", poll_interval="5ms")
    seen = source.sink_to_list()
    with server.connect() as late, late.transaction():
        late.execute("INSERT INTO events (name) VALUES ('late')")  # takes 2
        add_events(db, 1)  # commits 3
        source.start()
        wait_until(lambda: rows(db, WAITS))
        time.sleep(0.1)
        assert seen == []
    wait_until(lambda: len(seen) == 3)
    assert ids(seen) == [1, 2, 3]
    source.close()


#: Whether a source has asked for the transactions that write.
WAITS = """
    SELECT 1 FROM pg_stat_activity
    WHERE query LIKE '%virtualtransaction FROM pg_locks%' AND pid <> pg_backend_pid()
"""


@pytest.mark.slow
def test_concurrent_writers_lose_no_row(server: PostgresServer, db: Any) -> None:
    make_events(db)
    total, writers = 400, 4
    source = Stream.from_sql(server.url, "events", key="id", poll_interval="1ms")
    seen = source.sink_to_list()
    source.start()

    def write(number: int) -> None:
        with server.connect() as own:
            for n in range(total // writers):
                with own.transaction():
                    own.execute("INSERT INTO events (name) VALUES (%s)", (f"{number}-{n}",))
                    own.execute("SELECT pg_sleep(random() * 0.004)")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    wait_until(lambda: len(seen) >= total)
    source.close()
    assert ids(seen) == list(range(1, total + 1))


def test_lag_waits_for_rows_that_are_committed_late(server: PostgresServer, db: Any) -> None:
    db.execute("CREATE TABLE t (at timestamptz DEFAULT now(), id int)")
    source = Stream.from_sql(server.url, "t", key=("at", "id"), lag="700ms", poll_interval="5ms")
    seen = source.sink_to_list()
    source.start()
    with server.connect() as late, late.transaction():
        late.execute("SELECT now()")  # the time of its rows
        db.execute("INSERT INTO t (id) VALUES (2)")
        late.execute("INSERT INTO t (id) VALUES (1)")
    wait_until(lambda: len(seen) == 2)
    source.close()
    assert ids(seen) == [1, 2]


def test_lag_zero_does_not_wait(server: PostgresServer, db: Any) -> None:
    make_events(db)
    with server.connect() as late, late.transaction():
        late.execute("INSERT INTO events (name) VALUES ('late')")
        add_events(db, 1)
        assert ids(read_all(server.url, "events", key="id", lag=0)) == [2]


def test_a_long_wait_for_a_transaction_is_reported(
    server: PostgresServer, db: Any, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rapidz.connectors.sql.source._LONG_WAIT", 0.05)
    make_events(db)
    source = Stream.from_sql(server.url, "events", key="id", follow=False)
    seen = source.sink_to_list()
    with server.connect() as late, late.transaction():
        late.execute("INSERT INTO events (name) VALUES ('late')")
        add_events(db, 1)
        source.start()
        wait_until(lambda: "waits for 1 transactions that write to the table" in caplog.text)
    source.close(timeout=30)
    assert ids(seen) == [1, 2]


def test_partitions_and_schemas_are_read(server: PostgresServer, db: Any) -> None:
    db.execute("CREATE SCHEMA app")
    db.execute("CREATE TABLE app.t (id bigserial, k int) PARTITION BY LIST (k)")
    db.execute("CREATE TABLE app.t1 PARTITION OF app.t FOR VALUES IN (1)")
    source = Stream.from_sql(server.url, "app.t", key="id", poll_interval="5ms")
    seen = source.sink_to_list()
    with server.connect() as late, late.transaction():
        late.execute("INSERT INTO app.t1 (id, k) VALUES (nextval('app.t_id_seq'), 1)")
        db.execute("INSERT INTO app.t (k) VALUES (1)")
        source.start()
        wait_until(lambda: rows(db, WAITS))
        assert seen == []
    wait_until(lambda: len(seen) == 2)
    source.close()
    assert ids(seen) == [1, 2]
    db.execute("DROP SCHEMA app CASCADE")


def test_a_query_keeps_its_percent_signs(server: PostgresServer, db: Any) -> None:
    make_events(db, 20)
    query = "SELECT id, name, '100%' AS x, id % 2 AS odd FROM events WHERE name LIKE 'e1%'"
    seen = read_all(server.url, query=query, key="id", fetch_size=3)
    assert ids(seen) == [2, *range(11, 21)]
    assert seen[0] == {"id": 2, "name": "e1", "x": "100%", "odd": 0}
    by_name = "SELECT * FROM events WHERE id %% 5 = %(rest)s"
    assert ids(read_all(server.url, query=by_name, params={"rest": 2}, key="id")) == [2, 7, 12, 17]
    by_place = "SELECT * FROM events WHERE value > %s"
    assert ids(read_all(server.url, query=by_place, params=[8], key="id")) == [18, 19, 20]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(keys=st.lists(st.integers(0, 6), max_size=25), size=st.integers(1, 6))
def test_equal_keys_are_complete_across_pages(
    server: PostgresServer, db: Any, keys: list[int], size: int
) -> None:
    db.execute("DROP TABLE IF EXISTS t")
    db.execute("CREATE TABLE t (k int, n serial)")
    db.execute("INSERT INTO t (k) SELECT unnest(%s::int[])", (keys,))
    seen = read_all(server.url, "t", key="k", fetch_size=size)
    assert [row["k"] for row in seen] == sorted(keys)
    assert {row["n"] for row in seen} == set(range(1, len(keys) + 1))


@dataclasses.dataclass
class Event:
    id: int
    at: datetime.datetime


def test_rows_have_the_columns_that_the_table_has_now(server: PostgresServer, db: Any) -> None:
    make_events(db, 1)
    source = Stream.from_sql(server.url, "events", key="id", poll_interval="5ms")
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: len(seen) == 1)
    for n in range(2, 12):  # more often than psycopg waits for before it prepares a statement
        db.execute("INSERT INTO events VALUES (%s)", (n,))
        wait_until(lambda n=n: len(seen) == n)  # type: ignore[misc]
    db.execute("ALTER TABLE events DROP COLUMN name, ADD COLUMN extra text")
    db.execute("INSERT INTO events VALUES (12, 0.5, 'x')")
    wait_until(lambda: len(seen) == 12)
    assert source.state == "running"
    assert seen[-1] == {"id": 12, "value": 0.5, "extra": "x"}
    db.execute("ALTER TABLE events RENAME COLUMN id TO number")
    wait_until(lambda: source.state == "failed")
    with pytest.raises(ValueError, match=r"key must be of the columns of .*, got 'id'"):
        source.close()


def test_null_in_a_key_of_two_columns_costs_no_other_row(server: PostgresServer, db: Any) -> None:
    db.execute("CREATE TABLE t (a int, b int)")
    db.execute("INSERT INTO t VALUES (1, 1), (1, NULL), (1, 2), (NULL, 1), (2, NULL), (2, 3)")
    for size in (1, 2, 100):
        seen = read_all(server.url, "t", key=("a", "b"), fetch_size=size)
        assert [(row["a"], row["b"]) for row in seen] == [(1, 1), (1, 2), (2, 3)]
    assert read_all(server.url, "t", key=("a", "b"), after=(1, 2)) == [{"a": 2, "b": 3}]


def test_a_value_that_python_cannot_have_goes_to_the_policy(
    server: PostgresServer, db: Any
) -> None:
    db.execute("CREATE TABLE t (id int, at timestamp, note text)")
    db.execute("INSERT INTO t VALUES (1, '2026-01-01', 'a'), (2, 'infinity', 'b'), (3, NULL, NULL)")
    source = Stream.from_sql(server.url, "t", key="id", follow=False)
    failures = source.errors.sink_to_list()
    seen = source.sink_to_list()
    source.start()
    source.close(timeout=30)
    assert seen == [
        {"id": 1, "at": datetime.datetime(2026, 1, 1), "note": "a"},
        {"id": 3, "at": None, "note": None},
    ]
    assert [failure.element for failure in failures] == [{"id": 2, "at": b"infinity", "note": "b"}]
    assert source.position() == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "evnts", "key": "id"}, 'table must exist in the database, got "evnts"'),
        ({"table": "app.events", "key": "id"}, 'table must exist in the database, got "app"."e'),
        ({"table": "events", "key": "idd"}, "key must be of the columns of .* got 'idd'"),
        ({"table": "events", "key": "id", "columns": ["y"]}, "columns must be of .* got 'y'"),
        ({"query": "SELECT 1 AS a, 2 AS a", "key": "a"}, "columns of different names"),
    ],
)
def test_a_missing_table_or_column_is_named_at_the_start(
    server: PostgresServer, db: Any, options: dict[str, Any], message: str
) -> None:
    make_events(db, 1)
    source = Stream.from_sql(server.url, **options)
    source.start()
    wait_until(lambda: source.state == "failed")
    with pytest.raises(ValueError, match=message):
        source.join(timeout=30)
    source.destroy()


def test_a_slow_sink_keeps_at_most_one_page_in_memory(server: PostgresServer, db: Any) -> None:
    make_events(db, 2000)
    source: Any = Stream.from_sql(server.url, "events", key="id", fetch_size=50, follow=False)
    pages: list[int] = []
    emit_page = source._emit_page

    async def counted(page: Any) -> None:
        pages.append(len(page.rows))
        await emit_page(page)

    source._emit_page = counted
    ahead: list[int] = []

    async def slow(row: Row) -> None:
        ahead.append(sum(pages) - row["id"])
        if row["id"] % 40 == 0:
            await asyncio.sleep(0.001)

    source.sink(slow)
    source.start()
    source.close(timeout=60)
    assert len(ahead) == 2000
    assert max(ahead) < 50


def test_twenty_starts_and_stops_leave_nothing_behind(server: PostgresServer, db: Any) -> None:
    make_events(db, 50)
    source = Stream.from_sql(server.url, "events", key="id", poll_interval="1ms", fetch_size=5)
    seen = source.sink_to_list()
    with no_leaks():
        for n in range(20):
            source.start()
            if n % 2:
                wait_until(lambda n=n: len(seen) > min(2 * n, 49))  # type: ignore[misc]
            source.stop()
        source.join(timeout=30)
    source.close()
    assert ids(seen) == list(range(1, len(seen) + 1))
    wait_until(lambda: rows(db, CONNECTIONS) == [(1,)])


CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


# --- the sink -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_staged")
@pytest.mark.parametrize("batch", [1, 5, 100])
@pytest.mark.parametrize("key", [None, "id"])
@pytest.mark.parametrize(
    "bad",
    [
        {"id": 1, "name": None},
        {"id": 60, "value": "no number"},
        {"id": 61, "value": object()},
        {"id": 62, "name": "a\0b"},
        {"id": 63, "nme": "misspelt"},
        {"id": 64, "value": -1},
        "no row",
    ],
    ids=["null", "text", "object", "nul", "column", "check", "element"],
)
def test_a_row_that_cannot_be_written_fails_alone(
    server: PostgresServer, db: Any, bad: Any, key: str | None, batch: int
) -> None:
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', "
        "value float8 CHECK (value >= 0))"
    )
    good = [{"id": n, "name": str(n)} for n in range(30)]
    source = Stream.from_iterable([*good[:10], bad, *good[10:]])
    node = source.to_sql(server.url, "t", key=key, batch=batch)
    failures = node.errors.sink_to_list()
    source.start()
    source.close(timeout=60)
    assert [failure.element for failure in failures] == [bad]
    assert [row[0] for row in rows(db, "SELECT id FROM t ORDER BY id")] == list(range(30))


def test_a_batch_is_one_transaction(server: PostgresServer, db: Any) -> None:
    db.execute("CREATE TABLE t (n int, x bigint DEFAULT txid_current())")
    write_all([{"n": n} for n in range(100)], server.url, "t", batch=20)
    counts = rows(db, "SELECT count(*), min(n), max(n) FROM t GROUP BY x ORDER BY 2")
    assert counts == [(20, n, n + 19) for n in range(0, 100, 20)]


@pytest.mark.usefixtures("_staged")
@pytest.mark.parametrize("batch", [1, 4, 100])
def test_a_key_replaces_rows_and_the_last_of_a_batch_wins(
    server: PostgresServer, db: Any, batch: int
) -> None:
    db.execute("CREATE TABLE t (a int, b int, n int DEFAULT 5, m text, PRIMARY KEY (a, b))")
    db.execute("INSERT INTO t VALUES (1, 1, 0, 'kept'), (1, 2, 0, 'kept')")
    elements: list[Row] = [{"a": 1, "b": n % 2, "n": n} for n in range(40)]
    write_all([*elements, {"b": 3, "a": 1}], server.url, "t", key=["a", "b"], batch=batch)
    assert rows(db, "SELECT * FROM t ORDER BY a, b") == [
        (1, 0, 38, None),
        (1, 1, 39, "kept"),
        (1, 2, 0, "kept"),
        (1, 3, 5, None),
    ]


def test_values_that_copy_refuses_are_inserted(server: PostgresServer, db: Any) -> None:
    db.execute("CREATE TABLE t (n int)")
    node = write_all([{"n": float(n)} for n in range(50)], server.url, "t", batch=25)
    assert [row[0] for row in rows(db, "SELECT n FROM t")] == list(range(50))
    assert node.skipped == 0


def test_a_view_and_row_level_security_are_written_by_insert(
    server: PostgresServer, db: Any
) -> None:
    make_events(db)
    db.execute("CREATE VIEW v AS SELECT id, name FROM events")
    write_all([{"id": n} for n in range(50)], server.url, "v", batch=25)
    assert rows(db, "SELECT count(*) FROM events") == [(50,)]
    db.execute("CREATE TABLE secured (id int)")
    db.execute("ALTER TABLE secured ENABLE ROW LEVEL SECURITY")
    db.execute("CREATE POLICY p ON secured USING (true) WITH CHECK (id < 100)")
    db.execute("DROP ROLE IF EXISTS writer")
    db.execute("CREATE ROLE writer LOGIN PASSWORD 'w'")
    db.execute("GRANT INSERT, SELECT, UPDATE ON secured TO writer")
    db.execute("GRANT USAGE ON SCHEMA public TO writer")
    url = f"postgresql://writer:w@{server.address}/postgres"
    write_all([{"id": n} for n in range(50)], url, "secured", batch=25)
    assert rows(db, "SELECT count(*) FROM secured") == [(50,)]


def test_a_retry_writes_only_what_was_refused(server: PostgresServer, db: Any) -> None:
    db.execute("CREATE TABLE t (n serial, name text UNIQUE)")
    db.execute("INSERT INTO t (name) VALUES ('b15')")
    source = Stream.from_iterable([{"name": f"b{n}"} for n in range(30)])
    node = source.to_sql(server.url, "t", batch=30).on_error(Retry(times=50, wait="10ms"))
    source.start()
    wait_until(lambda: rows(db, "SELECT count(*) FROM t") == [(30,)])
    db.execute("DELETE FROM t WHERE name = 'b15'")
    source.close(timeout=30)
    assert node.skipped == 0
    assert sorted(row[0] for row in rows(db, "SELECT name FROM t")) == sorted(
        f"b{n}" for n in range(30)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "evnts"}, 'table must exist in the database, got "evnts"'),
        ({"table": "events", "key": "nme"}, "key must be of the columns of .* got 'nme'"),
        ({"table": "events", "columns": ["id", "x"]}, "columns must be of the columns .* got 'x'"),
        ({"table": "events", "key": "name"}, "key must be the columns of a primary key or uniq"),
    ],
)
def test_a_wrong_table_key_or_column_is_named_at_the_first_write(
    server: PostgresServer, db: Any, options: dict[str, Any], message: str
) -> None:
    make_events(db)
    source = Stream.from_iterable([{"id": 1, "name": "a"}])
    node = source.to_sql(server.url, **options)
    failures = node.errors.sink_to_list()
    source.start()
    source.close(timeout=30)
    assert len(failures) == 1
    with pytest.raises(ValueError, match="to_sql: " + message):
        raise failures[0].exception
    wait_until(lambda: rows(db, CONNECTIONS) == [(1,)])


def test_the_sink_works_once_its_table_exists_and_again_after_a_drop(
    server: PostgresServer, db: Any
) -> None:
    async def main() -> None:
        source = Stream[Any](asynchronous=True)
        node = source.to_sql(server.url, "events", batch=2).on_error("skip")
        for n in range(4):
            await source.emit({"id": n})
        assert node.skipped == 4
        db.execute("CREATE TABLE events (id int)")
        for n in range(4, 8):
            await source.emit({"id": n})
        db.execute("ALTER TABLE events ADD COLUMN unit text")
        for n in range(8, 10):
            await source.emit({"id": n, "unit": "m"})
        await source.close()
        assert node.skipped == 4

    asyncio.run(main())
    assert [row[0] for row in rows(db, "SELECT id FROM events")] == list(range(4, 10))


def test_a_serialization_failure_is_written_again(server: PostgresServer, db: Any) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
    db.execute("INSERT INTO t VALUES (1, 0)")
    db.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('tries') < 3 THEN RAISE EXCEPTION SQLSTATE '40001'; END IF; "
        "RETURN NEW; END $$"
    )
    db.execute("CREATE SEQUENCE tries")
    db.execute("CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fail()")
    write_all([{"id": 1, "n": 7}], server.url, "t", key="id", restart=Restart(0.01))
    assert rows(db, "SELECT n FROM t") == [(7,)]


def test_elements_are_done_when_their_batch_is_committed(server: PostgresServer, db: Any) -> None:
    make_events(db)
    done: list[int] = []

    async def main() -> None:
        source = Stream[Any](asynchronous=True)
        source.to_sql(server.url, "events", batch=3)
        for n in range(1, 5):
            counter = RefCounter(cb=functools.partial(done.append, n))
            await source.emit({"id": n}, metadata=[{"ref": counter}])
            await asyncio.sleep(0)
            assert len(done) == rows(db, "SELECT count(*) FROM events")[0][0]
        await source.close()

    asyncio.run(main())
    assert done == [1, 2, 3, 4]


def test_the_sink_leaves_no_connection_behind(server: PostgresServer, db: Any) -> None:
    make_events(db)
    with no_leaks():
        for n in range(20):
            source = Stream.from_iterable([{"name": str(n)}] * 7)
            node = source.to_sql(server.url, "events", batch=3, max_wait="1s")
            source.start()
            if n % 2:
                source.join(timeout=30)
                node.destroy()
            else:
                source.close(timeout=30)
    wait_until(lambda: rows(db, CONNECTIONS) == [(1,)])
    wait_until(lambda: rows(db, "SELECT count(*) FROM events") == [(140,)])


# --- names and values -----------------------------------------------------------------------------

plain = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
text = st.text(plain, max_size=15)
names = text.filter(bool)
values = st.none() | text | st.sampled_from(["\\N", "\\.", "a\tb", "a\nb", "\\", "'", "%s"])
NASTY = ['"; DROP TABLE kept; --', "a'b", "100%", "%s", "%(x)s", "a.b", "select", "\\", "$1"]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    table=names | st.sampled_from(NASTY),
    column=names | st.sampled_from(NASTY),
    column_values=st.lists(values, min_size=1, max_size=4),
    upsert=st.booleans(),
)
@pytest.mark.usefixtures("_staged")
def test_no_name_or_value_is_taken_for_sql(
    server: PostgresServer,
    db: Any,
    table: str,
    column: str,
    column_values: list[Any],
    upsert: bool,
) -> None:
    key = "the key" if column != "the key" else "other"
    db.execute("CREATE TABLE IF NOT EXISTS kept ()")
    sql = psycopg.sql
    quoted = [sql.Identifier(name) for name in (table, key, column)]
    drop = sql.SQL("DROP TABLE IF EXISTS {}").format(quoted[0])
    db.execute(drop)
    db.execute(sql.SQL("CREATE TABLE {} ({} int PRIMARY KEY, {} text)").format(*quoted))
    elements = [{key: n, column: column_values[n % len(column_values)]} for n in range(12)]
    write_all(elements, server.url, (table,), key=key if upsert else None, batch=11)
    assert read_all(server.url, (table,), key=key) == elements
    db.execute(drop)
    assert table == "kept" or rows(db, "SELECT count(*) FROM kept") == [(0,)]


# --- faults ---------------------------------------------------------------------------------------


def test_no_server_is_a_failure_and_shows_no_password(
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.url.replace(str(server.port), "1")
    source = Stream.from_sql(url, "events", key="id")
    source.start()
    with pytest.raises(psycopg.OperationalError) as caught:
        source.join(timeout=30)
    node = Stream[Any]().to_sql(url, "events")
    shown = f"{source!r} {node!r} {source} {caught.value} {caught.value.__notes__} {caplog.text}"
    assert server.password not in shown
    assert source.state == "failed"
    source.destroy()
    node.destroy()


def test_a_wrong_password_is_not_shown(
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.url.replace(server.password, "hunter2")
    source = Stream.from_sql(url, "events", key="id")
    source.start()
    with pytest.raises(psycopg.OperationalError, match="authentication failed") as caught:
        source.join(timeout=30)
    assert "hunter2" not in f"{caught.value} {caught.value.__notes__} {caplog.text}"
    source.destroy()


@pytest.mark.parametrize("wrong", ["host=x password=hunter 2secret", "postgresql://u:hunter2@[h/"])
def test_a_connection_string_that_cannot_be_parsed_is_not_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match="from_sql: database must be an address") as caught:
        Stream.from_sql(wrong, "t", key="id")
    assert "hunter" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert "secret" not in str(caught.value)


def test_a_source_waits_for_a_server_if_it_may(server: PostgresServer, db: Any) -> None:
    make_events(db, 2)
    with CuttingProxy(server.port) as proxy:
        proxy.refuse()
        url = server.url.replace(str(server.port), str(proxy.port))
        rule = Restart(wait=0.01, limit=0.05, at_start=True)
        source = Stream.from_sql(url, "events", key="id", restart=rule, poll_interval="10ms")
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: proxy.accepted >= 2)
        assert source.state == "restarting"
        proxy.refuse(False)
        wait_until(lambda: len(seen) == 2)
        source.close()


@pytest.mark.parametrize("key", [None, "id"])
def test_cut_connections_lose_nothing(
    server: PostgresServer, db: Any, key: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    make_events(db, 3000)
    db.execute("CREATE TABLE copy (n bigserial, id bigint PRIMARY KEY, name text, value float8)")
    if key is None:
        db.execute("ALTER TABLE copy DROP CONSTRAINT copy_pkey")
    rule = Restart(wait=0.01, limit=0.05)
    with CuttingProxy(server.port) as proxy:
        url = server.url.replace(str(server.port), str(proxy.port))
        source = Stream.from_sql(
            url, "events", key="id", fetch_size=100, restart=rule, follow=False
        )
        source.to_sql(url, "copy", key=key, batch=50, restart=rule)
        source.start()
        for n in range(1, 5):
            wait_until(lambda n=n: count(db, "copy") >= 500 * n)  # type: ignore[misc]
            proxy.drop()
        source.close(timeout=60)
    found = [row[0] for row in rows(db, "SELECT id FROM copy ORDER BY n")]
    assert sorted(set(found)) == list(range(1, 3001))
    assert len(found) == 3000 if key else len(found) <= 3000 + 4 * 50
    assert "starts again" in caplog.text or "writes again" in caplog.text
    assert server.password not in caplog.text


def count(db: Any, table: str) -> int:
    found: int = rows(db, f"SELECT count(*) FROM {table}")[0][0]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("total", "kills"),
    [(5_000, 2), pytest.param(100_000, 10, marks=pytest.mark.soak)],
)
def test_a_server_killed_in_mid_stream_loses_nothing(
    total: int, kills: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    with PostgresServer() as server:
        with server.connect() as db:
            make_events(db, total)
            db.execute("CREATE TABLE copy (id bigint PRIMARY KEY, name text, value float8)")
        rule = Restart(wait=0.02, limit=0.1)
        source = Stream.from_sql(
            server.url, "events", key="id", fetch_size=100, restart=rule, poll_interval="20ms"
        )
        node = source.to_sql(server.url, "copy", key="id", batch=50, restart=rule)
        written = 0
        settle = node._rows._settle

        def counted(batch: Any, rejected: Any) -> None:
            nonlocal written
            written += len(batch)
            settle(batch, rejected)

        node._rows._settle = counted  # type: ignore[method-assign]
        source.start()
        for n in range(1, kills + 1):
            wait_until(lambda n=n: written >= n * total // (kills + 2))  # type: ignore[misc]
            server.kill()
            server.start()
        with server.connect() as db:
            wait_for_all(lambda: count(db, "copy"), total)
        assert source.state == "running"
        source.close(timeout=30)


COPY = """
    import sys
    import psycopg
    from rapidz import Stream
    url, key = sys.argv[1], sys.argv[2] or None
    with psycopg.connect(url) as connection:
        newest = connection.execute("SELECT max(id) FROM copy").fetchone()[0]
    source = Stream.from_sql(url, "events", key="id", after=newest, follow=False, fetch_size=100)
    source.to_sql(url, "copy", key=key, batch=50)
    print("ready", flush=True)
    source.start()
    source.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("total", "kills"),
    [(4_000, 2), pytest.param(100_000, 10, marks=pytest.mark.soak)],
)
def test_a_killed_copy_goes_on_where_it_was(
    server: PostgresServer, db: Any, total: int, kills: int
) -> None:
    make_events(db, total)
    db.execute("CREATE TABLE copy (n bigserial, id bigint, name text, value float8)")
    done = run_and_kill(
        COPY,
        server.url,
        "",
        kills=kills,
        progress=lambda: count(db, "copy"),
        total=total - 500,
        pause=(0.0, 0.05),
    )
    assert done == kills
    found = [row[0] for row in rows(db, "SELECT id FROM copy ORDER BY n")]
    assert found == list(range(1, total + 1))  # none lost, none twice: a batch is a transaction


# --- TLS ------------------------------------------------------------------------------------------


def test_tls_is_verified_as_the_address_says(
    server: PostgresServer, db: Any, tmp_path: Path
) -> None:
    trustme = pytest.importorskip("trustme", reason="needs trustme")
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "stranger.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    make_events(db, 3)
    with tls_proxy(server.port, context) as port:
        url = server.url.replace(str(server.port), str(port))
        verified = f"{url}?sslmode=verify-full&sslrootcert={tmp_path}"
        assert ids(read_all(f"{verified}/ca.pem", "events", key="id")) == [1, 2, 3]
        write_all([{"name": "tls"}], f"{verified}/ca.pem", "events")
        assert count(db, "events") == 4
        source = Stream.from_sql(f"{verified}/stranger.pem", "events", key="id")
        source.start()
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            source.join(timeout=30)
        source.destroy()
