"""One module for each row of the table, in the order of the table."""

from __future__ import annotations

from benchmarks.model import Row
from benchmarks.rows import (
    async_sink,
    blocking,
    buffer,
    bulk,
    dask,
    deep,
    diamond,
    emit,
    fan_out,
    feedback,
    frames,
    importing,
    iterable,
    pools,
    waiting,
    wide,
)

ROWS: tuple[Row, ...] = (
    bulk.ROW,
    iterable.ROW,
    emit.ROW,
    emit.STREAMZ_ROW,
    fan_out.ROW,
    fan_out.BULK_ROW,
    diamond.ROW,
    diamond.BULK_ROW,
    async_sink.ROW,
    blocking.ROW,
    blocking.BULK_ROW,
    waiting.ROW,
    buffer.ROW,
    dask.ROW,
    dask.STREAMZ_ROW,
    dask.ALONE_ROW,
    pools.PROCESSES_ROW,
    pools.TINY_ROW,
    pools.THREADS_ROW,
    pools.SCALING_ROW,
    *frames.ROWS,
    deep.ROW,
    deep.RUN_ROW,
    wide.ROW,
    wide.RUN_ROW,
    feedback.ROW,
    importing.ROW,
)
