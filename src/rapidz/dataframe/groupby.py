"""GroupBy: aggregates of the rows of a streaming frame by group."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping
from typing import Any

from rapidz.dataframe.aggregates import Aggregates
from rapidz.dataframe.base import needs_index
from rapidz.dataframe.collection import Streaming
from rapidz.dataframe.follow import follow
from rapidz.dataframe.keyed import Grouper
from rapidz.dataframe.old_windows import (
    diff_iloc,
    diff_loc,
    groupby_accumulator,
    windowed_groupby_accumulator,
)
from rapidz.dataframe.seeds import begin, go_on
from rapidz.dataframe.state import Everything, EwmState, LastRows, Span, make_state
from rapidz.dataframe.state.ewm import decay as decay_of
from rapidz.dataframe.updating import DataFrames, Seriess

__all__ = ["EWMGroupBy", "GroupBy", "WindowedGroupBy"]


class GroupBy(Aggregates):
    """All rows so far by group: aggregates are emitted anew for every element.

    Parameters
    ----------
    root : DataFrame or Series
        The streaming frame.
    grouper : label, streaming series, callable, or a list of these
        What groups its rows.
    index : label or list of labels, optional
        The columns that are aggregated.
    with_state : bool
        Emit ``(state, result)``.
    start : state, optional
        A state that was emitted so, to go on from.
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
        self._over: Any = Everything()
        self._grouper = Grouper(root, grouper)
        self._by = self._grouper.by(index)

    def _of(self, index: Any) -> Any:
        """The same groups of some columns."""
        return type(self)(
            self.root, self.grouper, index, self.with_state, self.start, **self._options
        )

    def __getitem__(self, index: Any) -> Any:
        example = self.root._example.get()
        for label in index if isinstance(index, list) else [index]:
            if example is not None and label not in getattr(example, "columns", ()):
                raise ValueError(
                    f"groupby: index must name columns of {list(example.columns)!r}, got {label!r}"
                )
        return self._of(index)

    def __getattr__(self, key: str) -> Any:
        if not key.startswith("_") and hasattr(type(self.root), "columns"):
            example = self.root._example.get()
            if example is None or key in example.columns:
                return self[key]
        raise AttributeError(f"{type(self).__name__} has no attribute {key!r}")

    def __dir__(self) -> Iterable[str]:
        own = set(object.__dir__(self))
        example = self.root._example.get()
        columns = [] if example is None else list(getattr(example, "columns", ()))
        return sorted(own | {name for name in columns if str(name).isidentifier()})

    # --- aggregates ---------------------------------------------------------------------

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        if callable(getattr(how, "on_new", None)):
            raise TypeError(
                f"{type(self).__name__}: aggregation must be a name, a list or a dict, for groups, "
                f"got {how!r}"
            )
        make = functools.partial(
            make_state, how=how, over=self._over, by=self._by, **self._options, **options
        )
        return self._follow(make, start, with_state, how=how)

    def _follow(self, make: Any, start: Any, with_state: bool, how: Any = None, **same: Any) -> Any:
        start = self.start if start is None else start
        first, start = self._begin(start, make, how, same)
        return follow(
            self._grouper.elements(),
            first,
            start=start,
            with_state=with_state or self.with_state,
            rows=self._grouper.rows(self.index),
            kind=self._kind(how),
        )

    def _begin(self, start: Any, make: Any, how: Any, same: dict[str, Any]) -> tuple[Any, Any]:
        return begin(type(self).__name__, how, start, make)

    def _kind(self, how: Any) -> type[Streaming]:
        several = isinstance(self.index, list) or (
            self.index is None and hasattr(type(self.root), "columns")
        )
        whole = how in ("size", "value_counts") if isinstance(how, str) else False
        many = isinstance(how, (list, Mapping))
        return DataFrames if many or (several and not whole) else Seriess

    def mean(  # type: ignore[override]  # the order that it has always had
        self, with_state: bool = False, start: Any = None
    ) -> Any:
        """The mean."""
        return self._aggregate("mean", start, with_state)

    def size(self, start: Any = None, with_state: bool = False) -> Any:
        """The number of rows in each group."""
        return self._aggregate("size", start, with_state)

    def _accumulate(
        self,
        Agg: Any,  # noqa: N803
        with_state: bool = False,
        start: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Aggregate by a class such as `rapidz.dataframe.aggregations.GroupbyAggregation`."""
        keys = self._grouper.keys
        beside = [key for key in keys if isinstance(key, Streaming)]
        if len(beside) not in (0, len(keys)) or len(beside) > 1:
            raise TypeError(
                f"{type(self).__name__}: grouper must be columns or one series for that, "
                f"got {self.grouper!r}"
            )
        by = None if beside else keys if len(keys) > 1 else keys[0]
        fold, options = self._old_fold(by)
        return self._grouper.elements().accumulate_partitions(
            fold,
            agg=Agg(self.index, grouper=by, **kwargs),
            **options,
            start=copy.deepcopy(start),
            returns_state=True,
            with_state=with_state or self.with_state,
            stream_type="updating",
            _kind=self._kind("old"),
        )

    def _old_fold(self, by: Any) -> tuple[Any, dict[str, Any]]:
        return groupby_accumulator, {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} by {self.grouper!r}>"


class WindowedGroupBy(GroupBy):
    """The rows in a window by group; a group whose rows have all left is gone.

    Parameters
    ----------
    n, value
        As in `Window`.
    root, grouper, index, with_state, start, sort, dropna, observed
        As in `GroupBy`; *start* may be the frame of the rows that came before, too, if no key
        comes from beside it.
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
        self.n, self.value = n, value
        if (n is None) == (value is None):
            raise ValueError(
                f"WindowedGroupBy: exactly one of n and value must be given, got n={n!r}, "
                f"value={value!r}"
            )
        if n is None:
            needs_index(root, "window by value")
        self._over = Span(value) if n is None else LastRows(n)

    def _of(self, index: Any) -> Any:
        return type(self)(
            self.root,
            self.grouper,
            index,
            self.n,
            self.value,
            self.with_state,
            self.start,
            **self._options,
        )

    def _begin(self, start: Any, make: Any, how: Any, same: dict[str, Any]) -> tuple[Any, Any]:
        rows = self._grouper.rows(self.index)
        return go_on(type(self).__name__, start, make, rows, how=how, over=self._over)

    def _old_fold(self, by: Any) -> tuple[Any, dict[str, Any]]:
        window = self.value if self.n is None else self.n
        diff = diff_loc if self.n is None else diff_iloc
        return windowed_groupby_accumulator, {"diff": diff, "window": window, "grouper": by}


class EWMGroupBy(GroupBy):
    """All rows so far by group, the older the lighter: the mean at the last row of each group."""

    def __init__(self, *args: Any, decay: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._decay = dict(decay)

    def _of(self, index: Any) -> Any:
        return type(self)(
            self.root,
            self.grouper,
            index,
            self.with_state,
            self.start,
            decay=self._decay,
            **self._options,
        )

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        if how != "mean":
            raise NotImplementedError(f"EWM: only mean is there, got {how!r}")
        options = {name: self._options[name] for name in ("sort", "dropna")}
        make = functools.partial(EwmState, by=self._by, **self._decay, **options)
        return self._follow(make, start, with_state, how="mean")

    def _begin(self, start: Any, make: Any, how: Any, same: dict[str, Any]) -> tuple[Any, Any]:
        rows = self._grouper.rows(self.index)
        return go_on("EWM", start, make, rows, stay=decay_of(**self._decay))
