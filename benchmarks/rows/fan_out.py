"""One source, three branches, each with a map and a sink."""

from __future__ import annotations

from benchmarks.model import Reach, Row
from benchmarks.shapes import FAN_OUT
from benchmarks.sides import by_hand, through_emit, through_emit_many

ROW = Row(
    name="fan-out",
    what="`emit`, three branches of map and sink; against a loop that calls all three",
    n=50_000,
    reach=Reach("ratio", 2.3),
    baseline=by_hand(FAN_OUT),
    rapidz=through_emit(FAN_OUT),
    others=(through_emit(FAN_OUT, "streamz", share=20),),
)

BULK_ROW = Row(
    name="fan-out-bulk",
    what="`emit_many`, same three branches",
    n=50_000,
    reach=Reach("ratio", 1.5),
    baseline=by_hand(FAN_OUT),
    rapidz=through_emit_many(FAN_OUT),
)
