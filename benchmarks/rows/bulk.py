"""``emit_many`` into a linear chain of five nodes."""

from __future__ import annotations

from collections import deque
from importlib import import_module
from itertools import accumulate
from typing import Any

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.shapes import CHAIN, add, double, increment, wanted
from benchmarks.sides import by_hand, through_emit_many


def iterators(n: int) -> Sample:
    data, out = list(range(n)), list[object]()
    with Watch() as watch:
        totals = accumulate(map(double, filter(wanted, map(increment, data))), add)
        deque(map(out.append, totals), maxlen=0)
    return Sample(watch.ns, out)


def reactivex(n: int) -> Sample:
    rx: Any = import_module("reactivex")
    ops: Any = import_module("reactivex.operators")
    data, out = list(range(n)), list[object]()
    steps = (ops.map(increment), ops.filter(wanted), ops.map(double), ops.scan(add, 0))
    with Watch() as watch:
        rx.from_iterable(data).pipe(*steps).subscribe(out.append)
    return Sample(watch.ns, out)


ROW = Row(
    name="bulk",
    what="`emit_many`, chain of map, filter, map, accumulate, sink; against the loop",
    n=50_000,
    reach=Reach("ratio", 1.15),
    baseline=by_hand(CHAIN),
    rapidz=through_emit_many(CHAIN),
    others=(
        Side("builtin iterators", iterators),
        Side("reactivex", reactivex, share=10, needs="reactivex"),
    ),
)
