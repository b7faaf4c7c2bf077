"""Command line: ``python -m benchmarks.peers`` times the peers and prints their table.

Peers that need other dependencies than this interpreter has run in one of their own:
``--python quix=/path/to/bin/python``.  The loop by hand and rapidz run in the same interpreter as
the peer that they are compared with, on as many elements, in turn.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.model import TIMES
from benchmarks.peers.program import WORKLOADS, Outcome
from benchmarks.table import write_page

ROOT = Path(__file__).parents[2]
PACKAGES = {"bytewax": "bytewax", "pathway": "pathway", "quix": "quixstreams"}
ELEMENTS = {"tumbling": 200_000, "sliding": 100_000, "session": 100_000, "sum": 200_000}
WORK = {
    "tumbling": "count by key, tumbling windows of 60 s",
    "sliding": "count by key, sliding windows of 60 s by 20 s",
    "session": "count by key, sessions with a gap of 15 s",
    "sum": "running sum by key",
}
REACH = 50
FAST_REPEATS = 5
"""How many times a process of rapidz, or of the loop, does its work."""


@dataclass
class Comparison:
    """Outcomes of one workload, a list of each side, in the order of the runs."""

    workload: str
    peer: str
    n: int
    loop: list[Outcome]
    rapidz: list[Outcome]
    other: list[Outcome]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the peers that are chosen.  The table goes to standard output."""
    options = _options(arguments)
    pythons = dict(pair.split("=", 1) for pair in options.python)
    comparisons = [
        compare(workload, peer, pythons.get(peer, sys.executable), options)
        for workload in options.workload or WORKLOADS
        for peer in options.peer or PACKAGES
    ]
    text = report(comparisons, options.repeats)
    print(text)
    if options.write is not None:
        write_page(options.write, text, "peers")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=main.__doc__)
    parser.add_argument("--peer", action="append", choices=PACKAGES)
    parser.add_argument("--workload", action="append", choices=WORKLOADS)
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs a side (3)")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="a Nth of the elements")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the table between the markers of this page"
    )
    return parser.parse_args(arguments)


def compare(workload: str, peer: str, python: str, options: argparse.Namespace) -> Comparison:
    """Run the loop, rapidz and *peer* in turn."""
    n = max(ELEMENTS[workload] // options.share, 1)
    found = Comparison(workload, peer, n, [], [], [])
    for _ in range(options.repeats):
        found.loop.append(run(python, "loop", workload, n, FAST_REPEATS))
        found.rapidz.append(run(python, "rapidz", workload, n, FAST_REPEATS))
        found.other.append(run(python, peer, workload, n, 1))
    print(_line(found), file=sys.stderr, flush=True)
    return found


def run(python: str, program: str, workload: str, n: int, repeats: int) -> Outcome:
    """Run a program in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcome"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}
        command = [python, "-m", f"benchmarks.peers.with_{program}"]
        done = subprocess.run(
            [*command, workload, str(n), str(repeats), str(file)],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{program} {workload}: {done.stderr[-2000:]}")
        outcome: Outcome = pickle.loads(file.read_bytes())
    return outcome


def report(comparisons: Sequence[Comparison], repeats: int) -> str:
    """Return the table, and a line about how it was timed."""
    head = "| work | peer | elements | loop ns | rapidz ns | peer ns | rapidz to loop |"
    head += f" rapidz to peer, reach ≥ {REACH} {TIMES} | differs from the loop |"
    rules = "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |"
    versions = sorted({outcome.python for one in comparisons for outcome in one.rapidz})
    timed = (
        f"Python {', '.join(versions)}, {os.cpu_count()} cores; CPU time, medians of {repeats} "
        "runs in turn, nanoseconds an element."
    )
    return "\n".join([timed, "", head, rules, *map(_line, comparisons)])


def _line(one: Comparison) -> str:
    loop, rapidz, other = (_ns(side) for side in (one.loop, one.rapidz, one.other))
    to_loop = median(_ns([a]) / _ns([b]) for a, b in zip(one.rapidz, one.loop, strict=True))
    to_peer = median(_ns([a]) / _ns([b]) for a, b in zip(one.other, one.rapidz, strict=True))
    cells = (
        WORK[one.workload],
        f"{PACKAGES[one.peer]} {one.other[0].version}",
        *(f"{number:,.0f}" for number in (one.n, loop, rapidz, other)),
        f"{to_loop:.2f}",
        f"{to_peer:,.0f} {TIMES} faster" + ("" if to_peer >= REACH else " (not met)"),
        difference(one),
    )
    return f"| {' | '.join(cells)} |"


def _ns(outcomes: list[Outcome]) -> float:
    return median(median(outcome.ns) for outcome in outcomes)


def difference(one: Comparison) -> str:
    """Say in what the last results of the peer, and of rapidz, differ from the loop's."""
    expected = one.loop[-1]
    said = [
        f"{name}: {words}"
        for name, found in (("rapidz", one.rapidz[-1]), (one.peer, one.other[-1]))
        if (words := _differing(expected, found))
    ]
    return "; ".join(said) or "nothing"


def _differing(expected: Outcome, found: Outcome) -> str:
    missing = (expected.results - found.results).total()
    wrong = (found.results - expected.results).total()
    counts = {
        f"of {expected.results.total():,} results missing": missing,
        "that the loop has not": wrong,
        "late": found.late,
    }
    return ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)


if __name__ == "__main__":
    main()
