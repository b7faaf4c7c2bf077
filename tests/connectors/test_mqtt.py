"""MQTT against two brokers: amqtt, and NATS, which keeps sessions and messages in files."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
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
from tests.connectors.mqtt_packets import FakeBroker
from tests.connectors.servers import (
    CuttingProxy,
    Server,
    free_port,
    mqtt_broker,
    nats_server,
    no_leaks,
    run_and_kill,
    wait_for_all,
    wait_until,
)

from rapidz import Stream
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart

paho = pytest.importorskip("paho.mqtt.client")
pytestmark = [pytest.mark.server]

QUICK = Restart(wait=0.02, limit=0.2)
NATS = """
    server_name: one
    listen: "127.0.0.1:-1"
    mqtt { listen: "127.0.0.1:{port}", ack_wait: "ACK_WAIT", max_ack_pending: 1000 }
"""


def durable_broker(ack_wait: str = "30s") -> Server:
    """A broker that keeps sessions and messages when it is killed.

    After *ack_wait* it delivers again what is not acknowledged, also on the same connection.
    """
    return nats_server(config=NATS.replace("ACK_WAIT", ack_wait))


@pytest.fixture(scope="module", params=[durable_broker, mqtt_broker], ids=["nats", "amqtt"])
def any_broker(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as server:
        yield server


@pytest.fixture(scope="module")
def broker() -> Iterator[Server]:
    with durable_broker() as server:
        yield server


@pytest.fixture(scope="module")
def impatient() -> Iterator[Server]:
    with durable_broker("1s") as server:
        yield server


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic that no other test uses."""
    return f"t{abs(hash(request.node.nodeid))}"


def source_of(server: Any, topic: str, **options: Any) -> Source[Any]:
    return Stream.from_mqtt(server.host, server.port, topic, codec="json", **options)


def durable(server: Any, topic: str, **options: Any) -> Source[Any]:
    return source_of(server, topic, qos=1, client_id=f"c-{topic}", **options)


def publish(server: Any, topic: str, elements: Any, **options: Any) -> None:
    options = {"qos": 1, "batch": 50, "codec": "json", **options}
    write(lambda s: s.to_mqtt(server.host, server.port, topic, **options), elements)


def subscribe_only(server: Any, topic: str) -> None:
    """Let the broker keep messages for the session from now on."""
    source = durable(server, topic)
    source.sink_to_list()
    start_and_connect(source)
    source.close()


# --- elements ---------------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_elements_are_the_messages_of_paho(any_broker: Server, topic: str, qos: int) -> None:
    with Stream.from_mqtt("127.0.0.1", any_broker.port, f"{topic}/#", qos=qos) as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        # QoS 0 has no answer: a broker may drop what a client sends right before it disconnects.
        with Stream[Any]() as messages:
            messages.to_mqtt("127.0.0.1", any_broker.port, f"{topic}/a", qos=qos, codec=None)
            messages.emit_many([b"one", "two", 3, None])
            wait_until(lambda: len(seen) == 4)
    assert [x.payload for x in seen] == [b"one", b"two", b"3", b""]
    assert {(x.topic, x.qos) for x in seen} == {(f"{topic}/a", qos)}
    assert isinstance(seen[0], paho.MQTTMessage)


