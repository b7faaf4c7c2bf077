"""Keyed lanes in processes: the gain of a second one, and that of two processes by themselves."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from zlib import crc32

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.sides import new_stream
from benchmarks.workers import laborious

Pair = tuple[str, int]

#: How many keys there are.
KEYS = 1000
#: How many elements a task of the bare processes has.
CHUNK = 500


def count(n: int, x: Pair) -> int:
    laborious(x[1])
    return n + 1


def count_all(rows: list[Pair]) -> int:
    """Count the elements of each key, as a loop by hand does; return how many there were."""
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row[0]] = count(counts[row[0]], row)
    return sum(counts.values())


def rows_of(n: int) -> list[Pair]:
    return [(f"key {at % KEYS}", at) for at in range(n)]


def in_lanes(lanes: int, name: str) -> Side:
    """Time the running counts of keys in so many lanes; their processes have begun."""

    def run(n: int) -> Sample:
        source = new_stream("rapidz")
        keyed = source.key_by(0).scatter("process", partitions=lanes)
        counts: list[Pair] = keyed.accumulate(count, start=0).gather().sink_to_list()
        source.emit_many(rows_of(KEYS))
        source.join()
        counts.clear()
        with Watch() as watch:
            source.emit_many(rows_of(n))
            source.join()
        source.close()
        return Sample(watch.ns, len(counts))

    return Side(name, run)


def bare(processes: int, name: str) -> Side:
    """Time the same work on the processes of a pool, with the elements divided by key."""

    def run(n: int) -> Sample:
        parts: list[list[Pair]] = [[] for _ in range(processes)]
        for row in rows_of(n):
            parts[crc32(row[0].encode()) % processes].append(row)
        chunks = [part[at : at + CHUNK] for part in parts for at in range(0, len(part), CHUNK)]
        context = get_context("forkserver")
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            list(pool.map(count_all, [[] for _ in range(4 * processes)]))
            with Watch() as watch:
                done = sum(pool.map(count_all, chunks))
        return Sample(watch.ns, done)

    return Side(name, run)


LANES_ROW = Row(
    name="lanes",
    what="running counts of 1,000 keys on two processes, `scatter(..., partitions=2)`; against one",
    n=40_000,
    reach=Reach("faster", 1.7),
    baseline=in_lanes(1, "one lane"),
    rapidz=in_lanes(2, "rapidz"),
    others=(bare(1, "one bare process"), bare(2, "two bare processes")),
)
