"""Aggregators of windows: results, whatever the order of arrival and the split into states."""

from __future__ import annotations

import copy
import decimal
import functools
import math
import pickle
import random
import statistics
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eventtime.direct import CASES, same

import rapidz
from rapidz.eventtime.aggregators import (
    Aggregator,
    Collect,
    Count,
    Distinct,
    First,
    Last,
    Max,
    Mean,
    Min,
    Quantile,
    Std,
    Sum,
    check_aggregator,
)
from rapidz.eventtime.aggregators.append_log import EMPTY, append, concatenate, items_of
from rapidz.eventtime.aggregators.spread import root_of_ratio

Stamped = tuple[int, Any]


each_case = pytest.mark.parametrize("name", CASES)

floats = st.floats(allow_nan=False, allow_infinity=False)
usual_floats = st.floats(-1e6, 1e6)
numbers = st.one_of(floats, usual_floats, st.integers(), st.integers(-3, 3), st.just(-0.0))
stamped = st.lists(st.tuples(st.integers(0, 8), numbers), min_size=1, max_size=40)


def state_of(aggregator: Aggregator, elements: Iterable[Stamped]) -> Any:
    state, timed = aggregator.start(), aggregator.takes_timestamp
    for ts, value in elements:
        arguments = (value, ts) if timed else (value,)
        state = aggregator.add(state, *arguments)
    return state


def result_of(aggregator: Aggregator, values: Iterable[Any]) -> Any:
    return aggregator.result(state_of(aggregator, enumerate(values)))


class Names:
    """Names for the values of generated lines."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def bind(self, hint: str, value: Any) -> str:
        name = f"{hint}_{len(self.values)}"
        self.values[name] = value
        return name


def generated(aggregator: Aggregator) -> Callable[[Iterable[Stamped]], Any]:
    """Return a loop made of the lines of *aggregator*: from elements to the state."""
    names = Names()
    first, further = aggregator.lines(names, "state", "value", "ts")
    source = f"""
def loop(elements, {", ".join(f"{name}={name}" for name in names.values)}):
    fresh = True
    for ts, value in elements:
        if fresh:
            state = {first}
            fresh = False
        else:
            state = {further}
    return state
