"""Markdown table of the results, written to a page between two markers."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.measure import Result
from benchmarks.model import TIMES, Side

START = "<!-- benchmarks: start -->"
END = "<!-- benchmarks: end -->"
PEERS = ("streamz", "reactivex")


def report(results: Sequence[Result], repeats: int) -> str:
    """Return the machine, the table of the rows, and the table of the peers."""
    parts = [
        f"Python {platform.python_version()}, {os.cpu_count()} cores; "
        f"medians of {repeats} interleaved repeats, nanoseconds an element.",
        main_table(results),
        "Timed in the same runs, for orientation:",
        others_table(results),
    ]
    return "\n\n".join(parts)


def main_table(results: Iterable[Result]) -> str:
    head = ("row", "measurement", "baseline ns", "rapidz ns", "ratio", "reach", "met?")
    return _markdown(head, [_line(result) for result in results], numbers=(2, 3, 4))


def others_table(results: Iterable[Result]) -> str:
    head = ("row", "side", "ns", "to baseline", "to rapidz")
    lines = [_other(result, side) for result in results for side in result.row.others]
    return _markdown(head, lines, numbers=(2, 3, 4))


def write_page(page: Path, text: str, name: str = "benchmarks") -> None:
    """Put *text* between the markers *name* of *page*; create the page if it does not exist."""
    first, last = (f"<!-- {name}: {which} -->" for which in ("start", "end"))
    old = page.read_text("utf-8") if page.exists() else f"# Performance\n\n{first}\n{last}\n"
    before, start, rest = old.partition(first)
    _, end, after = rest.partition(last)
    if not (start and end):
        raise SystemExit(f"{page}: the lines {first} and {last} must stand where the table goes")
    page.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}", "utf-8")


def _line(result: Result) -> tuple[str, ...]:
    row, ratio = result.row, result.ratio
    if ratio is not None and row.reach.kind == "faster":
        compared = f"{1 / ratio:.1f} {TIMES} faster"
    else:
        compared = "" if ratio is None else f"{ratio:.2f}"
    met = {True: "yes", False: "no", None: ""}[result.met]
    ns = (_ns(result, row.baseline), _ns(result, row.rapidz))
    return (f"`{row.name}`", row.what, *ns, compared, str(row.reach), met)


def _other(result: Result, side: Side) -> tuple[str, ...]:
    ns = result.ns(side)
    compared = (_times(ns, result.ns(known)) for known in (result.row.baseline, result.row.rapidz))
    return (f"`{result.row.name}`", _titled(side.name), _ns(result, side), *compared)


def _ns(result: Result, side: Side) -> str:
    ns = result.ns(side)
    if ns is None:
        return result.missing.get(side.name, "")
    unit = "" if result.row.unit == "ns" else f" {result.row.unit}"
    return f"{ns:,.1f}{unit}" if ns < 100 else f"{ns:,.0f}{unit}"


def _times(ns: float | None, known: float | None) -> str:
    return "" if ns is None or known is None else f"{ns / known:.2f}"


def _titled(name: str) -> str:
    try:
        return f"{name} {version(name)}" if name in PEERS else name
    except PackageNotFoundError:
        return name


def _markdown(
    head: Sequence[str], lines: Iterable[Sequence[str]], numbers: Sequence[int] = ()
) -> str:
    rules = ["---:" if column in numbers else "---" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rules, *lines))
