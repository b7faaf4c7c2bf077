"""What is known of all rows so far: aggregates of frames that come in batches.

The result after each update is what pandas gives for the rows of all batches together,
wherever the borders between batches lie, and whichever of them has the wider dtypes. Nothing
here knows streams. All states can be pickled and copied with `copy.deepcopy`.
"""

from rapidz.dataframe.state.aggregate import AggregateState
from rapidz.dataframe.state.cumulative import CumulativeState
from rapidz.dataframe.state.custom import CustomState
from rapidz.dataframe.state.ewm import EwmState
from rapidz.dataframe.state.held import Held
from rapidz.dataframe.state.make import make_state
from rapidz.dataframe.state.rolling import RollingState
from rapidz.dataframe.state.windows import Everything, LastRows, Over, Span

__all__ = [
    "AggregateState",
    "CumulativeState",
    "CustomState",
    "EwmState",
    "Everything",
    "Held",
    "LastRows",
    "Over",
    "RollingState",
    "Span",
    "make_state",
]
