"""NATS subjects and JetStream streams, against a server of their own."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

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
    nats_server,
    no_leaks,
    run_and_kill,
    wait_for_all,
    wait_until,
)

from rapidz import Stream
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart

nats = pytest.importorskip("nats")
pytestmark = [pytest.mark.server]

R = TypeVar("R")

QUICK = Restart(wait=0.02, limit=0.2)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with nats_server() as server:
        yield server


@pytest.fixture
def url(server: Server) -> str:
    """Address of the server, which has one stream ``S`` of the subjects ``s.>``, empty."""
    url = f"nats://{server.address}"
    call(url, new_stream)
    return url


def call(url: str, work: Callable[[Any], Awaitable[R]], **options: Any) -> R:
    """Return what *work* returns for a connected client."""

    async def main() -> R:
        client = await nats.connect(url, **options)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())


async def new_stream(client: Any) -> None:
    manager = client.jetstream()
    for name in [info.config.name for info in await manager.streams_info()]:
        await manager.delete_stream(name)
    await manager.add_stream(name="S", subjects=["s.>"])


def fill(url: str, numbers: range) -> None:
    async def publish(client: Any) -> None:
        manager = client.jetstream()
        for answer in [await manager.publish_async("s.n", b"%d" % n) for n in numbers]:
            await answer

    call(url, publish)


def unacknowledged(url: str, durable: str = "d") -> int:
    """Messages of a consumer that were not delivered, or not acknowledged."""

    async def count(client: Any) -> int:
        info = await client.jetstream().consumer_info("S", durable)
        return int(info.num_pending + info.num_ack_pending)

    return call(url, count)


def stored(url: str) -> list[int]:
    """The messages of the stream."""

    async def read(client: Any) -> list[int]:
        manager = client.jetstream()
        count = (await manager.stream_info("S")).state.messages
        reader = await manager.pull_subscribe("", stream="S", durable="reader")
        found: list[int] = []
        while len(found) < count:
            messages = await reader.fetch(1000, timeout=5)
            found += [int(message.data) for message in messages]
            for message in messages:
                await message.ack()
        return found

    return call(url, read)


def publish(url: str, subject: str, *payloads: bytes) -> None:
    async def work(client: Any) -> None:
        for payload in payloads:
            await client.publish(subject, payload)
        await client.flush()

    call(url, work)


def jetstream(url: str, **options: Any) -> Source[Any]:
    return Stream.from_jetstream("S", "d", url, codec="json", **options)


# --- elements ---------------------------------------------------------------------------------


def test_messages_of_a_subject_arrive_with_subject_and_headers(url: str) -> None:
    with Stream.from_nats("core.*", url) as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        publish(url, "core.a", b"one", b"two")
        wait_until(lambda: len(seen) == 2)
    assert [(x.subject, x.data, x.headers) for x in seen] == [
        ("core.a", b"one", None),
        ("core.a", b"two", None),
    ]


def test_messages_of_a_stream_arrive_with_their_metadata(url: str) -> None:
    fill(url, range(2))
    with Stream.from_jetstream("S", "d", url) as source:
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 2)
    assert [(x.subject, x.data, x.metadata.sequence.stream) for x in seen] == [
        ("s.n", b"0", 1),
        ("s.n", b"1", 2),
    ]


@pytest.mark.parametrize("total", [3000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_all_messages_of_a_stream_arrive_once_and_in_order(url: str, total: int) -> None:
    write(lambda s: s.to_jetstream("s.n", url, codec="json", batch=200), range(total))
    with jetstream(url) as source:
        seen = source.sink_to_list()
        source.start()
        wait_for_all(lambda: len(seen), total)
    assert seen == list(range(total))
    wait_until(lambda: unacknowledged(url) == 0)


@pytest.mark.parametrize("total", [3000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_all_messages_of_a_subject_arrive_once_and_in_order(url: str, total: int) -> None:
    source: Any = Stream.from_nats("core", url, codec="json", buffer=total)
    with source:
        seen = source.sink_to_list()
        start_and_connect(source)
        write(lambda s: s.to_nats("core", url, codec="json", batch=200), range(total))
        wait_for_all(lambda: len(seen), total)
    assert seen == list(range(total))
    assert source.dropped == 0


def test_members_of_a_queue_group_share_the_messages(url: str) -> None:
    sources = [Stream.from_nats("core", url, "workers", codec="json") for _ in range(2)]
    seen = [source.sink_to_list() for source in sources]
    for source in sources:
        start_and_connect(source)
    publish(url, "core", *(b"%d" % n for n in range(100)))
    wait_until(lambda: sum(map(len, seen)) == 100)
    for source in sources:
        source.close()
    assert sorted(seen[0] + seen[1]) == list(range(100))


def test_subjects_can_depend_on_the_element(url: str) -> None:
    with Stream.from_nats("core.>", url) as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        write(lambda s: s.to_nats("core.{}".format, url, codec="text"), ["a", "b"])
        wait_until(lambda: len(seen) == 2)
    assert [(x.subject, x.data) for x in seen] == [("core.a", b"a"), ("core.b", b"b")]


def test_a_new_consumer_begins_where_it_is_told(url: str) -> None:
    fill(url, range(10))
    for since, wanted in ((8, [7, 8, 9]), ("last", [9])):
        with Stream.from_jetstream("S", f"d{since}", url, since=since, codec="json") as source:
            seen = source.sink_to_list()
            source.start()
            wait_until(lambda: len(seen) == len(wanted))  # noqa: B023
        assert seen == wanted


def test_a_message_with_a_known_identifier_is_stored_once(url: str) -> None:
    for _ in range(2):
        write(lambda s: s.to_jetstream("s.n", url, codec="json", message_id=str), range(5))
    assert stored(url) == list(range(5))


# --- acknowledgement --------------------------------------------------------------------------


def test_nothing_unfinished_is_acknowledged(url: str) -> None:
    fill(url, range(5))
    with jetstream(url) as source:
        seen = source.partition(3).sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 1)
        wait_until(lambda: unacknowledged(url) == 2)
        source.stop()
        wait_until(lambda: not is_connected(source))
        assert unacknowledged(url) == 2
    assert seen == [(0, 1, 2), (3, 4)]
    # Acknowledged after `stop`, when `close` had flushed.
    wait_until(lambda: unacknowledged(url) == 0)


def test_a_message_in_the_pipeline_is_kept_in_progress(url: str) -> None:
    fill(url, range(3))
    gate = threading.Event()
    seen: list[int] = []

    async def slow(x: int) -> None:
        seen.append(x)
        while x == 0 and not gate.is_set():
            await asyncio.sleep(0.01)

    with jetstream(url, ack_wait=1) as source:
        source.sink(slow)
        source.start()
        wait_until(lambda: seen)

        async def delivered(client: Any) -> int:
            await asyncio.sleep(1.5)
            info = await client.jetstream().consumer_info("S", "d")
            return int(info.num_redelivered)

        assert call(url, delivered) == 0
        gate.set()
        wait_until(lambda: len(seen) == 3)
    assert seen == [0, 1, 2]
    wait_until(lambda: unacknowledged(url) == 0)


def test_a_source_that_may_not_acknowledge_fails() -> None:
    config = """
        authorization { users = [
            {user: admin, password: pw},
            {user: reader, password: pw, permissions: {publish: {deny: "$JS.ACK.>"}}},
        ] }
    """
    with nats_server(config=config) as server:
        call(f"nats://admin:pw@{server.address}", new_stream)
        write_numbers = Stream[int]()
        write_numbers.to_jetstream("s.a", f"nats://admin:pw@{server.address}", codec="json")
        with write_numbers:
            write_numbers.emit(1)
        source = Stream.from_jetstream(
            "S", "reader", f"nats://reader:pw@{server.address}", codec="json"
        )
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: source.state == "failed")
        assert seen == [1]
        with pytest.raises(nats.errors.Error, match="permissions violation"):
            source.close()


def test_a_failed_message_is_refused_and_delivered_again(url: str) -> None:
    fill(url, range(4))
    broken = True

    def check(x: int) -> int:
        if broken and x == 2:
            raise ValueError(x)
        return x

    source = jetstream(url)
    seen = source.map(check).sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    assert isinstance(source.exception, ValueError)
    with pytest.raises(ValueError, match="2"):
        source.join()
    broken = False
    source.start()
    wait_until(lambda: {2, 3} <= {*seen})  # at once: not after `ack_wait`
    source.close()
    wait_until(lambda: unacknowledged(url) == 0)


def test_a_skipped_message_is_acknowledged(url: str) -> None:
    fill(url, range(4))
    with jetstream(url) as source:
        seen = source.map(lambda x: 6 // x).on_error("skip").sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 3)
    wait_until(lambda: unacknowledged(url) == 0)


# --- back pressure ----------------------------------------------------------------------------


def test_a_slow_sink_slows_a_stream(url: str) -> None:
    fill(url, range(500))
    gate = threading.Event()
    seen: list[int] = []

    async def slow(x: int) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.005)
        seen.append(x)

    async def delivered(client: Any) -> int:
        info = await client.jetstream().consumer_info("S", "d")
        return int(info.delivered.stream_seq)

    with jetstream(url, batch=10) as source:
        source.sink(slow)
        start_and_connect(source)
        wait_until(lambda: call(url, delivered) >= 10)
        with pytest.raises(pytest.fail.Exception):
            wait_until(lambda: call(url, delivered) > 20, deadline=0.3)
        gate.set()
        wait_until(lambda: len(seen) == 500)
    assert seen == list(range(500))


@pytest.mark.slow
def test_memory_stays_flat_with_a_slow_sink(url: str) -> None:
    publish(url, "s.n", *[b'"' + b"x" * 100_000 + b'"'] * 300)
    count = 0

    async def slow(x: str) -> None:
        nonlocal count
        await asyncio.sleep(0.001)
        count += 1

    def work() -> None:
        with jetstream(url, batch=5) as source:
            source.sink(slow)
            source.start()
            wait_until(lambda: count >= 300)

    assert peak_memory(work) < 12_000_000  # of 30 MB


def test_a_subject_drops_and_counts_what_a_slow_pipeline_cannot_take(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    seen: list[int] = []

    async def slow(x: int) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.005)
        seen.append(x)

    source: Any = Stream.from_nats("core", url, codec="json", buffer=10)
    with source:
        source.sink(slow)
        start_and_connect(source)
        publish(url, "core", *(b"%d" % n for n in range(100)))
        wait_until(lambda: source.dropped > 80)
        gate.set()
        wait_until(lambda: len(seen) + source.dropped == 100)
    assert 10 <= len(seen) <= 15
    assert seen == sorted(seen)
    assert "messages dropped" in caplog.text


# --- faults -----------------------------------------------------------------------------------


def test_nothing_is_lost_when_connections_are_cut(server: Server, url: str) -> None:
    total = 1000
    fill(url, range(total))
    with CuttingProxy(server.port) as proxy:
        options = {"batch": 20, "restart": QUICK, "ack_wait": 1}
        with jetstream(f"nats://{proxy.address}", **options) as source:
            seen = source.sink_to_list()
            source.start()
            for step in (100, 300, 700):
                wait_until(lambda step=step: len(seen) >= step)  # type: ignore[misc]
                proxy.drop()
            wait_until(lambda: {*seen} == {*range(total)})
            wait_until(lambda: source.state == "running")
            wait_until(lambda: unacknowledged(url) == 0)
    print(f"{duplicates(seen)} duplicates")


@pytest.mark.slow
def test_a_server_that_is_killed_loses_nothing() -> None:
    total = 1500
    with nats_server() as server:
        url = f"nats://{server.address}"
        call(url, new_stream)
        fill(url, range(total))
        with jetstream(url, batch=20, restart=QUICK, ack_wait=1) as source:
            seen = source.sink_to_list()
            source.start()
            for step in (300, 800):
                wait_until(lambda step=step: len(seen) >= step)  # type: ignore[misc]
                server.kill()
                server.start()
            wait_until(lambda: {*seen} == {*range(total)}, 60)
            wait_until(lambda: is_connected(source))
            wait_until(lambda: unacknowledged(url) == 0)
    print(f"{duplicates(seen)} duplicates")  # the server does not sync acknowledgements


@pytest.mark.slow
def test_a_sink_stores_each_message_once_when_its_server_was_killed() -> None:
    with nats_server() as server:
        url = f"nats://{server.address}"
        call(url, new_stream)
        with Stream[int](asynchronous=False) as source:
            source.to_jetstream("s.n", url, codec="json", batch=10, restart=QUICK)
            source.emit_many(range(500))
            server.kill()
            threading.Timer(0.1, server.start).start()
            source.emit_many(range(500, 1000))
        assert stored(url) == list(range(1000))


CONSUMER = """
    import os, sys, time
    from rapidz import Stream
    url, path, total = sys.argv[1:]
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    source = Stream.from_jetstream("S", "d", url, codec="json", batch=20, ack_wait=1)
    source.sink(lambda x: os.write(file, b"%d\\n" % x))
    source.start()
    print("started", flush=True)
    while len({*open(path).read().split()}) < int(total):
        time.sleep(0.02)
    source.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.soak)])
