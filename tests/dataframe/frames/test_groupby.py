"""GroupBy: accepted and refused keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.dataframe.helpers import emitted, streaming
from tests.dataframe.incremental.model import same

from rapidz import Stream
from rapidz.dataframe import DataFrame
from rapidz.dataframe.core import GroupBy, WindowedGroupBy
from rapidz.dataframe.frames.grouper import Grouper

ROWS = pd.DataFrame(
    {"k": ["b", "a", None, "b"], "m": [1, 2, 2, 1], "x": [1, 2, 4, 8], "y": [0.5, 1.5, 2.5, 3.5]},
    index=[3, 4, 5, 6],
)
TWICE = pd.concat([ROWS, ROWS])

# What is said of the streaming frame is said of all its rows by pandas.
SAID: dict[str, Callable[[Any], Any]] = {
    "a column": lambda f: f.groupby("k").x.sum(),
    "one in a list": lambda f: f.groupby(["k"]).x.sum(),
    "several": lambda f: f.groupby(["k", "m"]).y.mean(),
    "all others": lambda f: f.groupby("k").max(),
    "one that is a key too": lambda f: f.groupby("m").m.count(),
    "a key by attribute and by name": lambda f: f.groupby(["k", "m"])[["x", "y"]].min(),
    "a column as a series": lambda f: f.groupby(f.m).count(),
    "an expression": lambda f: f.groupby(f.x % 3).y.median(),
    "an expression beside a column": lambda f: f.groupby(["m", f.x % 3]).y.var(),
    "two expressions": lambda f: f.groupby([f.m * 2, f.x % 3])[["x"]].last(),
    "a function of the index": lambda f: f.groupby(half).x.sum(),
    "a series by another": lambda f: f.x.groupby(f.m).first(),
    "missing keys": lambda f: f.groupby("k", dropna=False).x.sum(),
    "in order of appearance": lambda f: f.groupby("k", sort=False).x.sum(),
    "all categories": lambda f: f.groupby(
        f.m.astype(pd.CategoricalDtype([1, 2, 3])), observed=False
    ).x.sum(),
    "sizes": lambda f: f.groupby("k").size(),
    "sizes of one": lambda f: f.groupby("k").x.size(),
    "names": lambda f: f.groupby("k").agg({"x": "sum", "y": ["min", "max"]}),
    "different values": lambda f: f.groupby("k").nunique(),
}


# A window of a series has no keys beside it, and there is no `astype` of a window.
NOT_OF_WINDOWS = ("a series by another", "all categories")


def half(label: int) -> int:
    return label // 2


@pytest.mark.filterwarnings("ignore::rapidz.dataframe.frames.fold_rows.KeepsRowsWarning")
@pytest.mark.parametrize("what", SAID)
@pytest.mark.parametrize("known", [True, False])
def test_groups_are_what_pandas_says(what: str, known: bool) -> None:
    said = SAID[what]
    sdf = DataFrame(example=ROWS.iloc[:0] if known else None)
    seen = said(sdf).stream.sink_to_list()
    sdf.emit(ROWS)
    sdf.emit(ROWS)
    same(seen[0], said(ROWS))
    same(seen[1], said(TWICE))


@pytest.mark.parametrize("what", [what for what in SAID if what not in NOT_OF_WINDOWS])
def test_groups_in_a_window_are_what_pandas_says_of_its_rows(what: str) -> None:
    said = SAID[what]
    same(emitted(lambda s: said(s.window(n=5)), [ROWS, ROWS])[1], said(TWICE.iloc[-5:]))


def test_a_column_as_a_series_needs_no_second_stream() -> None:
    sdf = streaming(ROWS)
    assert Grouper(sdf, sdf.k).keys == ["k"]
    assert Grouper(sdf, [sdf["m"], "k"]).keys == ["m", "k"]
    assert Grouper(sdf, sdf.k).elements() is sdf


@pytest.mark.parametrize("selection", [None, "x", ["x", "given"]])
def test_a_column_may_be_called_given(selection: Any) -> None:
    """The states have a word for keys that come beside the rows."""
    rows = ROWS.rename(columns={"m": "given"})
    for by in ("given", "k", ["k", "given"]):

        def said(frame: Any, by: Any = by) -> Any:
            groups = frame.groupby(by)
            return (groups if selection is None else groups[selection]).max()

        same(emitted(said, [rows, rows])[1], said(pd.concat([rows, rows])))


def test_groups_that_have_left_a_window_are_gone() -> None:
    got = emitted(lambda s: s.window(n=1).groupby("k").x.sum(), [ROWS.iloc[:1], ROWS.iloc[1:2]])
    assert [one.to_dict() for one in got] == [{"b": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda s: s.groupby("z"), "other must name columns of .* got 'z'"),
        (lambda s: s.groupby([]), "at least one column"),
        (lambda s: s.groupby("k").z, "has no attribute 'z'"),
        (lambda s: s.groupby("k")["z"], "index must name columns of .* got 'z'"),
        (lambda s: s.groupby(s[["k"]]), "other must be a streaming series"),
        (lambda s: s.groupby(ROWS.k), "other must be a label"),
        (lambda s: s.x.groupby("k"), "to group a series by, got 'k'"),
        (lambda s: s.groupby("k").agg("total"), "how must be one of"),
        (lambda s: s.groupby("k").agg({"z": "sum"}), "how must name columns"),
        (lambda s: WindowedGroupBy(s, "k"), "exactly one of n and value"),
        (lambda s: s.groupby(["k", s.x % 2])._accumulate(object), "columns or one series"),
        (lambda s: s.ewm(com=1).groupby("k").sum(), "only mean is supported"),
    ],
)
def test_what_cannot_be_grouped_is_refused_when_built(
    build: Callable[[Any], Any], words: str
) -> None:
    kinds = (TypeError, ValueError, AttributeError, NotImplementedError)
    with pytest.raises(kinds, match=words):
        build(streaming(ROWS))


def test_a_key_that_is_not_there_is_named_when_the_first_element_comes() -> None:
    sdf: Any = DataFrame()
    sdf.groupby("z").x.sum().stream.sink(print)
    with pytest.raises(ValueError, match=r"other must name columns of .* got 'z'"):
        sdf.emit(ROWS)


def test_a_key_that_changes_its_kind_is_refused_and_the_stream_goes_on() -> None:
    sdf = streaming(ROWS)
    seen = sdf.groupby("m").x.sum().stream.sink_to_list()
    sdf.emit(ROWS)
    with pytest.raises(TypeError, match="column 'm' must stay int64, got str"):
        sdf.emit(ROWS.astype({"m": "str"}))
    sdf.emit(ROWS)
    assert seen[1].to_dict() == {1: 18, 2: 12}


def test_keys_and_rows_stay_together_when_one_of_them_fails() -> None:
    sdf = streaming(ROWS)
    inverse = sdf.x.map(once)
    seen = sdf.groupby(inverse).x.count().stream.sink_to_list()
    sdf.emit(ROWS[ROWS.x == 1])
    with pytest.raises(ZeroDivisionError):
        sdf.emit(ROWS.assign(x=0))
    sdf.emit(ROWS[ROWS.x == 2])
    assert seen[-1].to_dict() == {0.5: 1, 1.0: 1}


def once(x: int) -> float:
    return 1 / x


def test_old_attributes_are_there() -> None:
    sdf: Any = Stream().to_dataframe(ROWS)
    groups = sdf.groupby("k").x
    assert type(groups) is GroupBy
    assert (groups.root is sdf, groups.grouper, groups.index) == (True, "k", "x")
    windowed = sdf.window(n=2).groupby("k")
    assert type(windowed) is WindowedGroupBy
    assert (windowed.n, windowed.value, windowed.index) == (2, None, None)
    assert {"x", "y", "sum"} <= set(dir(groups))
    assert repr(groups) == "<GroupBy by 'k'>"
