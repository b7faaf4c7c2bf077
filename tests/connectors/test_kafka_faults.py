"""Kafka connectors under load and faults: nothing is lost, duplicates are counted."""

from __future__ import annotations

import asyncio
import logging
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.helpers import run_and_kill, wait_for_all, wait_until
from tests.connectors.kafka_programs import config, numbers, stop
from tests.connectors.kafka_servers import (
    MockCluster,
    committed,
    consume_all,
    make_topic,
    mesh_broker,
    produce,
)
from tests.connectors.servers import CuttingProxy

from rapidz import Restart, Stream

pytestmark = [pytest.mark.server, pytest.mark.slow]

FEW_AND_MANY = [5_000, pytest.param(100_000, marks=pytest.mark.soak)]
SHORT_AND_LONG = [2, pytest.param(10, marks=pytest.mark.soak)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as cluster:
        yield cluster


def by_partition(messages: list[Any]) -> list[list[bytes]]:
    """The values of the partitions, which `consume_all` has sorted."""
    found: dict[int, list[bytes]] = {}
    for message in messages:
        found.setdefault(message.partition(), []).append(message.value())
    return [found[partition] for partition in sorted(found)]


@pytest.mark.parametrize("n", FEW_AND_MANY)
@pytest.mark.parametrize("batched", [False, True])
def test_all_messages_pass_once_and_in_order(cluster: MockCluster, n: int, batched: bool) -> None:
    begin, end = (cluster.topic(f"{name}-{n}-{batched}", 2) for name in ("begin", "end"))
    produce(cluster.address, begin, numbers(n), partitions=2)
    params = config(cluster.address, begin)
    if batched:
        source: Any = Stream.from_kafka_batched(begin, params, 0.05)
        values = source.flatten()
    else:
        source = values = Stream.from_kafka([begin], params)
    address = {"bootstrap.servers": cluster.address}
    sink = values.to_kafka(
        end, address, batch=500, max_wait="200ms", partition=lambda x: int(x) % 2
    )
    count = Counter[str]()
    sink.sink(lambda x: count.update(["delivered"]))
    source.start()
    wait_for_all(lambda: sum(committed(cluster.address, begin, begin, 2)), n)
    stop(source)
    source.close()
    found = by_partition(consume_all(cluster.address, end, 2))
    assert found == [numbers(n)[::2], numbers(n)[1::2]]
    assert count["delivered"] == n


@pytest.mark.parametrize("megabytes", [40, pytest.param(400, marks=pytest.mark.soak)])
def test_memory_is_bounded_behind_a_slow_sink(megabytes: int) -> None:
    psutil = pytest.importorskip("psutil")
    with mesh_broker() as broker:
        topic = make_topic(broker.address, "large")
        produce(broker.address, topic, (bytes(100_000) for _ in range(megabytes * 10)))
        params = config(broker.address) | {"queued.max.messages.kbytes": 4096}
        source = Stream.from_kafka([topic], params)
        go, seen = threading.Event(), list[int]()

        def slow(x: bytes) -> None:
            seen.append(len(x))
            assert go.wait(60)

        source.sink(slow)
        before = psutil.Process().memory_info().rss
        source.start()
        wait_until(lambda: seen)
        end = time.monotonic() + 2  # for what it might read ahead
        while time.monotonic() < end:
            assert psutil.Process().memory_info().rss - before < 30e6
            time.sleep(0.05)
        assert seen == [100_000]
        go.set()
        wait_until(lambda: len(seen) == megabytes * 10)
        stop(source)


def test_a_member_of_a_group_remains_one_while_its_sink_is_slow(
    cluster: MockCluster, caplog: pytest.LogCaptureFixture
) -> None:
    topic = cluster.topic("slow", 2)
    produce(cluster.address, topic, numbers(6000), partitions=2)
    limits = {"session.timeout.ms": 1500, "max.poll.interval.ms": 1500}
    limits["heartbeat.interval.ms"] = 300
    source = Stream.from_kafka([topic], config(cluster.address, topic, **limits))
    go, seen = threading.Event(), list[bytes]()

    def slow(x: bytes) -> None:
        seen.append(x)
        assert go.wait(60)

    source.sink(slow)
    with caplog.at_level(logging.INFO):
        source.start()
        wait_until(lambda: seen)
        time.sleep(4)  # more than twice what a member may take between two polls
        go.set()
        wait_until(lambda: len(seen) == 6000)
        stop(source)
    assert caplog.text.count("assigned slow[0], slow[1]") == 1
    assert Counter(seen).most_common(1)[0][1] == 1


STRATEGIES = ["range", pytest.param("cooperative-sticky", marks=pytest.mark.soak)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_is_lost_when_members_of_a_group_come_and_go(
    cluster: MockCluster, strategy: str
) -> None:
    topic = cluster.topic(f"group-{strategy}", 4)
    params = config(cluster.address, topic, **{"partition.assignment.strategy": strategy})
    sources = [Stream.from_kafka([topic], params) for _ in range(2)]
    seen: list[list[bytes]] = [source.sink_to_list() for source in sources]

    def total() -> int:
        return len({*seen[0], *seen[1]})

    sources[0].start()
    produce(cluster.address, topic, numbers(400), partitions=4)
    wait_until(lambda: total() == 400)
    sources[1].start()
    sent = 400
    while not seen[1]:  # until the second member has partitions
        produce(cluster.address, topic, numbers(4, sent), partitions=4)
        sent += 4
        time.sleep(0.05)
    wait_until(lambda: total() == sent)
    stop(sources[0])
    produce(cluster.address, topic, numbers(400, sent), partitions=4)
    sent += 400
    wait_until(lambda: total() == sent)
    wait_until(lambda: sum(committed(cluster.address, topic, topic, 4)) == sent)
    stop(sources[1])
    duplicates = len(seen[0]) + len(seen[1]) - sent
    # The mock cluster, unlike a broker, refuses commits for the seconds of a rebalance.
    print(f"{strategy}: {sent} messages, {duplicates} delivered twice")
    assert duplicates >= 0


@pytest.mark.parametrize("goes_on", ["between revocation and assignment", "after assignment"])
def test_a_stalled_member_lets_the_group_give_its_partitions_to_others(
    cluster: MockCluster, caplog: pytest.LogCaptureFixture, goes_on: str
) -> None:
    topic = cluster.topic("stalled-" + goes_on.split()[0], 2)
    params = config(cluster.address, topic)
    go, slow, fast = threading.Event(), list[bytes](), list[bytes]()

    async def stall(x: bytes) -> None:
        slow.append(x)
        while not go.is_set():
            await asyncio.sleep(0.01)

    stalled, other = (Stream.from_kafka([topic], params) for _ in range(2))
    stalled.sink(stall)
    other.sink(fast.append)
    produce(cluster.address, topic, numbers(6000), partitions=2)
    with caplog.at_level(logging.INFO):
        stalled.start()
        wait_until(lambda: slow)
        time.sleep(1)  # twice what passes until it pauses its partitions
        other.start()
        if goes_on == "after assignment":
            wait_until(lambda: len(fast) >= 3000)
            wait_until(lambda: caplog.text.count("assigned stalled") >= 3)
        else:
            wait_until(lambda: "revoked stalled" in caplog.text)
            assert not fast
        assert len(slow) == 1
        go.set()
        wait_until(lambda: committed(cluster.address, topic, topic, 2) == [3000, 3000])
        stop(stalled)
        stop(other)
    assert {*slow, *fast} == {*numbers(6000)}
    assert len(slow) + len(fast) <= 6002  # what was in flight


def test_a_limited_number_of_restarts_connects_anew(caplog: pytest.LogCaptureFixture) -> None:
    with MockCluster() as cluster:
        topic = cluster.topic("t", 2)
        params = config(cluster.address) | {"socket.connection.setup.timeout.ms": 1000}
        rule = Restart(times=20, wait=0.05, limit=0.1)
        source: Any = Stream.from_kafka_batched(topic, params, 0.05, restart=rule)
        seen = source.flatten().sink_to_list()
        source.start()
        sent = 0
        for _ in range(2):
            produce(cluster.address, topic, numbers(100, sent), partitions=2)
            sent += 100
            wait_until(lambda: len(seen) == sent)  # noqa: B023
            cluster.down()
            wait_until(lambda: source.upstream.state == "restarting")
            cluster.up()
            wait_until(lambda: source.upstream.state == "running")
        assert "starts again in" in caplog.text
        stop(source)
        assert sorted(seen, key=int) == numbers(sent)
        rule = Restart(times=2, wait=0.05)
        source = Stream.from_kafka_batched(topic, params, 0.05, restart=rule)
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.upstream.position())
        cluster.kill()
        wait_until(lambda: source.upstream.state == "failed")
        with pytest.raises(ConnectionError):
            source.join()


def test_a_sink_waits_for_a_broker_that_is_killed() -> None:
    with mesh_broker() as broker:
        params = {"bootstrap.servers": broker.address, "reconnect.backoff.max.ms": 200}
        source = Stream[Any](asynchronous=False)
        seen = source.to_kafka("t", params).sink_to_list()
        source.emit(b"a")
        broker.kill()
        thread = threading.Thread(target=source.emit, args=[b"b"])
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert seen == [b"a"]
        broker.start()
        thread.join(30)
        source.close()
        assert seen == [b"a", b"b"]


def is_cut(proxy: CuttingProxy) -> bool:
    """Cut the connections, also those that were being accepted at the last call."""
    proxy.drop()
    return proxy.connections == 0


def test_a_broker_that_is_killed_and_returns_loses_nothing() -> None:
    # Brokers of the tests keep their log in memory: a proxy cuts the connections instead.
    from tests.connectors.servers import free_port

    with CuttingProxy(port := free_port()) as proxy, mesh_broker(proxy.port, port) as broker:
        begin, end = make_topic(broker.address, "begin"), make_topic(broker.address, "end")
        quick = {"reconnect.backoff.max.ms": 200, "message.timeout.ms": 3000}
        address = {"bootstrap.servers": proxy.address, **quick}
        params = config(proxy.address) | {"reconnect.backoff.max.ms": 200}
        source: Any = Stream.from_kafka_batched(begin, params, 0.05, max_batch_size=50)
        source.flatten().to_kafka(end, address, batch=50, max_wait="100ms", restart=Restart())
        source.start()
        sent = 0
        for _ in range(4):
            produce(broker.address, begin, numbers(2000, sent))
            sent += 2000
            time.sleep(0.05)
            proxy.refuse()
            wait_until(lambda: is_cut(proxy))
            time.sleep(0.2)
            proxy.refuse(False)
        wait_until(lambda: committed(broker.address, "g", begin) == [sent], 60)
        stop(source)
        source.close()
        found = Counter(message.value() for message in consume_all(broker.address, end))
        assert set(found) == set(numbers(sent))
        print(f"{sent} messages, {found.total() - sent} written twice")


PROGRAM = """
    import os, sys, threading
    from rapidz import Stream
    address, topic, path, total, kind = sys.argv[1:]
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    params = {"bootstrap.servers": address, "group.id": "killed", "auto.offset.reset": "earliest",
              "session.timeout.ms": 6000, "auto.commit.interval.ms": 20}
    done, seen = threading.Event(), set()
    def write(x):
        os.write(out, x + b"\\n")
        seen.add(x)
        if int(x) == int(total) - 1:
            done.set()
    if kind == "batched":
        source = Stream.from_kafka_batched(topic, params, 0.01, max_batch_size=20)
        values = source.flatten()
    else:
        source = values = Stream.from_kafka([topic], params)
    values.buffer(10).rate_limit(0.0005).sink(write)
    source.start()
    print("started", flush=True)
    done.wait()
    source.upstream.stop() if kind == "batched" else source.stop()
    source.close()
"""


@pytest.mark.parametrize("kills", SHORT_AND_LONG)
@pytest.mark.parametrize("kind", ["batched", pytest.param("group", marks=pytest.mark.soak)])
def test_a_killed_program_loses_nothing_and_commits_nothing_unfinished(
    cluster: MockCluster, tmp_path: Path, kills: int, kind: str
) -> None:
    topic, total = cluster.topic(f"killed-{kills}-{kind}"), 200 * kills
    produce(cluster.address, topic, numbers(total))
    path = tmp_path / "out"
    path.touch()

    def progress() -> int:
        (offset,) = committed(cluster.address, "killed", topic)
        written = {int(line) for line in path.read_bytes().split(b"\n") if line}
        assert written >= set(range(offset)), "something unfinished was committed"
        return len(written)

    done = run_and_kill(
        PROGRAM,
        *(cluster.address, topic, path, total, kind),
        kills=kills,
        progress=progress,
        total=total,
        pause=(0.0, 0.02),
        deadline=200,
    )
    progress()
    lines = path.read_bytes().split(b"\n")[:-1]
    assert {int(line) for line in lines} == set(range(total))
    print(f"{kind}: {done} kills, {len(lines) - total} of {total} written twice")


@pytest.mark.soak
def test_batches_are_about_as_fast_as_the_bare_client(cluster: MockCluster) -> None:
    from confluent_kafka import Consumer, Producer, TopicPartition

    n, partitions, size = 300_000, 40, 100  # the mock cluster keeps 5 MB of a partition
    values = [b"%d" % x + bytes(size) for x in range(n)]
    topic = cluster.topic("speed", partitions)
    produce(cluster.address, topic, values, partitions)

    def bare_read(_: int) -> None:
        consumer = Consumer(config(cluster.address, "bare", **{"enable.auto.commit": False}))
        consumer.list_topics(timeout=10)
        begin = consumer.committed([TopicPartition(topic, p) for p in range(partitions)])
        consumer.assign([TopicPartition(topic, each.partition, 0) for each in begin])
        got = 0
        while got < n:
            found = consumer.consume(10_000, 0.1)
            got += len([message.value() for message in found if message.error() is None])
            consumer.commit(asynchronous=True)
        consumer.close()

    def read(turn: int) -> None:
        source: Any = Stream.from_kafka_batched(topic, config(cluster.address, f"s{turn}"), 0.05)
        seen: list[int] = []
        done = threading.Event()

        def count(batch: list[bytes]) -> None:
            seen.append(len(batch))
            if sum(seen) == n:
                done.set()

        source.sink(count)
        source.start()
        assert done.wait(60)
        stop(source)

    def bare_write(turn: int) -> None:
        producer, failures = Producer({"bootstrap.servers": cluster.address}), list[Any]()

        def report(error: Any, _: Any) -> None:
            if error is not None:
                failures.append(error)

        target = cluster.topic(f"bare-{turn}")
        for i, value in enumerate(values):
            producer.produce(target, value, on_delivery=report)
            if i % 500 == 0:
                producer.poll(0)
        assert producer.flush(60) == 0
        assert not failures

    def write(turn: int) -> None:
        with Stream[Any]() as source:
            address = {"bootstrap.servers": cluster.address, "linger.ms": 5}
            source.to_kafka(cluster.topic(f"ours-{turn}"), address, batch=10_000)
            source.emit_many(values)

    for name, bare, ours in (("read", bare_read, read), ("write", bare_write, write)):
        ratios = [_ratio(bare, ours, turn) for turn in range(7)]
        print(name, [round(ratio, 2) for ratio in ratios])
        assert statistics.median(ratios) >= 0.8


def _ratio(bare: Any, ours: Any, turn: int) -> float:
    """Time of the bare client over ours, one directly after the other."""
    times = []
    for work in (bare, ours):
        begin = time.perf_counter()
        work(turn)
        times.append(time.perf_counter() - begin)
    return times[0] / times[1]
