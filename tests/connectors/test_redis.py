"""Redis: streams with consumer groups, lists and channels, against a server of their own."""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.brokers import (
    assert_refuses,
    duplicates,
    is_connected,
    median_ratio,
    new_authority,
    numbers_in,
    peak_memory,
    start_and_connect,
    write,
)
from tests.connectors.servers import (
    CuttingProxy,
    Server,
    free_port,
    no_leaks,
    redis_server,
    run_and_kill,
    wait_for_all,
    wait_until,
)

from rapidz import Stream
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart

redis = pytest.importorskip("redis")
pytestmark = [pytest.mark.server]

QUICK = Restart(wait=0.02, limit=0.2)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture
def url(server: Server) -> str:
    with redis.Redis(port=server.port) as client:
        client.flushall()
    return f"redis://{server.address}"


@pytest.fixture
def client(server: Server, url: str) -> Iterator[Any]:
    with redis.Redis(port=server.port) as client:
        yield client


def add(client: Any, key: str, numbers: range) -> None:
    with client.pipeline(transaction=False) as pipe:
        for n in numbers:
            pipe.xadd(key, {"data": n})
        pipe.execute()


def push(client: Any, key: str, numbers: range) -> None:
    client.rpush(key, *map(str, numbers))


def pending_entries(client: Any) -> int:
    """How many entries the group has not acknowledged; none, if there is no group yet."""
    try:
        count: int = client.xpending("s", "g")["pending"]
    except redis.ResponseError:
        return 0
    return count


def stream_source(url: str, **options: Any) -> Source[Any]:
    return Stream.from_redis_stream(url, "s", "g", "c", codec="json", **options)


def list_source(url: str, **options: Any) -> Source[Any]:
    return Stream.from_redis_list(url, "l", codec="json", **options)


#: Each source that acknowledges: how to build it, how to fill it, how many are unacknowledged.
ACKNOWLEDGED = [
    pytest.param(
        stream_source,
        lambda client, numbers: add(client, "s", numbers),
        lambda client: pending_entries(client),
        id="stream",
    ),
    pytest.param(
        list_source,
        lambda client, numbers: push(client, "l", numbers),
        lambda client: client.llen("l:processing"),
        id="list",
    ),
]
acknowledged = pytest.mark.parametrize(("make", "fill", "pending"), ACKNOWLEDGED)

Make = Callable[..., Source[Any]]
Fill = Callable[[Any, range], None]
Pending = Callable[[Any], int]


# --- elements -----------------------------------------------------------------------------------


def test_a_stream_emits_entries_with_identifier_and_fields(client: Any, url: str) -> None:
    with Stream.from_redis_stream(url, "s", "g", "c") as source:
        seen = source.sink_to_list()
        source.start()
        name = client.xadd("s", {"a": 1, "b": "two"})
        wait_until(lambda: seen)
    assert seen[0].id == name.decode()
    assert seen[0].fields == {b"a": b"1", b"b": b"two"}


@pytest.mark.parametrize("total", [3000, pytest.param(100_000, marks=pytest.mark.soak)])
@acknowledged
def test_all_elements_arrive_once_and_in_order(
    client: Any, url: str, make: Make, fill: Fill, pending: Pending, total: int
) -> None:
    fill(client, range(total))
    with make(url) as source:
        seen = source.sink_to_list()
        source.start()
        wait_for_all(lambda: len(seen), total)
    assert seen == list(range(total))
    assert pending(client) == 0


