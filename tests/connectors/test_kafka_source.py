"""from_kafka: elements, offsets, policies, failures, restarts."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.connectors.helpers import no_leaks, wait_until
from tests.connectors.kafka_programs import config, numbers, stop
from tests.connectors.kafka_servers import MockCluster, committed, produce
from tests.connectors.servers import HOST, free_port

from rapidz import Stream
from rapidz.connectors.kafka import KafkaMessage, UnknownTopic

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as cluster:
        yield cluster


@pytest.fixture
def topic(cluster: MockCluster, request: pytest.FixtureRequest) -> str:
    return cluster.topic(request.node.name[:200].replace("[", "-").replace("]", ""), 2)


def test_values_arrive_in_the_order_of_each_partition(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(100), partitions=2)
    source = Stream.from_kafka([topic], config(cluster.address, topic))
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: len(seen) == 100)
    assert [x for x in seen if int(x) % 2 == 0] == numbers(100)[::2]
    assert [x for x in seen if int(x) % 2] == numbers(100)[1::2]
    assert source.position() == {topic: {0: 50, 1: 50}}
    stop(source)
    assert committed(cluster.address, topic, topic, 2) == [50, 50]


def test_the_empty_value_and_tombstones_are_delivered(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, [b"a", b"", None, b"b"], key=b"k")
    source = Stream.from_kafka(topic, config(cluster.address, topic))
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: len(seen) == 4)
    stop(source)
    assert seen[:2] + seen[3:] == [b"a", b"", b"b"]
    tombstone = seen[2]
    assert isinstance(tombstone, KafkaMessage)
    assert (tombstone.key, tombstone.value, tombstone.offset) == (b"k", None, 2)
    assert tombstone.is_tombstone


@pytest.mark.parametrize("option", ["messages", "keys"])
def test_messages_have_key_headers_and_place(cluster: MockCluster, topic: str, option: str) -> None:
    before = time.time() * 1000
    produce(cluster.address, topic, [b"v"], key=b"k", headers=[("h", b"1"), ("h", None)])
    options: Any = {option: True}
    source = Stream.from_kafka([topic], config(cluster.address, topic), **options)
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: seen)
    stop(source)
    message: Any = seen[0]
    assert message[:6] == (b"k", b"v", (("h", b"1"), ("h", None)), topic, 0, 0)
    assert before - 1000 <= message.timestamp <= time.time() * 1000 + 1000


def test_a_codec_decodes_and_what_it_cannot_goes_to_the_policy_in_bytes(
    cluster: MockCluster, topic: str
) -> None:
    produce(cluster.address, topic, [b'{"a": 1}', b'{"a": oops}', None, b"3"])
    source = Stream.from_kafka([topic], config(cluster.address, topic), codec="json")
    seen, failures = source.sink_to_list(), source.errors.sink_to_list()
    source.start()
    wait_until(lambda: len(seen) == 3)
    assert source.state == "running"
    stop(source)
    assert seen[::2] == [{"a": 1}, 3]
    assert seen[1].is_tombstone
    assert [failure.element for failure in failures] == [b'{"a": oops}']
    assert committed(cluster.address, topic, topic) == [4]


def test_undecodable_values_fail_a_source_without_a_policy(
    cluster: MockCluster, topic: str
) -> None:
    produce(cluster.address, topic, [b"1", b"x", b"3"])
    source = Stream.from_kafka([topic], config(cluster.address, topic), codec="json", messages=True)
    seen = source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    with pytest.raises(ValueError, match="json"):
        source.join()
    assert [message.value for message in seen] == [1]
    wait_until(lambda: committed(cluster.address, topic, topic) == [1])


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_start_returns_soon(reset: str) -> None:
    params = config(f"{HOST}:{free_port()}") | {"auto.offset.reset": reset}
    source = Stream.from_kafka(["t"], params)  # which waits for 10 s for a broker
    source.sink_to_list()
    begin = time.monotonic()
    source.start()
    assert time.monotonic() - begin < 5
    stop(source)


def test_it_needs_no_dask(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, [b"x"])
    program = """
        import sys, threading
        sys.modules["distributed"] = sys.modules["dask"] = None
        from rapidz import Stream
        seen = threading.Event()
        source = Stream.from_kafka([sys.argv[2]], {
            "bootstrap.servers": sys.argv[1], "group.id": "g", "auto.offset.reset": "earliest"})
        source.sink(lambda x: seen.set())
        source.start()
        assert seen.wait(30)
        source.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(program), cluster.address, topic]
    subprocess.run(command, check=True, timeout=60)


