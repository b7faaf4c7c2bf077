"""`rapidz.testing.assert_equivalent`: what it takes for the same, and what it says."""

from __future__ import annotations

import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.parallel import functions as f

from rapidz.testing import assert_equivalent

MAIN = threading.main_thread()


def here(x: Any) -> bool:
    return threading.current_thread() is MAIN


def test_every_way_is_run(processes: ProcessPoolExecutor, client: Any) -> None:
    built: list[Any] = []

    def pipeline(stream: Any) -> Any:
        built.append(stream)
        return stream.map(f.inc).filter(f.even)

    ways = ["inline", "loop", "background", "thread", processes, "dask", client]
    assert_equivalent(pipeline, range(10), on=ways)
    assert len(built) == len(ways)
    assert [getattr(stream, "backend", None) for stream in built[:4]] == [None] * 3 + ["thread"]


def test_processes_go_by_their_name() -> None:
    assert_equivalent(lambda s: s.map(f.inc).partition(2), range(5), on=["inline", "process"])


def test_what_differs_is_shown_for_each_way() -> None:
    with pytest.raises(AssertionError) as caught, ThreadPoolExecutor(1) as pool:
        assert_equivalent(lambda s: s.map(here), [1], on=["inline", "thread", "loop", pool])
    assert str(caught.value).splitlines() == [
        "the pipeline differs on 'thread' from what it gives on 'inline'",
        "  at output 0: False, not True",
        "  'inline': [True]",
        "  'thread': [False]",
        "the pipeline differs on ThreadPoolExecutor from what it gives on 'inline'",
        "  at output 0: False, not True",
        "  'inline': [True]",
        "  ThreadPoolExecutor: [False]",
    ]


class Once:
    """True so many times, and never again."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, x: object) -> bool:
        self.times -= 1
        return self.times >= 0


def test_a_different_number_of_outputs_differs() -> None:
    once = Once(3)
    with pytest.raises(AssertionError, match="1 outputs, not 2"):
        assert_equivalent(lambda s: s.filter(once), [1, 2], on=["inline", "thread"])


def test_failures_are_compared_by_their_type() -> None:
    def fails(x: Any) -> Any:
        raise ValueError(x) if here(x) else KeyError(x)

    with pytest.raises(AssertionError) as caught:
        assert_equivalent(lambda s: s.map(fails), [1], on=["inline", "thread"])
    assert str(caught.value).splitlines() == [
        "the pipeline differs on 'thread' from what it gives on 'inline'",
        "  failures differ",
        "  'inline': [ValueError(1)]",
        "  'thread': [KeyError(1)]",
    ]


@pytest.mark.parametrize("buffer", [None, 4])
def test_the_same_failures_are_the_same(backend: Any, buffer: int | None) -> None:
    ways = ["inline", "loop", "background", backend]
    assert_equivalent(lambda s: s.map(f.fails_on_thirds), range(9), on=ways, buffer=buffer)
    assert_equivalent(lambda s: s.partition(2).map(f.raises), range(3), on=ways, buffer=buffer)


def test_a_failure_that_a_policy_deals_with_is_none() -> None:
    def skips(s: Any) -> Any:
        return s.map(lambda x: 1 / (x if here(x) else 0)).on_error("skip")

    with pytest.raises(AssertionError) as caught:
        assert_equivalent(skips, [1], on=["inline", "thread"])
    assert "failures" not in str(caught.value)


def test_without_order_only_what_came_counts() -> None:
    assert_equivalent(lambda s: s.map(f.slow_if_even), range(8), ordered=False, batch=1)
    order = iter([1, 2, 2, 1])
    assert_equivalent(
        lambda s: s.map(lambda x: [next(order)]), "ab", on=["inline", "thread"], ordered=False
    )
    more = iter([1, 2, 1, 1])
    with pytest.raises(AssertionError, match=r"missing: \[2\], unexpected: \[1\]"):
        assert_equivalent(
            lambda s: s.map(lambda x: next(more)), "ab", on=["inline", "thread"], ordered=False
        )


NAN = float("nan")


@pytest.mark.parametrize(
    "x",
    [
        NAN,
        (NAN, [NAN], {"a": NAN}),
        np.array([1.0, NAN]),
        np.float64("nan"),
        pd.DataFrame({"a": [1.0, NAN]}),
        pd.Series([1.0, None]),
        {"a": np.arange(3)},
    ],
    ids=repr,
)
def test_what_is_not_equal_to_itself_is_the_same(x: Any, processes: ProcessPoolExecutor) -> None:
    assert_equivalent(lambda s: s.map(f.passed), [x], on=["inline", "thread", processes])


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (1, 2),
        (1.0, NAN),
        ((1,), [1]),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 2}),
        (np.arange(3), np.arange(4)),
        (np.array([1, 2]), np.array([1.0, 2.0])),
        (np.array([1, 2]), np.array([1, 3])),
        (pd.Series([1]), pd.Series([2])),
        ("1", 1),
        (None, 0),
    ],
    ids=repr,
)
def test_what_differs_is_not_the_same(x: Any, y: Any) -> None:
    given = iter([x, y])
    with pytest.raises(AssertionError, match="at output 0"):
        assert_equivalent(lambda s: s.map(lambda _: next(given)), [0], on=["inline", "thread"])


def test_long_outputs_are_cut_short_in_messages() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_equivalent(lambda s: s.map(here), range(5000), on=["inline", "thread"])
    assert len(str(caught.value)) < 3000
    assert "characters)" in str(caught.value)


@pytest.mark.parametrize("on", [(), ["inline"]])
def test_less_than_two_ways_are_refused(on: Any) -> None:
    with pytest.raises(ValueError, match="assert_equivalent: on must be at least two modes, got"):
        assert_equivalent(lambda s: s, [], on=on)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ValueError, match=r"assert_equivalent: on must be of .*, got 'threads'"):
        assert_equivalent(lambda s: s, [], on=["inline", "threads"])


async def test_it_is_refused_where_it_would_block_a_loop() -> None:
    with pytest.raises(RuntimeError, match="assert_equivalent: it blocks"):
        assert_equivalent(lambda s: s, [])


@pytest.mark.parametrize("way", ["inline", "loop", "background", "thread"])
def test_what_fails_while_it_is_built_names_the_way(way: str) -> None:
    with pytest.raises(ValueError, match="n must be") as caught:
        assert_equivalent(lambda s: s.partition(0), [1], on=[way, "inline"])
    assert caught.value.__notes__ == [f"in the mode {way!r}"]


def test_a_pipeline_may_gather_by_itself() -> None:
    assert_equivalent(lambda s: s.map(f.inc).gather().map(f.double), range(5))


def test_a_pipeline_may_be_nothing() -> None:
    assert_equivalent(lambda s: s, range(3), on=["inline", "loop", "background", "thread"])


def test_a_policy_on_the_stream_itself_is_the_pipelines_own() -> None:
    failures: list[Any] = []

    def own(s: Any) -> Any:
        s.errors.sink(failures.append)
        return s.map(f.fails_on_thirds)

    assert_equivalent(own, range(4))
    assert [failure.element for failure in failures] == [0, 3] * 3
