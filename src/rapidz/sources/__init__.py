"""Floor 3: where elements come from by themselves; one module for each kind."""

from rapidz.kernel.stream import Stream
from rapidz.sources.base import Source
from rapidz.sources.filenames import filenames
from rapidz.sources.iterable import from_async_iterable, from_iterable
from rapidz.sources.periodic import PeriodicCallback, from_periodic
from rapidz.sources.queues import from_q
from rapidz.sources.textfile import from_textfile, sink_to_file

__all__ = [
    "PeriodicCallback",
    "Source",
    "Stream",
    "filenames",
    "from_async_iterable",
    "from_iterable",
    "from_periodic",
    "from_q",
    "from_textfile",
    "sink_to_file",
]
