"""What lanes refuse when a pipeline is built, in the one form of errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rapidz import Count, Stream
from rapidz.parallel import WorkersGone
from rapidz.parallel.backends.protocol import FutureBackend


def keyed() -> Any:
    return Stream[Any]().key_by(0)


def timed() -> Any:
    return Stream[Any]().event_time(1).key_by(0)


async def later(total: int, x: Any) -> int:
    return total


class Ticks:
    def on_element(self, key: Any, x: Any, ctx: Any) -> None:
        ctx.after(1)

    def on_timer(self, key: Any, t: Any, ctx: Any) -> None:
        pass


class Unpinned(FutureBackend):
    name = "unpinned"


def add(total: Any, x: Any) -> Any:
    return x


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: keyed().scatter("thread", partitions=0), ValueError, "scatter: partitions must be"),
    (lambda: keyed().scatter("thread", partitions=1.5), TypeError, "scatter: partitions must be"),
    (lambda: keyed().scatter("thread", partitions=1025), ValueError, "at most 1024, got 1025"),
    (lambda: keyed().scatter("thread", partitions=1, batch=0), ValueError, "scatter: batch must"),
    (lambda: keyed().scatter("nowhere", partitions=1), ValueError, "scatter: backend must be"),
    (
        lambda: keyed().scatter(Unpinned(), partitions=1),
        TypeError,
        r"scatter: backend must have open_lane\(lane\)",
    ),
    (
        lambda: Stream[Any]().scatter("thread", partitions=2),
        TypeError,
        r"scatter: partitions needs key_by\(...\) upstream",
    ),
    (lambda: keyed().scatter("thread").accumulate(later, start=0), TypeError, "event loop"),
    (lambda: keyed().scatter("thread").process(Ticks), TypeError, "process: must do without"),
    (
        lambda: timed().scatter("thread").tumbling(10, early=1).aggregate(n=Count()),
        TypeError,
        "aggregate: must do without an event loop in a lane, got <tumbling>",
    ),
    (
        lambda: keyed().scatter("thread").accumulate(add, ttl=5),
        ValueError,
        "accumulate: ttl must go by event time in a lane",
    ),
    (lambda: keyed().scatter("thread").sink(print), TypeError, "sink: cannot run in a lane"),
    (lambda: keyed().scatter("thread").buffer(5), TypeError, "buffer: cannot run in a lane"),
    (lambda: keyed().scatter("thread").partition(5), TypeError, "partition: cannot run in a lane"),
    (
        lambda: keyed().scatter("thread").map(abs).accumulate(add),
        TypeError,
        "accumulate: upstream must have keys in a lane",
    ),
    (lambda: keyed().scatter("thread").tumbling(10), ValueError, "tumbling: needs `event_time`"),
    (lambda: keyed().scatter("thread").map(5), TypeError, "map: func must be callable"),
    (
        lambda: keyed().scatter("process", partitions=1).map(threading.Lock().__enter__),
        TypeError,
        "map: func must be something that can be sent to another process",
    ),
    (
        lambda: keyed().scatter("thread").map(abs).on_error(Stream()),
        TypeError,
        "on_error: policy must be 'raise', 'skip', 'send' or a Retry in a lane",
    ),
]


@pytest.mark.parametrize(("build", "kind", "message"), REFUSED)
def test_what_cannot_run_in_a_lane_is_refused_when_built(
    build: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        build()


def test_a_refused_operator_leaves_the_lanes_as_they_were() -> None:
    source: Any = Stream()
    lanes = source.key_by(0).scatter("thread", partitions=2)
    with pytest.raises(TypeError):
        lanes.map(later, 1)
    seen = lanes.map(lambda x: x[1]).gather().sink_to_list()
    source.emit(("a", 1))
    source.close()
    assert seen == [1]


def test_lanes_that_lead_nowhere_are_refused_at_the_first_element() -> None:
    source: Any = Stream()
    lanes = source.key_by(0).scatter("thread", partitions=2).map(abs)
    with pytest.raises(RuntimeError, match=r"lanes must lead to gather\(\)"):
        source.emit(("a", 1))
    del lanes


def test_operators_are_refused_after_the_first_element() -> None:
    source: Any = Stream()
    lanes = source.key_by(0).scatter("thread", partitions=2)
    seen = lanes.gather().sink_to_list()
    source.emit(("a", 1))
    with pytest.raises(RuntimeError, match="map: lanes must be complete before the first element"):
        lanes.map(abs)
    source.close()
    assert seen == [("a", 1)]


def test_elements_fail_where_no_worker_takes_them() -> None:
    pool = ThreadPoolExecutor(1)
    source: Any = Stream()
    seen = source.key_by(0).scatter(pool, partitions=2).map(lambda x: x).gather().sink_to_list()
    source.emit(("a", 1))
    source.join()
    pool.shutdown()
    source.emit(("a", 2))
    with pytest.raises(WorkersGone, match="cannot schedule new futures") as caught:
        source.close()
    assert caught.value.element == ("a", 2)
    assert seen == [("a", 1)]
