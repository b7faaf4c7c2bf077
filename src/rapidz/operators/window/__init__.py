"""Operators that emit one collection for several elements."""

from rapidz.operators.window.collected import collect
from rapidz.operators.window.count import partition, partition_unique
from rapidz.operators.window.sliding import sliding_window
from rapidz.operators.window.time import timed_window, timed_window_unique

__all__ = [
    "collect",
    "partition",
    "partition_unique",
    "sliding_window",
    "timed_window",
    "timed_window_unique",
]
