"""The recipes, run as their pages say, against real servers."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.helpers import wait_until
from tests.connectors.kafka_servers import MockCluster, produce
from tests.connectors.postgres import PostgresServer
from tests.connectors.servers import free_port, mqtt_broker, nats_server, require_package
from tests.connectors.web import Handler, running, web_server

from rapidz import Stream

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
PAGE = RECIPES.parents[1] / "docs" / "recipes.md"


class Recipe:
    """A recipe that runs in a process of its own."""

    def __init__(self, name: str, *args: object) -> None:
        target = f"{RECIPES / name}.py:main"
        command = [sys.executable, "-m", "rapidz", "run", "--quiet", target, "--", *map(str, args)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it by a signal; return what it has printed."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            output, _ = self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        return output

    def wait(self) -> str:
        """Wait until it ends by itself."""
        output, _ = self._process.communicate(timeout=30)
        assert self._process.returncode == 0, output
        return output

    @property
    def status(self) -> int | None:
        return self._process.returncode


@contextlib.contextmanager
def recipe(name: str, *args: object, kill: bool = False) -> Iterator[Recipe]:
    """Run a recipe for a block, and end it by SIGTERM: it must exit with 0; or by SIGKILL."""
    running = Recipe(name, *args)
    try:
        yield running
    except BaseException:
        print(running.end(signal.SIGKILL))
        raise
    output = running.end(signal.SIGKILL if kill else signal.SIGTERM)
    assert kill or running.status == 0, output


@contextlib.contextmanager
def hook(failures: int = 0) -> Iterator[tuple[str, list[Any]]]:
    """Serve a web hook that refuses the first requests; yield its URL and what it got."""
    got: list[Any] = []
    left = [None] * failures

    def answer(handler: Handler) -> None:
        body = handler.read_body()
        if left:
            left.pop()
            handler.reply(503)
        else:
            got.append(json.loads(body))
            handler.reply(200)

    with web_server(answer) as server:
        yield f"{server.url}/hook", got


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize(
    "kill",
    [False, pytest.param(True, marks=pytest.mark.soak)],  # Kafka waits six seconds for the dead
)
def test_kafka_to_postgres_loses_nothing_and_keeps_what_it_refuses(kill: bool) -> None:
    require_package("psycopg")
    orders = [{"id": n, "item": f"item {n}", "price": n / 4} for n in range(2000)]
    values: list[Any] = [json.dumps(order) for order in orders]
    values[700] = "no order"
    values[1500] = json.dumps({"id": 1500, "item": "free", "price": -1.5})
    with MockCluster() as kafka, PostgresServer() as postgres, postgres.connect() as db:
        kafka.topic("orders", 2)
        doc = (RECIPES / "kafka_to_postgres.py").read_text("utf-8")
        for line in doc.splitlines():
            if line.strip().startswith("CREATE TABLE"):
                db.execute(line)

        def count(table: str) -> int:
            found: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            return found

        produce(kafka.address, "orders", values[:1000], partitions=2)
        if kill:
            with recipe("kafka_to_postgres", kafka.address, postgres.url, kill=True):
                wait_until(lambda: count("orders") > 0)
        produce(kafka.address, "orders", values[1000:], partitions=2)
        with recipe("kafka_to_postgres", kafka.address, postgres.url):
            wait_until(lambda: count("orders") == 1998 and count("refused") >= 2)
        found = db.execute("SELECT id FROM orders ORDER BY id").fetchall()
        assert [row[0] for row in found] == [n for n in range(2000) if n not in (700, 1500)]
        refused = db.execute("SELECT DISTINCT message FROM refused").fetchall()
        assert sorted(row[0] for row in refused) == [
            "Order(id=1500, item='free', price=-1.5)",
            "no order",
        ]


def post(url: str, body: object, token: str) -> int:
    request = urllib.request.Request(
        url,
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.server
@pytest.mark.slow
def test_an_answered_web_hook_is_in_the_queue_once() -> None:
    nats: Any = require_package("nats-py", "nats")
    import asyncio

    async def make(server: str) -> None:
        client = await nats.connect(server)
        await client.jetstream().add_stream(name="EVENTS", subjects=["events.>"])
        await client.close()

    async def stored(server: str) -> list[Any]:
        client = await nats.connect(server)
        stream = client.jetstream()
        info = await stream.stream_info("EVENTS")
        found = [await stream.get_msg("EVENTS", n + 1) for n in range(info.state.messages)]
        await client.close()
        return [(message.subject, json.loads(message.data or b"")) for message in found]

    port = free_port()
    with nats_server() as server:
        address = f"nats://{server.address}"
        asyncio.run(make(address))
        with recipe("webhook_to_jetstream", port, "secret", address):
            url = f"http://127.0.0.1:{port}/events"
            wait_until(lambda: answers(url))
            events = [{"id": str(n), "kind": "paid", "amount": n} for n in range(50)]
            statuses: list[int] = []
            threads = [
                threading.Thread(target=lambda e=event: statuses.append(post(url, e, "secret")))
                for event in [*events, *events[:10]]  # ten are sent twice
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert statuses == [200] * 60
            assert post(url, {"kind": "paid"}, "secret") == 400
            assert post(url, events[0], "wrong") == 401
        found = asyncio.run(stored(address))
    assert sorted(event["amount"] for _, event in found) == list(range(50))
    assert {subject for subject, _ in found} == {"events.paid"}


def answers(url: str) -> bool:
    try:
        return post(url, {}, "wrong") == 401
    except OSError:
        return False


@pytest.mark.server
@pytest.mark.slow
def test_a_sensor_alerts_when_it_becomes_hot_and_when_it_is_normal() -> None:
    publish: Any = require_package("paho-mqtt", "paho.mqtt.publish")
    with mqtt_broker() as broker, hook(failures=2) as (url, alerts):

        def send(sensor: str, value: object) -> None:
            publish.single(
                f"sensors/{sensor}/celsius", str(value), 1, hostname=broker.host, port=broker.port
            )

        def has_alerted() -> bool:
            send("a", 95)
            return bool(alerts)

        with recipe("mqtt_to_alert", broker.host, broker.port, url):
            wait_until(has_alerted)  # it may not have subscribed yet
            for sensor, value in [("b", 20), ("a", 99), ("a", "hot"), ("a", 50), ("b", 91.5)]:
                send(sensor, value)
            wait_until(lambda: len(alerts) == 3)
    assert alerts == [
        {"sensor": "a", "celsius": 95.0, "hot": True},
        {"sensor": "a", "celsius": 50.0, "hot": False},
        {"sensor": "b", "celsius": 91.5, "hot": True},
    ]


@pytest.mark.server
@pytest.mark.slow
def test_errors_of_a_log_are_reported_together_across_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("12:00 ERROR before the start\n")

    def write(*lines: str) -> None:
        with log.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    with hook(failures=1) as (url, reports), recipe("log_to_alert", log, url, "200ms"):

        def has_reported() -> bool:
            write("12:01 ERROR probe")
            return bool(reports)

        wait_until(has_reported)  # it may not have opened the file yet
        log.rename(tmp_path / "app.log.1")
        log.touch()
        write("12:02 INFO fine", "12:03 ERROR first", "12:04 ERROR last")
        wait_until(lambda: reports[-1]["last"] == "12:04 ERROR last")
    assert "before the start" not in str(reports)
    assert "fine" not in str(reports)


@pytest.mark.slow
def test_pages_are_requested_at_a_rate_again_if_need_be_and_written(tmp_path: Path) -> None:
    parquet: Any = require_package("pyarrow", "pyarrow.parquet")
    first: dict[int, float] = {}
    requests: Counter[int] = Counter()

    def answer(handler: Handler) -> None:
        page = int(handler.path.partition("page=")[2])
        first.setdefault(page, time.monotonic())
        requests[page] += 1
        if page == 7 or (page % 3 == 0 and requests[page] < 3):
            handler.reply(503)
            return
        rows = [{"day": f"2026-01-0{page % 2 + 1}", "page": page, "n": n} for n in range(100)]
        handler.reply(200, json.dumps(rows).encode())

    with web_server(answer) as server:
        output = Recipe("http_to_parquet", f"{server.url}/readings", 12, tmp_path / "out").wait()
    assert "page=7: HTTP 503" in output
    assert "(5 attempts)" in output
    assert (requests[7], requests[6], requests[5]) == (5, 3, 1)
    assert first[12] - first[1] >= 0.5  # 11 intervals of 50 ms
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["2026-01-01-000000.parquet", "2026-01-02-000000.parquet"]
    tables = [parquet.read_table(tmp_path / "out" / file) for file in files]
    found = [row for table in tables for row in table.to_pylist()]
    pages = [page for page in range(1, 13) if page != 7]
    expected = [
        (page, n) for day in (0, 1) for page in pages if page % 2 == day for n in range(100)
    ]
    assert [(row["page"], row["n"]) for row in found] == expected


@pytest.mark.parametrize("library", ["fastavro", "google.protobuf"])
def test_messages_of_avro_and_protobuf_go_through_a_pair_of_functions(library: str) -> None:
    pytest.importorskip(library, reason=f"needs {library}")
    section = PAGE.read_text("utf-8").partition("## Avro and Protobuf")[2]
    [example] = [
        code for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL) if library in code
    ]
    names: dict[str, Any] = {}
    exec(compile(example, "recipes.md", "exec"), names)
    readings: list[Any] = [{"sensor": f"s{n}", "celsius": n / 2} for n in range(20)]
    if library != "fastavro":
        made = [names["Reading"]() for _ in readings]
        for message, values in zip(made, readings, strict=True):
            message.update(values)
        readings = made
    server = Stream.from_http_server(0, codec=names["codec"])
    failures = server.errors.sink_to_list()
    seen = server.sink_to_list()
    with running(server), Stream[Any](asynchronous=False) as source:
        url = f"http://127.0.0.1:{server.port}/"
        source.to_http(url, codec=names["codec"])
        source.emit_many(readings)
        post(url, "no message", "")
        wait_until(lambda: failures)
    assert seen == readings
    assert failures[0].element == b'"no message"'


def test_the_page_shows_the_code_of_the_examples() -> None:
    page = PAGE.read_text("utf-8")
    blocks = re.findall(
        r"\]\(\.\./examples/recipes/(\w+)\.py\).*?```python\n(.*?)```", page, re.DOTALL
    )
    assert {name for name, _ in blocks} == {path.stem for path in RECIPES.glob("*.py")}
    for name, code in blocks:
        assert code.strip() in (RECIPES / f"{name}.py").read_text("utf-8"), name


@pytest.mark.slow
def test_dead_letters_are_kept_in_a_file_and_come_back(tmp_path: Path) -> None:
    database = tmp_path / "payments.db"
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute("CREATE TABLE payments (id INTEGER PRIMARY KEY, amount NUMERIC NOT NULL)")

        def paid() -> list[Any]:
            found: list[Any] = db.execute("SELECT * FROM payments ORDER BY id").fetchall()
            return found

        payments, failed = tmp_path / "payments.jsonl", tmp_path / "failed.jsonl"
        lines: list[Any] = [json.dumps({"id": n, "amount": n / 2}) for n in range(1, 300)]
        lines[100], lines[200] = '{"id": 101}', '{"id": "two hundred and one", "amount": 1}'
        payments.write_text("\n".join([*lines, "no JSON"]) + "\n")
        Recipe("dead_letters_to_file", payments, failed, database).wait()
        assert len(paid()) == 297
        letters = [json.loads(line) for line in failed.read_text("utf-8").splitlines()]
        reasons = [letter["reason"].partition(":")[0] for letter in letters]
        assert sorted(reasons) == ["DecodeError", "KeyError", "ValueError"]

        letters[0]["failed"]["amount"] = 50.5
        failed.write_text("".join(json.dumps(letter) + "\n" for letter in letters))
        again = tmp_path / "again.jsonl"
        Recipe("dead_letters_to_file", failed, again, database).wait()
        assert (101, 50.5) in paid()
        assert len(paid()) == 298
        assert len(again.read_text("utf-8").splitlines()) == 2
