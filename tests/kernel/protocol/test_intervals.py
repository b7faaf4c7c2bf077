from __future__ import annotations

import contextlib
import math
from datetime import timedelta
from fractions import Fraction

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidz.kernel.protocol.intervals import seconds

UNITS = [
    "us", "microseconds", "ms", "milliseconds", "s", "sec", "second", "seconds", "m", "min",
    "minute", "minutes", "h", "hr", "hour", "hours", "D", "day", "days", "W",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", 0.5),
        ("2 min", 120.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("100us", 1e-4),
        ("20 ns", 2e-8),
        ("2 days", 172_800.0),
        ("1 day 2 hours", 93_600.0),
        ("00:01:30", 90.0),
        ("1:30", 5400.0),
        ("1 days 02:03:04.5", 93_784.5),
        (" 3 s ", 3.0),
        ("1 Minute", 60.0),
        ("1H", 3600.0),
        ("0.1s", 0.1),
    ],
)
def test_strings_are_read_with_their_units(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "1.5",
        "s",
        "1 x",
        "1M",
        "-1s",
        "1s-",
        "1s 5",
        "1:2:3:4",
        "1e3s",
        "nan",
        "inf s",
    ],
)
def test_other_strings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="interval must be a number of seconds > 0"):
        seconds(text)


@pytest.mark.parametrize("value", [-1, -0.5, 0, math.nan, math.inf, 10**400, "0s", timedelta(-1)])
def test_numbers_out_of_bounds_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="> 0 or a string such as '500ms', got "):
        seconds(value)


@pytest.mark.parametrize("value", [None, True, [1], b"1s", 1j, object()])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="interval must be"):
        seconds(value)


def test_zero_is_taken_where_it_is_allowed() -> None:
    assert seconds(0, allow_zero=True) == seconds("0s", allow_zero=True) == 0.0
    with pytest.raises(ValueError, match="delay: interval must be a number of seconds >= 0"):
        seconds(-1, operator="delay", allow_zero=True)


def test_the_error_names_operator_argument_rule_and_value() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole text is compared
        seconds("soon", operator="partition", argument="timeout")
    assert str(caught.value) == (
        "partition: timeout must be a number of seconds > 0 or a string such as '500ms', got 'soon'"
    )


def test_numbers_of_other_libraries_count() -> None:
    assert seconds(Fraction(1, 2)) == seconds(pd.Timedelta("500ms")) == 0.5


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_numbers_are_seconds(value: float) -> None:
    assert seconds(value) == value


@given(st.timedeltas(min_value=timedelta(microseconds=1)))
def test_a_timedelta_is_its_total_seconds(value: timedelta) -> None:
    assert seconds(value) == value.total_seconds()


@given(
    st.lists(st.tuples(st.integers(0, 999), st.sampled_from(UNITS)), min_size=1, max_size=3),
    st.sampled_from(["", " "]),
)
def test_strings_mean_what_pandas_reads_in_them(parts: list[tuple[int, str]], gap: str) -> None:
    text = " ".join(f"{number}{gap}{unit}" for number, unit in parts)
    expected = pd.Timedelta(text).total_seconds()
    assert seconds(text, allow_zero=True) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_clocks_mean_what_pandas_reads_in_them(
    day: int, hour: int, minute: int, second: int
) -> None:
    text = f"{day} days {hour:02}:{minute:02}:{second:02}"
    assert seconds(text, allow_zero=True) == pd.Timedelta(text).total_seconds()


@given(st.text(max_size=12))
def test_no_string_raises_anything_but_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert seconds(text, allow_zero=True) >= 0