def test_a_killed_consumer_loses_nothing(url: str, tmp_path: Path, kills: int) -> None:
    total, file = 300 * kills, tmp_path / "seen"
    file.touch()
    fill(url, range(total))
    killed = run_and_kill(
        *(CONSUMER, url, file, total),
        kills=kills,
        progress=lambda: len(numbers_in(file)),
        total=total,
        pause=(0, 0.01),
    )
    seen = numbers_in(file)
    print(f"{killed} kills, {duplicates(seen)} duplicates")
    assert killed >= 1
    assert {*seen} == {*range(total)}
    wait_until(lambda: unacknowledged(url) == 0)


def test_what_is_published_meanwhile_is_lost_on_a_subject(url: str) -> None:
    with Stream.from_nats("core", url, codec="json") as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        publish(url, "core", b"1")
        wait_until(lambda: seen)
        source.stop()
        wait_until(lambda: not is_connected(source))
        source.join()
        publish(url, "core", b"2")
        start_and_connect(source)
        publish(url, "core", b"3")
        wait_until(lambda: len(seen) == 2)
    assert seen == [1, 3]


def test_a_subject_is_subscribed_again_after_a_lost_connection(server: Server, url: str) -> None:
    with (
        CuttingProxy(server.port) as proxy,
        Stream.from_nats("core", f"nats://{proxy.address}", codec="json", restart=QUICK) as source,
    ):
        seen = source.sink_to_list()
        start_and_connect(source)
        proxy.drop()
        wait_until(lambda: proxy.accepted == 2 and is_connected(source))
        publish(url, "core", b"1")
        wait_until(lambda: seen)
    assert seen == [1]