@pytest.mark.slow
def test_a_failed_element_is_not_committed_and_is_delivered_again(
    cluster: MockCluster, topic: str
) -> None:
    produce(cluster.address, topic, numbers(5))
    fails = [b"2"]

    def check(x: bytes) -> None:
        if x in fails:
            raise ValueError(x)

    source = Stream.from_kafka([topic], config(cluster.address, topic))
    seen = source.sink_to_list()
    source.sink(check)
    source.start()
    wait_until(lambda: source.state == "failed")
    assert source.stopped
    with pytest.raises(ValueError, match="b'2'"):
        source.join()
    wait_until(lambda: committed(cluster.address, topic, topic) == [2])
    fails.clear()
    source.start()
    wait_until(lambda: seen[-1] == b"4")
    stop(source)
    assert seen == [*numbers(3), *numbers(3, 2)]
    assert committed(cluster.address, topic, topic) == [5]


def test_a_later_element_that_is_done_first_is_not_committed(
    cluster: MockCluster, topic: str
) -> None:
    produce(cluster.address, topic, numbers(4))
    go, done = threading.Event(), list[bytes]()

    def work(x: bytes) -> bytes:
        if x == b"0":
            assert go.wait(30)
        done.append(x)
        return x

    source = Stream.from_kafka([topic], config(cluster.address, topic))
    source.scatter("thread", ordered=False).map(work).buffer(4).gather().sink_to_list()
    source.start()
    try:
        wait_until(lambda: sorted(done) == numbers(3, 1))
        time.sleep(0.2)  # several intervals of commits
        assert committed(cluster.address, topic, topic) == [-1001]
    finally:
        go.set()
    wait_until(lambda: committed(cluster.address, topic, topic) == [4])
    stop(source)


def test_the_client_may_commit_what_the_source_has_stored(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(10))
    params = config(cluster.address, topic, **{"enable.auto.commit": True})
    source = Stream.from_kafka([topic], params)
    pairs = source.partition(4).sink_to_list()
    source.start()
    wait_until(lambda: committed(cluster.address, topic, topic) == [8])
    source.close()
    assert len(pairs) == 3
    wait_until(lambda: committed(cluster.address, topic, topic) == [10])


async def _read_three(params: dict[str, Any], topic: str) -> tuple[list[bytes], str]:
    async with Stream.from_kafka([topic], params, asynchronous=True) as source:
        seen = source.sink_to_list()
        source.start()
        while len(seen) < 3:
            await asyncio.sleep(0.01)
    return seen, source.state


def test_it_runs_on_the_loop_of_an_asynchronous_program(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(3))
    read = _read_three(config(cluster.address, topic), topic)
    assert asyncio.run(read) == (numbers(3), "stopped")
    assert committed(cluster.address, topic, topic) == [3]


def test_a_failure_that_a_policy_handles_is_committed(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, [b"1", b"x", b"3"])
    source = Stream.from_kafka([topic], config(cluster.address, topic))
    node = source.map(int).on_error("skip")
    seen = node.sink_to_list()
    source.start()
    wait_until(lambda: committed(cluster.address, topic, topic) == [3])
    stop(source)
    assert (seen, node.skipped) == ([1, 3], 1)


def test_offsets_are_committed_for_elements_in_a_batch_when_it_is_done(
    cluster: MockCluster, topic: str
) -> None:
    produce(cluster.address, topic, numbers(5))
    source = Stream.from_kafka([topic], config(cluster.address, topic))
    pairs = source.partition(2).sink_to_list()
    source.start()
    wait_until(lambda: committed(cluster.address, topic, topic) == [4])
    assert len(pairs) == 2
    source.close()
    assert pairs[-1] == (b"4",)
    wait_until(lambda: committed(cluster.address, topic, topic) == [5])


