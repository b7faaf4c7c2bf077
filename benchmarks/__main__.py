"""Command line: ``python -m benchmarks`` times the rows and prints the table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Result, measure
from benchmarks.rows import ROWS
from benchmarks.table import report, write_page

FEWEST = 7


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the requested rows. The table goes to standard output, progress to standard error."""
    options = _options(arguments)
    chosen = [row for row in ROWS if not options.row or row.name in options.row]
    results: list[Result] = []
    for row in chosen:
        print(f"{row.name} ...", file=sys.stderr, flush=True)
        results.append(measure(row, options.repeats))
    text = report(results, options.repeats)
    print(text)
    if options.write is not None:
        write_page(options.write, text)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument(
        "--row", action="append", choices=names, metavar="NAME", help=f"only: {', '.join(names)}"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=15,
        metavar="N",
        help=f"samples a side (15, at least {FEWEST})",
    )
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the table between the markers of this page"
    )
    options = parser.parse_args(arguments)
    if options.repeats < FEWEST:
        parser.error(f"--repeats must be at least {FEWEST}, got {options.repeats}")
    if options.write and options.row:
        parser.error("--write needs every row: leave out --row")
    return options


if __name__ == "__main__":
    main()
