"""The benchmarks run, do the same work on both sides, and print a table that reads well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.__main__ import main
from benchmarks.measure import Result, measure
from benchmarks.model import Reach, Row, Sample, Side
from benchmarks.rows import ROWS
from benchmarks.table import END, START, main_table, others_table, write_page


def timed(name: str, ns: int, outcome: object = None, needs: str = "") -> Side:
    return Side(name, lambda n: Sample(ns * n, outcome), needs=needs)


def row_of(baseline: Side, rapidz: Side, *others: Side, reach: Reach | None = None) -> Row:
    return Row("some", "work", 10, reach or Reach("ratio", 2), baseline, rapidz, others)


def failing(n: int) -> Sample:
    raise RecursionError(n)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_runs_and_rapidz_does_the_work_of_its_baseline(row: Row) -> None:
    own = replace(row, others=tuple(side for side in row.others if not side.needs))
    result = measure(own, repeats=1, n=min(row.n, 20))

    wrong = {side.name for side in own.sides if side.available} & result.missing.keys()
    assert not wrong, result.missing


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_ratio_is_the_median_of_neighbouring_samples() -> None:
    row = row_of(timed("by hand", 1), timed("rapidz", 1))
    result = Result(row, {"by hand": [10, 20, 40], "rapidz": [15, 20, 80]})

    assert result.ns(row.baseline) == 20
    assert result.ratio == 1.5
    assert result.met is True


def test_a_side_with_another_outcome_is_not_timed() -> None:
    row = row_of(timed("by hand", 10, outcome=[1]), timed("rapidz", 5, outcome=[2]))
    result = measure(row, repeats=7)

    assert result.missing == {"rapidz": "WrongOutcomeError"}
    assert result.met is False


def test_a_side_that_fails_is_named_in_the_table_and_stops_no_other() -> None:
    row = row_of(timed("by hand", 10), Side("rapidz", failing), timed("peer", 30))
    result = measure(row, repeats=7)

    assert "| RecursionError |" in main_table([result])
    assert "| peer | 30.0 | 3.00 |" in others_table([result])


def test_a_peer_that_is_not_installed_is_skipped_with_a_word() -> None:
    row = row_of(timed("by hand", 10), timed("rapidz", 15), timed("peer", 1, needs="no_such_peer"))
    result = measure(row, repeats=7)

    assert result.met is True
    assert "| peer | not installed |" in others_table([result])


@pytest.mark.parametrize(
    ("reach", "ratio", "ns", "met"),
    [
        (Reach("ratio", 1.5), 1.5, 99.0, True),
        (Reach("ratio", 1.5), 1.51, 99.0, False),
        (Reach("faster", 25), 0.04, 99.0, True),
        (Reach("faster", 25), 0.05, 99.0, False),
        (Reach("ns", 2_000), 9.0, 2_000.0, True),
        (Reach("ns", 2_000), 0.1, 2_001.0, False),
    ],
)
def test_a_reach_judges_by_its_own_measure(
    reach: Reach, ratio: float, ns: float, met: bool
) -> None:
    assert reach.met(ratio, ns) is met


def test_write_page_replaces_only_what_stands_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n", "utf-8")

    write_page(page, "new")

    assert page.read_text("utf-8") == f"before\n{START}\n\nnew\n\n{END}\nafter\n"


def test_write_page_begins_a_page_that_is_not_there(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    write_page(page, "new")
    write_page(page, "newer")

    assert page.read_text("utf-8") == f"# Performance\n\n{START}\n\nnewer\n\n{END}\n"


def test_write_page_refuses_a_page_without_markers(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("by hand\n", "utf-8")

    with pytest.raises(SystemExit, match="must stand where the table goes"):
        write_page(page, "new")
    assert page.read_text("utf-8") == "by hand\n"


@pytest.mark.parametrize(
    "arguments",
    [["--repeats", "6"], ["--row", "nothing"], ["--row", "bulk", "--write", "page.md"]],
    ids=" ".join,
)
def test_the_command_refuses_what_would_mislead(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    assert refusal.value.code == 2
    assert "usage: python -m benchmarks" in capsys.readouterr().err