@pytest.mark.slow
def test_a_stopped_source_goes_on_behind_elements_in_flight(
    cluster: MockCluster, topic: str
) -> None:
    produce(cluster.address, topic, numbers(5))
    source = Stream.from_kafka([topic], config(cluster.address, topic))
    pairs = source.partition(3).sink_to_list()
    source.start()
    wait_until(lambda: source.position() == {topic: {0: 5}})
    source.stop()
    source.start()  # 3 and 4 are in the partition, not committed
    produce(cluster.address, topic, numbers(1, 5))
    wait_until(lambda: len(pairs) == 2)
    wait_until(lambda: committed(cluster.address, topic, topic) == [6])
    stop(source)
    assert [x for pair in pairs for x in pair] == numbers(6)


def test_seek_begins_at_a_position_and_refuses_deleted_messages(
    cluster: MockCluster, topic: str
) -> None:
    produce(cluster.address, topic, numbers(10))
    source = Stream.from_kafka([topic], config(cluster.address, topic))
    seen = source.sink_to_list()
    source.seek({topic: {0: 7}})
    assert source.position() == {topic: {0: 7}}
    source.start()
    with pytest.raises(RuntimeError, match="seek needs a source that does not run"):
        source.seek({topic: {0: 1}})
    wait_until(lambda: len(seen) == 3)
    stop(source)
    assert seen == numbers(3, 7)
    position = json.loads(json.dumps(source.position()))
    assert position == {topic: {"0": 10}}
    source.seek(position)
    with pytest.raises(ValueError, match=r"from_kafka: position must be like .*, got 3"):
        source.seek(3)


def test_a_group_begins_at_the_end_unless_told(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(5))
    params = config(cluster.address, topic)
    del params["auto.offset.reset"]
    source = Stream.from_kafka([topic], params)
    seen = source.sink_to_list()
    source.start()
    produce(cluster.address, topic, numbers(1, 5))
    wait_until(lambda: seen)
    assert source.position() == {topic: {0: 6, 1: 0}}
    stop(source)
    assert seen == numbers(1, 5)


def test_a_topic_that_is_made_after_the_start_is_read_from_its_beginning(
    cluster: MockCluster,
) -> None:
    params = config(cluster.address, "early")
    del params["auto.offset.reset"]
    source = Stream.from_kafka(["made later"], params)
    seen = source.sink_to_list()
    source.start()
    produce(cluster.address, cluster.topic("made later"), [b"x"])
    wait_until(lambda: seen == [b"x"])
    stop(source)


# --- failures of the connection ---------------------------------------------------------------


def test_an_unreachable_broker_fails_the_source() -> None:
    address = f"{HOST}:{free_port()}"
    params = config(address) | {"socket.connection.setup.timeout.ms": 1000}
    source = Stream.from_kafka(["t"], params)
    source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    with pytest.raises(ConnectionError, match=f"from_kafka: no broker of {address} has answered"):
        source.join()


def test_a_topic_that_does_not_exist_is_waited_for(
    cluster: MockCluster, caplog: pytest.LogCaptureFixture
) -> None:
    source = Stream.from_kafka(["^there", "later"], config(cluster.address, "later"))
    seen = source.sink_to_list()
    with caplog.at_level(logging.WARNING):
        source.start()
        wait_until(lambda: source.state == "restarting")
        assert isinstance(source.exception, UnknownTopic)
        assert "from_kafka: the cluster has no topic 'later'" in str(source.exception)
        produce(cluster.address, cluster.topic("later"), [b"x"])
        wait_until(lambda: seen == [b"x"])
    assert source.state == "running"
    assert caplog.text.count("has no topic") == 1
    stop(source)


def test_without_restart_a_missing_topic_fails_the_source(cluster: MockCluster) -> None:
    source = Stream.from_kafka(["nowhere"], config(cluster.address), restart=False)
    source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    with pytest.raises(UnknownTopic, match="the cluster has no topic 'nowhere'"):
        source.join()


