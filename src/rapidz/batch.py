"""Historic door: batches of objects; defined in `rapidz.dataframe.batch`."""

from __future__ import annotations

from rapidz.dataframe.batch import Batch, _accumulate_sum, _filter, _map_map, _pluck
from rapidz.dataframe.collection import Streaming, _stream_types

__all__ = [
    "Batch",
    "Streaming",
    "_accumulate_sum",
    "_filter",
    "_map_map",
    "_pluck",
    "_stream_types",
]
