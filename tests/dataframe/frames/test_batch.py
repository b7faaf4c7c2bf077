"""Batch: a stream whose elements are lists of Python objects."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from tests.support import Boom, fail_on

from rapidz import Stream
from rapidz.dataframe.frames.batch import Batch, _accumulate_sum, _filter, _map_map, _pluck

batches = st.lists(st.lists(st.integers(-9, 9), max_size=5), max_size=8)


def results(collection: Any, source: Any, elements: Any) -> list[Any]:
    seen: list[Any] = collection.stream.sink_to_list()
    for x in elements:
        source.emit(x)
    return seen


@given(batches)
def test_map_and_filter_act_on_every_object(elements: list[list[int]]) -> None:
    batch = Batch()
    made = batch.map(abs).filter(_even)
    assert type(made) is Batch
    assert results(made, batch, elements) == [[abs(x) for x in xs if x % 2 == 0] for xs in elements]


def _even(x: int) -> bool:
    return x % 2 == 0


@given(batches)
def test_sum_runs_over_all_batches(elements: list[list[int]]) -> None:
    batch = Batch()
    flat = [sum(map(sum, elements[: i + 1])) for i in range(len(elements))]
    assert results(batch.sum(), batch, elements) == flat


@given(batches)
def test_to_stream_gives_the_objects(elements: list[list[int]]) -> None:
    batch = Batch()
    seen = batch.to_stream().sink_to_list()
    for xs in elements:
        batch.emit(xs)
    assert seen == [x for xs in elements for x in xs]


def test_map_gives_keywords_to_the_function() -> None:
    batch = Batch(example=["1"])
    made = batch.map(int, base=2)
    assert made.example == [1]
    assert results(made, batch, [["10", "11"]]) == [[2, 3]]


@pytest.mark.parametrize("name", ["example", "func", "stream_name", "seq"])
def test_map_keeps_keywords_of_any_name(name: str) -> None:
    batch = Batch()
    made = batch.map(_with, **{name: 5}) if name != "func" else batch.map(_with)
    assert results(made, batch, [[1]]) == [[(1, {name: 5} if name != "func" else {})]]


def _with(x: Any, **kwargs: Any) -> Any:
    return x, kwargs


def test_pluck_takes_an_item_or_several() -> None:
    batch = Batch(example=[{"a": 1, "b": 2}])
    assert results(batch.pluck("a"), batch, [[{"a": 3, "b": 4}]]) == [[3]]
    assert results(batch.pluck(["b", "a"]), batch, [[{"a": 3, "b": 4}]]) == [[(4, 3)]]


def test_batches_may_be_tuples_and_sets() -> None:
    batch = Batch()
    assert results(batch.map(str), batch, [(1, 2), {3}]) == [["1", "2"], ["3"]]


@pytest.mark.parametrize("bad", [5, "text", b"bytes", None])
def test_what_is_no_batch_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="Batch: element must be a list, tuple or set, got"):
        Batch().emit(bad)
    if bad is not None:
        with pytest.raises(TypeError, match="Batch: example must be a list, tuple or set, got"):
            Batch(example=bad)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Batch\.map: func must be callable, got 3"):
        Batch().map(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Batch\.filter: predicate must be callable, got 3"):
        Batch().filter(3)  # type: ignore[arg-type]


def test_a_failing_object_fails_its_batch_and_no_other() -> None:
    batch = Batch()
    total = batch.map(fail_on(2)).sum().stream.sink_to_list()
    batch.emit([1])
    with pytest.raises(Boom):
        batch.emit([1, 2])
    batch.emit([3])
    assert total == [1, 4]


# --- frames -----------------------------------------------------------------------------------


def test_to_dataframe_has_the_columns_of_the_example() -> None:
    batch = Batch(example=[{"a": 1, "b": 2.0}])
    frames = batch.to_dataframe()
    assert list(frames.columns) == ["a", "b"]
    rows = [{"a": 3, "b": 4.5}]
    seen = results(frames, batch, [rows, []])
    assert_frame_equal(seen[0], pd.DataFrame(rows))
    assert_frame_equal(seen[1], pd.DataFrame({"a": [1], "b": [2.0]}).iloc[:0])


def test_to_dataframe_takes_the_columns_of_the_first_batch() -> None:
    batch = Batch()
    seen = results(batch.to_dataframe().a + 1, batch, [[], [{"a": 3}], [], [{"a": 4}]])
    assert [list(column) for column in seen] == [[4], [5]]


@given(batches)
def test_frames_of_batches_sum_up_as_one_frame_would(elements: list[list[int]]) -> None:
    batch = Batch(example=[{"x": 0}])
    seen = results(batch.to_dataframe(), batch, [[{"x": x} for x in xs] for xs in elements])
    rows = pd.concat(seen)["x"].tolist() if seen else []
    assert rows == [x for xs in elements for x in xs]


# --- the surroundings -------------------------------------------------------------------------


def test_batches_need_no_pandas() -> None:
    program = (
        "import sys; sys.modules['pandas'] = sys.modules['numpy'] = None\n"
        "from rapidz.batch import Batch\n"
        "b = Batch(); b.map(str).filter(None.__ne__).stream.sink(print); b.emit([1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
    )
    assert (done.stdout, done.stderr) == ("['1']\n", "")


def test_the_functions_can_be_pickled() -> None:
    functions = (_accumulate_sum, _filter, _map_map, _pluck)
    assert pickle.loads(pickle.dumps(functions)) == functions


def test_a_stream_becomes_batches() -> None:
    source: Stream[Any] = Stream()
    seen = Batch(source.partition(2)).sum().stream.sink_to_list()
    source.emit_many([1, 2, 3, 4])
    assert seen == [3, 10]
