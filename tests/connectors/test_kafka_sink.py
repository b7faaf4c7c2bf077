"""to_kafka: what is written, what is emitted, delivery of each message, transactions."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.connectors.helpers import no_leaks, wait_until
from tests.connectors.kafka_programs import numbers
from tests.connectors.kafka_servers import MockCluster, consume_all
from tests.connectors.servers import HOST, free_port

from rapidz import Restart, Retry, Stream
from rapidz.connectors.kafka import KafkaMessage

pytestmark = pytest.mark.server

TOO_LARGE, NOT_ENOUGH_REPLICAS = 10, 19
PRODUCE = 0
"""Number of the request that writes messages."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as cluster:
        yield cluster


@pytest.fixture
def topic(cluster: MockCluster, request: pytest.FixtureRequest) -> str:
    return cluster.topic(request.node.name[:200].replace("[", "-").replace("]", ""), 2)


def config(cluster: MockCluster, **more: Any) -> dict[str, Any]:
    return {"bootstrap.servers": cluster.address, "reconnect.backoff.max.ms": 200, **more}


def values(cluster: MockCluster, topic: str) -> list[Any]:
    return [message.value() for message in consume_all(cluster.address, topic, 2)]


def test_values_are_written_and_emitted_when_delivered(cluster: MockCluster, topic: str) -> None:
    with Stream[Any]() as source:
        node = source.to_kafka(topic, config(cluster), partition=0)
        seen = node.sink_to_list()
        source.emit(b"one")
        assert seen == [b"one"]
        source.emit("two")
        source.emit(b"")
        node.flush()
        assert node.producer.list_topics(timeout=10).topics
        assert seen == [b"one", b"two", b""]
    assert values(cluster, topic) == seen


def test_every_emit_returns_at_once(cluster: MockCluster, topic: str) -> None:
    with Stream[Any]() as source:
        source.to_kafka(topic, config(cluster))
        source.emit(b"first")
        begin = time.monotonic()
        source.emit_many(numbers(20))
        assert time.monotonic() - begin < 2


def test_keys_headers_partitions_and_codecs(cluster: MockCluster, topic: str) -> None:
    @dataclass
    class Reading:
        sensor: str
        celsius: float

    with Stream[Reading]() as source:
        node = source.to_kafka(
            topic,
            config(cluster),
            codec="json",
            type=Reading,
            key=lambda reading: reading.sensor,
            headers=lambda reading: {"unit": b"C", "none": None},
            partition=lambda reading: int(reading.celsius > 20),
            messages=True,
        )
        seen = node.sink_to_list()
        source.emit(Reading("a", 21.5))
        source.emit(Reading("b", 19.0))
    cold, warm = consume_all(cluster.address, topic, 2)
    assert (warm.key(), warm.partition()) == (b"a", 1)
    assert warm.value().replace(b" ", b"") == b'{"sensor":"a","celsius":21.5}'
    assert cold.headers() == [("unit", b"C"), ("none", None)]
    places = [(each.key, each.partition, each.offset) for each in seen]
    assert places == [(b"a", 1, 0), (b"b", 0, 0)]


def test_a_kafka_message_keeps_its_key_headers_and_timestamp(
    cluster: MockCluster, topic: str
) -> None:
    with Stream[Any]() as source:
        source.to_kafka(topic, config(cluster), partition=1)
        source.emit(KafkaMessage(b"k", b"v", (("h", b"1"),), "elsewhere", 7, 99, 1_600_000_000_000))
        source.emit(KafkaMessage(b"k"))
        source.emit(None)
    first, tombstone, bare = consume_all(cluster.address, topic, 2)
    assert (first.key(), first.headers(), first.timestamp()[1]) == (
        b"k",
        [("h", b"1")],
        1_600_000_000_000,
    )
    assert (tombstone.key(), tombstone.value(), bare.value()) == (b"k", None, None)