@pytest.mark.parametrize("total", [3000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_sinks_write_all_elements_in_order(client: Any, url: str, total: int) -> None:
    write(lambda s: s.to_redis_stream(url, "s", codec="json", batch=100), range(total))
    write(lambda s: s.to_redis_list(url, "l", codec="json", batch=100), range(total))
    assert [int(fields[b"data"]) for _, fields in client.xrange("s")] == list(range(total))
    assert [int(x) for x in client.lrange("l", 0, -1)] == list(range(total))


def test_a_stream_sink_takes_mappings_and_bounds_the_stream(client: Any, url: str) -> None:
    write(
        lambda s: s.to_redis_stream(url, "s", maxlen=10, batch=50), [{"n": n} for n in range(500)]
    )
    assert client.xlen("s") < 500
    assert client.xrevrange("s", count=1)[0][1] == {b"n": b"499"}


def test_a_stream_sink_refuses_what_is_no_mapping(url: str) -> None:
    with Stream[Any](asynchronous=False) as source:
        node = source.to_redis_stream(url, "s")
        failures = node.errors.sink_to_list()
        source.emit_many([{"a": 1}, 2])
    assert [failure.element for failure in failures] == [2]
    assert "mappings" in str(failures[0].exception)


def test_published_messages_reach_channels_and_patterns(url: str) -> None:
    with Stream.from_redis_pubsub(url, "news", patterns=["sport.*"]) as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        write(lambda s: s.to_redis_pubsub(url, "news", codec="text", batch=2), ["a", "b", "c"])
        write(lambda s: s.to_redis_pubsub(url, "sport.x", codec="text"), ["d"])
        wait_until(lambda: len(seen) == 4)
    assert [tuple(x) for x in seen] == [
        *(("news", x) for x in (b"a", b"b", b"c")),
        ("sport.x", b"d"),
    ]


def test_a_published_message_is_lost_without_a_subscriber(client: Any, url: str) -> None:
    with Stream.from_redis_pubsub(url, "news", codec="json") as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        client.publish("news", 1)
        wait_until(lambda: seen)
        source.stop()
        wait_until(lambda: not client.pubsub_channels())
        client.publish("news", 2)
        start_and_connect(source)
        client.publish("news", 3)
        wait_until(lambda: len(seen) == 2)
    assert seen == [1, 3]


# --- without a group: positions ---------------------------------------------------------------


def test_a_stream_without_a_group_can_seek(client: Any, url: str) -> None:
    add(client, "s", range(10))
    with Stream.from_redis_stream(url, "s", codec="json") as source:
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 10)
        position = pickle.loads(pickle.dumps(source.position()))
    add(client, "s", range(10, 13))
    with Stream.from_redis_stream(url, "s", codec="json") as source:
        seen = source.sink_to_list()
        source.seek(position)
        source.start()
        wait_until(lambda: len(seen) == 3)
    assert source.seekable
    assert seen == [10, 11, 12]


def test_a_stream_begins_with_new_entries_on_request(client: Any, url: str) -> None:
    add(client, "s", range(10))
    with Stream.from_redis_stream(url, "s", since="$", codec="json") as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        add(client, "s", range(10, 12))
        wait_until(lambda: len(seen) == 2)
    assert seen == [10, 11]


def test_a_consumer_of_a_group_cannot_seek(url: str) -> None:
    source = stream_source(url)
    assert not source.seekable
    with pytest.raises(io.UnsupportedOperation):
        source.position()
    with pytest.raises(io.UnsupportedOperation):
        source.seek("0")


# --- acknowledgement --------------------------------------------------------------------------


@acknowledged
def test_nothing_unfinished_is_acknowledged(
    client: Any, url: str, make: Make, fill: Fill, pending: Pending
) -> None:
    fill(client, range(5))
    with make(url) as source:
        seen = source.partition(3).sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 1)
        wait_until(lambda: pending(client) == 2)
        source.stop()
        wait_until(lambda: not is_connected(source))
        assert pending(client) == 2
    assert seen == [(0, 1, 2), (3, 4)]
    assert pending(client) == 0  # acknowledged after `stop`, when `close` had flushed


@acknowledged
def test_an_element_in_the_pipeline_is_not_emitted_again(
    client: Any, url: str, make: Make, fill: Fill, pending: Pending
) -> None:
    fill(client, range(5))
    with make(url) as source:
        seen = source.partition(10).sink_to_list()
        source.start()
        wait_until(lambda: len(source._in_flight) == 5)  # type: ignore[attr-defined]
        source.stop()
        start_and_connect(source)
        fill(client, range(5, 10))
        wait_until(lambda: seen)
    assert seen == [tuple(range(10))]
    assert pending(client) == 0


