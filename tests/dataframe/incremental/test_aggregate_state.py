"""Every aggregate, window, grouping and dtype against pandas on the concatenated rows."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.dataframe.incremental.model import aggregate, same, window

from rapidz.dataframe.incremental import AllRows, Extent, LastRows, Span, create_aggregate

# What is in a batch is drawn as small numbers and made a column of any dtype from them: ties,
# missing values and equal keys then come up often.
# Seven and minus seven are infinite where that is possible.
CELLS = st.one_of(st.none(), *[st.integers(-4, 4)] * 3, st.sampled_from([7, -7]))
DTYPES = [
    *("int64", "int32", "uint64", "bool", "float64", "float32"),
    *("Int64", "Float64", "boolean", "str", "datetime64[us]", "datetime64[ns, UTC]"),
    *("timedelta64[ns]", "category"),
]
NUMBERS = ["int64", "int32", "uint64", "bool", "float64", "float32", "Int64", "Float64", "boolean"]
HOWS = {
    **dict.fromkeys(["sum", "mean", "median", "var", "std"], NUMBERS),
    "quantile": [dtype for dtype in NUMBERS if dtype not in ("bool", "boolean")],
    **dict.fromkeys(["count", "first", "last", "size", "nunique"], DTYPES),
    **{how: [dtype for dtype in DTYPES if dtype != "category"] for how in ("min", "max")},
}
MISSING = {"float64", "float32", "Int64", "Float64", "boolean", "str", "category"}
WINDOWS: list[Extent] = [AllRows(), LastRows(1), LastRows(3), LastRows(7), Span(2), Span(5)]


def column(cells: list[int | None], dtype: str) -> Any:
    """A column of a dtype from small numbers."""
    if dtype in ("str", "category"):
        kind = pd.CategoricalDtype(list("abcde")) if dtype == "category" else "str"
        return pd.Series([None if c is None else "abcde"[c % 5] for c in cells], dtype=kind)
    if dtype.startswith("datetime"):
        stamps = [pd.NaT if c is None else pd.Timestamp("2020-01-01") + c * DAY for c in cells]
        made: Any = pd.Series(stamps, dtype="datetime64[ns]")
        return made.dt.tz_localize("UTC") if "UTC" in dtype else made.astype(dtype)
    if dtype.startswith("timedelta"):
        return pd.Series([pd.NaT if c is None else c * DAY for c in cells], dtype=dtype)
    if dtype in ("bool", "boolean"):
        return pd.Series([_truth(c, dtype) for c in cells], dtype=dtype)
    if dtype.startswith("uint"):
        return pd.Series([abs(c or 0) for c in cells], dtype=dtype)
    if dtype.startswith("int"):
        return pd.Series([c or 0 for c in cells], dtype=dtype)
    if dtype == "Int64":
        return pd.Series(cells, dtype=dtype)
    floats = [None if c is None else np.inf * c if abs(c) > 4 else c * 0.1 for c in cells]
    return pd.Series(floats, dtype=dtype)


DAY = pd.Timedelta("1D")


def _truth(cell: int | None, dtype: str) -> bool | None:
    return None if cell is None and dtype == "boolean" else bool((cell or 0) % 2)


@st.composite
def batches(draw: st.DrawFn, dtypes: list[str], keys: list[str]) -> list[pd.DataFrame]:
    """Frames with the columns c0, c1 ... and k0, k1 ..., some empty, in random order of index."""
    sizes = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    width = len(keys) + 1
    row = st.tuples(st.integers(0, 12), *[CELLS] * width)
    frames = []
    for size in sizes:
        rows = draw(st.lists(row, min_size=size, max_size=size))
        index, *cells = zip(*rows, strict=True) if rows else [()] * (width + 1)
        # Columns of several dtypes hold the same, but for its order.
        columns = {
            f"c{i}": column([*cells[0][i:], *cells[0][:i]], dtype).array
            for i, dtype in enumerate(dtypes)
        }
        columns |= {
            f"k{i}": column(list(cells[i + 1]), dtype).array for i, dtype in enumerate(keys)
        }
        frames.append(pd.DataFrame(columns, index=pd.Index(index, dtype="int64")))
    return frames


def follow(frames: list[pd.DataFrame], how: str, over: Extent, label: Any, **options: Any) -> None:
    """Compare a state with pandas after each of the frames."""
    keys = [c for c in frames[0].columns if c.startswith("k")]
    frames_ = [frame if label is None else frame[label] for frame in frames]
    by: Any = (keys if label is None else "given") if keys else None
    state = create_aggregate(frames_[0].iloc[:0], how, over, by, **options)
    for number, frame in enumerate(frames_):
        given_keys = [frames[number][key] for key in keys]
        extra = {"keys": given_keys} if by == "given" else {}
        got = state.update(frame, **extra)
        if not any(map(len, frames_[: number + 1])):
            continue
        rows = window(frames[: number + 1], over)
        data = rows if label is None else rows[label]
        groups = (keys if label is None else [rows[key] for key in keys]) if keys else None
        single = "float32" in map(str, [data.dtype] if label else data.dtypes)
        with np.errstate(all="ignore"):
            want = aggregate(data, how, groups, **options)
        if single and keys and how == "mean":
            # By pandas it depends on the values whether this is float32 or float64.
            want = want.astype(got.dtypes if label is None else got.dtype)
        same(got, want, digits=4 if single else 9)
        if number == len(frames_) // 2:
            state = pickle.loads(pickle.dumps(copy.deepcopy(state)))


ROUNDS = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("how", HOWS)
@ROUNDS
@given(data=st.data())
def test_series_without_groups_equal_pandas(how: str, data: st.DataObject) -> None:
    frames = data.draw(batches(HOWS[how], []))
    for number in range(len(HOWS[how])):
        follow(frames, how, data.draw(st.sampled_from(WINDOWS)), f"c{number}")


@pytest.mark.parametrize("how", HOWS)
@ROUNDS
@given(data=st.data())
def test_series_by_group_equal_pandas(how: str, data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=2))
    options = {"sort": data.draw(st.booleans()), "dropna": data.draw(st.booleans())}
    frames = data.draw(batches(HOWS[how], keys))
    for number in range(len(HOWS[how])):
        follow(frames, how, data.draw(st.sampled_from(WINDOWS)), f"c{number}", **options)


@pytest.mark.parametrize("how", HOWS)
@ROUNDS
@given(data=st.data())
def test_a_frame_equals_pandas(how: str, data: st.DataObject) -> None:
    # pandas gives quantiles of small floats in small floats only if one of them is missing.
    kinds = [dtype for dtype in HOWS[how] if (how, dtype) != ("quantile", "float32")]
    dtypes = data.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    over = data.draw(st.sampled_from(WINDOWS))
    keys = data.draw(st.lists(st.sampled_from(DTYPES), max_size=2))
    follow(data.draw(batches(dtypes, keys)), how, over, None)


@ROUNDS
@given(data=st.data())
def test_value_counts_equal_pandas(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    over = data.draw(st.sampled_from(WINDOWS))
    follow(data.draw(batches([dtype], [])), "value_counts", over, "c0")


def test_all_dtypes_are_drawn_as_asked() -> None:
    for dtype in DTYPES:
        assert str(column([1, 2], dtype).dtype) == dtype
        assert np.isin(dtype, list(MISSING)) <= column([None], dtype).isna().all()