@pytest.mark.parametrize("total", [2000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_all_messages_arrive_once_and_in_order(any_broker: Server, topic: str, total: int) -> None:
    with durable(any_broker, topic) as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        # amqtt confirms a message before it passes it on, and when the publisher disconnects, it
        # drops what it has not passed on yet: hundreds of messages since Python 3.12, where it
        # reads faster than it passes on.  So this publisher stays until all have arrived.
        with Stream[int](asynchronous=False) as messages:
            address = (any_broker.host, any_broker.port, topic)
            messages.to_mqtt(*address, qos=1, codec="json", batch=100)
            messages.emit_many(range(total))
            wait_for_all(lambda: len(seen), total)
    assert seen == list(range(total))


def test_topics_can_depend_on_the_element(broker: Server, topic: str) -> None:
    topics = [f"{topic}/a", f"{topic}/b"]
    with Stream.from_mqtt(broker.host, broker.port, topics) as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        options: dict[str, Any] = {"qos": 1, "codec": "text"}
        write(
            lambda s: s.to_mqtt(broker.host, broker.port, lambda x: f"{topic}/{x}", **options),
            ["a", "b", "c"],
        )
        wait_until(lambda: len(seen) == 2)
    assert [(x.topic, x.payload) for x in seen] == [(topics[0], b"a"), (topics[1], b"b")]


def test_a_retained_message_reaches_new_subscribers(broker: Server, topic: str) -> None:
    publish(broker, topic, [1, 2], retain=True)
    with source_of(broker, topic) as source:
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: seen == [2])


def test_version_5_works_with_a_session_that_is_kept() -> None:
    with FakeBroker(version=5) as broker:
        with durable(broker, "t", protocol="5") as source:
            seen = source.sink_to_list()
            start_and_connect(source)
            broker.publish("t", b"1")
            wait_until(lambda: seen)
        connect = broker.connects[0]
        assert not connect.clean
        assert connect.session_expiry == 0xFFFF_FFFF


# --- acknowledgement --------------------------------------------------------------------------


def test_a_message_is_acknowledged_when_it_is_done_and_not_before() -> None:
    gate = threading.Event()

    async def slow(x: int) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.005)

    with FakeBroker() as broker, durable(broker, "t") as source:
        source.buffer(10).sink(slow)
        start_and_connect(source)
        sent = [broker.publish("t", b"%d" % n) for n in range(3)]
        broker.roundtrip()
        assert broker.acknowledged == []
        gate.set()
        wait_until(lambda: broker.acknowledged == sent)


def test_messages_are_acknowledged_in_the_order_of_their_arrival() -> None:
    gate = threading.Event()

    async def slow(x: int) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.005)

    with FakeBroker() as broker, durable(broker, "t") as source:
        source.filter(lambda x: x == 0).buffer(1).sink(slow)
        quick = source.filter(lambda x: x > 0).sink_to_list()
        start_and_connect(source)
        sent = [broker.publish("t", b"%d" % n) for n in range(3)]
        wait_until(lambda: quick == [1, 2])
        broker.roundtrip()
        assert broker.acknowledged == []
        gate.set()
        wait_until(lambda: broker.acknowledged == sent)


def test_a_failed_message_is_not_acknowledged_nor_any_after_it() -> None:
    def check(x: int) -> int:
        if x == 1:
            raise ValueError(x)
        return x

    with FakeBroker() as broker:
        source = durable(broker, "t", stop_wait=0.05)
        source.map(check).sink_to_list()
        start_and_connect(source)
        first = broker.publish("t", b"0")
        wait_until(lambda: broker.acknowledged == [first])
        broker.publish("t", b"1")
        wait_until(lambda: source.state == "failed")
        wait_until(lambda: not broker.is_connected)
        assert broker.acknowledged == [first]
        with pytest.raises(ValueError, match="1"):
            source.close()


def test_a_message_that_is_delivered_again_is_not_emitted_again() -> None:
    gate = threading.Event()
    seen: list[int] = []

    async def slow(x: int) -> None:
        seen.append(x)
        while not gate.is_set():
            await asyncio.sleep(0.005)

    with FakeBroker() as broker, durable(broker, "t", restart=QUICK, stop_wait=0.05) as source:
        source.buffer(5).sink(slow)
        start_and_connect(source)
        number = broker.publish("t", b"7")
        wait_until(lambda: seen)
        broker.drop()
        wait_until(lambda: len(broker.connects) == 2 and is_connected(source))
        broker.publish("t", b"7", number=number, again=True)
        broker.roundtrip()
        gate.set()
        wait_until(lambda: broker.acknowledged == [number])
    assert seen == [7]


