"""What event-time windows of any kind have in common: how rows are read and results are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.event_windows.layout import Layout
from rapidz.dataframe.incremental.event_windows.pane_store import PaneStore
from rapidz.dataframe.incremental.event_windows.stamps import Instants, Stamps
from rapidz.dataframe.incremental.groups.keys import GivenKeys, GroupKeys
from rapidz.dataframe.incremental.pandas_fallback import GroupByOptions
from rapidz.dataframe.incremental.plan import Plan
from rapidz.dataframe.incremental.types import Bools, Frame, Ints
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["TimedBatch", "Spec", "TimedAggregate"]


class Spec(NamedTuple):
    """What is aggregated, and how results look.

    Parameters
    ----------
    how : str, list, dict or callable
        The aggregates, as in `create_aggregate`.
    layout : Layout
        The index of results.
    keyed : bool
        Whether rows are grouped by keys, which `take` gets.
    omit : sequence of labels
        Columns that are not aggregated: times and keys.
    sort, dropna : bool
        As in pandas' groupby.
    options : mapping
        Those of the aggregate.
    """

    how: Any
    layout: Layout
    keyed: bool = False
    omit: Sequence[Any] = ()
    sort: bool = True
    dropna: bool = True
    options: Mapping[str, Any] = {}


class TimedBatch(NamedTuple):
    """Rows of a batch as they are read, before anything has changed."""

    frame: Frame
    schema: Schema
    keys: list[pd.Series[Any]]
    times: Instants

    def chosen(self, kept: Bools) -> TimedBatch:
        """Return some of the rows."""
        return TimedBatch(
            self.frame[kept],
            self.schema,
            [key[kept] for key in self.keys],
            self.times.chosen(kept),
        )


def _unchanged(rows: Any) -> Any:
    return rows


class TimedAggregate:
    """State of the aggregates of the rows of event-time windows, by key.

    `take` adds rows, and returns which of them are late; `close` returns the rows of the windows
    that the watermark has passed, which are final, and forgets them.

    Parameters
    ----------
    example : DataFrame or Series
        Rows of the right columns and dtypes.
    spec : Spec
        What is aggregated.
    stamps : Stamps
        The kind of the timestamps.
    """

    def __init__(self, example: Frame, spec: Spec, stamps: Stamps) -> None:
        self.schema = Schema(example)
        self.spec, self.stamps = spec, stamps
        self.shares, self.options = _shares(spec.how, spec.options)
        self.keys = GroupKeys(GivenKeys() if spec.keyed else None, example)
        if not self.schema.open:
            self._plan(example)

    def _plan(self, sample: Frame) -> Plan:
        grouping = GroupByOptions(sort=True, dropna=False, observed=True)
        # Windows are groups, with keys or without.
        every = GroupKeys(list(self.spec.omit) or GivenKeys(), sample)
        return Plan(sample, self.spec.how, every, grouping, self.options, sliding=False)

    # -- to be overridden

    @property
    def open_count(self) -> int:
        """How many windows are open, each key counted."""
        raise NotImplementedError

    def open_windows(self) -> list[tuple[int, int]]:
        """Return start and end of the windows that are open."""
        raise NotImplementedError

    def take(self, frame: Frame, times: Any, keys: Any, watermark: int) -> Bools | None:
        """Add the rows of a batch; return which of them are late, None if none is.

        *times* are their timestamps: a column, an index or `Instants`; without one a row is late.
        If it raises, the state does not change.
        """
        raise NotImplementedError

    def due(self) -> int | None:
        """Return the watermark at which the next window closes; None if none is open."""
        raise NotImplementedError

    def close(self, watermark: int) -> Any:
        """Return the final rows of the windows that the watermark has passed; None if none is."""
        raise NotImplementedError

    def early(self) -> Any:
        """Return the present rows of all open windows; None if no window is open."""
        raise NotImplementedError

    # -- for subclasses

    def _read(self, frame: Frame, times: Any, keys: Any) -> TimedBatch:
        frame, schema = self.schema.read(frame)
        return TimedBatch(frame, schema, self.keys.read(frame, keys), self.stamps.read(times))

    def _rows(
        self,
        store: PaneStore,
        codes: Ints,
        index: pd.Index[Any],
        finish: Callable[[Any], Any] = _unchanged,
    ) -> Any:
        """Return the aggregates of some panes, which *index* labels; *finish* completes them."""
        with np.errstate(all="ignore"):
            if self.shares is None:
                return finish(store.result(codes, index))
            plans = [store.plan.with_option("q", share) for share in self.shares]
            rows = [finish(store.with_plan(plan).result(codes, index)) for plan in plans]
        both = pd.concat(rows, keys=self.shares)
        both = both.reorder_levels([*range(1, both.index.nlevels), 0])
        return both.iloc[np.arange(len(both)).reshape(len(rows), -1).T.ravel()]


def _shares(how: Any, options: Mapping[str, Any]) -> tuple[list[float] | None, dict[str, Any]]:
    """Return the list of quantiles if there is one, and the options of the first of them."""
    asked = options.get("q")
    if how != "quantile" or not isinstance(asked, (list, tuple, np.ndarray, pd.Index)):
        return None, dict(options)
    shares = [float(share) for share in asked]
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"quantile: q must be shares between 0 and 1, got {short_repr(asked)}")
    return shares, {**options, "q": shares[0]}
