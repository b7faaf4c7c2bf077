"""GroupBy: aggregates of the rows of a streaming frame by group."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from rapidz.dataframe.collection.column_access import ColumnAttributes, has_columns
from rapidz.dataframe.collection.errors import no_column
from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.frames.aggregate_methods import AggregateMethods
from rapidz.dataframe.frames.fold_rows import fold_rows
from rapidz.dataframe.frames.grouper import Grouper
from rapidz.dataframe.frames.resume import resume_aggregate, resume_window
from rapidz.dataframe.frames.snapshots import DataFrames, Seriess
from rapidz.dataframe.frames.window_spec import window_arguments, window_extent
from rapidz.dataframe.incremental import AllRows, EwmState, create_aggregate
from rapidz.dataframe.incremental.ewm import decay as decay_of
from rapidz.dataframe.legacy.windows import (
    diff_iloc,
    diff_loc,
    groupby_accumulator,
    windowed_groupby_accumulator,
)
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["EWMGroupBy", "GroupBy", "WindowedGroupBy"]


class GroupBy(ColumnAttributes, AggregateMethods):
    """Groups of all rows so far: each aggregate is emitted for every element.

    The state is an `incremental.store.GroupStore`; `incremental.accumulators.sums`, for one, adds
    the rows of a batch by group.

    Parameters
    ----------
    root : DataFrame or Series
        The streaming frame.
    grouper : label, streaming series, callable, or a list of these
        The keys of its rows.
    index : label or list of labels, optional
        The columns that are aggregated.
    with_state : bool
        Emit ``(state, result)``.
    start : state, optional
        An emitted state to resume from.
    sort, dropna, observed : bool
        As in pandas.
    """

    def __init__(
        self,
        root: Any,
        grouper: Any,
        index: Any = None,
        with_state: bool = False,
        start: Any = None,
        *,
        sort: bool = True,
        dropna: bool = True,
        observed: bool = True,
    ) -> None:
        self.root, self.grouper, self.index = root, grouper, index
        self.with_state, self.start = with_state, start
        self._options = {"sort": sort, "dropna": dropna, "observed": observed}
        self._extent: Any = AllRows()
        self._grouper = Grouper(root, grouper)
        self._by, self._split = self._grouper.by(index), self._grouper.splitter(index)

    def _for_columns(self, index: Any, **own: Any) -> Any:
        """Return the same groups of some columns; *own* are further arguments of the class."""
        state = {"with_state": self.with_state, "start": self.start}
        return type(self)(self.root, self.grouper, index, **state, **own, **self._options)

    def __getitem__(self, index: Any) -> Any:
        example = self.root._example.get()
        columns = getattr(example, "columns", ())
        for label in index if isinstance(index, list) else [index]:
            if example is not None and label not in columns:
                raise no_column("groupby: index", columns, label)
        return self._for_columns(index)

    # --- aggregates ---------------------------------------------------------------------

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        if callable(getattr(how, "on_new", None)):
            raise TypeError(
                f"{type(self).__name__}: aggregation must be a name, a list or a dict, for groups, "
                f"got {short_repr(how)}"
            )
        make = functools.partial(
            create_aggregate, how=how, over=self._extent, by=self._by, **self._options, **options
        )
        return self._fold(make, start, with_state, how)

    def _fold(self, make: Any, start: Any, with_state: bool, how: Any) -> Any:
        start = self.start if start is None else start
        first, start = self._resume(start, make, how)
        return fold_rows(
            self._grouper.elements(self.index),
            first,
            start=start,
            with_state=with_state or self.with_state,
            split=self._split,
            kind=self._result_class(how),
        )

    def _resume(self, start: Any, make: Any, how: Any) -> tuple[Any, Any]:
        return resume_aggregate(type(self).__name__, how, start, make)

    def _result_class(self, how: Any) -> type[Streaming]:
        several = has_columns(self.root) if self.index is None else isinstance(self.index, list)
        whole = how in ("size", "value_counts") if isinstance(how, str) else False
        many = isinstance(how, (list, Mapping))
        return DataFrames if many or (several and not whole) else Seriess

    def mean(  # type: ignore[override]  # the order that it has always had
        self, with_state: bool = False, start: Any = None
    ) -> Any:
        """Return the mean."""
        return self._aggregate("mean", start, with_state)

    def size(self, start: Any = None, with_state: bool = False) -> Any:
        """Count the rows of each group."""
        return self._aggregate("size", start, with_state)

    # --- event time ---------------------------------------------------------------------

    def tumbling(self, size: Any, **options: Any) -> Any:
        """Return these groups in event-time windows; see `DataFrame.tumbling`."""
        return self._in(self.root.tumbling(size, **options))

    def sliding(self, size: Any, every: Any, **options: Any) -> Any:
        """Return these groups in event-time windows that overlap; see `DataFrame.sliding`."""
        return self._in(self.root.sliding(size, every, **options))

    def session(self, gap: Any, **options: Any) -> Any:
        """Return the sessions of these groups; see `DataFrame.session`."""
        return self._in(self.root.session(gap, **options))

    def _in(self, windows: Any) -> Any:
        grouped = windows.groupby(self.grouper, **self._options)
        return grouped if self.index is None else grouped[self.index]

    def _accumulate(
        self,
        Agg: Any,  # noqa: N803
        with_state: bool = False,
        start: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Aggregate by a class such as `rapidz.dataframe.aggregations.GroupbyAggregation`."""
        keys, external = self._grouper.keys, self._grouper.external
        if external and len(keys) > 1:
            raise TypeError(
                f"{type(self).__name__}: grouper must be columns or one series for that, "
                f"got {short_repr(self.grouper)}"
            )
        by = None if external else keys if len(keys) > 1 else keys[0]
        fold, options = self._old_fold(by)
        return self._grouper.elements().accumulate_partitions(
            fold,
            agg=Agg(self.index, grouper=by, **kwargs),
            **options,
            start=copy.deepcopy(start),
            returns_state=True,
            with_state=with_state or self.with_state,
            stream_type="updating",
            _kind=self._result_class("old"),
        )

    def _old_fold(self, by: Any) -> tuple[Any, dict[str, Any]]:
        return groupby_accumulator, {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} by {short_repr(self.grouper)}>"


