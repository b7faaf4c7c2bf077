"""Keyed lanes on a Dask cluster."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from rapidz import Count, Stream

distributed: Any = pytest.importorskip("distributed")

KEYS = "abcdefgh"


def add(total: int, x: Any) -> int:
    return total + int(x[2])


def run(client: Any, lose_a_worker: Any = None) -> None:
    rows = [(n // 4, KEYS[n * n % 8], n % 19) for n in range(2000)]
    source: Any = Stream()
    lanes = source.event_time(0).key_by(1).scatter(client=client, partitions=3)
    totals = lanes.accumulate(add, start=0).gather().sink_to_list()
    windows = lanes.tumbling(50).aggregate(n=Count()).gather().sink_to_list()
    source.emit_many(rows[:1000])
    source.join()
    if lose_a_worker is not None:
        lose_a_worker()
    source.emit_many(rows[1000:])
    source.close()
    plain: Any = Stream()
    expected = plain.key_by(1).accumulate(add, start=0).sink_to_list()
    plain.emit_many(rows)
    plain.close()
    for key in KEYS:
        assert [t for t in totals if t[0] == key] == [t for t in expected if t[0] == key]
    assert sum(window.value["n"] for window in windows) == len(rows)
    assert len({(window.key, window.end) for window in windows}) == len(windows)


@pytest.mark.slow
def test_lanes_on_a_cluster_of_threads_give_the_results_of_those_here() -> None:
    with distributed.Client(processes=False, dashboard_address=":0") as client:
        run(client)


@pytest.mark.slow
def test_a_lost_worker_of_a_cluster_loses_no_state() -> None:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = client.run(os.getpid)

        def kill() -> None:
            os.kill(next(iter(pids.values())), signal.SIGKILL)

        run(client, kill)
