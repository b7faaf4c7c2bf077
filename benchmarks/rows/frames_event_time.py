"""Streaming frames in event time: a tumbling count by key, in batches of 10,000 rows.

By hand, pandas groups each batch; counts of batches are added up when the watermark passes a
window, and final counts emitted. Outcomes are compared: windows, keys and counts.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.sides import new_stream, release

ROWS_OF_A_BATCH = 10_000
KEYS = 10_000
SIZE, LAG = 60_000, 2_000  # milliseconds; there is one row in each
BATCHES = 100


@cache
def batches(text: bool) -> list[Any]:
    """Return batches of rows, up to two seconds out of order."""
    numpy, pandas = import_module("numpy"), import_module("pandas")
    random = numpy.random.default_rng(0)
    made = []
    for number in range(BATCHES):
        at = numpy.arange(ROWS_OF_A_BATCH) + number * ROWS_OF_A_BATCH + LAG
        keys = random.integers(0, KEYS, ROWS_OF_A_BATCH)
        frame = pandas.DataFrame({"at": at - random.integers(0, LAG, len(at)), "k": keys})
        if text:
            frame["k"] = pandas.Series([f"key-{key:05d}" for key in keys], dtype="str")
        made.append(frame)
    return made


def outcome(results: list[Any]) -> object:
    """Return the number of results, and sums over them that windows and keys change."""
    counts = import_module("pandas").concat(results)
    starts = counts.index.get_level_values(0).to_numpy() // SIZE
    return len(counts), int(counts.sum()), int((counts.to_numpy() * (starts + 1)).sum())


def through(text: bool) -> Side:
    def run(n: int) -> Sample:
        data = batches(text)[:n]
        source = new_stream("rapidz")
        results: list[Any] = []
        timed = source.to_dataframe(data[0].iloc[:0]).event_time("at", unit="ms", lag=f"{LAG}ms")
        counts = timed.tumbling(f"{SIZE}ms").groupby("k").size()
        sink = counts.stream.sink(results.append)
        with Watch() as watch:
            for frame in data:
                source.emit(frame)
            source.close()
        release("rapidz", source, [sink])
        return Sample(watch.ns, outcome(results))

    return Side("rapidz", run, needs="pandas")


def by_hand(text: bool) -> Side:
    def run(n: int) -> Sample:
        data, concat = batches(text)[:n], import_module("pandas").concat
        results: list[Any] = []
        parts: list[Any] = []
        open_from = newest = 0
        with Watch() as watch:
            for frame in data:
                parts.append(frame.groupby([frame["at"] // SIZE * SIZE, "k"]).size())
                newest = max(newest, int(frame["at"].max()))
                border = (newest - LAG) // SIZE * SIZE
                if border > open_from:
                    open_from = border
                    counts = concat(parts).groupby(level=[0, 1]).sum()
                    closed = counts.index.get_level_values(0) < border
                    results.append(counts[closed])
                    parts = [counts[~closed]]
            results.append(concat(parts).groupby(level=[0, 1]).sum())
        return Sample(watch.ns, outcome(results))

    return Side("by hand", run, needs="pandas")


def groupby_alone(text: bool) -> Side:
    def run(n: int) -> Sample:
        data = batches(text)[:n]
        with Watch() as watch:
            parts = [frame.groupby([frame["at"] // SIZE * SIZE, "k"]).size() for frame in data]
        whole = import_module("pandas").concat(parts).groupby(level=[0, 1]).sum()
        return Sample(watch.ns, outcome([whole]))

    return Side("groupby of each batch, not added up", run, needs="pandas")


def row(name: str, what: str, reach: float, text: bool) -> Row:
    return Row(
        name=name,
        what=f"frames of 10,000 rows, 10,000 {what}: "
        "`event_time(...).tumbling('60s').groupby('k').size()`; against pandas by hand",
        n=BATCHES,
        reach=Reach("ratio", reach),
        baseline=by_hand(text),
        rapidz=through(text),
        others=(groupby_alone(text),),
    )


ROWS = (
    row("frames-tumbling", "integer keys", 0.15, text=False),
    row("frames-tumbling-text", "text keys", 0.7, text=True),
)
