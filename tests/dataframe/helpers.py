"""Helpers of the tests of streaming frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe import DataFrame, Series


def streaming(rows: Any) -> Any:
    """A streaming frame, or series, for elements like *rows*."""
    kind: Any = DataFrame if isinstance(rows, pd.DataFrame) else Series
    return kind(example=rows.iloc[:0])


def emitted(build: Callable[[Any], Any], elements: Sequence[Any], example: Any = None) -> list[Any]:
    """All that what *build* makes of a streaming frame emits for *elements*."""
    sdf = streaming(elements[0] if example is None else example)
    seen: list[Any] = build(sdf).stream.sink_to_list()
    with np.errstate(all="ignore"):
        for element in elements:
            sdf.emit(element)
    return seen


def floats(*batches: Sequence[float]) -> list[Any]:
    """Series of floats."""
    return [pd.Series(batch, dtype="float64", name="x") for batch in batches]


def timed(value: float, hour: float) -> Any:
    """A frame of one row, at an hour of a day."""
    index = [pd.Timestamp("2020-01-01") + pd.Timedelta(hours=hour)]
    return pd.DataFrame({"x": [value]}, index=pd.DatetimeIndex(index))


def with_groups(xs: Sequence[Any], keys: Sequence[Any]) -> Any:
    """A frame with the columns ``k`` and ``x``."""
    return pd.DataFrame({"k": list(keys), "x": list(xs)})
