"""The comparison with peers says who is faster, and in what the results differ."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from benchmarks.event_time import loops
from benchmarks.event_time.data import elements
from benchmarks.model import TIMES
from benchmarks.peers.__main__ import Comparison, difference, main, report
from benchmarks.peers.program import Outcome, measure


def outcome(ns: float, *results: Any, late: int = 0) -> Outcome:
    return Outcome("1.2", "3.12.1", [ns], late, Counter(results))


def compared(loop: Outcome, rapidz: Outcome, other: Outcome) -> Comparison:
    return Comparison("tumbling", "quix", 1_000, [loop], [rapidz], [other])


def test_equal_results_differ_in_nothing() -> None:
    one = outcome(1, ("a", 0, 60, 2), ("a", 60, 120, 1))
    assert difference(compared(one, one, one)) == "nothing"


def test_missing_wrong_and_late_results_are_counted_for_each_side() -> None:
    expected = outcome(1, ("a", 0, 60, 2), ("b", 0, 60, 1))
    rapidz = outcome(1, ("a", 0, 60, 2), ("b", 0, 60, 1), ("b", 0, 60, 1))
    peer = outcome(1, ("a", 0, 60, 1), late=1)

    assert difference(compared(expected, rapidz, peer)) == (
        "rapidz: 1 that the loop has not; "
        "quix: 2 of 2 results missing, 1 that the loop has not, 1 late"
    )


@pytest.mark.parametrize(
    ("ns", "cell"), [(40_000, f"100 {TIMES} faster |"), (4_000, f"10 {TIMES} faster (not met) |")]
)
def test_the_table_says_how_much_faster_rapidz_is(ns: int, cell: str) -> None:
    table = report([compared(outcome(200), outcome(400), outcome(ns))], repeats=3)

    assert cell in table
    assert "| quixstreams 1.2 | 1,000 | 200 | 400 |" in table
    assert "Python 3.12.1" in table


def test_a_program_is_timed_as_often_as_it_is_asked_for() -> None:
    times, late, results = measure(loops.running_sum, n=100, repeats=3)

    assert len(times) == 3
    assert late == 0
    assert [key for key, _ in results] == [x[0] for x in elements(100)]


def test_the_command_refuses_an_unknown_peer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--peer", "nothing"])
    assert "invalid choice" in capsys.readouterr().err
