"""Historic door: streaming collections; defined in `rapidz.dataframe`."""

from __future__ import annotations

from rapidz.dataframe import batch as batch  # registers the class for lists
from rapidz.dataframe.collection import (
    Streaming,
    _stream_types,
    apply_args,
    get_stream_type,
    map_partitions,
    partial_by_order,
    stream_type,
)
from rapidz.dataframe.operators import OperatorMixin
from rapidz.kernel.stream import Stream as Stream

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
