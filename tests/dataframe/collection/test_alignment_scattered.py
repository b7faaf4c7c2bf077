"""Collections on scattered streams: the branches of one element are computed by one task."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_series_equal
from tests.support import Boom, add, double, fail_on

from rapidz import SKIP, Stream
from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.collection.zip_by_element import (
    align_by_element,
    branch_results,
    recompute_together,
)
from rapidz.dataframe.frames.dataframe import DataFrame

ROWS = pd.DataFrame({"x": [1, 2, 3], "y": [4.0, 5.0, 6.0]})


@pytest.fixture
def scattered() -> Iterator[Callable[[Any], Any]]:
    """Sends a stream to a pool of threads."""
    importlib.import_module("rapidz.parallel")
    with ThreadPoolExecutor(2) as pool:
        yield lambda source: source.scatter(backend=pool)


def lengths(total: int, rows: Any) -> int:
    return total + len(rows)


def tripled(x: int) -> int:
    return 3 * x


def negative_only(x: int) -> Any:
    return x if x < 0 else SKIP


def test_all_branches_are_computed_together() -> None:
    source: Stream[int] = Stream()
    first = source.map(double)
    joined = recompute_together([first.map(tripled), first, first.map(pow, 2)])
    assert joined is not None
    assert joined.upstream is first
    seen = joined.sink_to_list()
    source.emit(1)
    assert seen == [(6, 2, 4)]


def test_branches_within_branches() -> None:
    source: Stream[int] = Stream()
    inner = recompute_together([source, source.map(double)])
    assert inner is not None
    outer = recompute_together([inner.map(sum), source])
    assert outer is not None
    seen = outer.sink_to_list()
    source.emit(1)
    assert seen == [(3, 1)]


def test_no_branch_leads_past_a_state_or_another_source() -> None:
    source: Stream[int] = Stream()
    total = source.accumulate(add)
    assert recompute_together([total, source]) is None
    assert recompute_together([source, Stream[int]()]) is None
    pairs: Any = source
    assert recompute_together([source.map(double), pairs.starmap(pow)]) is None
    assert recompute_together([total.map(double), total]) is not None


def test_an_element_that_one_branch_skips_is_skipped() -> None:
    branches: Any = [[(double, (), {})], [(negative_only, (), {}), (double, (), {})]]
    assert [branch_results(x, branches) for x in (1, -1)] == [SKIP, (-2, -2)]
    with pytest.raises(Boom):
        branch_results(1, [[(fail_on(1), (), {})]])


def test_frames_on_a_scattered_stream_give_what_they_give_here(scattered: Any) -> None:
    source: Stream[Any] = Stream()
    stream = scattered(source)
    assert stream._remote
    sdf: Any = DataFrame(stream, ROWS)
    seen = (sdf.x + sdf[["y"]].y).stream.gather().sink_to_list()
    large = sdf[sdf.x > 1].accumulate_partitions(lengths, start=0).stream.gather().sink_to_list()
    for _ in range(3):
        source.emit(ROWS[["y", "x"]])
    source.close()
    assert [len(part) for part in seen] == [3, 3, 3]
    assert_series_equal(seen[0], ROWS.x + ROWS.y)
    assert large == [2, 4, 6]


def test_a_scattered_row_that_fails_puts_no_other_in_its_place(scattered: Any) -> None:
    rows = pd.DataFrame({"t": ["1", "a", "3"], "n": [10, 20, 30]})
    source: Stream[Any] = Stream()
    sdf: Any = DataFrame(scattered(source).on_error("skip"), rows.iloc[:0])
    seen = (sdf.t.astype(int) + sdf.n).stream.gather().sink_to_list()
    for i in range(3):
        source.emit(rows.iloc[i : i + 1])
    source.close()
    assert [int(part.iloc[0]) for part in seen] == [11, 33]


def test_columns_set_in_a_scattered_frame(scattered: Any) -> None:
    source: Stream[Any] = Stream()
    sdf: Any = DataFrame(scattered(source), ROWS)
    sdf["z"] = sdf.x * 2
    seen = (sdf.z + sdf.x).stream.gather().sink_to_list()
    source.emit(ROWS)
    source.close()
    assert_series_equal(seen[0], ROWS.x * 3, check_names=False)


def test_what_stays_on_workers_needs_an_example(scattered: Any) -> None:
    with pytest.raises(ValueError, match="DataFrame: example must be given where elements are"):
        DataFrame(scattered(Stream()))


def test_states_of_a_scattered_stream_are_zipped(scattered: Any) -> None:
    stream = scattered(Stream())
    assert "zip" in str(align_by_element([stream.accumulate(add, start=0), stream]))


class Overriding(Stream[Any]):
    """A stream of a user, with methods of its own under the names of operators."""

    def _fail(self, *args: Any, **options: Any) -> Any:
        raise AssertionError("not called")

    zip = map = accumulate = _fail


def test_a_stream_class_with_its_own_operators_carries_frames() -> None:
    source = Overriding()
    assert not source._remote
    sdf = DataFrame(source)
    seen = (sdf.x + sdf.y).stream.sink_to_list()
    total = Streaming(source, example=ROWS).accumulate_partitions(lengths, start=0)
    totals = (total + Streaming(source).map_partitions(len)).stream.sink_to_list()
    source.emit(ROWS)
    assert_series_equal(seen[0], ROWS.x + ROWS.y)
    assert totals == [6]


@pytest.mark.parametrize("before", [0, 1])
def test_columns_set_on_a_scattered_frame_reach_earlier_references(
    scattered: Callable[[Any], Any], before: int
) -> None:
    source: Stream[Any] = Stream()
    sdf = DataFrame(scattered(source), example=ROWS)
    stream = sdf.stream
    sdf["z"] = sdf.x * 2
    sdf["x"] = sdf["x"] * 10
    seen = sdf.mean().stream.gather().sink_to_list()
    for _ in range(before):
        source.emit(ROWS)
        source.join()
    stream.emit(ROWS)
    source.join()
    assert seen[-1].to_dict() == {"x": 20, "y": 5, "z": 4}


def test_an_element_emitted_mid_chain_runs_through_the_rest_of_the_chain(
    scattered: Callable[[Any], Any],
) -> None:
    source: Stream[int] = Stream()
    node = scattered(source).map(double)
    seen = node.map(tripled).gather().sink_to_list()
    source.emit(1)
    node.emit(1)
    node.emit_many([2, 3])
    source.emit(2)
    source.join()
    assert seen == [6, 3, 6, 9, 12]
