"""Pipelines over continuous streams of Python objects and data frames."""

from __future__ import annotations

from rapidz.kernel.failures import BackPressureError, Failure, Retry, StreamClosed
from rapidz.kernel.provenance import args_kwargs
from rapidz.kernel.push import SKIP, no_default
from rapidz.kernel.stream import Stream, destroy_pipeline, move_to_first
from rapidz.kernel.tracking import RefCounter
from rapidz.operators import (
    accumulate,
    buffer,
    collect,
    combine_latest,
    delay,
    filter,
    flatten,
    latest,
    map,
    map_async,
    partition,
    partition_unique,
    pluck,
    rate_limit,
    slice,
    sliding_window,
    starmap,
    timed_window,
    timed_window_unique,
    union,
    unique,
    zip,
    zip_latest,
)
from rapidz.sinks import Sink, sink, starsink

__version__ = "1.0.0.dev0"