@pytest.mark.parametrize("kind", ["subject", "stream"])
def test_starts_and_stops_leave_nothing(url: str, kind: str) -> None:
    with no_leaks():
        source = jetstream(url) if kind == "stream" else Stream.from_nats("core", url)
        source.sink_to_list()
        for number in range(20):
            source.start()
            if number % 2:
                wait_until(lambda: is_connected(source))
            source.stop()
        source.close()


def test_sinks_leave_nothing(url: str) -> None:
    with no_leaks():
        for _ in range(10):
            write(lambda s: s.to_nats("core", url, codec="json"), range(3))
            write(lambda s: s.to_jetstream("s.n", url, codec="json"), range(3))


# --- bad input --------------------------------------------------------------------------------


def test_a_server_that_is_not_there_fails_the_source() -> None:
    port = free_port()
    with no_leaks():
        source = jetstream(f"nats://me:secret@127.0.0.1:{port}")
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.state == "failed")
        assert isinstance(source.exception, ConnectionError)
        assert f"127.0.0.1:{port}" in str(source.exception)
        assert "secret" not in f"{source.exception!r} {source.exception}"
        with pytest.raises(ConnectionError):
            source.close()


def test_a_sink_without_a_server_raises() -> None:
    source = Stream[int](asynchronous=False)
    source.to_nats("core", f"nats://token@127.0.0.1:{free_port()}", codec="json")
    with pytest.raises(ConnectionError) as failure:
        source.emit(1)
    assert "token" not in str(failure.value)
    source.close()


