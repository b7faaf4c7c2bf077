"""Joins: of a streaming frame with a static frame, and of two streaming frames in a window."""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from rapidz.dataframe.collection.class_registry import frame_classes
from rapidz.dataframe.collection.column_access import has_columns
from rapidz.dataframe.collection.example import Example
from rapidz.dataframe.collection.streaming import Streaming, make_collection, map_partitions
from rapidz.dataframe.frames.base import BaseFrame, needs_index
from rapidz.dataframe.incremental.interval_join import IntervalJoin
from rapidz.dataframe.interop.native import kind_of, to_pandas
from rapidz.dataframe.interop.protocols import is_dataframe_like, is_series_like
from rapidz.kernel.protocol.checks import check_choice
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["join", "merge"]

_KEYS = {"left_on", "right_on", "left_index", "right_index"}
_MERGE_OPTIONS = {"on", "left_on", "right_on", "left_index", "right_index", "suffixes", "validate"}


def merge(left: Any, right: Any, how: str = "inner", on: Any = None, **kwargs: Any) -> Any:
    """Merge every element of a streaming frame with a static frame.

    The results add up to `pandas.merge` of all rows, except for the index: it starts at 0 in every
    element, unless rows are merged by it.
    pandas before 3.1 may swap the partners of one row in an inner merge.

    Parameters
    ----------
    left, right : DataFrame
        One of them a streaming frame, the other one, or a series with a name, of pandas.
    how : "inner", "left" or "right"
        The treatment of rows without a partner.  Those of the streaming frame may be kept, as
        ``how="left"`` does if it is the left one; those of the static frame cannot, for whether
        they find a partner is unknown before the end.
    on, left_on, right_on, left_index, right_index, suffixes
        As in `pandas.merge`.

    >>> import pandas as pd
    >>> from rapidz.dataframe import DataFrame
    >>> names = pd.DataFrame({"key": [1, 2], "name": ["one", "two"]})
    >>> sdf = DataFrame(example=pd.DataFrame({"key": [1]}))
    >>> shown = merge(sdf, names, on="key").name.stream.map(list).sink(print)
    >>> sdf.emit(pd.DataFrame({"key": [2, 3, 1]}))
    ['two', 'one']
    """
    side = _streaming_side(left, right)
    _check_options(side, how, kwargs)
    static, rows = (right, left) if side == "left" else (left, right)
    if kwargs.get(f"{side}_index"):
        needs_index(rows, f"merge with {side}_index")
    static = _static_frame(static, "right" if side == "left" else "left")
    validate = kwargs.pop("validate", None)
    if validate is not None and on is None and not kwargs.keys() & _KEYS:
        example = rows._known_example()  # raises if no example is known
        on = [label for label in example.columns if label in list(static.columns)]
    merging = Merge(static, side, {"how": how, "on": on, **kwargs})
    kind = frame_classes[rows._stream_type, "frame"]
    if validate is None or not _validated(validate, merging, side):
        return map_partitions(merging, rows, _kind=kind)
    return rows.accumulate_partitions(
        UniqueMerge(merging, validate),
        start=None,
        returns_state=True,
        stream_type=rows._stream_type,
        _kind=kind,
    )


def _streaming_side(left: Any, right: Any) -> str:
    """Return which of the frames is streaming."""
    streams = [isinstance(left, Streaming), isinstance(right, Streaming)]
    if all(streams):
        raise TypeError("merge: right must be a frame that does not change; use join for streams")
    if not any(streams):
        raise TypeError(
            f"merge: left or right must be a streaming frame, "
            f"got {short_repr(left)}, {short_repr(right)}"
        )
    return "left" if streams[0] else "right"


def _check_options(side: str, how: str, options: Mapping[str, Any]) -> None:
    allowed = ("inner", side)
    if how not in allowed:
        raise ValueError(
            f"merge: how must be {' or '.join(map(repr, allowed))} with a stream on the {side}, "
            f"got {short_repr(how)}: other rows without a partner are unknown before the end"
        )
    unknown = sorted(options.keys() - _MERGE_OPTIONS)
    if unknown:
        raise TypeError(
            f"merge: options must be among {short_repr(sorted(_MERGE_OPTIONS))}, "
            f"got {short_repr(unknown)}"
        )


def _static_frame(frame: Any, argument: str) -> Any:
    """Return the static frame as one of pandas."""
    frame = frame if kind_of(frame) is None else to_pandas(frame)
    if not (is_dataframe_like(frame) or is_series_like(frame)):
        raise TypeError(
            f"merge: {argument} must be a data frame or a named series, got {short_repr(frame)}"
        )
    return frame


def _validated(validate: str, merging: Merge, side: str) -> bool:
    """Check the keys of the static frame; return whether those of the stream must be unique."""
    words = {"1": True, "one": True, "m": False, "many": False}
    left, _, right = str(validate).replace("_to_", ":").partition(":")
    if left not in words or right not in words:
        raise ValueError(
            "merge: validate must be '1:1', '1:m', 'm:1', 'm:m' or the same in words, got "
            f"{short_repr(validate)}"
        )
    of_stream, of_static = (left, right) if side == "left" else (right, left)
    if words[of_static]:
        keys = merging.keys_of_static()
        again = keys.duplicated()
        if again.any():
            raise pd.errors.MergeError(
                f"merge: validate={short_repr(validate)}: keys of the static frame must be "
                f"unique, got {short_repr(keys[again].tolist()[0])} again"
            )
    return words[of_stream]


