"""Windows without rows between others: what pandas' `resample` gives for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental import pandas_fallback
from rapidz.dataframe.incremental.plan import Plan, column_of
from rapidz.dataframe.incremental.spec import Output
from rapidz.dataframe.incremental.types import Ints

__all__ = ["filled"]

ZERO = {"sum", "count", "size", "nunique"}


def filled(result: Any, plan: Plan, places: Ints, index: pd.Index[Any]) -> Any:
    """Return a result with rows for windows that have none.

    *places* has for each label of *index* its position in the result, -1 if it has none.
    """
    known: Ints = np.flatnonzero(places >= 0)
    if len(known) == len(index):
        return result.set_axis(index)
    spec = plan.spec
    if spec.shape == "whole":
        return _column(result, Output(None, None, "size"), plan, known, index)
    if isinstance(result, pd.Series):
        return _column(result, spec.outputs[0], plan, known, index)
    columns = [
        _column(result.iloc[:, number], output, plan, known, index)
        for number, output in enumerate(spec.outputs)
    ]
    frame = pd.DataFrame(dict(enumerate(columns)), index=index)
    frame.columns = result.columns
    return frame


def _column(
    values: Any, output: Output, plan: Plan, known: Ints, index: pd.Index[Any]
) -> pd.Series[Any]:
    numbered = values.set_axis(known)
    every = range(len(index))
    if isinstance(output.how, str):
        zero: Any = pd.Timedelta(0) if values.dtype.kind == "m" else 0
        fill = {"fill_value": zero} if output.how in ZERO else {}
        made = numbered.reindex(every, **fill)
        if values.dtype == bool and made.dtype == object:  # floats, as by group
            made = made.astype("float64")
    else:
        empty = column_of(plan.empty, output.column)
        value = pandas_fallback.of_all(empty, output, plan.spec.options)
        cells = dict(zip(known.tolist(), numbered.tolist(), strict=True))
        made = pd.Series([cells.get(n, value) for n in every], name=values.name)
    labelled: pd.Series[Any] = made.set_axis(index)
    return labelled
