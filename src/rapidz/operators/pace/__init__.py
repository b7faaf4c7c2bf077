"""Operators that change when elements are emitted, and how many at once."""

from rapidz.operators.pace.map_async import map_async
from rapidz.operators.pace.queued import buffer, latest
from rapidz.operators.pace.timing import delay, rate_limit

__all__ = ["buffer", "delay", "latest", "map_async", "rate_limit"]