class WindowedGroupBy(GroupBy):
    """Groups of the rows in a window; a group whose rows have all left is dropped.

    Parameters
    ----------
    n, value
        As in `Window`.
    root, grouper, index, with_state, start, sort, dropna, observed
        As in `GroupBy`; *start* may be the frame of the rows before, too, if no key is a separate
        series.
    """

    def __init__(
        self,
        root: Any,
        grouper: Any,
        index: Any = None,
        n: Any = None,
        value: Any = None,
        with_state: bool = False,
        start: Any = None,
        **options: bool,
    ) -> None:
        super().__init__(root, grouper, index, with_state, start, **options)
        n, value = window_arguments(n, value)
        self.n, self.value = n, value
        self._extent = window_extent(type(self).__name__, root, n, value)

    def _for_columns(self, index: Any, **own: Any) -> Any:
        return super()._for_columns(index, n=self.n, value=self.value, **own)

    def _resume(self, start: Any, make: Any, how: Any) -> tuple[Any, Any]:
        wanted = {"how": how, "over": self._extent}
        return resume_window(type(self).__name__, start, make, self._split, **wanted)

    def _old_fold(self, by: Any) -> tuple[Any, dict[str, Any]]:
        window = self.value if self.n is None else self.n
        diff = diff_loc if self.n is None else diff_iloc
        return windowed_groupby_accumulator, {"diff": diff, "window": window, "grouper": by}


class EWMGroupBy(GroupBy):
    """Exponentially weighted groups of all rows so far: the mean at the last row of each."""

    def __init__(self, *args: Any, decay: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._decay = dict(decay)

    def _for_columns(self, index: Any, **own: Any) -> Any:
        return super()._for_columns(index, decay=self._decay, **own)

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        if how != "mean":
            raise NotImplementedError(f"EWM: only mean is supported, got {short_repr(how)}")
        options = {name: self._options[name] for name in ("sort", "dropna")}
        make = functools.partial(EwmState, by=self._by, **self._decay, **options)
        return self._fold(make, start, with_state, how)

    def _resume(self, start: Any, make: Any, how: Any) -> tuple[Any, Any]:
        return resume_window("EWM", start, make, self._split, stay=decay_of(**self._decay))
