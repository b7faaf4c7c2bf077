"""Operators: one module or package a family, one class an operator."""

from rapidz.operators.combine import combine_latest, union, zip, zip_latest
from rapidz.operators.pace import (
    buffer,
    debounce,
    delay,
    latest,
    map_async,
    rate_limit,
    sample,
    throttle,
)
from rapidz.operators.select import filter, remove, slice, unique
from rapidz.operators.transform import (
    accumulate,
    concat,
    flatten,
    frequencies,
    map,
    pluck,
    scan,
    starmap,
)
from rapidz.operators.window import (
    collect,
    partition,
    partition_unique,
    sliding_window,
    timed_window,
    timed_window_unique,
)

__all__ = [
    "accumulate",
    "buffer",
    "collect",
    "combine_latest",
    "concat",
    "debounce",
    "delay",
    "filter",
    "flatten",
    "frequencies",
    "latest",
    "map",
    "map_async",
    "partition",
    "partition_unique",
    "pluck",
    "rate_limit",
    "remove",
    "sample",
    "scan",
    "slice",
    "sliding_window",
    "starmap",
    "throttle",
    "timed_window",
    "timed_window_unique",
    "union",
    "unique",
    "zip",
    "zip_latest",
]

for _name in __all__:
    # Only the operator itself refuses futures; a subclass of a user receives any element.
    if isinstance(_operator := globals()[_name], type):
        setattr(_operator, "_attributes_failures", True)  # noqa: B010
        setattr(_operator, "_needs_local_elements", True)  # noqa: B010 - a type has no such attribute
