"""Compatibility module: streams on a Dask cluster."""

from __future__ import annotations

from rapidz import sources
from rapidz.parallel import (
    ParallelStream,
    accumulate,
    buffer,
    combine_latest,
    delay,
    gather,
    latest,
    map,
    partition,
    rate_limit,
    scatter,
    sliding_window,
    starmap,
    timed_window,
    union,
    zip,
)

#: A stream whose elements are on workers; by default, of the current Dask client's cluster.
DaskStream = ParallelStream


@DaskStream.register_api(staticmethod)
class filenames(DaskStream[str], sources.filenames):
    """Source `rapidz.filenames` as the start of a scattered stream."""


@DaskStream.register_api(staticmethod)
class from_textfile(DaskStream[str], sources.from_textfile):
    """Source `rapidz.from_textfile` as the start of a scattered stream."""


__all__ = [
    "DaskStream",
    "accumulate",
    "buffer",
    "combine_latest",
    "delay",
    "filenames",
    "from_textfile",
    "gather",
    "latest",
    "map",
    "partition",
    "rate_limit",
    "scatter",
    "sliding_window",
    "starmap",
    "timed_window",
    "union",
    "zip",
]
