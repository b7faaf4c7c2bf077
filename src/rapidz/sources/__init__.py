"""Sources: nodes that emit elements by themselves; one module for each kind."""

from rapidz.kernel.graph.registry import load_later
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.runtime.tracking import RefCounter
from rapidz.sources.acknowledge import InOrder
from rapidz.sources.base import Source
from rapidz.sources.filenames import filenames
from rapidz.sources.iterable import from_async_iterable, from_iterable
from rapidz.sources.kafka import _close_consumer, get_message_batch_cudf
from rapidz.sources.periodic import PeriodicCallback, from_periodic
from rapidz.sources.queues import from_q
from rapidz.sources.restart import Restart
from rapidz.sources.textfile import from_textfile, sink_to_file

__all__ = [
    "InOrder",
    "PeriodicCallback",
    "RefCounter",
    "Restart",
    "Source",
    "Stream",
    "filenames",
    "from_async_iterable",
    "from_iterable",
    "from_periodic",
    "from_q",
    "from_textfile",
    "get_message_batch_cudf",
    "sink_to_file",
    "_close_consumer",
]

# Connectors, such as `from_kafka`, are imported at their first use.  Type checkers do not see this
# assignment, so a missing name stays an error for them.
globals()["__getattr__"] = load_later