@acknowledged
def test_a_failed_element_is_emitted_again_after_a_restart(
    client: Any, url: str, make: Make, fill: Fill, pending: Pending
) -> None:
    fill(client, range(4))
    broken = True

    def check(x: int) -> int:
        if broken and x == 2:
            raise ValueError(x)
        return x

    source = make(url)
    seen = source.map(check).sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    assert isinstance(source.exception, ValueError)
    assert seen[:2] == [0, 1]
    with pytest.raises(ValueError, match="2"):
        source.join()
    wait_until(lambda: pending(client) >= 1)
    broken = False
    source.start()
    wait_until(lambda: {2, 3} <= {*seen})
    source.close()
    assert pending(client) == 0


@acknowledged
def test_a_skipped_element_is_acknowledged(
    client: Any, url: str, make: Make, fill: Fill, pending: Pending
) -> None:
    fill(client, range(4))
    with make(url) as source:
        seen = source.map(lambda x: 6 // x).on_error("skip").sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 3)
    assert pending(client) == 0


def test_entries_of_a_dead_consumer_are_claimed(client: Any, url: str) -> None:
    add(client, "s", range(5))
    client.xgroup_create("s", "g", id="0")
    client.xreadgroup("g", "dead", {"s": ">"}, count=3)
    with stream_source(url, claim="50ms") as source:
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 5)
        wait_until(lambda: pending_entries(client) == 0)
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_entries_of_other_consumers_are_not_touched_by_default(client: Any, url: str) -> None:
    add(client, "s", range(5))
    client.xgroup_create("s", "g", id="0")
    client.xreadgroup("g", "other", {"s": ">"}, count=3)
    with stream_source(url) as source:
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 2)
    assert pending_entries(client) == 3


def test_a_deleted_entry_is_acknowledged_and_left_out(client: Any, url: str) -> None:
    client.xgroup_create("s", "g", id="0", mkstream=True)
    names = [client.xadd("s", {"data": n}) for n in range(3)]
    client.xreadgroup("g", "c", {"s": ">"})
    client.xdel("s", names[1])
    with stream_source(url) as source:
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 2)
        wait_until(lambda: pending_entries(client) == 0)
    assert seen == [0, 2]


# --- back pressure ----------------------------------------------------------------------------


@acknowledged
def test_a_slow_sink_slows_the_source(
    client: Any, url: str, make: Make, fill: Fill, pending: Pending
) -> None:
    fill(client, range(2000))
    gate = threading.Event()
    source = make(url, batch=10)
    seen: list[int] = []

    async def slow(x: int) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.005)
        seen.append(x)

    with source:
        source.sink(slow)
        source.start()
        wait_until(lambda: pending(client) >= 10)
        with pytest.raises(pytest.fail.Exception):
            wait_until(lambda: pending(client) > 30, deadline=0.3)
        gate.set()
        wait_until(lambda: len(seen) == 2000)
    assert seen == list(range(2000))


@pytest.mark.slow
@acknowledged
def test_memory_stays_flat_with_a_slow_sink(
    client: Any, url: str, make: Make, fill: Fill, pending: Pending
) -> None:
    large = '"' + "x" * 100_000 + '"'
    for _ in range(10):
        if make is stream_source:
            for _ in range(30):
                client.xadd("s", {"data": large})
        else:
            client.rpush("l", *[large] * 30)
    source = make(url, batch=5)
    count = 0

    async def slow(x: str) -> None:
        nonlocal count
        await asyncio.sleep(0.001)
        count += 1

    def work() -> None:
        with source:
            source.sink(slow)
            source.start()
            wait_until(lambda: count >= 300)

    assert peak_memory(work) < 12_000_000  # of 30 MB


# --- faults -----------------------------------------------------------------------------------


@acknowledged
def test_nothing_is_lost_or_doubled_when_connections_are_cut(
    server: Server, client: Any, url: str, make: Make, fill: Fill, pending: Pending
) -> None:
    fill(client, range(2000))
    with CuttingProxy(server.port) as proxy:
        source = make(f"redis://{proxy.address}", batch=20, restart=QUICK)
        with source:
            seen = source.sink_to_list()
            source.start()
            for step in (200, 700, 1400):
                wait_until(lambda step=step: len(seen) >= step)  # type: ignore[misc]
                proxy.drop()
            wait_until(lambda: {*seen} == {*range(2000)})
            wait_until(lambda: source.state == "running")
    assert pending(client) == 0
    if make is stream_source:
        assert seen == list(range(2000))
    else:
        assert duplicates(seen) <= 3 * 40