def test_another_server_is_tried(url: str) -> None:
    servers = [f"nats://127.0.0.1:{free_port()}", url]
    with Stream.from_nats("core", servers, codec="json") as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        publish(url, "core", b"1")
        wait_until(lambda: seen)


def test_a_stream_that_does_not_exist_fails_the_source(url: str) -> None:
    source = Stream.from_jetstream("NONE", "d", url)
    source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    assert "no stream 'NONE'" in str(source.exception)
    with pytest.raises(LookupError):
        source.close()


def test_a_subject_without_a_stream_fails_each_element_of_the_batch(url: str) -> None:
    with Stream[int](asynchronous=False) as source:
        node = source.to_jetstream("other", url, codec="json", batch=2)
        failures = node.errors.sink_to_list()
        source.emit_many(range(4))
    assert [failure.element for failure in failures] == [0, 1, 2, 3]
    assert "NoStreamResponse" in type(failures[0].exception).__name__


def test_what_cannot_be_decoded_goes_to_the_policy(url: str) -> None:
    publish(url, "s.n", b"1", b"\xff{", b"2")
    with jetstream(url) as source:
        failures = source.errors.sink_to_list()
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 2)
    assert seen == [1, 2]
    assert [failure.element for failure in failures] == [b"\xff{"]
    wait_until(lambda: unacknowledged(url) == 0)


