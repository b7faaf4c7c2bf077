"""Merging of slices: the generated function does what `merge` of the aggregators does."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Collect, Count, Distinct, First, Last, Max, Mean, Min, Quantile, Std, Sum
from rapidz.eventtime.aggregators import Aggregator
from rapidz.eventtime.windows.merging import compile_merging

VALUES = st.one_of(
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from([1e-320, 0.1, -0.0, float("inf"), 1e300]),
)
AGGREGATORS: list[Aggregator] = [
    *(Count(), Sum(), Mean(), Min(), Max(), First(), Last()),
    *(Std(), Quantile(0.5), Collect(), Distinct()),
]


def state_of(aggregator: Aggregator, values: list[Any]) -> Any:
    add, state = aggregator.adder(), aggregator.start()
    for at, value in enumerate(values):
        state = add(state, value, at)
    return state


@settings(max_examples=40)
@given(st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=2, max_size=4))
def test_merged_slices_have_the_states_that_merge_returns(lists: list[list[Any]]) -> None:
    for aggregator in AGGREGATORS:
        parts = [state_of(aggregator, values) for values in lists]
        expected = parts[0]
        for part in parts[1:]:
            expected = aggregator.merge(expected, part)

        merged = compile_merging([aggregator])([{"a": part} for part in parts])

        assert repr(merged) == repr({"a": expected}), aggregator


def test_keys_keep_the_order_of_the_slices_and_no_slice_changes() -> None:
    slices = [{"b": 1}, {"a": 2, "b": 3}, {"c": 4}]
    assert list(compile_merging([Count()])(slices).items()) == [("b", 4), ("a", 2), ("c", 4)]
    assert slices == [{"b": 1}, {"a": 2, "b": 3}, {"c": 4}]


def test_several_aggregators_are_merged_one_by_one() -> None:
    merge_all = compile_merging([Count(), Sum(), Collect()])
    states = [(1, 5, state_of(Collect(), ["x"])), (2, Decimal(3), state_of(Collect(), ["y"]))]
    merged = merge_all([{"a": state} for state in states])["a"]

    assert merged[:2] == (3, Decimal(8))
    assert sorted(Collect().result(merged[2])) == ["x", "y"]


def test_a_merge_of_a_subclass_is_called_instead_of_the_inherited_line() -> None:
    class Greatest(Count):
        def merge(self, a: int, b: int) -> int:
            return max(a, b)

    assert compile_merging([Greatest()])([{"a": 2}, {"a": 3}]) == {"a": 3}


def test_an_error_of_a_merge_is_raised_as_it_is() -> None:
    with pytest.raises(TypeError, match="must be of a type that can be added"):
        compile_merging([Sum()])([{"a": 1}, {"a": "x"}])
