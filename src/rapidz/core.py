"""Compatibility module: the names of `rapidz.core` and `streamz.core`.

They are defined in `rapidz.kernel` and `rapidz.operators`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from rapidz.kernel.graph.constructor_arguments import _deref_weakref, _weakref_node, args_kwargs
from rapidz.kernel.graph.editing import destroy_pipeline, move_to_first
from rapidz.kernel.graph.registry import APIRegisterMixin, identity
from rapidz.kernel.graph.stream import Stream, _html_update_streams, logger
from rapidz.kernel.protocol.checks import read_interval
from rapidz.kernel.protocol.push import no_default
from rapidz.kernel.runtime.loop import _io_loops, get_io_loop, sync
from rapidz.kernel.runtime.tracking import RefCounter
from rapidz.operators import (
    accumulate,
    buffer,
    collect,
    combine_latest,
    concat,
    debounce,
    delay,
    flatten,
    frequencies,
    latest,
    map_async,
    partition,
    partition_unique,
    pluck,
    rate_limit,
    remove,
    sample,
    scan,
    sliding_window,
    starmap,
    throttle,
    timed_window,
    timed_window_unique,
    union,
    unique,
    zip_latest,
)
from rapidz.operators import filter as filter
from rapidz.operators import map as map
from rapidz.operators import slice as slice
from rapidz.operators import zip as zip
from rapidz.operators.select import _truthy
from rapidz.orderedweakset import OrderedWeakrefSet
from rapidz.sinks.base import Sink, _global_sinks, sink, sink_to_list, starsink

__all__ = [
    # the graph
    "Stream", "Sink", "APIRegisterMixin", "OrderedWeakrefSet", "RefCounter", "args_kwargs",
    "destroy_pipeline", "move_to_first", "no_default", "_deref_weakref", "_weakref_node",
    # operators; map, filter, zip and slice are importable too, but shadow no builtin with `*`
    "accumulate", "buffer", "collect", "combine_latest", "concat", "debounce", "delay", "flatten",
    "frequencies", "latest", "map_async", "partition", "partition_unique", "pluck", "rate_limit",
    "remove", "sample", "scan", "sink", "sink_to_list", "sliding_window", "starmap", "starsink",
    "throttle", "timed_window", "timed_window_unique", "union", "unique", "zip_latest",
    # helpers and globals
    "apply", "convert_interval", "get_io_loop", "identity", "logger", "sync", "thread_state",
    "_global_sinks", "_html_update_streams", "_io_loops", "_truthy",
]  # fmt: skip

thread_state = threading.local()
"""Unused by the library; kept for code that marks its own thread with it."""


def apply(
    func: Callable[..., Any],
    args: Iterable[Any],
    args2: Iterable[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Call *func* with the arguments of both iterables.

    >>> apply(pow, [2, 3], [5])
    3
    """
    return func(*args, *(args2 or ()), **(kwargs or {}))


def convert_interval(interval: float | str | timedelta) -> float:
    """Return an interval in seconds.

    >>> convert_interval("500ms"), convert_interval("2 min"), convert_interval(3)
    (0.5, 120.0, 3)
    """
    return read_interval("convert_interval", interval, allow_zero=True)
