"""pathway: `windowby` with a behaviour, and `groupby`; a connector that commits each 10,000 rows.

Sums and open sessions are sent once a commit, with a retraction of what was sent before; the
results are what stands at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

from benchmarks.event_time.data import EVERY, GAP, LAG, SIZE, Element
from benchmarks.peers.program import Program, main

BATCH = 10_000

pw: Any = import_module("pathway")


class Row(pw.Schema):  # type: ignore[misc]
    """Columns of an element."""

    key: str
    ts: int
    value: float


class Elements(pw.io.python.ConnectorSubject):  # type: ignore[misc]
    """Connector that reads a list."""

    def __init__(self, data: list[Element]) -> None:
        super().__init__()
        self._data = data

    def run(self) -> None:
        for number, (key, ts, value) in enumerate(self._data, 1):
            self.next(key=key, ts=ts, value=value)
            if number % BATCH == 0:
                self.commit()


def read(data: list[Element]) -> Any:
    import_module("pathway.internals.parse_graph").G.clear()
    return pw.io.python.read(Elements(data), schema=Row, autocommit_duration_ms=None)


def emit(table: Any, out: Callable[[Any], object]) -> None:
    names = table.column_names()
    standing: Counter[Any] = Counter()

    def on_change(key: object, row: dict[str, Any], time: int, is_addition: bool) -> None:
        standing[tuple(row[name] for name in names)] += 1 if is_addition else -1

    pw.io.subscribe(table, on_change=on_change)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    for x in standing.elements():
        out(x)


def counted(window: Callable[[], Any], extended: bool = False) -> Program:
    """Return the program that counts by key in the windows that *window* describes."""

    def run(data: list[Element], out: Callable[[Any], object]) -> int:
        table = read(data)
        grouped = table.windowby(
            table.ts,
            window=window(),
            instance=table.key,
            behavior=pw.temporal.exactly_once_behavior(shift=LAG),
        )
        end = pw.this._pw_window_end + (GAP if extended else 0)
        counts = grouped.reduce(
            key=pw.this._pw_instance, start=pw.this._pw_window_start, end=end, n=pw.reducers.count()
        )
        emit(counts, out)
        return 0

    return run


def running_sum(data: list[Element], out: Callable[[Any], object]) -> int:
    table = read(data)
    emit(table.groupby(table.key).reduce(table.key, total=pw.reducers.sum(table.value)), out)
    return 0


PROGRAMS: dict[str, Program] = {
    "tumbling": counted(lambda: pw.temporal.tumbling(duration=SIZE)),
    "sliding": counted(lambda: pw.temporal.sliding(hop=EVERY, duration=SIZE)),
    "session": counted(lambda: pw.temporal.session(max_gap=GAP), extended=True),
    "sum": running_sum,
}

if __name__ == "__main__":
    main(version("pathway"), PROGRAMS)
