"""Incremental aggregates of frames that arrive in batches.

The result after each update equals that of pandas for the rows of all batches together, wherever
the borders between batches lie, and whichever of them has the wider dtypes. The package does not
depend on streams. All states can be pickled and copied with `copy.deepcopy`.

`create_aggregate` makes an `AggregateState`. Its `Plan` chooses for each output an accumulator
from the registry (`accumulators.registry`: "sum" of integers is an `IntegerSum`, and so on) and
the store that keeps them, without groups or by group.
"""

from rapidz.dataframe.incremental.aggregate_state import AggregateState
from rapidz.dataframe.incremental.cumulative import CumulativeState
from rapidz.dataframe.incremental.custom import CustomState
from rapidz.dataframe.incremental.ewm import EwmState
from rapidz.dataframe.incremental.factory import create_aggregate
from rapidz.dataframe.incremental.rolling.rolling import RollingState
from rapidz.dataframe.incremental.windows.extents import AllRows, Extent, LastRows, Span
from rapidz.dataframe.incremental.windows.row_window import RowWindow

__all__ = [
    "AggregateState",
    "CumulativeState",
    "CustomState",
    "EwmState",
    "AllRows",
    "RowWindow",
    "LastRows",
    "Extent",
    "RollingState",
    "Span",
    "create_aggregate",
]
