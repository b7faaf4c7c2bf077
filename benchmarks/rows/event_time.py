"""Event time and keyed state: windows, sums and pipelines by key, against loops by hand over dicts.

CPU time; the garbage collector is on and the input frozen.
"""

from __future__ import annotations

from benchmarks.event_time import loops, pipelines
from benchmarks.event_time.data import (
    dated_elements,
    distinct_elements,
    elements,
    repeated_elements,
)
from benchmarks.event_time.sides import (
    by_hand,
    emit_each,
    kept_by,
    memory,
    queued_by_hand,
    through,
    through_buffer,
)
from benchmarks.model import Reach, Row

TUMBLING_ROW = Row(
    name="event-tumbling",
    what="1,000,000 elements, 10,000 keys, `event_time(...).key_by(0).tumbling('60s')`, `Count`; "
    "against a loop over dicts",
    n=1_000_000,
    reach=Reach("ratio", 1.5),
    baseline=by_hand(loops.tumbling, elements),
    rapidz=through(pipelines.tumbling, elements, pipelines.plain),
    others=(by_hand(loops.tumbling_tuned, elements, "by hand, keeps the last window"),),
)

SLIDING_ROW = Row(
    name="event-sliding",
    what="the same with `sliding('60s', '20s')`; against a loop over dicts, one for each slice",
    n=1_000_000,
    reach=Reach("ratio", 1.5),
    baseline=by_hand(loops.sliding, elements),
    rapidz=through(pipelines.sliding, elements, pipelines.plain),
)

SESSION_ROW = Row(
    name="event-session",
    what="the same with `session('15s')`; against a loop with a timing wheel",
    n=1_000_000,
    reach=Reach("ratio", 1.7),
    baseline=by_hand(loops.session, elements),
    rapidz=through(pipelines.session, elements, pipelines.plain),
)

SUM_ROW = Row(
    name="event-sum",
    what="the same elements, `key_by(0).accumulate(add, start=0)`; against a loop over a dict",
    n=1_000_000,
    reach=Reach("ratio", 1.2),
    baseline=by_hand(loops.running_sum, elements),
    rapidz=through(pipelines.running_sum, elements),
)

EMIT_ROW = Row(
    name="event-emit",
    what="`emit` for each element, `tumbling('60s')`; against a loop over dicts",
    n=200_000,
    reach=Reach("ratio", 2),
    baseline=by_hand(loops.tumbling, elements),
    rapidz=through(pipelines.tumbling, elements, pipelines.plain, emit_each),
)

BUFFER_ROW = Row(
    name="event-buffer",
    what="`emit_many` into `buffer(1000)` in a loop, then `tumbling('60s')`; against an "
    "`asyncio.Queue(1000)` and a loop over dicts",
    n=200_000,
    reach=Reach("ratio", 1.5),
    baseline=queued_by_hand(loops.tumbling, elements),
    rapidz=through_buffer(pipelines.buffered, elements, pipelines.plain),
)

DATED_ROW = Row(
    name="event-datetimes",
    what="aware datetimes, `tumbling('60s')`; against a loop over dicts",
    n=500_000,
    reach=Reach("ratio", 1.5),
    baseline=by_hand(loops.tumbling_by_datetime, dated_elements),
    rapidz=through(pipelines.tumbling_by_datetime, dated_elements, pipelines.plain),
)

PIPELINES_ROW = Row(
    name="keyed-pipelines",
    what="1,000,000 keys twice, `key_by(0).pipelines(build)`, a sum each; against a loop over a "
    "dict",
    n=2_000_000,
    reach=Reach("ratio", 2),
    baseline=by_hand(loops.running_number, repeated_elements),
    rapidz=through(pipelines.running_pipelines, repeated_elements),
)

PIPELINES_MEMORY_ROW = Row(
    name="keyed-pipelines-memory",
    what="memory of the same, a key; against the dict",
    n=1_000_000,
    reach=Reach("bytes", 1_000),
    baseline=memory("by hand", loops.state_of_sums, distinct_elements),
    rapidz=memory("rapidz", kept_by(pipelines.running_pipelines), distinct_elements),
    unit="B",
)

MEMORY_ROW = Row(
    name="keyed-memory",
    what="memory of `key_by(0).accumulate(add, start=0)`, 1,000,000 keys, a key; against the dict",
    n=1_000_000,
    reach=Reach("ratio", 1.3),
    baseline=memory("by hand", loops.state_of_sums, distinct_elements),
    rapidz=memory("rapidz", kept_by(pipelines.running_number), distinct_elements),
    unit="B",
)

ROWS = (
    *(TUMBLING_ROW, SLIDING_ROW, SESSION_ROW, SUM_ROW),
    *(EMIT_ROW, BUFFER_ROW, DATED_ROW),
    *(PIPELINES_ROW, PIPELINES_MEMORY_ROW, MEMORY_ROW),
)
