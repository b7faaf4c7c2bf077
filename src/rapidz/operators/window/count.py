"""Windows that end after a number of elements."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar, Literal, TypeVar

from rapidz.kernel.compile.async_steps import push_all
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.registry import identity
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.checks import check_count, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.in_flight_token import InFlightToken
from rapidz.kernel.runtime.supervision import push_supervised
from rapidz.kernel.runtime.tasks import detached_push
from rapidz.kernel.runtime.timer import Timer
from rapidz.operators.window.keys import (
    Key,
    UniqueWindow,
    key_function,
    read_key,
    take_all,
    take_values,
)

T = TypeVar("T")


@Stream.register_api()
class partition(Stream[tuple[T, ...]]):
    """Collect *n* elements into a tuple.

    Emits a tuple when *n* elements have arrived, or, with *timeout*, that long
    after the first of them; a flush or the end emits an incomplete tuple.
    Applies back pressure when downstream does.  In other libraries: tumbling
    count window.

    Parameters
    ----------
    n : int
        Number of elements, at least 1.
    timeout : float, str or timedelta, optional
        Seconds, or a string such as ``"500ms"``, above 0.
    key : callable or object, optional
        Collect by key: called with the element, or the index or key of an item.

    >>> source = Stream()
    >>> node = source.partition(2).sink(print)
    >>> source.emit_many(range(5))
    (0, 1)
    (2, 3)
    >>> source.flush()
    (4,)
    """

    _combines_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True
    _graphviz_shape = "diamond"

    n: LiveAttribute[int] = LiveAttribute()
    timeout: LiveAttribute[Any] = LiveAttribute()
    key: LiveAttribute[Any] = LiveAttribute()

    def __init__(
        self,
        upstream: Stream[T],
        n: int,
        timeout: Interval | None = None,
        key: Key | None = None,
        **kwargs: Any,
    ) -> None:
        check_count("partition", "n", n)
        if timeout is not None:
            timeout = read_interval("partition", timeout, argument="timeout")
        self.n, self.timeout, self.key = n, timeout, key
        self._batch: list[T] = []
        self._batches: dict[Any, list[T]] = {}
        self._timers: dict[Any, Timer] = {}
        self._token = InFlightToken()
        kwargs["ensure_io_loop"] = timeout is not None
        super().__init__(upstream, **kwargs)

    @property
    def _buffer(self) -> list[T]:
        """The buffered elements."""
        return [*self._batch, *(x for batch in self._batches.values() for x in batch)]

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "n":
            check_count("partition", "n", value)
        elif name == "timeout" and value is not None:
            vars(self)[name] = read_interval("partition", value, argument="timeout")
            self._pipeline.require_loop()

    def _can_inline(self) -> bool:
        return self.timeout is None and self.key is None

    def inline(self, code: Code, port: int = 0) -> None:
        # The creation of a list may run a finalizer, which may emit to this node; so may the end
        # of a call.  So x joins no batch before that, and the next call removes the batch.
        batch, n = code.bind("batch", self._batch), self.n
        code.nest(f"len({batch}) < {n - 1}")
        code.line(f"{batch}.append(x)")
        code.otherwise()
        code.line(f"row = [*{batch}, x]")
        code.line(f"{batch}.clear()")
        code.nest(f"len(row) < {n}")  # a finalizer has emitted the batch meanwhile
        code.line(f"{batch}.extend(row)")
        code.otherwise()
        code.line("x = tuple(row)")

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._can_inline():
            return self._compile_inline(push, port)
        n, timeout, batches, ref = self.n, self.timeout, self._batches, weakref.ref(self)
        read = self._compiled_key()
        key = (lambda _: None) if read is None else key_function(self, read)
        push = detached_push(self._pipeline, push)
        if timeout is not None:  # batches of an earlier loop, or from before the timeout was set
            for k in batches.keys() - self._timers.keys():
                self._start_timer(k)

        def step(x: Any) -> Pending:
            try:
                k = key(x)
                batch = batches.setdefault(k, [])
            except Exception as error:
                attribute_to(error, ref(), x)
                raise
            batch.append(x)
            count = len(batch)
            if count < n and (timeout is None or count > 1):
                return None
            if (node := ref()) is None:
                return None
            if count >= n:
                return push(node._take(k))
            node._start_timer(k)
            return None

        return step

    def _compiled_key(self) -> Any:
        """Return the key that the step reads; overridden where the elements are handles."""
        return self.key

    def _start_timer(self, k: Any) -> None:
        """Start the timeout of the batch of one key."""
        ref, token, pipeline = weakref.ref(self), self._token, self._pipeline

        def expire() -> None:
            if (node := ref()) is not None:
                node._expire(k)
            else:
                token.end(pipeline)

        timer = self._timers[k] = Timer()
        timer.set(pipeline, pipeline.clock.time() + self.timeout, expire)
        token.begin(pipeline)

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._token = InFlightToken()

    def _resumes_queue(self) -> bool:
        return self.timeout is not None and bool(self._batches)

    def _get_key(self, x: T) -> Any:
        """Return the key of *x*; used by code for streamz."""
        return None if self.key is None else read_key(self.key, x)

    def _flush(self, key: Any) -> list[Any]:
        """Emit the batch of one key; used by code for streamz."""
        batch = tuple(take_all(self._batch)) if self._can_inline() else self._take(key)
        return self._emit(batch)

    def _take(self, k: Any) -> tuple[T, ...]:
        """Remove and return the batch of one key."""
        if (timer := self._timers.pop(k, None)) is not None:
            timer.cancel()
        batch = tuple(self._batches.pop(k))
        if not self._timers:
            self._token.end(self._pipeline)
        return batch

    def _expire(self, k: Any) -> None:
        """Emit the batch of one key after its timeout."""
        if k in self._batches:
            push_supervised(self._pipeline, self._outlet.send, self._take(k))
        elif self._timers.pop(k, None) is not None and not self._timers:
            self._token.end(self._pipeline)

    def _buffered(self) -> int:
        return len(self._buffer)

    def _emit_buffered(self) -> Pending:
        batches: list[tuple[T, ...]] = []
        if self._batch:
            batches.append(tuple(take_all(self._batch)))
        batches.extend(self._take(k) for k in list(self._batches))
        return push_all(self, batches) if batches else None


@Stream.register_api()
class partition_unique(UniqueWindow[T]):
    """Collect elements with *n* distinct keys into a tuple.

    Emits a tuple, one element for each key, when *n* keys have arrived; a flush
    or the end emits an incomplete tuple.  Applies back pressure when downstream
    does.

    Parameters
    ----------
    n : int
        Number of keys, at least 1.
    key : callable or object
        Called with the element, or the index or key of an item; the element
        is its own key by default.  Keys must be hashable.
    keep : "first" or "last"
        Which of the elements with the same key to keep; the last one also moves
        to the last position.

    >>> source = Stream()
    >>> node = source.partition_unique(2, key=len).sink(print)
    >>> source.emit_many(["a", "b", "cc"])
    ('a', 'cc')
    """

    _combines_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True
    _graphviz_shape = "diamond"

    n: LiveAttribute[int] = LiveAttribute()

    def __init__(
        self,
        upstream: Stream[T],
        n: int,
        key: Key = identity,
        keep: Literal["first", "last"] = "first",
        **kwargs: Any,
    ) -> None:
        check_count("partition_unique", "n", n)
        self.n, self.key, self.keep = n, key, keep
        self._check_keep()
        self._elements: dict[Any, T] = {}
        super().__init__(upstream, **kwargs)

    def _can_inline(self) -> bool:
        return True

    def inline(self, code: Code, port: int = 0) -> None:
        elements = code.bind("elements", self._elements)
        code.line(f"{code.bind('add', self._make_add_unique(self._elements))}(x)")
        code.nest(f"len({elements}) >= {self.n}")
        code.line(f"row = [*{elements}.values()]")
        code.line(f"{elements}.clear()")  # no object is created between: see `take_values`
        code.nest("row")
        code.line("x = tuple(row)")

    def _buffered(self) -> int:
        return len(self._elements)

    def _emit_buffered(self) -> Pending:
        if not self._elements:
            return None
        return self._outlet.send(tuple(take_values(self._elements)))