def test_the_topic_may_be_a_function(cluster: MockCluster, topic: str) -> None:
    other = cluster.topic("other", 2)
    with Stream[Any]() as source:
        source.to_kafka(lambda x: topic if x == b"a" else other, config(cluster), batch=2)
        source.emit_many([b"a", b"b", b"c"])
    assert (values(cluster, topic), sorted(values(cluster, other))) == ([b"a"], [b"b", b"c"])


@pytest.mark.parametrize("asynchronous", [True, False, None])
def test_batches_are_written_and_emitted_in_order(
    cluster: MockCluster, topic: str, asynchronous: bool | None
) -> None:
    elements = numbers(2500)
    if asynchronous:

        async def main() -> list[Any]:
            async with Stream[Any](asynchronous=True) as source:
                node = source.to_kafka(topic, config(cluster), batch=1000, partition=0)
                seen = node.sink_to_list()
                for x in elements:
                    await source.emit(x)
            return seen

        seen = asyncio.run(main())
    else:
        with Stream[Any](asynchronous=asynchronous) as source:
            node = source.to_kafka(topic, config(cluster), batch=1000, partition=0)
            seen = node.sink_to_list()
            source.emit_many(elements)
    assert seen == elements
    assert values(cluster, topic) == elements


def test_an_element_that_cannot_be_written_fails_alone(cluster: MockCluster, topic: str) -> None:
    with Stream[Any]() as source:
        node = source.to_kafka(topic, config(cluster), batch=4, partition=0)
        seen, failures = node.sink_to_list(), node.errors.sink_to_list()
        source.emit_many([b"a", 3, b"x" * 2_000_000, b"b"])
    assert seen == [b"a", b"b"] == values(cluster, topic)
    first, second = failures
    assert first.element == 3
    assert "to_kafka: elements must be bytes, str, None or a KafkaMessage" in str(first.exception)
    assert len(second.element) == 2_000_000
    assert "MSG_SIZE_TOO_LARGE" in str(second.exception)