@pytest.mark.slow
@acknowledged
def test_a_server_that_is_killed_loses_nothing(make: Make, fill: Fill, pending: Pending) -> None:
    total = 3000
    with redis_server() as server, redis.Redis(port=server.port) as client:
        fill(client, range(total))
        source = make(f"redis://{server.address}", batch=20, restart=QUICK)
        with source:
            seen = source.sink_to_list()
            source.start()
            for step in (500, 1500):
                wait_until(lambda step=step: len(seen) >= step)  # type: ignore[misc]
                server.kill()
                server.start()
            wait_until(lambda: {*seen} == {*range(total)}, 60)
        assert pending(client) == 0
        print(f"{duplicates(seen)} duplicates")


@pytest.mark.slow
def test_a_sink_writes_on_when_its_server_was_killed() -> None:
    with redis_server() as server, redis.Redis(port=server.port) as client:
        url = f"redis://{server.address}"
        with Stream[int](asynchronous=False) as source:
            source.to_redis_stream(url, "s", codec="json", batch=10, restart=QUICK)
            source.emit_many(range(1000))
            server.kill()
            threading.Timer(0.1, server.start).start()
            source.emit_many(range(1000, 2000))
        found = [int(fields[b"data"]) for _, fields in client.xrange("s")]
    assert {*found} == {*range(2000)}
    assert duplicates(found) <= 10


