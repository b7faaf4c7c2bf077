"""Release of handles: on the scheduler, on the workers and in this process."""

from __future__ import annotations

import gc
import logging
from pathlib import Path

import psutil
import pytest
from tests.parallel.backends.cluster import cluster
from tests.parallel.backends.functions import add, double

from rapidz import Stream
from rapidz.parallel.scheduling.batch import ElementBatch

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

MEGABYTE = 1 << 20


@pytest.mark.soak
def test_the_memory_of_the_scheduler_does_not_grow_with_the_stream(tmp_path: Path) -> None:
    with cluster(tmp_path) as (made, client):
        scheduler = psutil.Process(made.scheduler.pid)
        source = Stream()
        count: list[int] = [0]

        def seen(x: int) -> None:
            count[0] += 1

        folded = source.scatter(client=client, batch=1000).map(double).accumulate(add)
        node = folded.buffer(20_000).gather().sink(seen)
        sizes: list[float] = []
        for part in range(10):
            source.emit_many(range(part * 100_000, (part + 1) * 100_000))
            source.join(200)
            sizes.append(scheduler.memory_info().rss / MEGABYTE)
        assert count == [1_000_000]
        print("megabytes of the scheduler:", [round(size) for size in sizes])
        assert sizes[-1] < sizes[4] + 10  # by then Dask's own logs, which are bounded, are full
        node.destroy()


def batches() -> list[ElementBatch]:
    return [x for x in gc.get_objects() if type(x) is ElementBatch]


def test_a_cluster_has_no_task_left_when_all_is_gathered(tmp_path: Path) -> None:
    logging.getLogger("distributed").setLevel(logging.WARNING)
    earlier = batches()  # of streams that other tests have left to the garbage collector
    with cluster(tmp_path) as (_, client):
        source = Stream()
        folded = source.scatter(client=client, batch=10).map(double).accumulate(add)
        totals = folded.map(double).buffer(100).gather().sink_to_list()
        source.emit_many(range(1000))
        source.close(60)
        assert len(totals) == 1000
        del source, folded
        gc.collect()

        def tasks(dask_scheduler: object) -> list[str]:
            return list(dask_scheduler.tasks)  # type: ignore[attr-defined]

        assert any(client.run_on_scheduler(tasks) == [] for _ in range(100))
        assert not [batch for batch in batches() if not any(batch is old for old in earlier)]
