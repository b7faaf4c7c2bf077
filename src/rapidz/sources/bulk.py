"""Bulk emission: a source that pushes many elements by one call of compiled code."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import TypeVar

from rapidz.kernel.compile.fusion import EDITED
from rapidz.kernel.compile.legacy import overridden_emit
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.runtime.loop import let_others_run
from rapidz.sources.base import Source
from rapidz.sources.run import MAX_SLICE, SourceRun, current_run

T = TypeVar("T")

#: How many elements are emitted at most before the source yields to the loop.
MAX_CHUNK = 1 << 14


class EndAwareIterator(Iterator[T]):
    """Iterator that records when it is exhausted."""

    def __init__(self, iterable: Iterable[T]) -> None:
        self.ended = False
        self._elements = itertools.chain(iterable, self._end())

    def _end(self) -> Iterator[T]:
        self.ended = True
        yield from ()

    def __iter__(self) -> Iterator[T]:
        return self._elements

    def __next__(self) -> T:
        return next(self._elements)


class BulkSource(Source[T]):
    """Source that emits the items of iterators in bulk."""

    # An override of `_emit` sees every element; without one the elements are pushed in bulk,
    # by code that polls itself whether the run was retired.
    _emit = Stream._emit

    _chunk = 1
    """How many elements are emitted before the source yields to the loop."""

    async def _emit_in_bulk(self, elements: EndAwareIterator[T]) -> None:
        """Emit *elements*, each when downstream has capacity, until the source is stopped."""
        run = current_run.get()
        assert run is not None
        run.cooperative = True
        current_run.set(None)
        try:
            await self._emit_chunks(run, elements)
        finally:
            run.cooperative = False
            current_run.set(run)

    async def _emit_chunks(self, run: SourceRun, elements: EndAwareIterator[T]) -> None:
        while not (elements.ended or run.retired or self.stopped):
            since = monotonic()
            await self._take(run, itertools.islice(elements, self._chunk))
            took = monotonic() - since
            if took > MAX_SLICE:
                self._chunk = 1
            elif 4 * took < MAX_SLICE:
                self._chunk = min(4 * self._chunk, MAX_CHUNK)
            await asyncio.sleep(0)
            let_others_run()

    async def _take(self, run: SourceRun, elements: Iterator[T]) -> None:
        """Emit *elements*, each when downstream has capacity, until the run is retired."""
        while not (run.retired or self.stopped):
            if overridden_emit(self) or self._pipeline.tracked:
                return await self._take_one_by_one(run, elements)
            take = functools.partial(self._compiled_entry().bulk(), elements)
            wait: Pending = self._pipeline.reentry.within(take)
            if wait is None:
                return None
            if wait is not EDITED:
                await wait
        return None

    async def _take_one_by_one(self, run: SourceRun, elements: Iterator[T]) -> None:
        for x in elements:
            for wait in self._emit(x):
                await wait
            if run.retired or self.stopped:
                return

    def _on_run_stopped(self) -> None:
        entrance, self._entry = self._entry, None
        if entrance is not None:
            entrance.retire()  # the bulk emission polls this after each element
