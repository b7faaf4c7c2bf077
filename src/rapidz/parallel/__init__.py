"""Floor 3: streams whose elements are on threads, in processes or on a Dask cluster.

The words of this room: a *handle* stands for an element that is elsewhere (`batch`); a *chain* is
what neighbouring operators do, as it travels (`work`); a *stage* lets elements wait for a chain and
sends them as *tasks*, each a part of a *batch* of elements that came together (`stage`); an
*outcome* is what became of an element, a value or something special (`outcomes`); the *crew* is
what all nodes of a scattered stream share: it sends tasks to a *backend* and sees what becomes of
them (`crew`, `backends`).  Before a node can count elements they must be *settled* (`settling`).
"""

import importlib
from typing import Any

from rapidz.parallel.nodes.handle_operators import (
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
from rapidz.parallel.nodes.scatter import gather, scatter
from rapidz.parallel.nodes.stream import ParallelStream
from rapidz.parallel.scheduling.dispatcher import WorkerDied, WorkersGone


def __getattr__(name: str) -> Any:
    """The sources of scattered streams, which stand behind another door (`rapidz.dask`)."""
    if name in ("filenames", "from_textfile"):
        return getattr(importlib.import_module("rapidz.dask"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "NULL_COMPUTE",
    "ParallelStream",
    "WorkerDied",
    "WorkersGone",
    "accumulate",
    "buffer",
    "collect",
    "combine_latest",
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
    "scatter",
    "sliding_window",
    "starmap",
    "timed_window",
    "timed_window_unique",
    "union",
    "unique",
    "zip_latest",
]
