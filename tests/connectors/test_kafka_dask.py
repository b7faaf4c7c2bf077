"""from_kafka_batched on Dask: the workers read the messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.connectors.helpers import wait_until
from tests.connectors.kafka_programs import config, numbers, stop
from tests.connectors.kafka_servers import MockCluster, committed, produce

from rapidz import Stream

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> None:
    """Dask keeps threads of its own."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    """A Dask cluster."""
    distributed: Any = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False}
    with (
        distributed.LocalCluster(**options, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        yield cluster


@pytest.mark.parametrize("keys", [False, True])
def test_on_dask_the_workers_read_the_messages(
    cluster: MockCluster, keys: bool, workers: Any
) -> None:
    from rapidz.dask import DaskStream

    topic = cluster.topic(f"t-{keys}", 2)
    produce(cluster.address, topic, numbers(100), partitions=2)
    params = config(cluster.address, topic)
    node: Any = Stream.from_kafka_batched(
        topic, params, 0.05, dask=True, keys=keys, max_batch_size=20
    )
    assert isinstance(node, DaskStream)
    seen = node.buffer(4).gather().sink_to_list()
    node.start()
    wait_until(lambda: committed(cluster.address, topic, topic, 2) == [50, 50])
    stop(node)
    values = [x["value"] if keys else x for batch in seen for x in batch]
    assert [x for x in values if int(x) % 2] == numbers(100)[1::2]
    assert sorted(values, key=int) == numbers(100)
