"""Call counts with event time: what an element costs where no window opens or closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from benchmarks.calls import count
from benchmarks.event_time import pipelines
from benchmarks.sides import new_stream, release

WARM = [("a", at, 1.0) for at in range(50)]


def calls_of(build: Callable[[Any], Any], drive: Callable[[Any, list[Any]], None]) -> int:
    """Return how many Python functions 100 elements of an open window call."""
    source = new_stream("rapidz")
    sinks = [build(source).sink(id)]
    first, second = ([("a", 50 + at, 1.0) for at in range(n)] for n in (100, 200))
    drive(source, WARM)  # compiles the graph, and opens the window
    drive(source, WARM)
    one, two = (count(lambda data=data: drive(source, data))[0] for data in (first, second))  # type: ignore[misc]
    release("rapidz", source, sinks)
    return two - one


def in_bulk(source: Any, data: list[Any]) -> None:
    source.emit_many(data)


def one_by_one(source: Any, data: list[Any]) -> None:
    for x in data:
        source.emit(x)


def timestamps_alone(source: Any) -> Any:
    return source.event_time(1, unit="ms", lag="2s")


def guarded(source: Any) -> Any:
    return source.event_time(1, unit="ms", lag="2s", ahead="1h")


BUILDS = [
    timestamps_alone,
    guarded,
    pipelines.keyed,
    pipelines.tumbling,
    pipelines.sliding,
    pipelines.session,
]

builds = pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)


@builds
def test_event_time_adds_no_calls_in_bulk(build: Callable[[Any], Any]) -> None:
    assert calls_of(build, in_bulk) == 0


@builds
def test_event_time_adds_no_calls_to_those_of_emit(build: Callable[[Any], Any]) -> None:
    assert calls_of(build, one_by_one) == calls_of(lambda source: source, one_by_one)


@pytest.mark.parametrize("drive", [in_bulk, one_by_one])
def test_keyed_state_calls_the_users_function_and_no_other(drive: Any) -> None:
    own = calls_of(lambda source: source, drive)
    assert calls_of(pipelines.running_sum, drive) - own == 100


def test_a_branch_without_time_costs_as_much_beside_one_with_it() -> None:
    def forked(source: Any) -> Any:
        pipelines.tumbling(source).sink(id)
        return source.map(abs_of)

    def plain(source: Any) -> Any:
        source.sink(id)
        return source.map(abs_of)

    assert calls_of(forked, in_bulk) == calls_of(plain, in_bulk)


def abs_of(x: Any) -> Any:
    return abs(x[1])


@builds
async def test_event_time_adds_no_calls_on_a_loop(build: Callable[[Any], Any]) -> None:
    async def calls(build: Callable[[Any], Any]) -> int:
        source = new_stream("rapidz", asynchronous=True)
        build(source).sink(id)
        await source.emit_many(WARM)
        await source.emit_many(WARM)
        found = []
        for n in (100, 200):
            data = [("a", 50 + at, 1.0) for at in range(n)]
            waits: list[Any] = []
            found.append(count(lambda data=data, waits=waits: waits.append(source.emit_many(data))))  # type: ignore[misc]
            await waits[0]
        await source.close()
        return found[1][0] - found[0][0]

    assert await calls(build) == await calls(lambda source: source)
