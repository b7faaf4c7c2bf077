"""Streaming collections over frames: batches, data frames, series.

Names are imported on first access, so that batches need no pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rapidz.dataframe.collection.class_registry import set_class_importer

if TYPE_CHECKING:
    from rapidz.dataframe.frames.dataframe import (
        DataFrame,
        DataFrames,
        Frame,
        Frames,
        Index,
        Series,
        Seriess,
    )
    from rapidz.dataframe.frames.groupby import GroupBy
    from rapidz.dataframe.frames.joins import merge
    from rapidz.dataframe.frames.periodic import (
        PeriodicDataFrame,
        Random,
        random_datablock,
        random_datapoint,
    )
    from rapidz.dataframe.frames.rolling import Rolling
    from rapidz.dataframe.frames.window import Window
    from rapidz.dataframe.incremental.user_aggregation import Aggregation

__all__ = [
    "Aggregation",
    "DataFrame",
    "DataFrames",
    "Frame",
    "Frames",
    "GroupBy",
    "Index",
    "PeriodicDataFrame",
    "Random",
    "Rolling",
    "Series",
    "Seriess",
    "Window",
    "merge",
    "random_datablock",
    "random_datapoint",
]

#: The module that each name comes from.
_HOMES = {
    "Aggregation": "incremental.user_aggregation",
    "Batch": "frames.batch",
    "GroupBy": "frames.groupby",
    "Rolling": "frames.rolling",
    "Window": "frames.window",
    "merge": "frames.joins",
    **dict.fromkeys(
        ("DataFrame", "DataFrames", "Frame", "Frames", "Index", "Series", "Seriess"),
        "frames.dataframe",
    ),
    **dict.fromkeys(
        ("PeriodicDataFrame", "Random", "random_datablock", "random_datapoint"), "frames.periodic"
    ),
}


def _imported(name: str) -> Any:
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


set_class_importer(_imported)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in ("aggregations", "core", "plotting", "utils"):  # loaded on demand
            return importlib.import_module(f"{__name__}.{name}")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return _imported(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
