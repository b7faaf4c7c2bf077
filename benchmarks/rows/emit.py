"""``emit`` for each element of the same chain: against the loop, and against streamz."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.shapes import CHAIN, add, double, increment, wanted
from benchmarks.sides import by_hand, through_emit


def reactivex(n: int) -> Sample:
    subject: Any = import_module("reactivex.subject").Subject()
    ops: Any = import_module("reactivex.operators")
    data, out = list(range(n)), list[object]()
    steps = (ops.map(increment), ops.filter(wanted), ops.map(double), ops.scan(add, 0))
    subject.pipe(*steps).subscribe(out.append)
    emit = subject.on_next
    with Watch() as watch:
        for x in data:
            emit(x)
    return Sample(watch.ns, out)


ROW = Row(
    name="emit",
    what="`emit`, same chain; against the loop",
    n=50_000,
    reach=Reach("ratio", 2.0),
    baseline=by_hand(CHAIN),
    rapidz=through_emit(CHAIN),
    others=(Side("reactivex", reactivex, share=10, needs="reactivex"),),
)

STREAMZ_ROW = Row(
    name="emit-streamz",
    what="`emit`, same chain; against streamz",
    n=50_000,
    reach=Reach("faster", 25),
    baseline=through_emit(CHAIN, "streamz", share=20),
    rapidz=through_emit(CHAIN),
)
