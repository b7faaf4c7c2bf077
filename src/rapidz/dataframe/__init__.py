"""Streaming collections over frames: batches, data frames, series.

Names are imported when they are first asked for, so that batches need no pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rapidz.dataframe.frames import (
        DataFrame,
        DataFrames,
        Frame,
        Frames,
        Index,
        Series,
        Seriess,
    )
    from rapidz.dataframe.groupby import GroupBy
    from rapidz.dataframe.joins import merge
    from rapidz.dataframe.own import Aggregation
    from rapidz.dataframe.periodic import (
        PeriodicDataFrame,
        Random,
        random_datablock,
        random_datapoint,
    )
    from rapidz.dataframe.rolling import Rolling
    from rapidz.dataframe.window import Window

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
    "Aggregation": "own",
    "GroupBy": "groupby",
    "Rolling": "rolling",
    "Window": "window",
    "merge": "joins",
    **dict.fromkeys(
        ("DataFrame", "DataFrames", "Frame", "Frames", "Index", "Series", "Seriess"), "frames"
    ),
    **dict.fromkeys(
        ("PeriodicDataFrame", "Random", "random_datablock", "random_datapoint"), "periodic"
    ),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in ("aggregations", "core", "utils"):  # as `import rapidz.dataframe` had them
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
