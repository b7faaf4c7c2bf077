"""Pipelines over continuous streams of Python objects and data frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidz import _old_names as _old_names
from rapidz import core as core
from rapidz import graph as graph
from rapidz import plugins as plugins
from rapidz import sinks as sinks
from rapidz import sources as sources
from rapidz.connectors import CONNECTORS
from rapidz.eventtime import OPERATORS
from rapidz.eventtime.aggregators import (
    Aggregator,
    Collect,
    Count,
    Distinct,
    First,
    Last,
    Max,
    Mean,
    Min,
    Quantile,
    Std,
    Sum,
)
from rapidz.kernel.graph.constructor_arguments import args_kwargs
from rapidz.kernel.graph.editing import destroy_pipeline, move_to_first
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.graph.timed_node import TimedNode
from rapidz.kernel.protocol.options import options
from rapidz.kernel.protocol.push import SKIP, no_default
from rapidz.kernel.runtime.failures import (
    BackPressureError,
    Failure,
    LoopEnded,
    Retry,
    StreamClosed,
)
from rapidz.kernel.runtime.tracking import RefCounter
from rapidz.link import link
from rapidz.operators import (
    accumulate,
    buffer,
    collect,
    combine_latest,
    debounce,
    delay,
    flatten,
    latest,
    map_async,
    partition,
    partition_unique,
    pluck,
    rate_limit,
    sample,
    sliding_window,
    starmap,
    throttle,
    timed_window,
    timed_window_unique,
    union,
    unique,
    zip_latest,
)

# These share their names with builtins: they are imported by name, not by `*`.
from rapidz.operators import filter as filter
from rapidz.operators import map as map
from rapidz.operators import slice as slice
from rapidz.operators import zip as zip
from rapidz.sinks import Sink, Writer, WriterSink, sink, sink_to_textfile, starsink, write_to
from rapidz.sources import (
    PeriodicCallback,
    Restart,
    Source,
    filenames,
    from_async_iterable,
    from_iterable,
    from_periodic,
    from_q,
    from_textfile,
)

if TYPE_CHECKING:  # imported on first access
    from rapidz.eventtime.keyed.key_context import KeyContext
    from rapidz.eventtime.keyed.keyed_stream import KeyedStream
    from rapidz.eventtime.late import Late
    from rapidz.eventtime.windows.results import WindowResult
    from rapidz.runner import run, run_async

for _name, _module in CONNECTORS.items():
    Stream.register_later(
        _name,
        f"rapidz.connectors.{_module}:{_name}",
        *((staticmethod,) if _name.startswith("from_") else ()),
    )

for _name, _module in OPERATORS.items():
    Stream.register_later(_name, f"rapidz.eventtime.{_module}:{_name}")

Stream.register_later("scatter", "rapidz.parallel:scatter")
Stream.register_later("to_batch", "rapidz.dataframe.register:to_batch")
Stream.register_later("to_dataframe", "rapidz.dataframe.register:to_dataframe")

# Old names resolve on first access.  Type checkers do not see this assignment, so a missing name
# stays an error for them.
globals()["__getattr__"] = _old_names.resolve

__version__ = "1.0.0.dev0"

__all__ = [
    "Stream",
    "TimedNode",
    # sources
    "PeriodicCallback",
    "Restart",
    "Source",
    "filenames",
    "from_async_iterable",
    "from_iterable",
    "from_periodic",
    "from_q",
    "from_textfile",
    # operators
    "accumulate",
    "buffer",
    "collect",
    "combine_latest",
    "debounce",
    "delay",
    "flatten",
    "latest",
    "map_async",
    "partition",
    "partition_unique",
    "pluck",
    "rate_limit",
    "sample",
    "sliding_window",
    "starmap",
    "throttle",
    "timed_window",
    "timed_window_unique",
    "union",
    "unique",
    "zip_latest",
    # aggregators of windows
    "Aggregator",
    "Collect",
    "Count",
    "Distinct",
    "First",
    "Last",
    "Max",
    "Mean",
    "Min",
    "Quantile",
    "Std",
    "Sum",
    # event time
    "KeyContext",
    "KeyedStream",
    "Late",
    "WindowResult",
    # sinks
    "Sink",
    "sink",
    "sink_to_textfile",
    "Writer",
    "WriterSink",
    "starsink",
    "write_to",
    # the graph
    "args_kwargs",
    "destroy_pipeline",
    "link",
    "move_to_first",
    # runs
    "run",
    "run_async",
    # elements and failures
    "SKIP",
    "BackPressureError",
    "Failure",
    "LoopEnded",
    "RefCounter",
    "Retry",
    "StreamClosed",
    "no_default",
    # the library as a whole
    "options",
]
