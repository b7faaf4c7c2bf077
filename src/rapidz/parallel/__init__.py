"""Floor 3: streams whose elements are on threads, in processes or on a Dask cluster."""

from rapidz.parallel.crew import WorkerDied, WorkersGone
from rapidz.parallel.ends import gather, scatter
from rapidz.parallel.on_handles import (
    buffer,
    collect,
    combine_latest,
    delay,
    latest,
    partition,
    partition_unique,
    rate_limit,
    sliding_window,
    timed_window,
    timed_window_unique,
    union,
    unique,
    zip_latest,
)
from rapidz.parallel.on_handles import (
    slice as slice,
)
from rapidz.parallel.on_handles import (
    zip as zip,
)
from rapidz.parallel.on_workers import (
    accumulate,
    flatten,
    map_async,
    pluck,
    starmap,
)
from rapidz.parallel.on_workers import (
    filter as filter,
)
from rapidz.parallel.on_workers import (
    map as map,
)
from rapidz.parallel.stream import ParallelStream

__all__ = [
    "ParallelStream",
    "WorkerDied",
    "WorkersGone",
    "accumulate",
    "buffer",
    "collect",
    "combine_latest",
    "delay",
    "flatten",
    "gather",
    "latest",
    "map_async",
    "partition",
    "partition_unique",
    "pluck",
    "rate_limit",
    "scatter",
    "sliding_window",
    "starmap",
    "timed_window",
    "timed_window_unique",
    "union",
    "unique",
    "zip_latest",
]
