"""Sink: base class of nodes that consume elements, and sinks that call a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

from rapidz.kernel.compile.async_steps import await_each, await_returned
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.function_node import FunctionNode
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_writes
from rapidz.kernel.protocol.push import Push
from rapidz.kernel.runtime.loop import is_async

T = TypeVar("T")

#: Keeps sinks, and all nodes upstream of them, alive until they are destroyed or their stream ends.
_global_sinks: set[Any] = set()


class Sink(Stream[T]):
    """Node that consumes elements; base class of all sinks.

    A sink, and so every node upstream of it, lives until the sink is destroyed
    or the stream is closed.
    """

    _is_end: ClassVar[bool] = True
    _graphviz_shape = "trapezium"

    def __init__(self, upstream: Stream[Any], **kwargs: Any) -> None:
        super().__init__(upstream, **kwargs)
        _global_sinks.add(self)

    def destroy(self, streams: Iterable[Stream[Any]] | None = None) -> None:
        """Disconnect the sink, and release it."""
        super().destroy(streams)
        if not self.upstreams:
            _global_sinks.discard(self)

    def _end(self) -> None:
        _global_sinks.discard(self)
        super()._end()

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        return push


@Stream.register_api()
class sink(FunctionNode[T], Sink[T]):
    """Call a function with every element: the end of a stream.

    Applies back pressure until an awaitable that the function returns is done.
    Coroutines run one after the other, in the order of the elements, whether
    the function is ``async def`` or returns them.  Futures that it returns run
    by themselves, and are awaited together.  What the function emits to a
    stream upstream of this node is not awaited.

    Parameters
    ----------
    func : callable
        Called with the element; its result is dropped, unless awaitable.
    *args, **kwargs
        Passed to the function after the element.

    >>> source = Stream()
    >>> node = source.sink(print, "!", sep="")
    >>> source.emit("hello")
    hello!
    """

    def __init__(
        self,
        upstream: Stream[T],
        func: Callable[..., Any],
        *args: Any,
        stream_name: str | None = None,
        loop: Any = None,
        asynchronous: bool | None = None,
        **kwargs: Any,
    ) -> None:
        check_writes(type(self).__name__, "func", func)
        self._configure(func, args, kwargs)
        super().__init__(
            upstream,
            stream_name=stream_name,
            loop=loop,
            asynchronous=asynchronous,
            ensure_io_loop=is_async(func),
        )

    def inline(self, code: Code, port: int = 0) -> None:
        wait_for = code.bind("wait_for", await_returned(self))
        code.line(f"wait = {self._inline_call(code)}")
        code.nest("wait is not None and hasattr(wait, '__await__')")
        code.pass_on(f"{wait_for}(x, wait)")

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._can_inline():
            return self._compile_inline(None)
        return await_each(self, self._call())


@Stream.register_api()
class starsink(sink[T]):
    """Call a function with the items of every element: the end of a stream.

    Applies back pressure as `sink` does.

    Parameters
    ----------
    func : callable
        Called with the items of the element as arguments.
    *args, **kwargs
        Passed to the function after these.

    >>> source = Stream()
    >>> node = source.starsink(print, sep=" = ")
    >>> source.emit(("answer", 42))
    answer = 42
    """

    _unpacks_elements: ClassVar[bool] = True


@Stream.register_api()
def sink_to_list(upstream: Stream[T]) -> list[T]:
    """Return a list, and append every element to it.

    >>> source = Stream()
    >>> elements = source.map(str).sink_to_list()
    >>> source.emit_many([1, 2])
    >>> elements
    ['1', '2']
    """
    elements: list[T] = []
    sink(upstream, elements.append)
    return elements
