"""Sinks: nodes that consume elements; one module for each kind."""

from rapidz.kernel.graph.stream import Stream
from rapidz.sinks.base import Sink, _global_sinks, sink, sink_to_list, starsink
from rapidz.sinks.files import sink_to_textfile

__all__ = [
    "Sink",
    "Stream",
    "_global_sinks",
    "sink",
    "sink_to_list",
    "sink_to_textfile",
    "starsink",
]
