"""Compatibility module: streaming collections; defined in `rapidz.dataframe`."""

from __future__ import annotations

from rapidz.dataframe.collection.class_registry import _stream_types
from rapidz.dataframe.collection.operators import OperatorMixin
from rapidz.dataframe.collection.streaming import (
    Streaming,
    apply_args,
    get_stream_type,
    map_partitions,
    partial_by_order,
    stream_type,
)
from rapidz.kernel.graph.stream import Stream as Stream

__all__ = [
    "OperatorMixin",
    "Streaming",
    "_stream_types",
    "apply_args",
    "get_stream_type",
    "map_partitions",
    "partial_by_order",
    "stream_type",
]
