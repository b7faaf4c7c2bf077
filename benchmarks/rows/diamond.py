"""Two branches of one source, zipped again.

The hand-written loop needs no queue: both values are available, so it builds the pair at once. Code
that does not know whether the branches stay aligned needs a queue for each; it is timed as well.
"""

from __future__ import annotations

from collections import deque

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.shapes import DIAMOND, double, increment
from benchmarks.sides import by_hand, through_emit, through_emit_many


def with_queues(n: int) -> Sample:
    data, out = list(range(n)), list[object]()
    left, right = deque[int](), deque[int]()
    with Watch() as watch:
        for x in data:
            left.append(increment(x))
            right.append(double(x))
            while left and right:
                out.append((left.popleft(), right.popleft()))
    return Sample(watch.ns, out)


ROW = Row(
    name="diamond",
    what="`emit`, two branches zipped; against a loop that builds the pair",
    n=50_000,
    reach=Reach("ratio", 2.5),
    baseline=by_hand(DIAMOND),
    rapidz=through_emit(DIAMOND),
    others=(
        Side("by hand, two deques", with_queues),
        through_emit(DIAMOND, "streamz", share=20),
    ),
)

BULK_ROW = Row(
    name="diamond-bulk",
    what="`emit_many`, same two branches zipped",
    n=50_000,
    reach=Reach("ratio", 1.5),
    baseline=by_hand(DIAMOND),
    rapidz=through_emit_many(DIAMOND),
)