def test_stop_waits_for_acknowledgements_of_what_is_in_the_pipeline() -> None:
    with FakeBroker() as broker:
        with durable(broker, "t") as source:
            seen = source.partition(10).sink_to_list()
            start_and_connect(source)
            sent = [broker.publish("t", b"%d" % n) for n in range(3)]
            wait_until(lambda: len(source._open) == 3)  # type: ignore[attr-defined]
        wait_until(lambda: broker.acknowledged == sent)  # what was sent may still be on its way
    assert seen == [(0, 1, 2)]


def test_a_skipped_message_is_acknowledged() -> None:
    with FakeBroker() as broker, durable(broker, "t") as source:
        seen = source.map(lambda x: 6 // x).on_error("skip").sink_to_list()
        start_and_connect(source)
        sent = [broker.publish("t", b"%d" % n) for n in range(3)]
        wait_until(lambda: broker.acknowledged == sent)
    assert seen == [6, 3]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_sink_disconnects_once_the_broker_has_confirmed_all(qos: int) -> None:
    with FakeBroker() as broker:
        thread = threading.Thread(target=lambda: publish(broker, "t", range(3), qos=qos))
        thread.start()
        wait_until(lambda: len(broker.published) == 3)
        first, *others = broker.published
        for number in others:
            broker.confirm(number, qos)
        broker.roundtrip()
        assert thread.is_alive()
        assert not broker.disconnects
        broker.confirm(first, qos)
        wait_until(lambda: broker.disconnects == 1)
        thread.join(30)
    assert list(broker.published.values()) == [b"0", b"1", b"2"]


# --- back pressure and keepalive ----------------------------------------------------------------


@pytest.mark.parametrize("qos", [0, 1])
def test_a_slow_sink_slows_the_broker(qos: int) -> None:
    gate = threading.Event()
    seen: list[int] = []

    async def slow(x: str) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.005)
        seen.append(len(x))

    with FakeBroker() as broker, durable(broker, "t", buffer=5) as source:
        source.sink(slow)
        start_and_connect(source)
        large = b'"' + b"x" * 100_000 + b'"'
        thread = threading.Thread(
            target=lambda: [broker.publish("t", large, qos=qos) for _ in range(300)]
        )
        thread.start()
        with pytest.raises(pytest.fail.Exception):
            wait_until(lambda: not thread.is_alive(), deadline=0.5)  # 30 MB fit nowhere
        gate.set()
        wait_until(lambda: len(seen) == 300)
        thread.join()


@pytest.mark.slow
def test_memory_stays_flat_with_a_slow_sink(broker: Server, topic: str) -> None:
    count = 0

    async def slow(x: str) -> None:
        nonlocal count
        await asyncio.sleep(0.001)
        count += 1

    subscribe_only(broker, topic)
    publish(broker, topic, ["x" * 100_000] * 300, batch=10)

    def work() -> None:
        with durable(broker, topic, buffer=5) as source:
            source.sink(slow)
            source.start()
            wait_until(lambda: count >= 300)

    assert peak_memory(work) < 12_000_000  # of 30 MB


@pytest.mark.slow
def test_a_connection_is_kept_alive_while_reading_is_paused() -> None:
    gate = threading.Event()
    seen: list[int] = []

    async def slow(x: int) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.005)
        seen.append(x)

    with (
        FakeBroker() as broker,
        source_of(broker, "t", keepalive=1, buffer=1, restart=False) as source,
    ):
        source.sink(slow)
        start_and_connect(source)
        for n in range(5):
            broker.publish("t", b"%d" % n, qos=0)
        wait_until(lambda: broker.pings >= 3)
        gate.set()
        wait_until(lambda: len(seen) == 5)
        assert source.state == "running"
    assert len(broker.connects) == 1


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_is_lost_when_connections_are_cut(impatient: Server, topic: str) -> None:
    total = 1000
    subscribe_only(impatient, topic)
    publish(impatient, topic, range(total))
    with CuttingProxy(impatient.port) as proxy, durable(proxy, topic, restart=QUICK) as source:
        seen = source.sink_to_list()
        source.start()
        for step in (100, 400, 700):
            wait_until(lambda step=step: len(seen) >= step)  # type: ignore[misc]
            proxy.drop()
        wait_until(lambda: {*seen} == {*range(total)})
        wait_until(lambda: is_connected(source))
    print(f"{duplicates(seen)} duplicates")