def test_a_wrong_password_is_final() -> None:
    with nats_server(config="authorization { user: me, password: right }") as server:
        address = f"nats://{server.address}"

        def by_address(pw: str) -> Source[Any]:
            return Stream.from_nats("core", address.replace("//", f"//me:{pw}@"))

        def by_option(pw: str) -> Source[Any]:
            return Stream.from_nats("core", address, client_kwargs={"user": "me", "password": pw})

        for make in (by_address, by_option):
            source = make("wrong")
            source.sink_to_list()
            source.start()
            wait_until(lambda: source.state == "failed")  # noqa: B023
            assert "wrong" not in f"{source!r} {source.exception}"
            with pytest.raises(nats.errors.Error):
                source.close()
            with make("right") as source:
                source.sink_to_list()
                start_and_connect(source)


def test_certificates_are_verified(tmp_path: Path) -> None:
    authority = new_authority(tmp_path)
    config = f'tls {{ cert_file: "{authority.certificate}", key_file: "{authority.key}" }}'
    with nats_server(config=config) as server:
        url = f"tls://{server.address}"
        assert_refuses(Stream.from_nats("core", url))
        options = {"tls": authority.client}
        with Stream.from_nats("core", url, codec="json", client_kwargs=options) as source:
            seen = source.sink_to_list()
            start_and_connect(source)
            write(lambda s: s.to_nats("core", url, codec="json", client_kwargs=options), [1])
            wait_until(lambda: seen == [1])


def test_secrets_do_not_show(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rapidz")
    url = f"nats://hunter2@127.0.0.1:{free_port()}"
    source = jetstream(url, client_kwargs={"token": "hunter3"})
    sink = Stream[Any]().to_nats("core", url)
    source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    connection = source.connection  # type: ignore[attr-defined]
    texts = [*map(repr, (source, sink, connection)), *map(str, (source, source.exception))]
    assert not [text for text in (*texts, caplog.text) if "hunter" in text]
    with pytest.raises(ConnectionError):
        source.close()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Stream.from_nats("core", []), "servers"),
        (lambda: Stream.from_nats("core", buffer=0), "buffer"),
        (lambda: Stream.from_jetstream("S", "d", since="first"), "since"),
        (lambda: Stream.from_jetstream("S", "d", since=0), "since"),
        (lambda: Stream.from_jetstream("S", "d", batch=0), "batch"),
        (lambda: Stream.from_jetstream("S", "d", ack_wait="soon"), "ack_wait"),
        (lambda: Stream[Any]().to_nats(""), "subject"),
        (lambda: Stream[Any]().to_jetstream("s", codec="xml"), "codec"),
    ],
)
def test_bad_arguments_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        build()


