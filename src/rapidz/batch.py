"""Compatibility module: batches of objects; defined in `rapidz.dataframe.frames.batch`."""

from __future__ import annotations

from rapidz.dataframe.collection.class_registry import _stream_types
from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.frames.batch import Batch, _accumulate_sum, _filter, _map_map, _pluck

__all__ = [
    "Batch",
    "Streaming",
    "_accumulate_sum",
    "_filter",
    "_map_map",
    "_pluck",
    "_stream_types",
]