class UniqueMerge:
    """Fold function: merges frames whose keys must be unique across all of them."""

    def __init__(self, merging: Merge, validate: str) -> None:
        self._merging, self._validate = merging, validate
        self.__name__ = "merge"

    def __call__(self, seen: Any, frame: Any) -> tuple[Any, Any]:
        keys = self._merging.keys_of(frame)
        known: tuple[Any, ...] = () if seen is None else seen
        again = keys.duplicated()
        for part in known:
            again = again | (part.get_indexer(keys) >= 0)
        if again.any():
            raise pd.errors.MergeError(
                f"merge: validate={short_repr(self._validate)}: keys of the streaming frame must "
                f"be unique, got {short_repr(keys[again].tolist()[0])} again"
            )
        merged = self._merging(frame)
        return _with(known, keys.copy()), merged


def _with(parts: tuple[Any, ...], keys: Any) -> tuple[Any, ...]:
    """Return *parts* with *keys* added, in few parts of falling length: each key moves seldom."""
    while parts and len(parts[-1]) <= 2 * len(keys):
        *rest, last = parts
        parts, keys = tuple(rest), last.append(keys)
    return (*parts, keys)


class Merge:
    """Merge with a static frame; picklable.

    Where rows without a partner are kept, columns have from the first element on the dtype that
    they have with missing values: ``float64`` for integers.
    """

    def __init__(self, static: Any, side: str, options: dict[str, Any]) -> None:
        self._static, self._side, self._options = static, side, options
        self._dtypes: Any = None
        self.__name__ = "merge"

    def __call__(self, frame: Any) -> Any:
        merged = self._merged(frame, self._static)
        if self._options["how"] == "inner" or not len(frame):
            return merged
        if self._dtypes is None:
            self._dtypes = self._merged(frame.iloc[:1], self._static.iloc[:0]).dtypes
        changed = {
            label: wanted
            for label, wanted in self._dtypes.items()
            if merged[label].dtype != wanted and wanted.kind != "O"
        }
        return merged.astype(changed) if changed else merged

    def keys_of(self, frame: Any) -> Any:
        """Return the keys of the streaming frame, as an index."""
        return self._keys(frame, self._side)

    def keys_of_static(self) -> Any:
        """Return the keys of the static frame."""
        return self._keys(self._static, "right" if self._side == "left" else "left")

    def _keys(self, frame: Any, side: str) -> Any:
        options = self._options
        if options.get(f"{side}_index"):
            return frame.index
        on = options["on"] if options["on"] is not None else options.get(f"{side}_on")
        columns = on if isinstance(on, list) else [on]
        arrays: list[Any] = [frame[one] if isinstance(one, Hashable) else one for one in columns]
        return pd.MultiIndex.from_arrays(arrays) if len(arrays) > 1 else pd.Index(arrays[0])

    def _merged(self, frame: Any, static: Any) -> Any:
        if self._side == "left":
            return frame.merge(static, **self._options)
        return static.merge(frame, **self._options)


def join(
    left: Any,
    other: Any,
    on: Any = None,
    within: Any = None,
    how: str = "inner",
    suffixes: tuple[str | None, str | None] = ("_x", "_y"),
) -> Any:
    """Join the rows of two streaming frames that have equal keys and lie within an interval.

    Each pair is emitted once, when the later of the two rows arrives, with the index of that row.
    Rows further behind the newest row of both frames, by the index, are dropped; a row that
    arrives so late has no partners.

    Parameters
    ----------
    left, other : DataFrame
        The streaming frames.
    on : label or list of labels
        The columns, of both, that must be equal.
    within : int, str, timedelta or float
        The number of last rows of the other frame that a row may be paired with.  Or a length of
        time, a float for an index of numbers: rows that far apart, or further, are not paired.
    how : "inner"
        Rows without a partner are left out.
    suffixes : pair of str
        Suffixes of the names of other columns that both have.

    >>> import pandas as pd
    >>> from rapidz.dataframe import DataFrame
    >>> asked = DataFrame(example=pd.DataFrame({"id": [0], "question": [""]}))
    >>> told = DataFrame(example=pd.DataFrame({"id": [0], "answer": [""]}))
    >>> pairs = join(asked, told, on="id", within=100)
    >>> shown = pairs.stream.map(lambda rows: rows.to_dict("list")).sink(print)
    >>> asked.emit(pd.DataFrame({"id": [1, 2], "question": ["why?", "who?"]}))
    >>> told.emit(pd.DataFrame({"id": [2], "answer": ["me"]}))
    {'id': [2], 'question': ['who?'], 'answer': ['me']}
    """
    check_choice("join", "how", how, ("inner",))
    for name, value in (("left", left), ("other", other)):
        if not (isinstance(value, BaseFrame) and has_columns(value)):
            raise TypeError(f"join: {name} must be a streaming data frame, got {short_repr(value)}")
    if on is None:
        raise TypeError("join: on must name the columns that both have, got None")
    if not isinstance(within, numbers.Integral):
        needs_index(left, "join by time")
        needs_index(other, "join by time")
    keys = list(on) if isinstance(on, list) else [on]
    examples = [left._example, other._example]
    pairs = IntervalJoin(keys, within, suffixes)
    known = Example(None, pairs.form, examples)
    known.get()  # wrong columns are refused now
    both = left._inner.map(_tagged, 0).union(other._inner.map(_tagged, 1))
    stream = both.accumulate(_pair, start=pairs, returns_state=True)
    return make_collection(stream, known, "streaming", frame_classes["streaming", "frame"])


def _tagged(frame: Any, side: int) -> tuple[int, Any]:
    """Return an element with the side that it came from."""
    return side, frame


def _pair(state: IntervalJoin, element: tuple[int, Any]) -> tuple[IntervalJoin, Any]:
    return state, state.update(*element)