@pytest.mark.slow
def test_the_source_goes_on_when_brokers_return(caplog: pytest.LogCaptureFixture) -> None:
    with MockCluster() as cluster:
        topic = cluster.topic("t")
        produce(cluster.address, topic, numbers(50))
        params = config(cluster.address, topic, **{"reconnect.backoff.max.ms": 200})
        source = Stream.from_kafka([topic], params)
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: len(seen) == 50)
        with caplog.at_level(logging.WARNING):
            cluster.down()
            wait_until(lambda: source.state == "restarting")
        assert "no broker can be reached" in caplog.text
        assert isinstance(source.exception, ConnectionError)
        cluster.up()
        produce(cluster.address, topic, numbers(50, 50))
        wait_until(lambda: len(seen) >= 100)
        wait_until(lambda: source.state == "running")
        wait_until(lambda: committed(cluster.address, topic, topic) == [100])
        stop(source)
        assert seen == numbers(100)


def test_without_restart_lost_brokers_fail_the_source() -> None:
    with MockCluster() as cluster:
        topic = cluster.topic("t")
        produce(cluster.address, topic, [b"x"])
        source = Stream.from_kafka([topic], config(cluster.address, topic), restart=False)
        seen = source.sink_to_list()
        source.start()
        wait_until(lambda: committed(cluster.address, topic, topic) == [1])
        assert seen == [b"x"]
        cluster.kill()
        wait_until(lambda: source.state == "failed")
        with pytest.raises(ConnectionError, match="no broker can be reached"):
            source.join()


@pytest.mark.slow
def test_starting_and_stopping_leaves_nothing_behind(cluster: MockCluster, topic: str) -> None:
    produce(cluster.address, topic, numbers(10))
    source = Stream.from_kafka([topic], config(cluster.address, topic))
    seen = source.sink_to_list()
    with no_leaks():
        for n in range(20):
            source.start()
            if n % 4 == 0:
                wait_until(lambda: len(seen) == 10)
            source.stop()
        stop(source)
    assert seen == numbers(10)
    source.close()


# --- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topics", "params", "message"),
    [
        ([], config("h:1"), "from_kafka: topics must be names of topics, got []"),
        ([3], config("h:1"), "from_kafka: topics must be names of topics, got [3]"),
        (["t"], {"group.id": "g"}, "consumer_params must contain 'bootstrap.servers'"),
        (["t"], {"bootstrap.servers": "h:1"}, "consumer_params must contain 'group.id'"),
        (["t"], config("h:1", nonsense=1), "refused by the client: No such configuration"),
    ],
)
def test_bad_arguments_are_refused_when_built(topics: Any, params: Any, message: str) -> None:
    with pytest.raises(ValueError, match="from_kafka") as raised:
        Stream.from_kafka(topics, params)
    assert message in str(raised.value)


def test_parameters_must_be_a_dict() -> None:
    with pytest.raises(TypeError, match="from_kafka: consumer_params must be a dict, got 'h:1'"):
        Stream.from_kafka(["t"], "h:1")  # type: ignore[call-overload]


def test_secrets_show_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secrets = {"sasl.password": "hunter2", "ssl.key.password": "hunter3"}
    params = config(f"{HOST}:{free_port()}", **secrets)
    params.update({"sasl.username": "me", "sasl.mechanism": "PLAIN"})
    params.update({"security.protocol": "sasl_plaintext"})
    params["socket.connection.setup.timeout.ms"] = 1000
    with caplog.at_level(logging.DEBUG):
        source: Any = Stream.from_kafka(["t"], params)
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.state == "failed")
        with pytest.raises(ConnectionError) as raised:
            source.join()
    with pytest.raises(ValueError, match="refused") as refused:
        Stream.from_kafka(["t"], {**params, "sasl.mechanism": "hunter2"})
    shown = [repr(source), str(source.consumer_params), str(raised.value), caplog.text]
    for text in [*shown, repr(source.consumer_params), str(refused.value)]:
        assert "hunter" not in text
    assert source.consumer_params["sasl.password"] == "hunter2"
