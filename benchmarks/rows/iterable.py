"""``from_iterable`` as the source of the same chain, run to its end from a plain thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain
from threading import Event

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.shapes import CHAIN, wanted
from benchmarks.sides import new_stream, release

PATIENCE = 60.0


def announced(data: Iterable[int], ended: Event) -> Iterator[int]:
    """Yield the data; set the event when the consumer requests more."""

    def tail() -> Iterator[int]:
        ended.set()
        yield from ()

    return chain(data, tail())


def by_hand(n: int) -> Sample:
    data, out = announced(list(range(n)), Event()), list[object]()
    with Watch() as watch:
        CHAIN.by_hand(data, out.append)
    return Sample(watch.ns, out)


def sourced(library: str, share: int = 1) -> Side:
    def run(n: int) -> Sample:
        ended, out = Event(), list[object]()
        expected = sum(wanted(x + 1) for x in range(n))
        stream_class = type(new_stream(library))
        source = stream_class.from_iterable(announced(list(range(n)), ended))
        sinks = CHAIN.build(source, out.append)
        with Watch() as watch:
            source.start()
            _wait(ended, out, expected)
        release(library, source, sinks)
        return Sample(watch.ns, out)

    return Side(library, run, share, library)


def _wait(ended: Event, out: list[object], expected: int) -> None:
    """Wait for the last output: the source may read ahead, so the end of the data is not enough."""
    deadline = time.monotonic() + PATIENCE
    ended.wait(PATIENCE)
    while len(out) < expected:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(out)} of {expected} elements came out in {PATIENCE} s")
        time.sleep(0)


ROW = Row(
    name="iterable",
    what="`from_iterable`, same chain, on the background loop; against the loop",
    n=200_000,
    reach=Reach("ratio", 1.15),
    baseline=Side("by hand", by_hand),
    rapidz=sourced("rapidz"),
    others=(sourced("streamz", share=100),),
)
