"""Loops by hand: windows and state by key, kept in dicts of Python.

Each loop reads an iterable of elements, calls ``out`` with a tuple for every result, and returns
how many elements were late.  They run without rapidz, so that peers can be compared with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from benchmarks.event_time.data import EVERY, GAP, LAG, SIZE, Element

Out: TypeAlias = Callable[[Any], object]
Loop: TypeAlias = Callable[[Iterable[Element], Out], int]

FAR = 1 << 62
TICK = 1_000
"""Milliseconds: length of a bucket of the timing wheel."""


def add_value(total: float, x: Element) -> float:
    return total + x[2]


def add_number(total: int, x: tuple[str, int, int]) -> int:
    return total + x[2]


def running_sum(data: Iterable[Element], out: Out) -> int:
    """Emit the key and its sum after each element."""
    totals: dict[str, float] = {}
    for x in data:
        key = x[0]
        totals[key] = total = add_value(totals.get(key, 0), x)
        out((key, total))
    return 0


def running_number(data: Iterable[tuple[str, int, int]], out: Out) -> int:
    """Emit the sum of the key after each element."""
    totals: dict[str, int] = {}
    for x in data:
        key = x[0]
        totals[key] = total = add_number(totals.get(key, 0), x)
        out(total)
    return 0


def state_of_sums(data: Iterable[tuple[str, int, int]]) -> dict[str, int]:
    """Return the sum of each key."""
    totals: dict[str, int] = {}
    for x in data:
        totals[x[0]] = add_number(totals.get(x[0], 0), x)
    return totals


def tumbling(data: Iterable[Element], out: Out) -> int:
    """Count by key in windows of a minute."""
    windows: dict[int, dict[str, int]] = {}
    watermark = late = 0
    due = FAR
    for key, ts, _ in data:
        if ts - LAG > watermark:
            watermark = ts - LAG
            if watermark >= due:
                for end in sorted(windows):
                    if end <= watermark:
                        _emit(windows.pop(end), end, out)
                due = min(windows, default=FAR)
        end = ts - ts % SIZE + SIZE
        counts = windows.get(end)
        if counts is None:
            if end <= watermark:
                late += 1
                continue
            counts = windows[end] = {}
            due = min(due, end)
        counts[key] = counts.get(key, 0) + 1
    for end in sorted(windows):
        _emit(windows[end], end, out)
    return late


def _emit(counts: dict[str, int], end: int, out: Out) -> None:
    for key, n in counts.items():
        out((key, end - SIZE, end, n))


def tumbling_tuned(data: Iterable[Element], out: Out) -> int:
    """Do the same, and keep the window of the last element at hand."""
    windows: dict[int, dict[str, int]] = {}
    counts: dict[str, int] = {}
    newest = begin = end = late = 0
    due = FAR
    for key, ts, _ in data:
        if ts > newest:
            newest = ts
            if ts >= due:
                for closed in sorted(windows):
                    if closed <= newest - LAG:
                        _emit(windows.pop(closed), closed, out)
                due = min(windows, default=FAR) + LAG
                begin = end = 0
        if not begin <= ts < end:
            begin = ts - ts % SIZE
            end = begin + SIZE
            if end not in windows:
                if end <= newest - LAG:
                    late += 1
                    begin = end = 0
                    continue
                windows[end] = {}
                due = min(due, end + LAG)
            counts = windows[end]
        counts[key] = counts.get(key, 0) + 1
    for closed in sorted(windows):
        _emit(windows[closed], closed, out)
    return late


def tumbling_by_datetime(data: Iterable[tuple[str, datetime, float]], out: Out) -> int:
    """Count by key in windows of a minute; timestamps are aware datetimes."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    size, lag = timedelta(milliseconds=SIZE), timedelta(milliseconds=LAG)
    windows: dict[datetime, dict[str, int]] = {}
    newest = watermark = epoch
    due = far = datetime.max.replace(tzinfo=UTC)
    late = 0
    for key, ts, _ in data:
        if ts > newest:
            newest, watermark = ts, ts - lag
            if watermark >= due:
                for end in sorted(windows):
                    if end <= watermark:
                        _emit_dated(windows.pop(end), end - size, end, out)
                due = min(windows, default=far)
        end = ts - (ts - epoch) % size + size
        counts = windows.get(end)
        if counts is None:
            if end <= watermark:
                late += 1
                continue
            counts = windows[end] = {}
            due = min(due, end)
        counts[key] = counts.get(key, 0) + 1
    for end in sorted(windows):
        _emit_dated(windows[end], end - size, end, out)
    return late


