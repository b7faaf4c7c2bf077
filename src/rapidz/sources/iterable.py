"""Sources over iterables."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from time import monotonic
from typing import Any, TypeVar

from rapidz.kernel.compile.fusion import EDITED
from rapidz.kernel.compile.legacy import overridden_emit
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.loop import let_others_run
from rapidz.sources.base import Source
from rapidz.sources.run import MAX_SLICE, ResumableWait, SourceRun, current_run

T = TypeVar("T")

#: How many elements are emitted at most before the source yields to the loop.
MAX_CHUNK = 1 << 14

#: Sentinel for the end of an asynchronous iterable.
END: Any = object()


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


@Stream.register_api(staticmethod)
class from_iterable(Source[T]):
    """Emit the items of an iterable, and end.

    Emits each element as soon as downstream has capacity, buffers nothing, and
    ends with the iterable.  `start` after a stop or a failure resumes with the
    next element, after the end it iterates again.  The iterable is iterated on
    the event loop, so it should not block for long.

    Parameters
    ----------
    iterable : iterable
        The elements.
    **kwargs
        Options of every `Source`.

    >>> source = Stream.from_iterable(range(5))
    >>> pairs = source.partition(2).sink_to_list()
    >>> source.start()
    >>> source.join()
    >>> pairs
    [(0, 1), (2, 3), (4,)]
    """

    # An override of `_emit` sees every element; without one the elements are pushed in bulk,
    # by code that polls itself whether the run was retired.
    _emit = Stream._emit

    def __init__(self, iterable: Iterable[T], **kwargs: Any) -> None:
        if not isinstance(iterable, Iterable) and not hasattr(iterable, "__getitem__"):
            raise TypeError(
                f"from_iterable: iterable must be an iterable, got {short_repr(iterable)}"
            )
        self.iterable = iterable
        self._elements: EndAwareIterator[T] | None = None
        super().__init__(**kwargs)

    async def run(self) -> None:
        run = current_run.get()
        assert run is not None
        run.cooperative = True
        current_run.set(None)
        if self._elements is None:
            self._elements = EndAwareIterator(self.iterable)
        elements, n = self._elements, 1
        while not (elements.ended or run.retired or self.stopped):
            since = monotonic()
            await self._take(run, itertools.islice(elements, n))
            took = monotonic() - since
            if took > MAX_SLICE:
                n = 1
            elif 4 * took < MAX_SLICE:
                n = min(4 * n, MAX_CHUNK)
            await asyncio.sleep(0)
            let_others_run()
        if elements.ended:
            self._elements = None

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

    def _ends_with_run(self) -> bool:
        return True


@Stream.register_api(staticmethod)
class from_async_iterable(Source[T]):
    """Emit the items of an asynchronous iterable, and end.

    Emits each element as soon as it is available and downstream has capacity,
    and only then requests the next one; ends with the iterable.  `stop` does
    not cancel a pending item: `start` resumes with that.  `close` closes an
    asynchronous generator.

    Parameters
    ----------
    aiterable : asynchronous iterable
        The elements.
    **kwargs
        Options of every `Source`.

    >>> async def countdown():
    ...     for n in (2, 1):
    ...         await asyncio.sleep(0.001)
    ...         yield n
    >>> source = Stream.from_async_iterable(countdown())
    >>> seen = source.sink_to_list()
    >>> source.start()
    >>> source.join()
    >>> seen
    [2, 1]
    """

    def __init__(self, aiterable: AsyncIterable[T], **kwargs: Any) -> None:
        if not isinstance(aiterable, AsyncIterable):
            raise TypeError(
                f"from_async_iterable: aiterable must be an asynchronous iterable, "
                f"got {short_repr(aiterable)}"
            )
        self.aiterable = aiterable
        self._elements: AsyncIterator[T] | None = None
        self._next = ResumableWait()
        super().__init__(**kwargs)

    async def run(self) -> None:
        if self._elements is None:
            self._elements = aiter(self.aiterable)
        elements = self._elements
        while self._may_emit():
            x = await self._next.result(lambda: _anext_or_end(elements))
            if x is END:
                break
            for wait in self._emit(x):
                await wait
        if not self.stopped:
            self._elements = None

    def _ends_with_run(self) -> bool:
        return True

    def _on_end(self) -> None:
        elements, self._elements = self._elements, None
        if elements is not None:
            self._pipeline.start(self._shut(elements))

    async def _shut(self, elements: AsyncIterator[T]) -> None:
        await self._next.cancel()
        if (aclose := getattr(elements, "aclose", None)) is not None:
            await aclose()


async def _anext_or_end(elements: AsyncIterator[Any]) -> Any:
    try:
        return await anext(elements)
    except StopAsyncIteration:
        return END
