"""Aggregators: what windows by event time compute of their elements.

An aggregator turns the elements of a window into one value, through a state that
can be merged, so that sliding windows share slices and sessions grow together.
Results depend on values and timestamps, not on the order of arrival.
`Aggregator` is the base class of your own.
"""

from __future__ import annotations

from rapidz.eventtime.aggregators.base import Aggregator, Bindings, check_aggregator
from rapidz.eventtime.aggregators.distinct import Distinct
from rapidz.eventtime.aggregators.extremes import Max, Min
from rapidz.eventtime.aggregators.ordered import Collect, First, Last
from rapidz.eventtime.aggregators.quantile import Quantile
from rapidz.eventtime.aggregators.shared_lines import SharedBindings
from rapidz.eventtime.aggregators.spread import Std
from rapidz.eventtime.aggregators.totals import Count, Mean, Sum

__all__ = [
    "Aggregator",
    "Bindings",
    "Collect",
    "Count",
    "Distinct",
    "First",
    "Last",
    "Max",
    "Mean",
    "Min",
    "Quantile",
    "SharedBindings",
    "Std",
    "Sum",
    "check_aggregator",
]
