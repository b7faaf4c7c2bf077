"""Event-time windows of a streaming frame, and the groups in them, as users define them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.collection.class_registry import frame_classes
from rapidz.dataframe.collection.column_access import ColumnAttributes, has_columns
from rapidz.dataframe.collection.errors import no_column
from rapidz.dataframe.collection.example import Example
from rapidz.dataframe.collection.streaming import make_collection
from rapidz.dataframe.frames.aggregate_methods import AggregateMethods, aggregate_spec
from rapidz.dataframe.frames.aggregators import named_aggregates
from rapidz.dataframe.frames.grouper import Grouper
from rapidz.dataframe.frames.row_times import LabelTime, RowTime, row_time
from rapidz.dataframe.frames.time_nodes import WindowsOfFrames
from rapidz.dataframe.frames.window_kinds import WindowKind, kind_of_grouper
from rapidz.dataframe.incremental.columns.dtypes import is_object
from rapidz.dataframe.incremental.event_windows.base import Spec
from rapidz.dataframe.incremental.event_windows.layout import Layout, Level
from rapidz.dataframe.incremental.event_windows.stamps import Stamps
from rapidz.dataframe.incremental.plan import row_like
from rapidz.eventtime.clock import END
from rapidz.eventtime.event_time import definition_of
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["EventWindows", "grouper_windows", "reader_of"]


class EventWindows(ColumnAttributes, AggregateMethods):
    """Event-time windows of a streaming frame: each aggregate emits rows that are final.

    A window's rows are emitted once, when the watermark passes its end; what is emitted adds up
    to what pandas gives for all rows that were not late.  The results are a streaming frame of
    rows by window, and by key if there are keys; its `late` emits the rows that were late, its
    `early` the present rows of open windows at each flush.

    Parameters
    ----------
    root : DataFrame or Series
        The streaming frame, with an `event_time` upstream.
    kind : WindowKind
        The windows.
    on : label, optional
        The column of the timestamps, if not that of `event_time`.
    grouper : Grouper, optional
        The keys.
    index : label or list of labels, optional
        The columns that are aggregated.
    place : int
        The place of the windows among the levels of the index; the others are keys.
    sort, dropna : bool
        As in pandas' groupby.
    """

    def __init__(
        self,
        root: Any,
        kind: WindowKind,
        on: Any = None,
        grouper: Grouper | None = None,
        index: Any = None,
        place: int = 0,
        *,
        sort: bool = True,
        dropna: bool = True,
    ) -> None:
        self.root, self.index = root, index
        self._kind, self._on, self._grouper = kind, on, grouper
        self._place, self._sort, self._dropna = place, sort, dropna
        self._reader = reader_of(kind.operator, root, on)

    def _with(self, **changed: Any) -> EventWindows:
        own: dict[str, Any] = {
            "on": self._on,
            "grouper": self._grouper,
            "index": self.index,
            "place": self._place,
            "sort": self._sort,
            "dropna": self._dropna,
        }
        return EventWindows(self.root, self._kind, **{**own, **changed})

    def __getitem__(self, index: Any) -> EventWindows:
        example = self.root._example.get()
        columns = getattr(example, "columns", ())
        for label in index if isinstance(index, list) else [index]:
            if example is not None and label not in columns:
                raise no_column(f"{self._kind.operator}: index", columns, label)
        return self._with(index=index)

    def __repr__(self) -> str:
        keys = "" if self._grouper is None else f" by {short_repr(self._grouper.keys)}"
        return f"<{self._kind.operator}({self._kind.text}){keys}: call an aggregate>"

    def _alternative(self, key: str) -> str:
        return "use agg(…) with functions of your own"

    def groupby(
        self, other: Any, *, sort: bool = True, dropna: bool = True, observed: bool = True
    ) -> EventWindows:
        """Group the rows of each window; arguments as for `DataFrame.groupby`."""
        if self._grouper is not None:
            raise TypeError(f"{self._kind.operator}: groupby must be called once, with all keys")
        if not observed:
            raise ValueError(
                f"{self._kind.operator}: observed must be True, as categories without rows would "
                "have no window, got False"
            )
        grouper = Grouper(self.root, other)
        return self._with(grouper=grouper, sort=sort, dropna=dropna)

    # --- aggregates ---------------------------------------------------------------------

    def aggregate(
        self, aggregation: Any = None, start: Any = None, with_state: bool = False, **named: Any
    ) -> Any:
        """Aggregate by several functions.

        Parameters
        ----------
        aggregation : str, list, dict or callable
            As in pandas: a name, a list of names, a dict of columns and names, a function.
        **named : Aggregator, tuple or str
            Instead: ``n=Count()``, ``mean=Mean("x")``, or as in pandas ``mean=("x", "mean")``.
        """
        if named:
            columns = self.root._known_example().columns if self._has_columns() else None
            named = named_aggregates(self._kind.operator, named, columns)
        how = aggregate_spec(self._kind.operator, aggregation, named)
        return self._aggregate(how, start, with_state)

    def agg(
        self, aggregation: Any = None, start: Any = None, with_state: bool = False, **named: Any
    ) -> Any:
        """Aggregate by several functions; an alias of `aggregate`."""
        return self.aggregate(aggregation, start, with_state, **named)

    def size(self) -> Any:
        """Count the rows of each window, and key."""
        return self._aggregate("size", None, False)

    def _has_columns(self) -> bool:
        return has_columns(self.root) and (self.index is None or isinstance(self.index, list))

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        operator = self._kind.operator
        if start is not None or with_state:
            raise TypeError(f"{operator}: start and with_state must be left out for windows")
        if callable(getattr(how, "on_new", None)):
            raise TypeError(
                f"{operator}: aggregation must be a name, a list, a dict or a function, got "
                f"{short_repr(how)}"
            )
        source = self.root if self._grouper is None else self._grouper.elements()
        build = Build(self._kind, self._reader, self._grouper, self.index, how, options)
        build.sort, build.dropna, build.place = self._sort, self._dropna, self._place
        make, result_time = build.state_maker()
        node = WindowsOfFrames(
            operator, source._inner, self._reader, make, build.split, result_time
        )
        root = self.root._example
        node.examples = Example(None, _rows_of, [root]), type(self.root)
        known = Example(None, build.result_like, [source._example])
        kind = "series" if self._gives_series(how) else "frame"
        return make_collection(node, known, "streaming", frame_classes["streaming", kind])

    def _gives_series(self, how: Any) -> bool:
        if isinstance(how, str) and how in ("size", "value_counts"):
            return True
        return not self._has_columns() and not isinstance(how, (list, dict))


class Build:
    """What a node of windows is built of: how elements are split, and how its state is made."""

    def __init__(
        self,
        kind: WindowKind,
        reader: RowTime,
        grouper: Grouper | None,
        index: Any,
        how: Any,
        options: dict[str, Any],
    ) -> None:
        self._kind, self._reader, self._grouper = kind, reader, grouper
        self._index, self._how, self._options = index, how, options
        self.sort = self.dropna = True
        self.place = 0

    # -- elements

    def split(self, element: Any) -> tuple[Any, Any, list[Any] | None]:
        """Return the rows of an element, their timestamps and their keys."""
        frame = element[0] if isinstance(element, tuple) else element
        times = self._reader.times(frame, self._kind.operator)
        index = self._index
        whole = index is None or (isinstance(index, list) and _is_order_of(frame, index))
        rows = frame if whole else frame[index]
        if self._grouper is None:
            return rows, times, None
        external = iter(element[1:] if isinstance(element, tuple) else ())
        return rows, times, self._grouper.values(frame, external)

    def _omitted(self, rows: Any) -> list[Any]:
        """Return the columns that are not aggregated: times, keys, and those not asked for."""
        if isinstance(rows, pd.Series):
            return []
        if self._index is not None:
            return [label for label in rows.columns if label not in self._index]
        keys = [] if self._grouper is None else self._grouper.columns
        times = [] if self._reader.label is None else [self._reader.label]
        return [label for label in rows.columns if label in [*keys, *times]]

    # -- states

    def state_maker(self) -> tuple[Any, LabelTime]:
        """Return what makes the state, and the reader of the timestamps of its results."""
        make, closings = self._kind.build()
        unit = self._reader.unit
        level = self.place + len(self._kind.levels) - 1
        return functools.partial(self._state, make), LabelTime(level, closings, unit)

    def _state(self, make: Any, rows: Any, dropna: bool | None = None) -> Any:
        keyed = self._grouper is not None
        spec = Spec(
            self._how,
            self._layout(rows),
            keyed,
            self._omitted(rows),
            self.sort,
            self.dropna if dropna is None else dropna,
            self._options,
        )
        return make(rows, spec, Stamps(self._kind.operator, self._reader.unit))

    def _layout(self, rows: Any) -> Layout:
        levels = list(self._kind.levels)
        names = [self._reader.name(rows)] if self._kind.named else list(levels)
        if self._grouper is None:
            return Layout(tuple(levels), tuple(names), self._kind.fills)
        every: list[Level] = ["key"] * len(self._grouper.keys)
        every[self.place : self.place] = levels
        labels: list[Any] = [None] * len(self._grouper.keys)
        labels[self.place : self.place] = names
        return Layout(tuple(every), tuple(labels))

    def result_like(self, example: Any) -> Any:
        """Return final rows like those to come, for an element like *example*."""
        rows, times, keys = self.split(example)
        row = row_like(rows.iloc[:0])
        make, _ = self._kind.build()
        state = self._state(make, rows.iloc[:0], dropna=False)
        keys = keys if keys is None else [row_like(pd.Series(key).iloc[:0]) for key in keys]
        state.take(row, _instant_like(times), keys, -END)
        return state.close(END).iloc[:0]


def _rows_of(example: Any) -> Any:
    return example.iloc[:0]


def _is_order_of(frame: Any, index: Sequence[Any]) -> bool:
    """Return whether *index* lists columns in the order of *frame*."""
    chosen = [label for label in frame.columns if label in index]
    return chosen == list(index)


def _instant_like(times: Any) -> Any:
    """Return one timestamp, of the dtype of *times*."""
    dtype = times.dtype
    if is_object(dtype) and not len(times):
        dtype = np.dtype("M8[us]")
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex([0]).as_unit(dtype.unit).tz_localize("UTC").tz_convert(dtype.tz)
    return pd.Series([0]).astype(dtype)


def reader_of(operator: str, root: Any, on: Any) -> RowTime:
    """Return where the timestamps of the rows of *root* are; refuse a frame without any."""
    if root._inner._remote:
        raise ValueError(
            f"{operator}: must be called before scatter or after gather, as watermarks are of this "
            f"process, got {root._inner}"
        )
    found = definition_of(operator, [root._inner]).getter.of
    if on is not None:
        reader = row_time(on, found.unit if isinstance(found, RowTime) else "s")
    elif isinstance(found, RowTime):
        reader = found
    else:
        raise ValueError(
            f"{operator}: on must name the column of the timestamps, as event_time was called on "
            "a stream and not on the frame, got None"
        )
    example = root._example.get()
    if example is not None:
        reader.column(example, operator)
    return reader


def grouper_windows(
    root: Any, others: Any, *, sort: bool, dropna: bool, observed: bool
) -> EventWindows | None:
    """Return the windows of a `pandas.Grouper` with a frequency among keys; None without one."""
    keys = list(others) if isinstance(others, list) else [others]
    places = [n for n, one in enumerate(keys) if getattr(one, "freq", None) is not None]
    places = [n for n in places if isinstance(keys[n], pd.Grouper)]
    if not places:
        return None
    if len(places) > 1:
        raise ValueError(f"groupby: one Grouper must have a freq, got {len(places)}")
    place = places[0]
    grouper: Any = keys.pop(place)
    windows = EventWindows(root, kind_of_grouper(grouper), grouper.key, place=place)
    if not keys:
        return windows
    return windows.groupby(keys, sort=sort, dropna=dropna, observed=observed)
