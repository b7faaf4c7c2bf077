"""Interpreter exit: buffered elements are reported, each of them once, and not flushed."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from typing import Any

import pytest

from rapidz import Stream

HEAD = """
import asyncio, re, threading, time
from rapidz import Stream
import rapidz.kernel.graph.shutdown
async def never(x):
    await asyncio.sleep(3600)
def keep(x):
    time.sleep(0.3)
    return x
def until(source, wanted, total=None):
    # wait until each kind of node buffers as many elements as *wanted*; None: any number
    end = time.monotonic() + 15
    while time.monotonic() < end:
        counts = rapidz.kernel.graph.shutdown.buffered(source._pipeline)
        found = {re.match(r"<(\\w+)", str(node))[1]: count for node, count in counts.items()}
        if all(found.get(kind) == n for kind, n in wanted.items() if n is not None):
            if total is None or sum(found.values()) == total:
                return
        time.sleep(0.001)
"""

#: First line of a program whose elements never arrive: exit need not wait for them.
SHORT = "rapidz.kernel.graph.shutdown.EXIT_SECONDS = 0.1\n"

SYNC = [
    ("source.partition(9).sink(print)", 3, {"partition": 3}),
    ("source.partition(9, key=lambda x: x % 2).sink(print)", 3, {"partition": 3}),
    ("source.partition_unique(9).sink(print)", 3, {"partition_unique": 3}),
    ("source.collect().sink(print)", 3, {"collect": 3}),
    ("source.zip(Stream()).sink(print)", 3, {"zip": 3}),
    ("source.zip(Stream(), Stream()).sink(print)", 3, {"zip": 3}),
    ("source.zip_latest(Stream()).sink(print)", 3, {"zip_latest": 3}),
    ("source.partition(9).sink(print); source.collect().sink(print)", 2,
     {"partition": 2, "collect": 2}),
    ("source.sliding_window(9).sink(print)", 3, {}),
    ("source.combine_latest(Stream()).sink(print)", 3, {}),
    ("source.unique().map(str).sink(lambda x: None)", 3, {}),
]  # fmt: skip

LOOP = [
    ("source.buffer(30).sink(never)", 20, {"buffer": 19, "sink": 1}),
    ("source.map(lambda x: x).buffer(30).map(never).sink(print)", 5, {"buffer": 4, "map": 1}),
    ("source.delay(60).sink(print)", 4, {"delay": 4}),
    ("source.rate_limit(60).sink(lambda x: None)", 4, {"rate_limit": 3}),
    ("source.latest().sink(never); source.emit(9); until(source, {'sink': 1}, 1)", 4,
     {"latest": 1, "sink": 1}),
    ("source.map_async(never, parallelism=9).sink(print)", 4, {"map_async": 4}),
    ("source.map_async(never, parallelism=2).sink(print)", 4, {"map_async": 4}),
    ("source.timed_window(60).sink(print)", 3, {"timed_window": 3}),
    ("source.timed_window_unique(60).sink(print)", 3, {"timed_window_unique": 3}),
    ("source.partition(9, timeout=60).sink(print)", 3, {"partition": 3}),
    ("source.scatter('thread').map(keep).buffer(9).gather().sink(never)", 4,
     {"buffer": None, "gather": None, "sink": 1}),
]  # fmt: skip


def ended(program: str, *options: str) -> str:
    """What is written to stderr by *program*, which must end well."""
    done = subprocess.run(
        [sys.executable, *options, "-c", HEAD + program], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def counts(told: str) -> list[dict[str, int]]:
    """For each report, how many elements are in which kind of node."""
    reports = []
    for line in told.splitlines():
        if "RuntimeWarning" not in line:
            continue
        total = int(re.search(r"(\d+) elements? buffered", line)[1])  # type: ignore[index]
        found = {kind: int(n) for n, kind in re.findall(r"(\d+) in <(\w+)", line)}
        assert sum(found.values()) == total, line
        assert "`with`" in line
        assert "close()" in line
        reports.append(found)
    return reports


def program(cases: list[Any], asynchronous: object) -> str:
    lines = [SHORT]
    settled = []
    for at, (build, n, wanted) in enumerate(cases):
        lines += [
            f"source = source_{at} = Stream(asynchronous={asynchronous})",
            build,
            f"for x in range({n}):",
            "    source.emit(x, asynchronous=True)"
            if asynchronous is False
            else "    source.emit(x)",
            "",
        ]
        if asynchronous is False:  # the loop in the background takes its time
            total = n if None in wanted.values() else None
            settled.append(f"until(source_{at}, {wanted}, {total})")
    return "\n".join([*lines, *settled])


def some(wanted: dict[str, int | None], found: dict[str, int]) -> bool:
    return set(found) <= set(wanted) and all(
        count is None or found.get(kind) == count for kind, count in wanted.items()
    )


@pytest.mark.parametrize(("cases", "asynchronous"), [(SYNC, None), (LOOP, False)])
def test_exit_reports_once_a_pipeline_what_each_node_buffers(cases: Any, asynchronous: Any) -> None:
    reports = counts(ended(program(cases, asynchronous)))
    for build, n, wanted in cases:
        matching = [report for report in reports if wanted and some(wanted, report)]
        if None in wanted.values():
            matching = [report for report in matching if sum(report.values()) == n]
        assert matching or not wanted, (build, reports)
    assert len(reports) == sum(1 for _, _, wanted in cases if wanted)


def test_exit_says_nothing_of_pipelines_that_were_closed_or_are_empty() -> None:
    told = ended(
        """
