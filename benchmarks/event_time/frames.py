"""Tumbling counts on frames: by hand, a groupby of pandas for each batch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.event_time.data import LAG, SIZE


def tumbling_frames(frames: list[Any], out: Callable[[Any], object]) -> int:
    """Count by window and key; emit the rows of the windows that the watermark has passed.

    The counts of batches are added when a window closes, not after each batch, which costs half.
    """
    concat = import_module("pandas").concat
    parts: list[Any] = []
    newest, due = 0, 1 << 62
    for frame in frames:
        end = frame["ts"] // SIZE * SIZE + SIZE
        parts.append(frame.groupby([end, "k"]).size())
        newest = max(newest, int(frame["ts"].max()))
        due = min(due, int(end.min()))
        if due <= newest - LAG:
            total = concat(parts).groupby(level=[0, 1]).sum()
            ends = total.index.get_level_values(0)
            closed = ends <= newest - LAG
            out(total[closed])
            parts = [total[~closed]]
            due = min(ends[~closed], default=1 << 62)
    if parts:
        out(concat(parts).groupby(level=[0, 1]).sum())
    return 0


def plain_by_hand(result: Any) -> list[tuple[Any, int, int]]:
    """Return key, end and count of each row that was emitted."""
    return [(key, int(end), int(n)) for (end, key), n in result.items()]


def plain(result: Any) -> list[tuple[Any, int, int]]:
    """Return the same of a result of rapidz."""
    return [(key, int(end), int(n)) for (_, end, key), n in result.items()]
