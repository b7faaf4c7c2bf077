"""bytewax: `fold_window` by an event clock, and `stateful_map`; elements in batches of 10,000."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.metadata import version
from typing import Any

from benchmarks.event_time.data import EVERY, GAP, LAG, SIZE, Element
from benchmarks.peers.program import Program, main

BATCH = 10_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

op: Any = import_module("bytewax.operators")
windowing: Any = import_module("bytewax.operators.windowing")
testing: Any = import_module("bytewax.testing")
outputs: Any = import_module("bytewax.outputs")
new_flow: Any = import_module("bytewax.dataflow").Dataflow


class Drain(outputs.StatelessSinkPartition):  # type: ignore[misc]
    """Sink that calls a function with each result."""

    def __init__(self, out: Callable[[Any], object]) -> None:
        self._out = out

    def write_batch(self, items: list[Any]) -> None:
        for x in items:
            self._out(x)


class Results(outputs.DynamicSink):  # type: ignore[misc]
    """Sink of one partition."""

    def __init__(self, out: Callable[[Any], object]) -> None:
        self._out = out

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Drain:
        return Drain(self._out)


def when(x: Element) -> datetime:
    return EPOCH + x[1] * MILLISECOND


def milliseconds(instant: datetime) -> int:
    return (instant - EPOCH) // MILLISECOND


def counted(windower: Any, extended: bool = False) -> Program:
    """Return the program that counts by key in the windows of *windower*."""

    def run(data: list[Element], out: Callable[[Any], object]) -> int:
        flow = new_flow("count")
        source = op.input("in", flow, testing.TestingSource(data, batch_size=BATCH))
        clock = windowing.EventClock(when, timedelta(milliseconds=LAG))
        counts = windowing.count_window("count", source, clock, windower, key=lambda x: x[0])
        opened: dict[tuple[str, int], tuple[int, int]] = {}
        late: list[Any] = []
        values: list[Any] = []
        op.output("meta", counts.meta, Results(lambda x: note(opened, x)))
        op.output("late", counts.late, Results(late.append))
        op.output("out", counts.down, Results(values.append))
        testing.run_main(flow)
        for key, (window, n) in values:
            start, end = opened[key, window]
            out((key, start, end + GAP if extended else end, n))
        return len(late)

    return run


def note(opened: dict[tuple[str, int], tuple[int, int]], x: Any) -> None:
    key, (window, meta) = x
    opened[key, window] = (milliseconds(meta.open_time), milliseconds(meta.close_time))


def running_sum(data: list[Element], out: Callable[[Any], object]) -> int:
    def add(total: float | None, x: Element) -> tuple[float, float]:
        total = (total or 0) + x[2]
        return total, total

    flow = new_flow("sum")
    source = op.input("in", flow, testing.TestingSource(data, batch_size=BATCH))
    keyed = op.key_on("key", source, lambda x: x[0])
    op.output("out", op.stateful_map("sum", keyed, add), Results(out))
    testing.run_main(flow)
    return 0


PROGRAMS: dict[str, Program] = {
    "tumbling": counted(windowing.TumblingWindower(SIZE * MILLISECOND, EPOCH)),
    "sliding": counted(windowing.SlidingWindower(SIZE * MILLISECOND, EVERY * MILLISECOND, EPOCH)),
    "session": counted(windowing.SessionWindower(GAP * MILLISECOND), extended=True),
    "sum": running_sum,
}

if __name__ == "__main__":
    main(version("bytewax"), PROGRAMS)