with Stream() as source:
    source.partition(2).sink(str)
    source.emit(1)
other = Stream(asynchronous=False)
other.buffer(9).partition(2).sink(str)
other.emit_many(range(4))
other.emit(1)
other.flush()
"""
    )
    assert told == ""


def test_exit_waits_for_threads_that_go_on_and_close_their_pipeline() -> None:
    told = ended(
        """
source = Stream()
pairs = source.partition(2).sink_to_list()
def work():
    threading.main_thread().join()
    for x in range(3):
        source.emit(x)
    source.close()
source.emit(0)
threading.Thread(target=work).start()
"""
    )
    assert told == ""


@pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="3.12 starts no thread after the end of the main one"
)
def test_what_a_thread_emits_after_the_end_of_the_main_one_is_drained() -> None:
    told = ended(
        """
source = Stream(asynchronous=False)
source.delay(0.02).sink(lambda x: None)
def work():
    threading.main_thread().join()
    source.emit(1)
threading.Thread(target=work).start()
"""
    )
    assert told == ""


def test_two_pipelines_that_buffer_the_same_are_reported_both() -> None:
    reports = counts(
        ended(
            """
sources = [Stream(), Stream()]
for source in sources:
    source.partition(2).sink(print)
    source.emit(1)
"""
        )
    )
    assert reports == [{"partition": 1}, {"partition": 1}]


def test_the_report_is_logged_where_warnings_are_errors() -> None:
    told = ended(
        """
source = Stream()
source.partition(2).sink(print)
source.emit(1)
""",
        "-Werror::RuntimeWarning",
    )
    assert "1 element buffered when the program ended" in told


def test_a_forked_child_does_not_report_what_its_parent_buffers() -> None:
    told = ended(
        """
import os
source = Stream()
source.partition(2).sink(print)
source.emit(1)
if (child := os.fork()) == 0:
    raise SystemExit
os.waitpid(child, 0)
source.close()
"""
    )
    assert told == ""


@pytest.mark.parametrize(
    ("join", "count"), [("zip", 2), ("zip_latest", 2), ("combine_latest", None)]
)
def test_close_logs_how_many_elements_had_no_partner(
    join: str, count: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = Stream[int](), Stream[int]()
    node = getattr(a, join)(b)
    node.sink(repr)
    a.emit(1)
    a.emit(2)
    with caplog.at_level(logging.INFO, "rapidz"):
        a.close()
        b.close()
    told = [(r.levelname, r.getMessage()) for r in caplog.records]
    wanted = f"{node}: {count} without a partner when the stream ended"
    assert told == ([] if count is None else [("INFO", wanted)])