"""
    exec(source, names.values)
    loop: Callable[[Iterable[Stamped]], Any] = names.values["loop"]
    return loop


def generated_merge(aggregator: Aggregator) -> Callable[[Any, Any], Any]:
    """Return a function made of the merge line of *aggregator*."""
    names = Names()
    line = aggregator.merge_line(names, "a", "b")
    merge: Callable[[Any, Any], Any] = eval(f"lambda a, b: {line}", names.values)
    return merge


# Results, exact, in any order and grouping


@each_case
@settings(max_examples=50)
@given(elements=stamped, seed=st.integers(0, 2**32))
def test_results_do_not_depend_on_arrival_or_slices(
    name: str, elements: list[Stamped], seed: int
) -> None:
    aggregator, direct = CASES[name]
    chance = random.Random(seed)
    arrival = chance.sample(elements, len(elements))
    slices: dict[int, list[Stamped]] = {}
    slice_of = {ts: chance.randrange(4) for ts, _ in elements}  # equal timestamps in one slice
    for x in arrival:
        slices.setdefault(slice_of[x[0]], []).append(x)
    states = [state_of(aggregator, part) for part in slices.values()]
    chance.shuffle(states)
    while len(states) > 1:
        a, b = states.pop(), states.pop()
        states.insert(chance.randrange(len(states) + 1), aggregator.merge(a, b))
    by_time = [value for _, value in sorted(arrival, key=lambda x: x[0])]
    assert same(aggregator.result(states[0]), direct(by_time))


@each_case
@settings(max_examples=50)
@given(elements=stamped)
def test_generated_lines_make_the_state_that_methods_make(
    name: str, elements: list[Stamped]
) -> None:
    aggregator = CASES[name].aggregator
    assert generated(aggregator)(elements) == state_of(aggregator, elements)


@each_case
@settings(max_examples=30)
@given(elements=stamped, others=stamped)
def test_generated_lines_merge_as_methods_do(
    name: str, elements: list[Stamped], others: list[Stamped]
) -> None:
    aggregator = CASES[name].aggregator
    a, b = state_of(aggregator, elements), state_of(aggregator, others)
    merged = aggregator.merge(a, b)
    assert generated_merge(aggregator)(a, b) == merged
    assert aggregator.merger()(a, b) == merged


@given(st.lists(floats))
def test_a_sum_of_floats_is_that_of_fsum(values: list[float]) -> None:
    try:
        expected = math.fsum(values)
    except OverflowError:  # of a partial sum: the whole one may still be a float
        return
    assert result_of(Sum(), values) == expected
    if values:
        assert result_of(Mean(), values) == expected / len(values)


@given(st.lists(st.integers(-(10**30), 10**30)))
def test_a_sum_of_ints_is_an_int(values: list[int]) -> None:
    total = result_of(Sum(), values)
    assert type(total) is int
    assert total == sum(values)


@given(st.lists(st.decimals(-1000, 1000, places=3)))
def test_a_sum_of_decimals_is_that_of_plus(values: list[Decimal]) -> None:
    assert str(result_of(Sum(), values)) == str(sum(values[1:], values[0]) if values else 0)


def test_decimals_are_rounded_once_whatever_their_order() -> None:
    values = [Decimal("1e40"), Decimal(1), Decimal("-1e40")]
    assert [result_of(Sum(), values), result_of(Sum(), values[::-1])] == [1, 1]
    assert result_of(Mean(), values) == Decimal(1) / 3


@given(st.lists(st.fractions(-1000, 1000, max_denominator=50), min_size=1))
def test_fractions_and_timedeltas_are_added_by_plus(values: list[Fraction]) -> None:
    assert same(result_of(Sum(), values), sum(values, Fraction()))
    assert same(result_of(Mean(), values), sum(values, Fraction()) / len(values))
    spans = [timedelta(seconds=value.numerator) for value in values]
    assert result_of(Sum(), spans) == sum(spans, timedelta())
    assert result_of(Mean(), spans) == sum(spans, timedelta()) / len(spans)


@given(st.lists(st.floats(2.0**-130, 2.0**-90) | st.floats(2.0**850, 2.0**870), min_size=1))
def test_sums_are_exact_at_the_borders_of_the_fixed_point(values: list[float]) -> None:
    lines = generated(Sum())(enumerate(values))
    assert result_of(Sum(), values) == Sum().result(lines) == math.fsum(values)
    assert Mean().result(generated(Mean())(enumerate(values))) == math.fsum(values) / len(values)


def test_a_mean_of_decimals_is_rounded_once() -> None:
    with decimal.localcontext() as context:
        context.prec = 3
        assert result_of(Mean(), [Decimal("10.05"), 0, 0]) == Decimal("3.35")


@pytest.mark.parametrize("aggregator", [Sum(), Mean()], ids=repr)
@pytest.mark.parametrize("other", [Decimal("2.5"), Fraction(5, 2), 2.5], ids=repr)
def test_ints_mix_with_every_kind_of_number(aggregator: Aggregator, other: Any) -> None:
    expected = result_of(aggregator, [other, other, other * 0]) * 3
    for values in ([0, other, other], [other, 0, other], [other, other, 0]):
        result = result_of(aggregator, values)
        assert type(result) is type(other)
        assert result * 3 == expected
        parts = [state_of(aggregator, [(0, value)]) for value in values]
        merged = functools.reduce(aggregator.merge, parts)
        assert aggregator.result(merged) == result


@pytest.mark.parametrize("aggregator", [Sum(), Mean()], ids=repr)
def test_sums_with_nan_or_infinities(aggregator: Aggregator) -> None:
    inf, nan = math.inf, math.nan
    for values, expected in [
        ([1.0, inf], inf),
        ([-inf, 10**400], -inf),
        ([5e-324, -inf, -inf], -inf),
        ([inf, -inf], nan),
        ([inf, 1, -inf, 2.0], nan),
        ([nan, 1], nan),
        ([1, nan, inf], nan),
    ]:
        assert same(result_of(aggregator, values), expected), values
        assert same(result_of(aggregator, values[::-1]), expected), values


def test_a_sum_beyond_the_largest_float_is_infinite_not_an_error() -> None:
    assert result_of(Sum(), [1e308, 1e308]) == math.inf
    assert result_of(Sum(), [-1e308, -1e308]) == -math.inf
    assert result_of(Sum(), [1e308, 1e308, -1e308]) == 1e308
    assert result_of(Sum(), [10**400, 0.5]) == math.inf
    assert result_of(Mean(), [1e308, 1.5e308]) == 1.25e308


def test_a_sum_of_negative_zeros_is_zero() -> None:
    assert result_of(Sum(), [-0.0, -0.0]) == 0
    assert result_of(Sum(), [5e-324] * 3 + [1.0, -1.0]) == 1.5e-323


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.float64, np.float32, np.bool_, bool])
def test_numbers_of_numpy_are_read_as_those_of_python(kind: Any) -> None:
    values = [kind(1), kind(0), kind(1)]
    assert result_of(Sum(), values) == 2
    assert type(result_of(Sum(), values)) in (int, float)
    assert result_of(Sum(), [np.int8(100)] * 3) == 300
    assert result_of(Mean(), values) == 2 / 3
    assert result_of(Std(), values) == pytest.approx(statistics.stdev([1, 0, 1]))
    assert result_of(Quantile(0.5), values) == 1
    assert (result_of(Min(), values), result_of(Max(), values)) == (0, 1)


def test_arrays_and_other_types_with_plus_are_added() -> None:
    arrays = [np.array([1.5, 2]), np.array([3, 4])]
    assert result_of(Sum(), arrays).tolist() == [4.5, 6]
    assert result_of(Mean(), arrays).tolist() == [2.25, 3]
    assert arrays[0].tolist() == [1.5, 2]


@pytest.mark.parametrize("ddof", [0, 1, 3])
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=4))
def test_a_standard_deviation_agrees_with_numpy(ddof: int, values: list[float]) -> None:
    expected = float(np.std(values, ddof=ddof))
    assert result_of(Std(ddof=ddof), values) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_a_standard_deviation_loses_no_digits_to_a_large_mean() -> None:
    assert result_of(Std(), [1e15 + 1, 1e15 + 2, 1e15 + 3]) == 1
    assert result_of(Std(), [10**30 + 1, 10**30 + 2, 10**30 + 3]) == 1
    assert result_of(Std(), [1e-200, 3e-200]) == pytest.approx(math.sqrt(2) * 1e-200)
    assert result_of(Std(), [-1e308, 1e308]) == pytest.approx(math.sqrt(2) * 1e308)
    assert result_of(Std(), [Decimal("0.5"), Fraction(3, 2)]) == pytest.approx(math.sqrt(0.5))
    assert result_of(Std(ddof=0), [7.5]) == 0


def test_a_standard_deviation_is_rounded_once() -> None:
    half = (1 << 54) + 2  # between two floats
    assert root_of_ratio(half**2, 1, 0) == 2.0**54
    assert root_of_ratio(half**2 << 400, 1, 200) == 2.0**54
    assert root_of_ratio((half**2 << 400) + 1, 1, 200) == 2.0**54 + 4
    assert root_of_ratio(half**2 * 3 + 1, 3, 0) == 2.0**54 + 4
    assert root_of_ratio((half**2 << 400) - 1, 1, 200) == 2.0**54


def test_the_standard_deviation_of_too_few_values_is_nan() -> None:
    assert same(result_of(Std(), [1.0]), math.nan)
    assert same(result_of(Std(ddof=0), []), math.nan)
    assert same(result_of(Std(), [1.0, math.inf, 2.0]), math.nan)
    assert same(result_of(Std(), [math.nan, 1, 2]), math.nan)


@given(st.lists(usual_floats, min_size=1), st.floats(0, 1))
def test_a_quantile_has_every_digit_of_that_of_numpy(values: list[float], q: float) -> None:
    assert result_of(Quantile(q), values) == float(np.quantile(values, q))


@given(st.lists(floats, min_size=1), st.floats(0, 1))
def test_a_quantile_is_that_of_numpy(values: list[float], q: float) -> None:
    with np.errstate(all="ignore"):
        expected = float(np.quantile(values, q))
    assert result_of(Quantile(q), values) == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_quantiles_of_decimals_datetimes_and_timedeltas() -> None:
    assert result_of(Quantile(0.5), [Decimal(1), Decimal(2)]) == Decimal("1.5")
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (3, 1)]
    assert result_of(Quantile(0.5), days) == datetime(2026, 1, 2, tzinfo=UTC)
    assert result_of(Quantile(0.5), [timedelta(2), timedelta(1)]) == timedelta(1.5)
    assert same(result_of(Quantile([0.0, 0.5]), [1.0, math.nan, 2.0]), [math.nan] * 2)
    assert same(result_of(Quantile(0.5), []), math.nan)


@pytest.mark.parametrize(
    "values",
    [
        ["b", "a", "c"],
        [(2, "x"), (1, "z")],
        [datetime(2026, 1, 2), datetime(2026, 1, 1)],
        [timedelta(2), timedelta(1)],
        [Decimal(2), Decimal(1)],
        [2, 1.5, Fraction(1, 3), Decimal(7)][:3],
        [math.inf, -math.inf, 10**400],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_extremes_of_all_that_has_an_order(values: list[Any]) -> None:
    for arrival in (values, values[::-1]):
        assert result_of(Min(), arrival) == min(values)
        assert result_of(Max(), arrival) == max(values)


def test_of_equal_extremes_the_first_to_arrive_is_the_result() -> None:
    for aggregator in (Min(), Max()):
        assert type(result_of(aggregator, [1, 1.0])) is int
        assert type(result_of(aggregator, [1.0, 1])) is float
        assert type(aggregator.result(aggregator.merge(1, 1.0))) is int


@pytest.mark.parametrize("aggregator", [Min(), Max()], ids=repr)
def test_extremes_with_nan_are_nan_in_any_order(aggregator: Aggregator) -> None:
    for values in ([math.nan, 1.0, 2.0], [1.0, math.nan, 2.0], [1, 2.0, math.nan]):
        assert same(result_of(aggregator, values), math.nan)
        assert same(aggregator.result(generated(aggregator)(enumerate(values))), math.nan)


def test_equal_timestamps_go_by_arrival() -> None:
    elements = [(1, "a"), (2, "b"), (1, "c"), (2, "d"), (2, "e")]
    assert First().result(state_of(First(), elements)) == "a"
    assert Last().result(state_of(Last(), elements)) == "e"
    assert Collect().result(state_of(Collect(), elements)) == ["a", "c", "b", "d", "e"]


def test_what_is_merged_first_counts_as_arrived_first() -> None:
    for aggregator, expected in ((First(), "a"), (Last(), "b"), (Collect(), ["a", "b"])):
        a, b = (state_of(aggregator, [(1, value)]) for value in "ab")
        assert aggregator.result(aggregator.merge(a, b)) == expected


def test_a_first_or_last_value_may_be_none() -> None:
    assert First().result(state_of(First(), [(1, None), (2, "a")])) is None
    assert Last().result(state_of(Last(), [(1, "a"), (2, None)])) is None


def test_distinct_values_with_nan_and_none() -> None:
    values = [float("nan"), float("nan"), None, None, 1, 1.0, True, "a"]
    assert result_of(Distinct(), values) == 4
    found = result_of(Distinct(values=True), values)
    assert len(found) == 4
    assert any(value != value for value in found)
    assert result_of(Distinct(), [*range(5000), *range(5000)]) == 5000


def test_distinct_values_of_pandas_that_are_missing_count_once() -> None:
    pd = pytest.importorskip("pandas")
    assert result_of(Distinct(), [pd.NA, pd.NaT, 5, pd.NA, math.nan, "a", 5]) == 3


def test_values_that_cannot_be_compared_by_equality_are_an_error() -> None:
    class Odd:
        __hash__ = object.__hash__

        def __eq__(self, other: object) -> bool:
            if other is not self:
                raise TypeError("incomparable")
            return True

    with pytest.raises(TypeError, match="value must be comparable by == with the others, got"):
        result_of(Distinct(), [1, Odd()])


def test_a_count_of_something_leaves_out_none() -> None:
    assert result_of(Count(), [None, 0, ""]) == 3
    assert result_of(Count("name"), [None, 0, ""]) == 2
    assert generated(Count("name"))(enumerate([None, 0, "", None])) == 2


# States


@each_case
@settings(max_examples=30)
@given(elements=stamped, others=stamped)
def test_add_and_merge_leave_states_as_they_are(
    name: str, elements: list[Stamped], others: list[Stamped]
) -> None:
    aggregator = CASES[name].aggregator
    a, b = state_of(aggregator, elements), state_of(aggregator, others)
    before = copy.deepcopy((a, b))
    aggregator.add(a, 1, 3)
    aggregator.merge(a, b)
    aggregator.result(a)
    assert (a, b) == before


@each_case
@settings(max_examples=30)
@given(elements=stamped)
def test_states_are_plain_data_that_can_be_pickled(name: str, elements: list[Stamped]) -> None:
    aggregator = CASES[name].aggregator
    state = state_of(aggregator, elements)
    loaded = pickle.loads(pickle.dumps(state))
    assert loaded == state
    added = [aggregator.add(each, 1, 5) for each in (state, loaded)]
    assert aggregator.result(added[0]) == aggregator.result(added[1])


@each_case
def test_a_state_of_many_elements_can_be_pickled_and_goes_on(name: str) -> None:
    aggregator = CASES[name].aggregator
    elements = [(n, n * 0.5) for n in range(20_000)]
    state = pickle.loads(pickle.dumps(state_of(aggregator, elements)))
    assert same(
        aggregator.result(aggregator.add(state, 1.0, 10**6)),
        result_of(aggregator, [*(value for _, value in elements), 1.0]),
    )


@each_case
@settings(max_examples=30)
@given(elements=stamped)
def test_the_state_of_nothing_changes_nothing_when_merged(
    name: str, elements: list[Stamped]
) -> None:
    aggregator = CASES[name].aggregator
    state = state_of(aggregator, elements)
    for merged in (
        aggregator.merge(aggregator.start(), state),
        aggregator.merge(state, aggregator.start()),
    ):
        assert same(aggregator.result(merged), aggregator.result(state))


def test_nan_counts_once_in_a_state_that_was_pickled() -> None:
    state = state_of(Distinct(), [(1, math.nan)])
    assert Distinct().add(pickle.loads(pickle.dumps(state)), math.nan) == state


@given(st.lists(st.lists(st.integers(), max_size=100), max_size=5), st.integers(0, 3000))
def test_a_log_has_its_entries_in_order(parts: list[list[int]], more: int) -> None:
    log, expected = EMPTY, list[int]()
    for part in parts:
        log = concatenate(log, functools.reduce(append, part, EMPTY))
        log = append(log, -1)
        expected += [*part, -1]
    log = functools.reduce(append, range(more), log)
    assert items_of(log) == [*expected, *range(more)]


# Errors


@pytest.mark.parametrize(
    ("aggregator", "values", "message"),
    [
        (Sum("price"), ["a"], "Sum('price'): value must be a number or of another type that can "
         "be added, got 'a'"),
        (Sum(), [None], "Sum(): value must be a number or of another type that can be added, "
         "got None"),
        (Sum(), [[1]], "Sum(): value must be a number or of another type that can be added, "
         "got [1]"),
        (Sum(), [1.5, Decimal(1)], "Sum(): value must be of a type that can be added to 1.5, "
         "got Decimal('1')"),
        (Sum(), [Decimal(1), 1.5], "Sum(): value must be of a type that can be added to "
         "Decimal('1'), got 1.5"),
        (Sum(), [1, timedelta(1)], "Sum(): value must be of a type that can be added to 1, "
         "got datetime.timedelta(days=1)"),
        (Mean(), [datetime(2026, 1, 1)], "Mean(): value must be a number or of another type that "
         "can be averaged, got datetime.datetime(2026, 1, 1, 0, 0)"),
        (Mean(), [timedelta(1), 1], "Mean(): value must be of a type that can be added to "
         "datetime.timedelta(days=1), got 1"),
        (Min(), [1, "a"], "Min(): value must be comparable with 1, got 'a'"),
        (Max(), ["a", None], "Max(): value must be comparable with 'a', got None"),
        (Max(), [None], "Max(): value must be comparable, got None"),
        (Max(), [{1}], "Max(): value must be comparable, got {1}"),
        (Max(), [1j], "Max(): value must be comparable, got 1j"),
        (Min("at"), [datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)],
         "Min('at'): value must be comparable with datetime.datetime(2026, 1, 1, 0, 0), got "
         "datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"),
        (Std(), [1, "a"], "Std(ddof=1): value must be a real number, got 'a'"),
        (Std(ddof=0), [timedelta(1)], "Std(ddof=0): value must be a real number, got "
         "datetime.timedelta(days=1)"),
        (Quantile(0.5), ["a"], "Quantile(q=0.5): value must be a number, a datetime or a "
         "timedelta, got 'a'"),
        (Quantile(0.5), [1j], "Quantile(q=0.5): value must be a number, a datetime or a "
         "timedelta, got 1j"),
        (Distinct(values=True), [[1]], "Distinct(values=True): value must be hashable, got [1]"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_an_error_that_shows_it(
    aggregator: Aggregator, values: list[Any], message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        result_of(aggregator, values)
    assert str(caught.value) == message
    with pytest.raises(TypeError) as caught:
        generated(aggregator)(enumerate(values))
    assert str(caught.value) == message


def test_values_that_do_not_compare_fail_when_a_quantile_is_read() -> None:
    with pytest.raises(TypeError, match=r"Quantile\(q=0.5\): value must be comparable with the"):
        result_of(Quantile(0.5), [1, timedelta(1)])


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "message"),
    [
        (Mean, {"of": ["a"]}, TypeError, "Mean: of must be a key, an attribute name or a "
         "callable, got ['a']"),
        (Sum, {"of": Count()}, TypeError, "Sum: of must be a key, an attribute name or a "
         "callable, got Count()"),
        (Std, {"ddof": -1}, ValueError, "Std: ddof must be an int >= 0, got -1"),
        (Std, {"ddof": 0.5}, TypeError, "Std: ddof must be an int >= 0, got 0.5"),
        (Quantile, {"q": 95}, ValueError, "Quantile: q must be from 0 to 1, got 95"),
        (Quantile, {"q": -0.1}, ValueError, "Quantile: q must be a number >= 0, got -0.1"),
        (Quantile, {"q": "price"}, TypeError, "Quantile: q must be a number >= 0, got 'price'"),
        (Quantile, {"q": [0.5, None]}, TypeError, "Quantile: q must be a number >= 0, got None"),
        (Quantile, {"q": []}, ValueError, "Quantile: q must be at least one number, got []"),
        (Quantile, {"q": math.nan}, ValueError, "Quantile: q must be a number >= 0, got nan"),
        (Distinct, {"values": 1}, TypeError, "Distinct: values must be a bool, got 1"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_in_one_form(
    kind: Callable[..., Aggregator],
    arguments: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error) as caught:
        kind(**arguments)
    assert str(caught.value) == message


# Own aggregators


class Product(Aggregator):
    def start(self) -> int:
        return 1

    def add(self, state: int, value: int) -> int:
        return state * value


class Span(Aggregator):
    """Time between the first and the last element."""

    def start(self) -> tuple[int, int] | None:
        return None

    def add(self, state: tuple[int, int] | None, value: object, at: int) -> tuple[int, int]:
        return (at, at) if state is None else (min(state[0], at), max(state[1], at))

    def merge(self, a: Any, b: Any) -> Any:
        return self.add(self.add(a, None, b[0]), None, b[1])

    def result(self, state: tuple[int, int] | None) -> int:
        return 0 if state is None else state[1] - state[0]


def test_an_own_add_may_do_without_a_timestamp() -> None:
    assert not Product().takes_timestamp
    assert not Product().mergeable
    assert result_of(Product(), [2, 3, 4]) == 24
    assert generated(Product())(enumerate([2, 3, 4])) == 24


def test_an_own_add_may_take_the_timestamp() -> None:
    assert Span().takes_timestamp
    assert Span().mergeable
    elements = [(5, "a"), (3, "b"), (9, "c")]
    assert Span().result(state_of(Span(), elements)) == 6
    assert generated(Span())(elements) == (3, 9)


def test_an_own_add_replaces_the_generated_lines_too() -> None:
    class Doubled(Sum):
        def add(self, state: Any, value: Any, timestamp: Any = None) -> Any:
            return super().add(state, 2 * value)

    assert generated(Doubled())(enumerate([1, 2.5])) == state_of(Sum(), enumerate([2, 5.0]))


def test_an_own_aggregator_has_of_and_a_repr() -> None:
    assert repr(Product()) == "Product()"
    assert repr(Product("factor")) == "Product('factor')"
    assert repr(Std("x", ddof=0)) == "Std('x', ddof=0)"
    with pytest.raises(NotImplementedError, match=r"Product\(\): merge must be defined"):
        Product().merge(1, 2)


class Nameless(Aggregator):
    pass


class Crowded(Product):
    def add(self, state: int, value: int, timestamp: int, further: int) -> int:  # type: ignore[override]
        return state


RULE = "aggregate: n must be an aggregator such as Count() or Mean('price'), got "


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Count, f"{RULE}the class Count: write Count(...)"),
        (len, f"{RULE}<built-in function len>"),
        (None, f"{RULE}None"),
        (Nameless(), "aggregate: n must define start(), got Nameless()"),
        (Crowded(), "aggregate: n must have add(state, value) or add(state, value, timestamp), "
         "got Crowded()"),
        (Product("a"), "aggregate: n must define merge(), for sessions merge, got Product('a')"),
    ],
)  # fmt: skip
def test_what_is_no_aggregator_is_refused_when_built(value: object, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_aggregator("aggregate", "n", value, merge="for sessions merge")
    assert str(caught.value) == message


@each_case
def test_built_in_aggregators_can_be_merged(name: str) -> None:
    aggregator = CASES[name].aggregator
    check_aggregator("session", "n", aggregator, merge="for sessions merge")
    assert type(aggregator).__name__ in rapidz.__all__
    assert getattr(rapidz, type(aggregator).__name__) is type(aggregator)


def test_no_aggregator_is_a_kind_of_another() -> None:
    kinds = {type(case.aggregator) for case in CASES.values()}
    assert all(not issubclass(a, b) for a in kinds for b in kinds if a is not b)