CONSUMER = """
    import os, sys
    from rapidz import Stream
    kind, url, path, total = sys.argv[1:]
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    if kind == "stream":
        source = Stream.from_redis_stream(url, "s", "g", "c", codec="json", batch=20)
    else:
        source = Stream.from_redis_list(url, "l", codec="json", batch=20)
    source.sink(lambda x: os.write(file, b"%d\\n" % x))
    source.start()
    print("started", flush=True)
    import time
    while len({*open(path).read().split()}) < int(total):
        time.sleep(0.02)
    source.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.soak)])
@acknowledged
def test_a_killed_consumer_loses_nothing(
    client: Any,
    url: str,
    tmp_path: Path,
    make: Make,
    fill: Fill,
    pending: Pending,
    kills: int,
) -> None:
    total, file = 300 * kills, tmp_path / "seen"
    file.touch()
    fill(client, range(total))
    kind = "stream" if make is stream_source else "list"

    def progress() -> int:
        return len(numbers_in(file))

    killed = run_and_kill(
        CONSUMER,
        kind,
        url,
        file,
        total,
        kills=kills,
        progress=progress,
        total=total,
        pause=(0, 0.01),
    )
    seen = numbers_in(file)
    print(f"{killed} kills, {duplicates(seen)} duplicates")
    assert killed >= 1
    assert {*seen} == {*range(total)}
    assert pending(client) == 0


@pytest.mark.parametrize("kind", ["stream", "list", "pubsub"])
def test_starts_and_stops_leave_nothing(url: str, kind: str) -> None:
    sources: dict[str, Callable[[], Source[Any]]] = {
        "stream": lambda: stream_source(url),
        "list": lambda: list_source(url),
        "pubsub": lambda: Stream.from_redis_pubsub(url, "news"),
    }
    with no_leaks():
        source = sources[kind]()
        source.sink_to_list()
        for number in range(20):
            source.start()
            if number % 2:
                wait_until(lambda: is_connected(source))
            source.stop()
        source.close()


def test_sinks_leave_nothing(url: str) -> None:
    with no_leaks():
        for _ in range(20):
            write(lambda s: s.to_redis_list(url, "l", codec="json"), range(3))


# --- bad input --------------------------------------------------------------------------------


def test_a_server_that_is_not_there_fails_the_source() -> None:
    source = stream_source(f"redis://:secret@127.0.0.1:{free_port()}")
    source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    assert isinstance(source.exception, redis.ConnectionError)
    assert "secret" not in f"{source.exception!r} {source.exception}"
    with pytest.raises(redis.ConnectionError):
        source.close()


def test_a_source_can_wait_for_a_server_that_is_not_there(server: Server) -> None:
    with CuttingProxy(server.port) as proxy:
        proxy.refuse()
        restart = Restart(wait=0.02, limit=0.05, at_start=True)
        with stream_source(f"redis://{proxy.address}", restart=restart) as source:
            source.sink_to_list()
            source.start()
            wait_until(lambda: source.state == "restarting")
            proxy.refuse(False)
            wait_until(lambda: is_connected(source))


def test_a_sink_without_a_server_raises() -> None:
    source = Stream[int](asynchronous=False)
    source.to_redis_list(f"redis://:secret@127.0.0.1:{free_port()}", "l", codec="json")
    with pytest.raises(redis.ConnectionError) as failure:
        source.emit(1)
    assert "secret" not in str(failure.value)
    source.close()


@acknowledged
def test_what_cannot_be_decoded_goes_to_the_policy(
    client: Any, url: str, make: Make, fill: Fill, pending: Pending
) -> None:
    fill(client, range(2))
    if make is stream_source:
        client.xadd("s", {"data": b"\xff{"})
        client.xadd("s", {"other": 1})
    else:
        client.rpush("l", b"\xff{")
    fill(client, range(2, 4))
    with make(url) as source:
        failures = source.errors.sink_to_list()
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 4)
    assert seen == [0, 1, 2, 3]
    assert failures[0].element == b"\xff{"
    if make is stream_source:
        assert failures[1].element == {b"other": b"1"}
    assert pending(client) == 0


def test_a_key_of_another_kind_fails_the_source(client: Any, url: str) -> None:
    client.set("s", "text")
    source = stream_source(url)
    source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    assert "WRONGTYPE" in str(source.exception)
    with pytest.raises(redis.ResponseError):
        source.close()


def test_a_wrong_password_is_final() -> None:
    with redis_server("--requirepass", "right") as server:
        source = stream_source(f"redis://:wrong@{server.address}", restart=QUICK)
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.state == "failed")
        assert isinstance(source.exception, redis.AuthenticationError)
        assert "wrong@" not in str(source.exception)
        with pytest.raises(redis.AuthenticationError):
            source.close()
        with stream_source(f"redis://:right@{server.address}") as source:
            source.sink_to_list()
            start_and_connect(source)


def test_certificates_are_verified(server: Server, url: str, tmp_path: Path) -> None:
    authority = new_authority(tmp_path)
    with CuttingProxy(server.port, tls=authority.server) as proxy:
        address = f"rediss://{proxy.address}"
        assert_refuses(stream_source(address))
        options = {"ssl_ca_certs": str(authority.file)}
        write(lambda s: s.to_redis_list(address, "l", codec="json", client_kwargs=options), [1])
        with list_source(address, client_kwargs=options) as source:
            seen = source.sink_to_list()
            source.start()
            wait_until(lambda: seen == [1])


def test_secrets_do_not_show(caplog: pytest.LogCaptureFixture, server: Server) -> None:
    caplog.set_level(logging.DEBUG, "rapidz")
    with CuttingProxy(server.port) as proxy:
        url = f"redis://me:hunter2@{proxy.address}"
        source = stream_source(url, restart=QUICK, client_kwargs={"password": "hunter3"})
        sink = Stream[Any]().to_redis_list(url, "l")
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.state in ("failed", "restarting"))
        texts = [
            *(repr(x) for x in (source, sink, source.connection)),  # type: ignore[attr-defined]
            *(str(x) for x in (source, sink, source.exception)),
            caplog.text,
        ]
        assert not [text for text in texts if "hunter" in text]
        with pytest.raises(redis.RedisError) as failure:
            source.close()
        assert "hunter" not in str(failure.value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Stream.from_redis_stream("redis://h", "s", "g"), "consumer=None"),
        (lambda: Stream.from_redis_stream("redis://h", "s", claim=1), "claim needs a group"),
        (lambda: Stream.from_redis_stream("redis://h", "s", batch=0), "batch"),
        (
            lambda: Stream.from_redis_stream("http://h:hunter2@x", "s"),
            r"redis://.*http://h:\*\*\*@",
        ),
        (lambda: Stream.from_redis_list("redis://h", "l", "l"), "another list"),
        (lambda: Stream.from_redis_pubsub("redis://h"), "channels"),
        (lambda: Stream.from_redis_stream(1, "s"), "url must be a string"),  # type: ignore[arg-type]
        (lambda: Stream.from_redis_list("redis://h", "l", codec="xml"), "codec"),
        (lambda: Stream[Any]().to_redis_stream("redis://h", "s", maxlen=0), "maxlen"),
    ],
)
def test_bad_arguments_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        build()


# --- throughput -------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["read stream", "read list", "write stream", "write list"])
def test_throughput_is_near_that_of_the_bare_client(client: Any, url: str, kind: str) -> None:
    total = 20_000
    bare, ours = BENCHMARKS[kind]
    if kind.startswith("read"):
        add(client, "s", range(total))
        ratio = median_ratio(lambda: bare(client, url, total), lambda: ours(client, url, total))
    else:
        ratio = median_ratio(lambda: bare(client, url, total), lambda: ours(client, url, total))
    assert ratio >= 0.8


def _bare(work: Callable[[Any, int], Any]) -> Callable[[Any, str, int], None]:
    def run(client: Any, url: str, total: int) -> None:
        async def main() -> None:
            import redis.asyncio

            async with redis.asyncio.Redis.from_url(url) as bare:
                await work(bare, total)

        asyncio.run(main())

    return run


async def _read_stream(bare: Any, total: int) -> None:
    await bare.xgroup_create("s", "bare", id="0")
    seen: list[int] = []
    while len(seen) < total:
        answer = await bare.xreadgroup("bare", "c", {"s": ">"}, 100, 100)
        entries = answer[0][1]
        seen.extend(int(fields[b"data"]) for _, fields in entries)
        await bare.xack("s", "bare", *(name for name, _ in entries))
    await bare.xgroup_destroy("s", "bare")


async def _read_list(bare: Any, total: int) -> None:
    await bare.rpush("b", *range(total))
    seen: list[int] = []
    while len(seen) < total:
        async with bare.pipeline(transaction=False) as pipe:
            for _ in range(100):
                pipe.lmove("b", "b:processing", "LEFT", "RIGHT")
            items = [item for item in await pipe.execute() if item is not None]
            seen.extend(map(int, items))
            for item in items:
                pipe.lrem("b:processing", 1, item)
            await pipe.execute()


async def _write_stream(bare: Any, total: int) -> None:
    for begin in range(0, total, 100):
        async with bare.pipeline(transaction=True) as pipe:
            for n in range(begin, begin + 100):
                pipe.xadd("bare", {"data": str(n).encode()})
            await pipe.execute()


async def _write_list(bare: Any, total: int) -> None:
    for begin in range(0, total, 100):
        await bare.rpush("bare list", *(str(n).encode() for n in range(begin, begin + 100)))


def _ours_reads(make: Make) -> Callable[[Any, str, int], None]:
    def run(client: Any, url: str, total: int) -> None:
        if make is list_source:
            client.rpush("l", *range(total))
        done = threading.Event()
        seen: list[int] = []

        def take(x: int) -> None:
            seen.append(x)
            if len(seen) == total:
                done.set()

        with make(url) as source:
            source.sink(take)
            source.start()
            assert done.wait(60)
        if make is stream_source:
            client.xgroup_destroy("s", "g")

    return run


def _ours_writes(sink: Callable[[Stream[Any], str], object]) -> Callable[[Any, str, int], None]:
    def run(client: Any, url: str, total: int) -> None:
        async def main() -> None:
            async with Stream[int](asynchronous=True) as source:
                sink(source, url)
                await source.emit_many(range(total))

        asyncio.run(main())

    return run


#: Encodes as the bare client does.
DIGITS = (lambda n: str(n).encode(), int)

BENCHMARKS = {
    "read stream": (_bare(_read_stream), _ours_reads(stream_source)),
    "read list": (_bare(_read_list), _ours_reads(list_source)),
    "write stream": (
        _bare(_write_stream),
        _ours_writes(lambda s, url: s.to_redis_stream(url, "ours", codec=DIGITS, batch=100)),
    ),
    "write list": (
        _bare(_write_list),
        _ours_writes(lambda s, url: s.to_redis_list(url, "ours list", codec=DIGITS, batch=100)),
    ),
}
