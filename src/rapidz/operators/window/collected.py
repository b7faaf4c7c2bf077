"""A window that ends at a flush."""

from __future__ import annotations

from collections import deque
from collections.abc import Sized
from typing import Any, ClassVar, TypeVar

from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.tasks import detach

T = TypeVar("T")


@Stream.register_api()
class collect(Stream[tuple[T, ...]]):
    """Collect elements, and emit them as a tuple at a `flush`.

    Emits a tuple of all buffered elements at a `flush`, its own or one from
    upstream, and at the end.  Never applies back pressure.

    Parameters
    ----------
    cache : collection, optional
        The buffer: has ``append`` and ``clear``, e.g. a bounded deque;
        unbounded by default.
    metadata_cache : optional
        Ignored; kept for compatibility.

    >>> source = Stream()
    >>> collected = source.collect()
    >>> node = collected.sink(print)
    >>> source.emit_many([1, 2])
    >>> collected.flush()
    (1, 2)
    """

    _combines_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True

    cache: LiveAttribute[Any] = LiveAttribute()

    def __init__(
        self, upstream: Stream[T], cache: Any = None, metadata_cache: Any = None, **kwargs: Any
    ) -> None:
        for argument, value in (("cache", cache), ("metadata_cache", metadata_cache)):
            if value is not None and not (hasattr(value, "append") and hasattr(value, "clear")):
                raise TypeError(
                    f"collect: {argument} must have append and clear, got {short_repr(value)}"
                )
        self.cache = deque() if cache is None else cache
        self.metadata_cache = deque() if metadata_cache is None else metadata_cache
        super().__init__(upstream, **kwargs)

    def _can_inline(self) -> bool:
        return True

    def inline(self, code: Code, port: int = 0) -> None:
        code.line(f"{code.bind('cache', self.cache)}.append(x)")
        code.nest("False")

    def flush(self, _: object = None) -> Any:
        """Emit a tuple of all buffered elements, and clear the buffer.

        >>> source = Stream()
        >>> collected = source.collect()
        >>> node = collected.sink(print)
        >>> collected.flush()
        ()
        """
        return self._pipeline.run(self._emit_window)

    def _buffered(self) -> int:
        return len(self.cache) if isinstance(self.cache, Sized) else 0

    def _emit_window(self) -> Pending:
        cache = self.cache
        if isinstance(cache, deque):  # one by one: a finalizer may emit to this node meanwhile
            elements = [cache.popleft() for _ in range(len(cache))]
        else:
            elements = list(cache)
            cache.clear()
        return detach(self._pipeline, self._outlet.send(tuple(elements)))

    def _emit_buffered(self) -> Pending:
        return self._emit_window() if self.cache else None
