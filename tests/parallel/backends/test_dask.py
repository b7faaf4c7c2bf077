"""Fault tolerance on Dask: a stream survives the death of workers, or raises an error."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.parallel.backends.cluster import Cluster, cluster
from tests.parallel.backends.functions import add, double, slow, slow_at_times, table
from tests.parallel.backends.streams import check_that_the_fatal_element_fails_alone

from rapidz import Stream
from rapidz.parallel import WorkersGone

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Dask tells at length of workers that were killed on purpose."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Any]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def stream_with_kills(cluster: Cluster, client: Any) -> None:
    source = Stream()
    results: list[int] = []

    def keep(x: int) -> None:
        results.append(x)
        if len(results) == 3000:
            cluster.kill_one(client)

    elements = source.scatter(client=client).map(slow_at_times).map(double)
    node = elements.buffer(1000).gather().sink(keep)
    source.emit_many(range(10_000))
    source.close(60)
    assert results == [4 * x for x in range(10_000)]
    node.destroy()


def test_every_result_comes_once_and_in_order_when_a_worker_is_killed(
    running: tuple[Cluster, Any],
) -> None:
    stream_with_kills(*running)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("time", range(20))
def test_a_killed_worker_is_survived_twenty_times(running: tuple[Cluster, Any], time: int) -> None:
    stream_with_kills(*running)


@pytest.mark.parametrize(("fold", "start"), [(add, 0), (table, [0] * 20_000 + [0])])
def test_a_state_survives_the_death_of_its_worker(
    running: tuple[Cluster, Any], fold: Any, start: Any
) -> None:
    made, client = running
    source = Stream()
    totals: list[int] = []

    def keep(total: Any) -> None:
        totals.append(total if fold is add else total[-1])
        if len(totals) == 30:
            made.kill_one(client)

    folded = source.scatter(client=client, batch=5).accumulate(fold, start=start)
    node = folded.buffer(20).gather().sink(keep)
    source.emit_many(range(100))
    source.close(60)
    assert totals == [sum(range(x + 1)) for x in range(100)]
    node.destroy()


def test_a_restarted_cluster_recomputes_what_was_in_flight(
    running: tuple[Cluster, Any],
) -> None:
    _, client = running
    source = Stream()
    folded = source.scatter(client=client, batch=3).map(slow).accumulate(add)
    totals = folded.buffer(40).gather().sink_to_list()
    source.emit_many(range(20))
    client.restart()
    source.emit_many(range(20, 40))
    source.close(60)
    assert totals == [sum(range(x + 1)) for x in range(40)]


def test_an_element_that_ends_every_worker_fails_alone(running: tuple[Cluster, Any]) -> None:
    check_that_the_fatal_element_fails_alone(client=running[1])


def test_a_scheduler_that_is_gone_is_an_error_and_the_input_is_kept(tmp_path: Path) -> None:
    with cluster(tmp_path, timeout=3) as (made, client):
        source = Stream()
        results = source.scatter(client=client).map(slow).buffer(40).gather().sink_to_list()
        source.emit_many(range(40))
        made.kill_scheduler()
        with pytest.raises(WorkersGone, match="client was closed") as raised:
            source.join(60)
        assert results + sorted(raised.value.elements) == list(range(40))
        source.emit(41)
        with pytest.raises(WorkersGone, match="client was closed"):
            source.join()
