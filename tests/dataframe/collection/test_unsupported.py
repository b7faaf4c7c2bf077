"""Unsupported conversions: truth values of collections, and calls of numpy and pandas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.dataframe.helpers import emitted, streaming
from tests.dataframe.incremental.model import same

from rapidz.dataframe import DataFrame
from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.frames.batch import Batch

ROWS = pd.DataFrame({"x": [1.0, 2.0, 5.0], "b": [True, False, True]}, index=[3, 4, 5])

COLLECTIONS: dict[str, Callable[[], Any]] = {
    "Streaming": lambda: Streaming(example=1),
    "Batch": Batch,
    "DataFrame": lambda: streaming(ROWS),
    "DataFrame without an example": DataFrame,
    "Series": lambda: streaming(ROWS).x > 1,
    "Index": lambda: streaming(ROWS).index,
    "an aggregate": lambda: streaming(ROWS).x.sum(),
    "aggregates": lambda: streaming(ROWS).groupby("b").x.sum(),
    "Window": lambda: streaming(ROWS).window(n=2).x,
    "Expanding": lambda: streaming(ROWS).expanding(),
    "the index of a window": lambda: streaming(ROWS).window(n=2).index,
}


@pytest.mark.parametrize("what", COLLECTIONS)
def test_a_collection_has_no_truth_value(what: str) -> None:
    collection = COLLECTIONS[what]()
    with pytest.raises(ValueError, match=rf"^{type(collection).__name__} has no truth value: "):
        bool(collection)


@pytest.mark.parametrize(
    "use",
    [
        lambda s: 0 < s.x < 3,
        lambda s: (s.x > 1) and s.b,
        lambda s: (s.x > 1) or s.b,
        lambda s: not s.x,
        lambda s: max(s.x, s.x),
        lambda s: 1 if s.x.sum() > 3 else 2,
        lambda s: s.x in [s.b],
        lambda s: sorted([s.x, s.x]),
        lambda s: all([s.b]),
    ],
)
def test_what_asks_for_a_truth_value_is_refused(use: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=r"has no truth value.*Use & for `and`"):
        use(streaming(ROWS))


def test_in_asks_a_frame_for_columns_and_nothing_else() -> None:
    sdf = streaming(ROWS)
    assert "x" in sdf
    assert "y" not in sdf
    with pytest.raises(TypeError, match="collection == value"):
        assert 1 in sdf.x


def test_a_choice_by_numpy_is_refused_with_the_way_round() -> None:
    sdf = streaming(ROWS)
    with pytest.raises(TypeError, match=r"collection\.map_partitions\(function\)"):
        np.where(sdf.x > 1, 1, 0)  # pyright: ignore[reportCallIssue, reportArgumentType]
    (got,) = emitted(lambda s: s.x.map_partitions(np.where, s.x > 1, 1, 0), [ROWS])
    assert got.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "build",
    [
        lambda s: np.log1p(s.x),
        lambda s: np.add(s.x, s.x),
        lambda s: np.float64(2) * s.x,
        lambda s: ROWS.x * s.x,
        lambda s: ROWS[["x"]] - s[["x"]],
        lambda s: np.hypot(3, s.x),
    ],
)
def test_functions_of_numpy_and_operands_of_pandas_meet_each_element(
    build: Callable[[Any], Any],
) -> None:
    (got,) = emitted(build, [ROWS])
    same(got, build(ROWS))


def test_a_function_of_numpy_that_reduces_is_refused() -> None:
    with pytest.raises(TypeError, match=r"add\.reduce: use an aggregate"):
        np.add.reduce(streaming(ROWS).x)


@pytest.mark.parametrize("build", [lambda s: s.x.mean() < s.x, lambda s: 3 - (s.x.min() - s.x)])
def test_an_aggregate_and_rows_give_rows_in_either_order(build: Callable[[Any], Any]) -> None:
    got = emitted(lambda s: build(s).sum(), [ROWS, ROWS])
    assert got == [build(ROWS).sum(), 2 * build(ROWS).sum()]
