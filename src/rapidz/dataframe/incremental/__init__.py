"""What is known of all rows so far: aggregates of frames that come in batches.

The result after each update is what pandas gives for the rows of all batches together,
wherever the borders between batches lie, and whichever of them has the wider dtypes. Nothing
here knows streams. All states can be pickled and copied with `copy.deepcopy`.
"""

from rapidz.dataframe.incremental.aggregate import AggregateState
from rapidz.dataframe.incremental.api import create_aggregate
from rapidz.dataframe.incremental.cumulative import CumulativeState
from rapidz.dataframe.incremental.custom import CustomState
from rapidz.dataframe.incremental.ewm import EwmState
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
