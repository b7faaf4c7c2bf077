"""Parallel execution: streams whose elements are in threads, in processes or on a Dask cluster.

`scatter` and `gather` mark where a stream leaves the process and returns.  In between, nodes push
*handles*, references to elements, and a node's function is sent to where the elements are.  The
layers, from the top down, each in a package of its own:

nodes
    The operators of scattered streams.  Neighbours that look at one element at a time form a
    *chain*, which runs as one task.  The others must *resolve* handles before they count, pair or
    order elements: whether an element was filtered out, has failed or was flattened is known only
    once its task is done.
lanes
    Keyed operators on workers: the elements of a key go to one *lane*, which has the state of its
    keys.
scheduling
    A *batcher* queues the elements for a chain and cuts them into *tasks*; the *dispatcher*, which
    all nodes of a stream share, submits these; *quarantine* isolates tasks that end their worker.
backends
    Thread and process pools, executors and Dask clusters.
wire
    What travels: *programs*, compiled chains; *payloads*, the input of tasks; and *outcomes*, a
    value or a marker for each element.
"""

import importlib
from typing import Any

from rapidz.parallel.lanes.lane_scatter import scatter_lanes
from rapidz.parallel.lanes.lane_stream import LaneStream, LaneWindows
from rapidz.parallel.nodes.handle_operators import (
    buffer,
    collect,
    combine_latest,
    debounce,
    delay,
    latest,
    partition,
    partition_unique,
    rate_limit,
    sample,
    sliding_window,
    throttle,
    timed_window,
    timed_window_unique,
    union,
    unique,
    zip_latest,
)
from rapidz.parallel.nodes.handle_operators import (
    slice as slice,
)
from rapidz.parallel.nodes.handle_operators import (
    zip as zip,
)
from rapidz.parallel.nodes.legacy_null import NULL_COMPUTE, filter_null_wrapper, return_null
from rapidz.parallel.nodes.remote_operators import (
    accumulate,
    flatten,
    map_async,
    pluck,
    starmap,
)
from rapidz.parallel.nodes.remote_operators import (
    filter as filter,
)
from rapidz.parallel.nodes.remote_operators import (
    map as map,
)
from rapidz.parallel.nodes.scatter_gather import gather, scatter
from rapidz.parallel.nodes.stream import ParallelStream
from rapidz.parallel.scheduling.errors import WorkerDied, WorkersGone


def __getattr__(name: str) -> Any:
    """Return a source of scattered streams, from `rapidz.dask`."""
    if name in ("filenames", "from_textfile"):
        return getattr(importlib.import_module("rapidz.dask"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "NULL_COMPUTE",
    "LaneStream",
    "LaneWindows",
    "ParallelStream",
    "WorkerDied",
    "WorkersGone",
    "accumulate",
    "buffer",
    "collect",
    "combine_latest",
    "debounce",
    "delay",
    "filter_null_wrapper",
    "flatten",
    "gather",
    "latest",
    "map_async",
    "partition",
    "partition_unique",
    "pluck",
    "rate_limit",
    "return_null",
    "sample",
    "scatter",
    "scatter_lanes",
    "sliding_window",
    "starmap",
    "throttle",
    "timed_window",
    "timed_window_unique",
    "union",
    "unique",
    "zip_latest",
]
