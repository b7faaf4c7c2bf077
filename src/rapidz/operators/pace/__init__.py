"""Operators that change when elements are emitted, and how many at once."""

from rapidz.operators.pace.debounce import debounce
from rapidz.operators.pace.map_async import map_async
from rapidz.operators.pace.queued import buffer, latest
from rapidz.operators.pace.sample import sample
from rapidz.operators.pace.throttle import throttle
from rapidz.operators.pace.timing import delay, rate_limit

__all__ = [
    "buffer",
    "debounce",
    "delay",
    "latest",
    "map_async",
    "rate_limit",
    "sample",
    "throttle",
]
