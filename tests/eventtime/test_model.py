"""The model of windows itself, by hand-made examples."""

from __future__ import annotations

from hypothesis import given, settings
from tests.eventtime.model import Element, Ended, Spec, model
from tests.eventtime.strategies import Case, cases, elements_of

TEN = Spec(size=10, every=10)


def test_the_model_puts_elements_into_half_open_windows() -> None:
    rows, late = model([Element("a", 0, 1), Element("a", 9, 2), Element("a", 10, 3)], TEN)
    assert rows == [("a", 0, 10, (1, 2)), ("a", 10, 20, (3,))]
    assert late == []


def test_an_element_is_late_from_the_end_of_its_window_on() -> None:
    x = [Element("a", 14, 1), Element("a", 5, 2), Element("a", 15, 3), Element("a", 9, 4)]
    rows, late = model(x, TEN, lags=[5])
    assert rows == [("a", 0, 10, (2,)), ("a", 10, 20, (1, 3))]
    assert late == [x[3]]


def test_windows_before_the_epoch_and_with_an_offset_are_aligned() -> None:
    assert Spec(10, 10, 3).around(-8) == [(-17, -7)]
    assert Spec(10, 10, 3).around(-7) == [(-7, 3)]
    assert Spec(10, 4).around(9) == [(0, 10), (4, 14), (8, 18)]
    assert Spec(10, 4).around(-1) == [(-8, 2), (-4, 6)]


def test_an_old_element_bridges_two_live_sessions() -> None:
    x = [Element("a", 0, 1), Element("a", 14, 2), Element("a", 7, 3)]
    assert model(x, Spec(gap=8), lags=[20]) == ([("a", 0, 22, (1, 3, 2))], [])


def test_sessions_that_only_meet_are_not_merged() -> None:
    x = [Element("a", 0, 1), Element("a", 8, 2)]
    assert model(x, Spec(gap=8), lags=[20])[0] == [("a", 0, 8, (1,)), ("a", 8, 16, (2,))]


def test_a_session_that_is_closed_is_not_merged() -> None:
    x = [Element("a", 0, 1), Element("a", 30, 2), Element("a", 5, 3), Element("a", 23, 4)]
    rows, late = model(x, Spec(gap=8))
    assert rows == [("a", 0, 8, (1,)), ("a", 23, 38, (4, 2))]
    assert late == [x[2]]


def test_the_slowest_active_input_holds_the_watermark() -> None:
    x = [Element("a", 0, 1), Element("a", 50, 2), Element("a", 3, 3, input=1)]
    rows, late = model([*x, Ended(1), Element("a", 4, 4)], TEN, lags=[0, 0])
    assert rows == [("a", 0, 10, (1, 3)), ("a", 50, 60, (2,))]
    assert [element.value for element in late] == [4]


def test_lateness_keeps_windows_for_late_elements() -> None:
    x = [Element("a", 0, 1), Element("a", 14, 2), Element("a", 1, 3), Element("a", 15, 4)]
    rows, late = model([*x, Element("a", 2, 5)], TEN, lateness=5)
    assert rows == [("a", 0, 10, (1, 3)), ("a", 10, 20, (2, 4))]
    assert [element.value for element in late] == [5]


@settings(max_examples=60)
@given(cases(inputs=2))
def test_timestamps_of_every_kind_read_back_to_the_same_instant(case: Case) -> None:
    for x in elements_of(case):
        assert case.times.ns(case.times.read(x.at)) == x.at


@settings(max_examples=60)
@given(cases(within=True, inputs=2))
def test_elements_within_the_lag_are_never_late(case: Case) -> None:
    rows, late = case.expected()
    assert late == []
    kind, members = case.spec.kind, [value for row in rows for value in row[3]]
    assert kind == "sliding" or len(members) == len(elements_of(case))
