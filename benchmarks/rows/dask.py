"""Tiny functions on a Dask cluster of two workers, in batches and one element alone."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.sides import new_stream
from benchmarks.workers import (
    ROOM,
    Opaque,
    all_three,
    client,
    decrement,
    double,
    gathered,
    increment,
)

BATCH = 10_000


def batches_by_hand(n: int) -> Sample:
    cluster = client(2)
    data, out = list(range(n)), list[int]()
    with Watch() as watch:
        batches = [Opaque(data[at : at + BATCH]) for at in range(0, n, BATCH)]
        futures = [cluster.submit(all_three, batch, pure=False) for batch in batches]
        for future in futures:
            out.extend(future.result().elements)
    return Sample(watch.ns, out)


def three_maps(source: Any) -> Any:
    return source.scatter().map(increment).map(double).map(decrement)


def scattered(n: int) -> Sample:
    client(2)
    return gathered(n, three_maps)


def scattered_by_streamz(n: int) -> Sample:
    client(2)
    data, out = list(range(n)), list[int]()
    import_module("streamz.dask")  # registers scatter
    source: Any = new_stream("streamz")
    sink = three_maps(source).buffer(ROOM).gather().sink(out.append)
    with Watch() as watch:
        for x in data:
            source.emit(x)
        while len(out) < n:  # streamz has no call that waits for the rest
            time.sleep(0.001)
    sink.destroy()
    return Sample(watch.ns, out)


def alone_by_hand(n: int) -> Sample:
    cluster = client(2)
    with Watch() as watch:
        out = [cluster.submit(increment, x, pure=False).result() for x in range(n)]
    return Sample(watch.ns, out)


def alone(n: int) -> Sample:
    client(2)
    out = list[int]()
    source = new_stream("rapidz")
    sink = source.scatter().map(increment).gather().sink(out.append)
    with Watch() as watch:
        for x in range(n):
            source.emit(x)
    source.close()
    sink.destroy()
    return Sample(watch.ns, out)


ROW = Row(
    name="dask",
    what="`scatter().map().map().map().buffer().gather()`; against hand-made opaque batches",
    n=500_000,
    reach=Reach("ratio", 2),
    baseline=Side("by hand", batches_by_hand, needs="distributed"),
    rapidz=Side("rapidz", scattered, needs="distributed"),
)

STREAMZ_ROW = Row(
    name="dask-streamz",
    what="the same pipeline, an element; against streamz",
    n=500_000,
    reach=Reach("faster", 500),
    baseline=Side("streamz", scattered_by_streamz, share=5_000, needs="streamz"),
    rapidz=Side("rapidz", scattered, needs="distributed"),
)

ALONE_ROW = Row(
    name="dask-alone",
    what="one element at a time on Dask; against `client.submit(f, x).result()`",
    n=20,
    reach=Reach("ratio", 1.2),
    baseline=Side("by hand", alone_by_hand, needs="distributed"),
    rapidz=Side("rapidz", alone, needs="distributed"),
)
