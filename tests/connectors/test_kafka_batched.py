"""from_kafka_batched: batches of each partition, offsets, partitions that are added, Dask."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.connectors.helpers import no_leaks, wait_until
from tests.connectors.kafka_programs import config, numbers, stop
from tests.connectors.kafka_servers import MockCluster, committed, produce

import rapidz
from rapidz import Stream
from rapidz.connectors.kafka import FromKafkaBatched, KafkaMessage, get_message_batch
from rapidz.connectors.kafka.assignment import ReadPlan, WholeTopic
from rapidz.connectors.kafka.offsets import Offsets
from rapidz.connectors.kafka.params import ClientParams

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as cluster:
        yield cluster


@pytest.fixture
def topic(cluster: MockCluster, request: pytest.FixtureRequest) -> str:
    return cluster.topic(request.node.name[:200].replace("[", "-").replace("]", ""), 2)


def batched(cluster: MockCluster, topic: str, **options: Any) -> Any:
    """A source that polls often."""
    options = {"poll_interval": 0.05, **options}
    return Stream.from_kafka_batched(topic, config(cluster.address, topic), **options)


def flat(batches: list[list[Any]]) -> list[Any]:
    return [x for batch in batches for x in batch]


def test_each_partition_gives_a_list(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(10), partitions=2)
    node = batched(cluster, topic)
    seen = node.sink_to_list()
    node.start()
    wait_until(lambda: len(flat(seen)) == 10)
    assert node.upstream.started
    assert isinstance(node.upstream, FromKafkaBatched)
    assert sorted(seen) == [numbers(10)[::2], numbers(10)[1::2]]
    wait_until(lambda: committed(cluster.address, topic, topic, 2) == [5, 5])
    assert node.upstream.position() == {topic: {0: 5, 1: 5}}
    stop(node)


def test_old_programs_stop_by_an_attribute(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, [b"x"])
    node = batched(cluster, topic)
    seen = node.sink_to_list()
    node.start()
    wait_until(lambda: seen)
    node.upstream.stopped = True
    wait_until(lambda: node.upstream.consumer is None)
    node.join()
    assert node.upstream.state == "stopped"
    assert committed(cluster.address, topic, topic) == [1]


def test_a_batch_has_at_most_max_batch_size_messages(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(1000))
    node = batched(cluster, topic, max_batch_size=100)
    seen = node.sink_to_list()
    node.start()
    wait_until(lambda: len(flat(seen)) == 1000)
    stop(node)
    assert max(map(len, seen)) <= 100
    assert flat(seen) == numbers(1000)


def test_keys_make_dicts_and_messages_make_messages(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, [b"a", b"", None], key=b"k")

    def read(**options: Any) -> list[Any]:
        seen: list[Any] = []
        params = config(cluster.address, f"{topic} {options}")
        node: Any = Stream.from_kafka_batched(topic, params, 0.05, **options)
        node.sink(seen.extend)
        node.start()
        wait_until(lambda: len(seen) == 3)
        stop(node)
        return seen

    pairs, messages, plain = read(keys=True), read(messages=True), read()
    assert pairs == [{"key": b"k", "value": value} for value in (b"a", b"", None)]
    assert [message.value for message in messages] == [b"a", b"", None]
    assert plain[:2] == [b"a", b""]
    assert isinstance(plain[2], KafkaMessage)


def test_a_tombstone_at_the_end_of_a_range_blocks_no_other_pipeline(
    cluster: MockCluster, topic: str
) -> None:
    produce(cluster.address, topic, [b"a", None])
    node = batched(cluster, topic)
    seen = node.sink_to_list()
    node.start()
    other = Stream[int](asynchronous=False)
    others = other.buffer(1).sink_to_list()
    begin = time.monotonic()
    for x in range(50):
        other.emit(x)
    other.close()
    assert others == list(range(50))
    assert time.monotonic() - begin < 5
    wait_until(lambda: committed(cluster.address, topic, topic) == [2])
    stop(node)
    assert [x for x in flat(seen) if not isinstance(x, KafkaMessage)] == [b"a"]


def test_values_that_cannot_be_decoded_leave_the_batch(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, [b"1", b"x", b"3"])
    node = batched(cluster, topic, codec="json")
    seen, failures = node.sink_to_list(), node.upstream.errors.sink_to_list()
    node.start()
    wait_until(lambda: committed(cluster.address, topic, topic) == [3])
    stop(node)
    assert flat(seen) == [1, 3]
    assert [failure.element for failure in failures] == [b"x"]


def test_a_failed_batch_is_not_passed_over(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(30))
    fails = [True]

    def check(batch: list[bytes]) -> None:
        if b"10" in batch and fails:
            raise ValueError("the second batch")

    node = batched(cluster, topic, max_batch_size=10)
    seen = node.sink_to_list()
    node.buffer(5).sink(check)
    node.start()
    wait_until(lambda: node.upstream.state == "failed")
    with pytest.raises(ValueError, match="the second batch"):
        node.join()
    wait_until(lambda: node.upstream.consumer is None)
    wait_until(lambda: committed(cluster.address, topic, topic) == [10])
    fails.clear()
    seen.clear()
    node.start()
    wait_until(lambda: committed(cluster.address, topic, topic) == [30])
    stop(node)
    assert flat(seen) == numbers(20, 10)


def test_a_batch_that_fails_after_stop_is_delivered_again(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(10))
    go, seen = threading.Event(), list[list[bytes]]()

    async def check(batch: list[bytes]) -> None:
        seen.append(batch)
        while not go.is_set():
            await asyncio.sleep(0.01)
        if len(seen) == 1:
            raise ValueError("the first time")

    node = batched(cluster, topic)
    node.buffer(5).sink(check)
    node.start()
    wait_until(lambda: seen)
    node.upstream.stop()
    go.set()
    with pytest.raises(ValueError, match="the first time"):
        node.join()
    wait_until(lambda: node.upstream.consumer is None)
    assert committed(cluster.address, topic, topic) == [-1001]
    node.start()
    wait_until(lambda: committed(cluster.address, topic, topic) == [10])
    stop(node)
    assert seen == [numbers(10), numbers(10)]


def test_partitions_that_are_added_are_read_from_their_beginning() -> None:
    # Neither server can add partitions to a topic.
    class Client:
        partitions, added = 1, list[Any]()

        def list_topics(self, topic: str, timeout: float) -> Any:
            found = SimpleNamespace(partitions=range(self.partitions), error=None)
            return SimpleNamespace(topics={topic: found})

        def incremental_assign(self, partitions: list[Any]) -> None:
            self.added += [(each.topic, each.partition, each.offset) for each in partitions]

    kafka = pytest.importorskip("confluent_kafka")
    plan = ReadPlan("from_kafka_batched", ClientParams(), ["t"], 10, 0.1, refresh=True)
    offsets, client = Offsets(), Client()
    topic = WholeTopic(plan, offsets, kafka)
    for client.partitions in (1, 3, 3, 2):
        topic.refresh(client)
    assert client.added == [("t", 0, 0), ("t", 1, 0), ("t", 2, 0)]
    assert offsets.position() == {"t": {0: 0, 1: 0, 2: 0}}


def test_npartitions_reads_the_first_ones(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(10), partitions=2)
    node = batched(cluster, topic, npartitions=1)
    seen = node.sink_to_list()
    node.start()
    wait_until(lambda: committed(cluster.address, topic, topic, 2) == [5, -1001])
    stop(node)
    assert flat(seen) == numbers(10)[::2]


def test_it_begins_at_the_end_unless_told(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(5))
    params = config(cluster.address, topic)
    del params["auto.offset.reset"]
    node: Any = Stream.from_kafka_batched(topic, params, 0.05)
    seen = node.sink_to_list()
    node.start()
    produce(cluster.address, topic, numbers(3, 5))
    wait_until(lambda: len(flat(seen)) == 3)
    stop(node)
    assert flat(seen) == numbers(3, 5)


@pytest.mark.slow
def test_starting_and_stopping_leaves_nothing_behind(cluster: MockCluster, topic: str) -> None:
    node, produced = batched(cluster, topic), list[bytes]()
    seen = node.sink_to_list()
    with no_leaks():
        for n in range(20):
            node.start()
            produced.append(b"%d" % n)
            produce(cluster.address, topic, produced[-1:])
            wait_until(lambda: len(flat(seen)) == len(produced))
            stop(node)
    assert flat(seen) == numbers(20)


def test_a_slow_sink_slows_the_source(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(1000))
    go = threading.Event()
    node = batched(cluster, topic, max_batch_size=10)
    seen: list[Any] = []

    def slow(batch: list[bytes]) -> None:
        seen.append(batch)
        assert go.wait(30)

    node.buffer(2).sink(slow)
    node.start()
    wait_until(lambda: seen)
    time.sleep(0.3)
    assert node.upstream.position()[topic][0] <= 50
    go.set()
    wait_until(lambda: len(flat(seen)) == 1000)
    stop(node)


# --- ranges, and tasks that read them ------------------------------------------------------------


def test_a_range_is_read_with_and_without_keys(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, [*numbers(8), b"", None], key=b"k")
    params = config(cluster.address, topic)
    assert get_message_batch(params, topic, 0, 2, 4) == numbers(3, 2)
    assert get_message_batch(params, topic, 0, 2, 4, 10.0) == numbers(3, 2)
    assert get_message_batch(params, topic, 0, False, 2, 4) == numbers(3, 2)
    assert get_message_batch(params, topic, 0, low=2, high=4) == numbers(3, 2)
    assert get_message_batch(params, topic, 0, True, 7, 8) == [
        {"key": b"k", "value": b"7"},
        {"key": b"k", "value": b""},
    ]
    last = get_message_batch(params, topic, 0, False, 8, 9)
    assert (last[0], last[1].value) == (b"", None)
    assert get_message_batch(params, topic, 0, 9, 12, 0.5)[0].is_tombstone
    old: Any = rapidz
    assert old.sources.get_message_batch is old.get_message_batch is get_message_batch
    assert old.sources.FromKafkaBatched is old.FromKafkaBatched is FromKafkaBatched


def test_ranges_leave_out_what_a_transaction_marks(cluster: MockCluster, topic: str) -> None:
    with Stream[Any]() as source:
        address = {"bootstrap.servers": cluster.address}
        source.to_kafka(topic, address, partition=0, transactional=topic, batch=2)
        source.emit_many(numbers(4))
    assert get_message_batch(config(cluster.address, topic), topic, 0, 0, 5) == numbers(4)
    assert get_message_batch(config(cluster.address, topic), topic, 0, 2, 2) == []


def test_ranges_are_emitted_and_committed_when_done(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(25), partitions=2)
    params = config(cluster.address, topic) | {"sasl.password": "hunter2"}
    source = FromKafkaBatched(topic, params, 0.05, max_batch_size=10)
    ranges = source.sink_to_list()
    seen = source.starmap(get_message_batch).sink_to_list()
    source.start()
    wait_until(lambda: committed(cluster.address, topic, topic, 2) == [13, 12])
    stop(source)
    assert [each[1:] for each in ranges if each[2] == 0] == [
        (topic, 0, False, 0, 9),
        (topic, 0, False, 10, 12),
    ]
    assert "hunter2" not in repr(ranges)
    assert ranges[0][0]["sasl.password"] == "hunter2"
    assert sorted(flat(seen), key=int) == numbers(25)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"npartitions": 0}, ValueError, "from_kafka_batched: npartitions must"),
        ({"max_batch_size": 0}, ValueError, "from_kafka_batched: max_batch_size must"),
        ({"engine": "cudf"}, ImportError, "engine 'cudf' needs cudf"),
        ({"poll_interval": 0}, ValueError, "poll_interval must"),
    ],
)
def test_bad_arguments_are_refused_when_built(
    options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Stream.from_kafka_batched("t", config("h:1"), **options)
