"""Pipelines of rapidz that do the work of the loops by hand."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

from benchmarks.event_time.loops import add_number, add_value

CAPACITY = 1_000
"""Capacity of the queue in the row of a buffer."""

Build: TypeAlias = Callable[[Any], Any]


def count() -> Any:
    return import_module("rapidz").Count()


def keyed(source: Any, unit: str | None = "ms") -> Any:
    """Return the stream by event time and key; ``unit=None``: the timestamps are datetimes."""
    unit_of = {} if unit is None else {"unit": unit}
    return source.event_time(1, lag="2s", **unit_of).key_by(0)


def tumbling(source: Any) -> Any:
    return keyed(source).tumbling("60s").aggregate(n=count())


def tumbling_by_datetime(source: Any) -> Any:
    return keyed(source, unit=None).tumbling("60s").aggregate(n=count())


def sliding(source: Any) -> Any:
    return keyed(source).sliding("60s", "20s").aggregate(n=count())


def session(source: Any) -> Any:
    return keyed(source).session("15s").aggregate(n=count())


def running_sum(source: Any) -> Any:
    return source.key_by(0).accumulate(add_value, start=0)


def running_number(source: Any) -> Any:
    return source.key_by(0).accumulate(add_number, start=0)


def buffered(source: Any) -> Any:
    """Return the tumbling windows behind a buffer: between the watermarks and the windows."""
    stream = source.event_time(1, unit="ms", lag="2s").buffer(CAPACITY)
    return stream.key_by(0).tumbling("60s").aggregate(n=count())


def running_pipelines(source: Any) -> Any:
    def build(stream: Any, key: object) -> Any:
        return stream.accumulate(add_number, start=0)

    return source.key_by(0).pipelines(build)


def plain(result: Any) -> tuple[Any, ...]:
    """Return a result as the loop by hand makes it."""
    value = result.value
    return (result.key, result.start, result.end, value["n"])