@pytest.mark.slow
def test_a_broker_that_is_killed_loses_nothing(topic: str) -> None:
    total = 1000
    with durable_broker("1s") as server:
        subscribe_only(server, topic)
        publish(server, topic, range(total))
        with durable(server, topic, restart=QUICK) as source:
            seen = source.sink_to_list()
            source.start()
            for step in (300, 600):
                wait_until(lambda step=step: len(seen) >= step)  # type: ignore[misc]
                server.kill()
                server.start()
            wait_until(lambda: {*seen} == {*range(total)}, 60)
            wait_until(lambda: is_connected(source))
    print(f"{duplicates(seen)} duplicates")


@pytest.mark.slow
def test_a_sink_publishes_on_when_its_broker_was_killed(topic: str) -> None:
    with durable_broker("1s") as server:
        subscribe_only(server, topic)
        with Stream[int](asynchronous=False) as source:
            options: dict[str, Any] = {"qos": 1, "codec": "json", "batch": 10, "restart": QUICK}
            source.to_mqtt(server.host, server.port, topic, **options)
            source.emit_many(range(300))
            server.kill()
            threading.Timer(0.1, server.start).start()
            source.emit_many(range(300, 600))
        with durable(server, topic) as reader:
            seen = reader.sink_to_list()
            reader.start()
            wait_until(lambda: {*seen} == {*range(600)})
    assert duplicates(seen) <= 10


