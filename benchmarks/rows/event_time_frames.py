"""Event time on streaming frames: tumbling counts by key, against a groupby for each batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.event_time.data import integer_frames, text_frames
from benchmarks.event_time.frames import plain, plain_by_hand, tumbling_frames
from benchmarks.event_time.sides import cpu_watch, kept
from benchmarks.model import Reach, Row, Sample, Side
from benchmarks.rows.frames import streaming
from benchmarks.sides import new_stream

Make = Callable[[int], list[Any]]


def by_hand(make: Make) -> Side:
    def run(n: int) -> Sample:
        frames, (results, out) = make(n), kept(n)
        with cpu_watch() as watch:
            tumbling_frames(frames, out)
        return Sample(watch.ns, rows_of(results, plain_by_hand))

    return Side("by hand", run, needs="pandas")


def through(make: Make) -> Side:
    def run(n: int) -> Sample:
        frames, (results, out) = make(n), kept(n)
        source = new_stream("rapidz")
        sdf = streaming("rapidz", source, frames[0][:0])
        windows = sdf.event_time("ts", lag="2s", unit="ms").tumbling("60s")
        windows.groupby("k").size().stream.sink(out)
        with cpu_watch() as watch:
            for frame in frames:
                source.emit(frame)
            source.close()
        return Sample(watch.ns, rows_of(results, plain))

    return Side("rapidz", run, needs="pandas")


def rows_of(results: list[Any], convert: Callable[[Any], list[Any]]) -> list[Any]:
    return sorted(row for result in results for row in convert(result))


def frame_row(name: str, keys: str, make: Make, limit: float) -> Row:
    return Row(
        name=name,
        what=f"frames of 10,000 rows, 10,000 {keys}: `event_time(...).tumbling('60s')"
        ".groupby('k').size()`, a row; against a groupby of pandas for each frame",
        n=1_000_000,
        reach=Reach("ratio", limit),
        baseline=by_hand(make),
        rapidz=through(make),
    )


ROWS = (
    frame_row("event-frames", "integer keys", integer_frames, 0.15),
    frame_row("event-frames-text", "text keys", text_frames, 0.7),
)