def test_a_failure_is_raised_by_emit_and_never_delivered(cluster: MockCluster, topic: str) -> None:
    with Stream[Any]() as source:
        node = source.to_kafka(topic, config(cluster))
        seen = node.sink_to_list()
        source.emit(b"a")
        cluster.errors(PRODUCE, [TOO_LARGE])
        with pytest.raises(Exception, match="MSG_SIZE_TOO_LARGE"):
            source.emit(b"b")
        source.emit(b"c")
    assert seen == [b"a", b"c"]
    assert sorted(values(cluster, topic)) == [b"a", b"c"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_retry_writes_only_what_was_not_delivered(
    cluster: MockCluster, topic: str, restart: bool
) -> None:
    calls = []

    def key(x: bytes) -> bytes:
        calls.append(x)
        if len(calls) == 2:
            raise ConnectionError("no key yet")
        return x

    with Stream[Any]() as source:
        options: Any = {"key": key, "batch": 3, "partition": 0, "restart": restart}
        node = source.to_kafka(topic, config(cluster), **options)
        if not restart:
            node.on_error(Retry(times=2, wait=0))
        seen = node.sink_to_list()
        source.emit_many([b"a", b"b", b"c"])
    assert sorted(seen) == [b"a", b"b", b"c"] == sorted(values(cluster, topic))
    assert calls == [b"a", b"b", b"c", b"b"]


def test_an_unreachable_broker_is_an_error_of_emit() -> None:
    address = f"{HOST}:{free_port()}"
    params = {"bootstrap.servers": address, "socket.connection.setup.timeout.ms": 1000}
    source = Stream[Any]()
    node = source.to_kafka("t", params)
    seen = node.sink_to_list()
    with pytest.raises(ConnectionError, match=f"to_kafka: no broker of {address} has answered"):
        source.emit(b"x")
    source.close()
    assert seen == []


def test_a_dead_broker_fails_without_restart_after_the_message_timeout() -> None:
    with MockCluster() as cluster:
        topic = cluster.topic("t")
        params = config(cluster, **{"message.timeout.ms": 500})
        source = Stream[Any]()
        node = source.to_kafka(topic, params, restart=False)
        seen = node.sink_to_list()
        source.emit(b"a")
        cluster.kill()
        with pytest.raises(Exception, match="_MSG_TIMED_OUT"):
            source.emit(b"b")
        source.close()
        assert seen == [b"a"]


@pytest.mark.slow
def test_a_sink_waits_for_brokers_that_return(caplog: pytest.LogCaptureFixture) -> None:
    with MockCluster() as cluster:
        topic = cluster.topic("t", 2)
        params = config(cluster, **{"message.timeout.ms": 500})
        params["socket.connection.setup.timeout.ms"] = 1000
        source = Stream[Any](asynchronous=False)
        node = source.to_kafka(topic, params, restart=Restart(wait=0.1, limit=0.2))
        seen = node.sink_to_list()
        source.emit(b"a")
        cluster.down()
        import threading

        thread = threading.Thread(target=source.emit, args=[b"b"])
        with caplog.at_level(logging.WARNING):
            thread.start()
            wait_until(lambda: "writes again" in caplog.text)
        assert seen == [b"a"]
        cluster.up()
        thread.join(30)
        source.close()
        assert seen == [b"a", b"b"]
        assert set(values(cluster, topic)) == {b"a", b"b"}


def test_each_batch_is_a_transaction(cluster: MockCluster, topic: str) -> None:
    with Stream[Any]() as source:
        node = source.to_kafka(topic, config(cluster), batch=2, partition=0, transactional="mine")
        seen = node.sink_to_list()
        source.emit_many([b"a", b"b", b"c"])
        assert seen == [b"a", b"b"]
    assert seen == [b"a", b"b", b"c"]
    found = consume_all(cluster.address, topic, 2, **{"isolation.level": "read_committed"})
    assert [(message.value(), message.offset()) for message in found] == [
        (b"a", 0),
        (b"b", 1),
        (b"c", 3),  # behind the mark of the first transaction
    ]


def test_a_transaction_that_fails_delivers_nothing(cluster: MockCluster, topic: str) -> None:
    with Stream[Any]() as source:
        node = source.to_kafka(topic, config(cluster), batch=2, partition=0, transactional="other")
        seen, failures = node.sink_to_list(), node.errors.sink_to_list()
        source.emit_many([b"a", 3])
        source.emit_many([b"c", b"d"])
    assert seen == [b"c", b"d"]
    assert [failure.element for failure in failures] == [b"a", 3]


def test_a_source_is_acknowledged_when_the_sink_has_delivered(
    cluster: MockCluster, topic: str
) -> None:
    from rapidz import RefCounter

    async def main() -> list[str]:
        log: list[str] = []
        async with Stream[Any](asynchronous=True) as source:
            node = source.to_kafka(topic, config(cluster), batch=2)
            node.sink(lambda x: log.append(x.decode()))
            for x in (b"1", b"2"):
                done = RefCounter(cb=functools.partial(log.append, f"{x.decode()} done"))
                await source.emit(x, metadata=[{"ref": done}])
            await asyncio.sleep(0)
        return log

    assert asyncio.run(main()) == ["1", "2", "1 done", "2 done"]


def test_closing_leaves_nothing_behind(cluster: MockCluster, topic: str) -> None:
    with no_leaks():
        for n in range(20):
            with Stream[Any]() as source:
                source.to_kafka(topic, config(cluster))
                source.emit(b"%d" % n)
    assert sorted(values(cluster, topic)) == sorted(numbers(20))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("", {"bootstrap.servers": "h:1"}),
            "to_kafka: topic must be a name or a function, got ''",
        ),
        (("t", {}), "to_kafka: producer_config must contain 'bootstrap.servers', got {}"),
        (("t", {"bootstrap.servers": "h:1", "acks": "x"}), "producer_config are refused by the"),
    ],
)
def test_bad_arguments_are_refused_when_built(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match="to_kafka") as raised:
        Stream[Any]().to_kafka(*arguments)
    assert message in str(raised.value)