# --- throughput -------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["read stream", "write stream", "read subject", "write subject"])
def test_throughput_is_near_that_of_the_bare_client(url: str, kind: str) -> None:
    total = 50_000 if kind == "write subject" else 10_000
    if kind == "read stream":
        fill(url, range(total))
    bare, ours = BENCHMARKS[kind]
    assert median_ratio(lambda: bare(url, total), lambda: ours(url, total)) >= 0.8


def _bare(
    work: Callable[[Any, int], Coroutine[Any, Any, None]],
) -> Callable[[str, int], None]:
    return lambda url, total: call(url, lambda client: work(client, total))


async def _read_stream(client: Any, total: int) -> None:
    manager, seen = client.jetstream(), list[int]()
    reader = await manager.pull_subscribe("", durable="bare", stream="S")
    while len(seen) < total:
        for message in await reader.fetch(100, timeout=5):
            seen.append(int(message.data))
            await message.ack()
    await manager.delete_consumer("S", "bare")


async def _write_stream(client: Any, total: int) -> None:
    manager = client.jetstream()
    for begin in range(0, total, 100):
        answers = [
            await manager.publish_async("s.n", str(n).encode(), headers=_headers())
            for n in range(begin, begin + 100)
        ]
        for answer in answers:
            await answer


def _headers() -> dict[str, str]:
    return {"Nats-Msg-Id": uuid.uuid4().hex}


async def _read_subject(client: Any, total: int) -> None:
    seen: list[int] = []
    reader = await client.subscribe("core", pending_msgs_limit=total + 1)
    publisher = asyncio.create_task(_write_subject(client, total))
    async for message in reader.messages:
        seen.append(int(message.data))
        if len(seen) == total:
            break
    await publisher


async def _write_subject(client: Any, total: int) -> None:
    for begin in range(0, total, 100):
        for n in range(begin, begin + 100):
            await client.publish("core", str(n).encode())
        await client.flush()


def _drained(source: Source[Any], total: int, started: Callable[[], object]) -> None:
    done, seen = threading.Event(), list[int]()

    def take(x: int) -> None:
        seen.append(x)
        if len(seen) == total:
            done.set()

    with source:
        source.sink(take)
        source.start()
        started()
        assert done.wait(60)


def _ours_read_stream(url: str, total: int) -> None:
    _drained(jetstream(url), total, lambda: None)
    call(url, lambda client: client.jetstream().delete_consumer("S", "d"))


def _ours_read_subject(url: str, total: int) -> None:
    source = Stream.from_nats("core", url, codec="json", buffer=total + 1)

    def publish() -> None:
        wait_until(lambda: is_connected(source))
        call(url, lambda client: _write_subject(client, total))

    _drained(source, total, publish)


def _ours_write(sink: Callable[[Stream[Any], str], object]) -> Callable[[str, int], None]:
    def run(url: str, total: int) -> None:
        async def main() -> None:
            async with Stream[int](asynchronous=True) as source:
                sink(source, url)
                await source.emit_many(range(total))

        asyncio.run(main())

    return run


#: Encodes as the bare client does.
DIGITS = (lambda n: str(n).encode(), int)

BENCHMARKS: dict[str, tuple[Callable[[str, int], None], Callable[[str, int], None]]] = {
    "read stream": (_bare(_read_stream), _ours_read_stream),
    "write stream": (
        _bare(_write_stream),
        _ours_write(lambda s, url: s.to_jetstream("s.n", url, codec=DIGITS, batch=100)),
    ),
    "read subject": (_bare(_read_subject), _ours_read_subject),
    "write subject": (
        _bare(_write_subject),
        _ours_write(lambda s, url: s.to_nats("core", url, codec=DIGITS, batch=100)),
    ),
}
