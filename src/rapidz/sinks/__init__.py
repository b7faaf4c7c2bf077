"""Sinks: nodes that consume elements; one module for each kind."""

from rapidz.kernel.graph.registry import load_later
from rapidz.kernel.graph.stream import Stream
from rapidz.sinks.base import Sink, _global_sinks, sink, sink_to_list, starsink
from rapidz.sinks.files import sink_to_textfile
from rapidz.sinks.writer import Writer
from rapidz.sinks.writer_sink import WriterSink, write_to

__all__ = [
    "Sink",
    "Stream",
    "Writer",
    "WriterSink",
    "_global_sinks",
    "sink",
    "sink_to_list",
    "sink_to_textfile",
    "starsink",
    "write_to",
]

# Connectors, such as `from_kafka`, are imported at their first use.  Type checkers do not see this
# assignment, so a missing name stays an error for them.
globals()["__getattr__"] = load_later