def _emit_dated(counts: dict[str, int], start: datetime, end: datetime, out: Out) -> None:
    for key, n in counts.items():
        out((key, start, end, n))


def sliding(data: Iterable[Element], out: Out) -> int:
    """Count by key in windows of a minute that begin every twenty seconds, kept in slices."""
    slices: dict[int, dict[str, int]] = {}
    watermark = late = 0
    due = FAR

    def close(end: int) -> None:
        totals: dict[str, int] = {}
        for part in range(end - SIZE + EVERY, end + 1, EVERY):
            if part in slices:
                for key, n in slices[part].items():
                    totals[key] = totals.get(key, 0) + n
        _emit(totals, end, out)
        slices.pop(end - SIZE + EVERY, None)

    for key, ts, _ in data:
        if ts - LAG > watermark:
            watermark = ts - LAG
            while watermark >= due:
                close(due)
                due = due + EVERY if slices else FAR
        end = ts - ts % EVERY + EVERY
        counts = slices.get(end)
        if counts is None:
            if end + SIZE - EVERY <= watermark:
                late += 1
                continue
            counts = slices[end] = {}
            due = min(due, end)
        counts[key] = counts.get(key, 0) + 1
    while slices:
        close(due)
        due += EVERY
    return late


Session: TypeAlias = list[Any]
"""Key, first timestamp, end, and count; the count is 0 once another session has absorbed it."""


def session(data: Iterable[Element], out: Out) -> int:
    """Count by key in sessions with a gap of fifteen seconds; a timing wheel closes them."""
    open_by_key: dict[str, list[Session]] = {}
    wheel: dict[int, list[Session]] = {}
    watermark = tick = late = 0

    def close(bucket: int) -> None:
        for one in wheel.pop(bucket):
            key, start, end, n = one
            if n and end // TICK > bucket:
                wheel.setdefault(end // TICK, []).append(one)
            elif n:
                out((key, start, end, n))
                sessions = open_by_key[key]
                if len(sessions) == 1:
                    del open_by_key[key]
                else:
                    sessions.remove(one)

    def begin(key: str, ts: int) -> None:
        one = [key, ts, ts + GAP, 1]
        open_by_key.setdefault(key, []).append(one)
        wheel.setdefault((ts + GAP) // TICK, []).append(one)

    for key, ts, _ in data:
        if ts - LAG > watermark:
            watermark = ts - LAG
            if watermark // TICK > tick:
                for bucket in range(tick, watermark // TICK) if tick else ():
                    if bucket in wheel:
                        close(bucket)
                tick = watermark // TICK
        end = ts + GAP
        sessions = open_by_key.get(key)
        if sessions is None:
            if end <= watermark:
                late += 1
            else:
                begin(key, ts)
            continue
        newest = sessions[-1]
        if newest[1] <= ts < newest[2]:  # the usual case
            newest[3] += 1
            if end > newest[2]:
                newest[2] = end
            continue
        near = [one for one in sessions if one[1] < end and ts < one[2]]
        if not near:
            begin(key, ts)
            continue
        one, *others = near
        one[1], one[2] = min(one[1], ts), max(one[2], end)
        one[3] += 1
        for other in others:
            one[1], one[2] = min(one[1], other[1]), max(one[2], other[2])
            one[3] += other[3]
            other[3] = 0
            sessions.remove(other)
    while wheel:
        close(min(wheel))
    return late
