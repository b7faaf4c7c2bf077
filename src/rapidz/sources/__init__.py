"""Sources: nodes that emit elements by themselves; one module for each kind."""

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.runtime.tracking import RefCounter
from rapidz.sources.base import Source
from rapidz.sources.filenames import filenames
from rapidz.sources.iterable import from_async_iterable, from_iterable
from rapidz.sources.kafka import _close_consumer, get_message_batch_cudf
from rapidz.sources.periodic import PeriodicCallback, from_periodic
from rapidz.sources.queues import from_q
from rapidz.sources.textfile import from_textfile, sink_to_file

__all__ = [
    "PeriodicCallback",
    "RefCounter",
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