CONSUMER = """
    import os, sys, time
    from rapidz import Stream
    port, topic, path, total = sys.argv[1:]
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    source = Stream.from_mqtt(
        "127.0.0.1", int(port), topic, qos=1, client_id="c-" + topic, codec="json"
    )
    source.sink(lambda x: os.write(file, b"%d\\n" % x))
    source.start()
    print("started", flush=True)
    while len({*open(path).read().split()}) < int(total):
        time.sleep(0.02)
    source.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.soak)])
def test_a_killed_consumer_loses_nothing(
    impatient: Server, topic: str, tmp_path: Path, kills: int
) -> None:
    total, file = 300 * kills, tmp_path / "seen"
    file.touch()
    subscribe_only(impatient, topic)
    publish(impatient, topic, range(total))
    killed = run_and_kill(
        *(CONSUMER, impatient.port, topic, file, total),
        kills=kills,
        progress=lambda: len(numbers_in(file)),
        total=total,
        pause=(0, 0.01),
    )
    seen = numbers_in(file)
    print(f"{killed} kills, {duplicates(seen)} duplicates")
    assert killed >= 1
    assert {*seen} == {*range(total)}


def test_what_is_published_meanwhile_is_lost_without_a_session(broker: Server, topic: str) -> None:
    with source_of(broker, topic) as source:
        seen = source.sink_to_list()
        start_and_connect(source)
        publish(broker, topic, [1])
        wait_until(lambda: seen)
        source.stop()
        source.join()
        publish(broker, topic, [2])
        start_and_connect(source)
        publish(broker, topic, [3])
        wait_until(lambda: len(seen) == 2)
    assert seen == [1, 3]


def test_starts_and_stops_leave_nothing(broker: Server, topic: str) -> None:
    # NATS ends a connection, or holds it for a second, if it has not yet seen the end of the one
    # before with the same identifier: under load, a start may need a second attempt.
    restart = Restart(wait=0.02, limit=0.2, at_start=True)
    with no_leaks():
        source = durable(broker, topic, restart=restart)
        source.sink_to_list()
        for number in range(20):
            source.start()
            if number % 2:
                wait_until(lambda: is_connected(source))
            source.stop()
        source.close()


def test_sinks_leave_nothing(broker: Server, topic: str) -> None:
    with no_leaks():
        for qos in (0, 1, 2):
            for _ in range(5):
                publish(broker, topic, range(3), qos=qos)


# --- bad input --------------------------------------------------------------------------------


def test_a_broker_that_is_not_there_fails_the_source() -> None:
    with no_leaks():
        source = Stream.from_mqtt("127.0.0.1", free_port(), "t", user="me", pw="secret")
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.state == "failed")
        assert isinstance(source.exception, ConnectionRefusedError)
        with pytest.raises(ConnectionRefusedError):
            source.close()


def test_a_source_can_wait_for_a_broker_that_is_not_there(broker: Server, topic: str) -> None:
    with CuttingProxy(broker.port) as proxy:
        proxy.refuse()
        restart = Restart(wait=0.02, limit=0.05, at_start=True)
        with source_of(proxy, topic, restart=restart) as source:
            source.sink_to_list()
            source.start()
            wait_until(lambda: source.state == "restarting")
            proxy.refuse(False)
            wait_until(lambda: is_connected(source))


def test_a_sink_without_a_broker_raises() -> None:
    source = Stream[int](asynchronous=False)
    source.to_mqtt("127.0.0.1", free_port(), "t", user="me", pw="secret")
    with pytest.raises(ConnectionRefusedError) as failure:
        source.emit(1)
    assert "secret" not in str(failure.value)
    source.close()


def test_a_broker_that_does_not_answer_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, no_leaks():
        source = Stream.from_mqtt("127.0.0.1", listener.getsockname()[1], "t")
        source.broker.timeout = 0.2  # type: ignore[attr-defined]
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.state == "failed")
        assert "no answer in 0.2 s" in str(source.exception)
        with pytest.raises(TimeoutError):
            source.close()


def test_what_cannot_be_decoded_goes_to_the_policy() -> None:
    with FakeBroker() as broker, durable(broker, "t") as source:
        failures = source.errors.sink_to_list()
        seen = source.sink_to_list()
        start_and_connect(source)
        sent = [broker.publish("t", x) for x in (b"1", b"\xff{", b"2")]
        wait_until(lambda: broker.acknowledged == sent)
    assert seen == [1, 2]
    assert [failure.element for failure in failures] == [b"\xff{"]


def test_a_refused_connection_is_final() -> None:
    with FakeBroker(connack=5) as broker:  # not authorized
        source = durable(broker, "t", user="me", pw="hunter2", restart=QUICK)
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.state == "failed")
        assert "Not authorized" in str(source.exception)
        assert "hunter2" not in f"{source!r} {source.exception!r}"
        assert broker.connects[0].password == b"hunter2"
        with pytest.raises(Exception, match="Not authorized"):
            source.close()


def test_a_refused_subscription_is_final() -> None:
    with FakeBroker(suback=0x80) as broker:
        source = durable(broker, "t", restart=QUICK)
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.state == "failed")
        assert "subscription to 't' was refused" in str(source.exception)
        with pytest.raises(Exception, match="refused"):
            source.close()


def test_a_sink_refuses_elements_that_are_no_payload(broker: Server, topic: str) -> None:
    with Stream[Any](asynchronous=False) as source:
        node = source.to_mqtt(broker.host, broker.port, topic, qos=1)
        failures = node.errors.sink_to_list()
        source.emit_many([b"a", {"a": 1}])
    assert [failure.element for failure in failures] == [{"a": 1}]


def test_certificates_are_verified(broker: Server, topic: str, tmp_path: Path) -> None:
    authority = new_authority(tmp_path)
    with CuttingProxy(broker.port, tls=authority.server) as proxy:
        assert_refuses(source_of(proxy, topic, tls=True))
        with source_of(proxy, topic, tls=authority.client) as source:
            seen = source.sink_to_list()
            start_and_connect(source)
            publish(proxy, topic, range(500), tls=authority.client)
            wait_until(lambda: len(seen) == 500)
    assert seen == list(range(500))


def test_secrets_do_not_show(caplog: pytest.LogCaptureFixture, broker: Server) -> None:
    caplog.set_level(logging.DEBUG)
    with CuttingProxy(broker.port) as proxy:
        source = durable(proxy, "t", user="me", pw="hunter2", restart=QUICK)
        sink = Stream[Any]().to_mqtt(proxy.host, proxy.port, "t", user="me", pw="hunter2")
        source.sink_to_list()
        with source:
            start_and_connect(source)
            proxy.drop()
            wait_until(lambda: proxy.accepted == 2 and is_connected(source))
        options = source.broker  # type: ignore[attr-defined]
        texts = [*map(repr, (source, sink, options)), *map(str, (source, sink)), caplog.text]
    assert not [text for text in texts if "hunter" in text]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Stream.from_mqtt("h", 1, ""), "topic"),
        (lambda: Stream.from_mqtt("h", 1, "t", qos=3), "qos"),
        (lambda: Stream.from_mqtt("h", 1, "t", keepalive=-1), "keepalive"),
        (lambda: Stream.from_mqtt("h", 1, "t", protocol="4"), "protocol"),
        (lambda: Stream.from_mqtt("h", 1, "t", buffer=0), "buffer"),
        (lambda: Stream.from_mqtt("h", 1, "t", tls="yes"), "tls"),  # type: ignore[arg-type]
        (lambda: Stream[Any]().to_mqtt("h", 1, ""), "topic"),
        (lambda: Stream[Any]().to_mqtt("h", 1, "t", qos=True), "qos"),
        (lambda: Stream[Any]().to_mqtt("h", 1, "t", codec="xml"), "codec"),
    ],
)
def test_bad_arguments_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        build()


def test_a_source_made_from_an_instance_takes_the_address(broker: Server, topic: str) -> None:
    made = Stream[Any]().from_mqtt(broker.host, broker.port, topic)
    assert not made.upstreams or made.upstreams == [None]
    assert made.broker.address == broker.address  # type: ignore[attr-defined]


# --- throughput -------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["read", "write"])
def test_throughput_is_near_that_of_the_bare_client(broker: Server, topic: str, kind: str) -> None:
    bare, ours = {"read": (_bare_read, _ours_read), "write": (_bare_write, _ours_write)}[kind]
    total = 5000
    assert (
        median_ratio(lambda: bare(broker, topic, total), lambda: ours(broker, topic, total)) >= 0.8
    )


def _publisher(server: Server, topic: str, total: int) -> None:
    """Publish with paho, as fast as it can, with QoS 1."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)
    client.connect(server.host, server.port)
    client.loop_start()
    for begin in range(0, total, 100):
        infos = [client.publish(topic, json.dumps(n), 1) for n in range(begin, begin + 100)]
        for info in infos:
            info.wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def _bare_write(server: Server, topic: str, total: int) -> None:
    _publisher(server, topic, total)


def _ours_write(server: Server, topic: str, total: int) -> None:
    publish(server, topic, range(total), batch=100)


def _bare_read(server: Server, topic: str, total: int) -> None:
    aiomqtt = pytest.importorskip("aiomqtt")

    async def main() -> None:
        async with aiomqtt.Client(server.host, server.port) as client:
            await client.subscribe(topic, qos=1)
            thread = threading.Thread(target=_publisher, args=(server, topic, total))
            thread.start()
            seen: list[int] = []
            async for message in client.messages:
                seen.append(json.loads(message.payload))
                if len(seen) == total:
                    break
            thread.join()

    asyncio.run(main())


def _ours_read(server: Server, topic: str, total: int) -> None:
    source = source_of(server, topic, qos=1)
    done, seen = threading.Event(), list[int]()

    def take(x: int) -> None:
        seen.append(x)
        if len(seen) == total:
            done.set()

    with source:
        source.sink(take)
        start_and_connect(source)
        _publisher(server, topic, total)
        assert done.wait(60)
