"""Sources over iterables."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, TypeVar

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import Source
from rapidz.sources.bulk import BulkSource, EndAwareIterator
from rapidz.sources.run import ResumableWait

T = TypeVar("T")

#: Sentinel for the end of an asynchronous iterable.
END: Any = object()


@Stream.register_api(staticmethod)
class from_iterable(BulkSource[T]):
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

    def __init__(self, iterable: Iterable[T], **kwargs: Any) -> None:
        if not isinstance(iterable, Iterable) and not hasattr(iterable, "__getitem__"):
            raise TypeError(
                f"from_iterable: iterable must be an iterable, got {short_repr(iterable)}"
            )
        self.iterable = iterable
        self._elements: EndAwareIterator[T] | None = None
        super().__init__(**kwargs)

    async def run(self) -> None:
        if self._elements is None:
            self._elements = EndAwareIterator(self.iterable)
        elements = self._elements
        await self._emit_in_bulk(elements)
        if elements.ended:
            self._elements = None

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

    >>> import asyncio
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
