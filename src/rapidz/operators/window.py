"""Several elements in, one collection out."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Hashable, Sized
from typing import Any, ClassVar, Literal, TypeVar

from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.compile.serial import push_all
from rapidz.kernel.graph.registry import identity
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute
from rapidz.kernel.protocol.checks import check_choice, check_count, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.attribution import blame
from rapidz.kernel.runtime.deadlock import waits_for_caller
from rapidz.kernel.runtime.pending import PendingToken, Timer
from rapidz.kernel.runtime.supervision import SupervisedPush, push_supervised
from rapidz.kernel.runtime.tasks import detach, detached_push, following
from rapidz.kernel.runtime.tracking import unbox

T = TypeVar("T")
Key = Callable[[Any], Any] | Hashable


def _read_key(key: Any, x: Any) -> Any:
    return key(x) if callable(key) else x[key]


def _key_function(node: Stream[Any], key: Any) -> Callable[[Any], Any]:
    """The function that reads a key off what the node holds."""
    read = key if callable(key) else lambda x: x[key]
    if node._pipeline.tracked:
        return lambda held: read(unbox(held))
    return read


@Stream.register_api()
class partition(Stream[tuple[T, ...]]):
    """Gather elements into tuples of *n*.

    Emits a tuple when *n* elements have come, or, with *timeout*, so long
    after the first of them; a flush or the end gives what is there.  Holds
    back when downstream does.  Elsewhere known as a tumbling count window.

    Parameters
    ----------
    n : int
        How many elements, at least 1.
    timeout : float, str or timedelta, optional
        Seconds, or a string such as ``"500ms"``, above 0.
    key : callable or object, optional
        Gather by key: called with the element, or the index or key of an item.

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
        self._alarms: dict[Any, Timer] = {}
        self._token = PendingToken()
        kwargs["ensure_io_loop"] = timeout is not None
        super().__init__(upstream, **kwargs)

    @property
    def _buffer(self) -> list[T]:
        """The elements gathered so far."""
        return [*self._batch, *(x for batch in self._batches.values() for x in batch)]

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "n":
            check_count("partition", "n", value)
        elif name == "timeout" and value is not None:
            vars(self)[name] = read_interval("partition", value, argument="timeout")
            self._pipeline.require_loop()
        super()._on_attribute_set(name, value)

    def _can_inline(self) -> bool:
        return self.timeout is None and self.key is None

    def inline(self, code: Code, port: int = 0) -> None:
        # To make a list may run a finalizer, which may emit here; so may the end of a call.  So x
        # is in no batch before that, and the very next call takes the batch out.
        batch, n = code.bind("batch", self._batch), self.n
        code.nest(f"len({batch}) < {n - 1}")
        code.line(f"{batch}.append(x)")
        code.otherwise()
        code.line(f"row = [*{batch}, x]")
        code.line(f"{batch}.clear()")
        code.nest(f"len(row) < {n}")  # a finalizer has emptied the batch meanwhile
        code.line(f"{batch}.extend(row)")
        code.otherwise()
        code.line("x = tuple(row)")

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._can_inline():
            return self._compile_inline(push, port)
        n, timeout, batches, alarms = self.n, self.timeout, self._batches, self._alarms
        key = (lambda _: None) if self.key is None else _key_function(self, self.key)
        pipeline, busy, ref = self._pipeline, self._token, weakref.ref(self)
        push = detached_push(pipeline, push)

        def wait_for_more(k: Any) -> None:
            def expire() -> None:
                if (node := ref()) is not None:
                    node._expire(k)
                else:
                    busy.end(pipeline)

            alarm = alarms[k] = Timer()
            alarm.set(pipeline, pipeline.clock.time() + timeout, expire)
            busy.begin(pipeline)

        if (
            timeout is not None
        ):  # what was gathered in an earlier loop, or before there was a timeout
            for k in batches.keys() - alarms.keys():
                wait_for_more(k)

        def step(x: Any) -> Pending:
            try:
                k = key(x)
                batch = batches.setdefault(k, [])
            except Exception as error:
                blame(error, ref(), x)
                raise
            batch.append(x)
            if len(batch) < n:
                if timeout is not None and len(batch) == 1:
                    wait_for_more(k)
                return None
            node = ref()
            return None if node is None else push(node._take(k))

        return step

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        for alarm in self._alarms.values():
            alarm.cancel()
        self._alarms.clear()
        self._token = PendingToken()

    def _resumes_queue(self) -> bool:
        return self.timeout is not None and bool(self._batches)

    def _get_key(self, x: T) -> Any:
        """Return the key of *x*: as code for streamz asks for it."""
        return None if self.key is None else _read_key(self.key, x)

    def _flush(self, key: Any) -> list[Any]:
        """Emit the batch of one key: as code for streamz does."""
        batch = tuple(_taken_out(self._batch)) if self._can_inline() else self._take(key)
        return self._emit(batch)

    def _take(self, k: Any) -> tuple[T, ...]:
        """Take out the batch of one key."""
        if (alarm := self._alarms.pop(k, None)) is not None:
            alarm.cancel()
        batch = tuple(self._batches.pop(k))
        if not self._alarms:
            self._token.end(self._pipeline)
        return batch

    def _expire(self, k: Any) -> None:
        """The time of a batch is over."""
        if k in self._batches:
            push_supervised(self._pipeline, self._outlet.send, self._take(k))
        elif self._alarms.pop(k, None) is not None and not self._alarms:
            self._token.end(self._pipeline)

    def _buffered(self) -> int:
        return len(self._buffer)

    def _emit_buffered(self) -> Pending:
        held: list[tuple[T, ...]] = []
        if self._batch:
            held.append(tuple(_taken_out(self._batch)))
        held.extend(self._take(k) for k in list(self._batches))
        return push_all(self, held) if held else None


def _values_out(held: dict[Any, Any]) -> list[Any]:
    """Take all values out of *held*, with nothing made between: a finalizer may put more in."""
    taken = [*held.values()]
    held.clear()
    return taken


def _taken_out(held: list[Any]) -> list[Any]:
    """Take all out of *held*, but for what a finalizer may put in meanwhile."""
    taken = list(held)
    del held[: len(taken)]
    return taken


class _Unique(Stream[tuple[T, ...]]):
    """What the windows of distinct elements have in common."""

    key: LiveAttribute[Any] = LiveAttribute()
    keep: LiveAttribute[str] = LiveAttribute()

    def _get_key(self, x: T) -> Any:
        """Return the key of *x*: as code for streamz asks for it."""
        return _read_key(self.key, x)

    def _check(self) -> None:
        check_choice(type(self).__name__, "keep", self.keep, ("first", "last"))

    def _holding(self, held: dict[Any, Any]) -> Callable[[Any], None]:
        """Make the function that holds an element under its key."""
        key = _key_function(self, self.key)
        if self.keep == "first":

            def hold_first(x: Any) -> None:
                held.setdefault(key(x), x)

            return hold_first

        def hold_last(x: Any) -> None:
            k = key(x)
            held.pop(k, None)
            held[k] = x

        return hold_last


@Stream.register_api()
class partition_unique(_Unique[T]):
    """Gather elements with *n* distinct keys into a tuple.

    Emits a tuple, one element a key, when *n* keys are there; a flush or the
    end gives what is there.  Holds back when downstream does.

    Parameters
    ----------
    n : int
        How many keys, at least 1.
    key : callable or object
        Called with the element, or the index or key of an item; the element
        is its own key by default.  Keys must be hashable.
    keep : "first" or "last"
        Which of the elements with the same key; the last one also takes the
        last place.

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
        self._check()
        self._held: dict[Any, T] = {}
        super().__init__(upstream, **kwargs)

    def _can_inline(self) -> bool:
        return True

    def inline(self, code: Code, port: int = 0) -> None:
        held = code.bind("held", self._held)
        code.line(f"{code.bind('hold', self._holding(self._held))}(x)")
        code.nest(f"len({held}) >= {self.n}")
        code.line(f"row = [*{held}.values()]")
        code.line(f"{held}.clear()")  # with nothing made between, for a finalizer may emit here
        code.nest("row")
        code.line("x = tuple(row)")

    def _buffered(self) -> int:
        return len(self._held)

    def _emit_buffered(self) -> Pending:
        if not self._held:
            return None
        return self._outlet.send(tuple(_values_out(self._held)))


@Stream.register_api()
class sliding_window(Stream[tuple[T, ...]]):
    """Emit the last *n* elements, with every element.

    Emits a tuple once *n* elements have come, or, with *return_partial*, from
    the first one on.  Holds back when downstream does.

    Parameters
    ----------
    n : int
        How many elements, at least 1.
    return_partial : bool
        Emit shorter tuples in the beginning.

    >>> source = Stream()
    >>> node = source.sliding_window(2).sink(print)
    >>> source.emit_many("abc")
    ('a', 'b')
    ('b', 'c')
    """

    _combines_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True
    _graphviz_shape = "diamond"

    n: LiveAttribute[int] = LiveAttribute()
    return_partial: LiveAttribute[bool] = LiveAttribute()

    def __init__(
        self, upstream: Stream[T], n: int, return_partial: bool = False, **kwargs: Any
    ) -> None:
        check_count("sliding_window", "n", n)
        self.n, self.return_partial = n, return_partial
        self._window: Cell[tuple[T, ...]] = Cell(())
        """The last elements, as far as the next window needs them."""
        super().__init__(upstream, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "n":
            check_count("sliding_window", "n", value)
        super()._on_attribute_set(name, value)

    def _retains(self, entry: Any) -> bool:
        return any(held is entry for held in self._window.value)

    @property
    def _buffer(self) -> deque[T]:
        """The elements that the next window will have."""
        return deque(self._window.value)

    def _can_inline(self) -> bool:
        return True

    def inline(self, code: Code, port: int = 0) -> None:
        # What the next window does not need is let go before this one is pushed.
        window, n = code.bind("window", self._window), self.n
        code.line("while True:")
        code.line(f"    w = {window}.value; y = w + (x,)")
        code.line(f"    if len(y) > {n}: y = y[-{n}:]")
        code.line(f"    rest = y[{code.bind('tail', slice(1, None))}] if len(y) == {n} else y")
        code.line(f"    if {window}.value is w: break")  # else a finalizer has emitted here first
        code.line(f"{window}.value = rest")
        if not self.return_partial:
            code.nest(f"len(y) == {n}")
        code.line("x = y; w = None")


@Stream.register_api()
class collect(Stream[tuple[T, ...]]):
    """Gather elements until told to give them up.

    Emits a tuple of all it has at a `flush`, its own or one from upstream, and
    at the end.  Never holds back.

    Parameters
    ----------
    cache : collection, optional
        Where to gather: has ``append`` and ``clear``, e.g. a deque that is
        bounded; unbounded by default.
    metadata_cache : optional
        Accepted; metadata is kept with the elements.

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
        """Emit a tuple of all that was gathered, and begin anew.

        >>> source = Stream()
        >>> collected = source.collect()
        >>> node = collected.sink(print)
        >>> collected.flush()
        ()
        """
        return self._pipeline.run(self._give_up)

    def _buffered(self) -> int:
        return len(self.cache) if isinstance(self.cache, Sized) else 0

    def _give_up(self) -> Pending:
        cache = self.cache
        if isinstance(cache, deque):  # one by one, for a finalizer may emit here
            held = [cache.popleft() for _ in range(len(cache))]
        else:
            held = list(cache)
            cache.clear()
        return detach(self._pipeline, self._outlet.send(tuple(held)))

    def _emit_buffered(self) -> Pending:
        return self._give_up() if self.cache else None


class _Timed(Stream[Any]):
    """A window that ends with the clock, at a fixed cadence."""

    _keeps_elements: ClassVar[bool] = True
    _graphviz_shape = "octagon"

    interval: LiveAttribute[float] = LiveAttribute()
    emit_empty: LiveAttribute[bool] = LiveAttribute()

    def __init__(
        self, upstream: Stream[Any], interval: Interval, emit_empty: bool, **kwargs: Any
    ) -> None:
        self.interval = read_interval(type(self).__name__, interval)
        self.emit_empty = emit_empty
        self._token = PendingToken()
        self._last: float | None = None
        self._room: SupervisedPush | None = None
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, **kwargs)
        self._alarm = Timer(self)

    def _take(self) -> Any:
        """Take out what the window holds."""
        raise NotImplementedError

    def _holding_step(self) -> Callable[[Any], object]:
        """Make the function that puts an element into the window."""
        raise NotImplementedError

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "interval":
            vars(self)[name] = read_interval(type(self).__name__, value)
            if self._last is not None:
                self._schedule()
        super()._on_attribute_set(name, value)

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._last = self._room = None
        self._token = PendingToken()

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        hold, busy, pipeline = self._holding_step(), self._token, self._pipeline
        ref = weakref.ref(self)
        if self._last is None:
            self._last = pipeline.clock.time()
            self._schedule()
        if self._holds_any():
            busy.begin(pipeline)

        def step(x: Any) -> Pending:
            try:
                hold(x)
            except Exception as error:
                blame(error, ref(), x)
                raise
            busy.begin(pipeline)
            node = ref()
            room = None if node is None else node._room
            return None if room is None or waits_for_caller(room.carried) else following(room)

        return step

    def _schedule(self) -> None:
        ref = weakref.ref(self)

        def tick() -> None:
            if (node := ref()) is not None and not node._ended:
                node._tick()

        if self._last is not None:
            self._alarm.set(self._pipeline, self._last + self.interval, tick)

    def _tick(self) -> None:
        now = self._pipeline.clock.time()
        assert self._last is not None
        while self._last + self.interval <= now:
            self._last += self.interval
        if self._room is None:  # else what came before is still on its way: this waits
            held = self._take()
            if held or self.emit_empty:
                self._give_up(held)
        self._schedule()

    def _give_up(self, held: Any) -> Pending:
        room = push_supervised(self._pipeline, self._outlet.send, held)
        if room is not None:
            self._room = room
            room.add_done_callback(self._over)
            return following(room)
        self._settle_token()
        return None

    def _over(self, room: object) -> None:
        if self._room is room:  # else a flush has sent more meanwhile
            self._room = None
        self._settle_token()

    def _settle_token(self) -> None:
        if self._room is None and not self._holds_any():  # something may have been fed back
            self._token.end(self._pipeline)

    def _in_window(self) -> int:
        """Return how many elements the window holds."""
        raise NotImplementedError

    def _buffered(self) -> int:
        return self._in_window()

    def _resumes_queue(self) -> bool:
        return self._holds_any()

    def _holds_any(self) -> bool:
        return self._in_window() > 0  # a scattered node buffers others, the signal among them

    def _emit_buffered(self) -> Pending:
        if self._holds_any():
            return self._give_up(self._take())
        return None if self._room is None else following(self._room)

    def _stop_background_work(self) -> None:
        self._alarm.cancel()  # or empty windows would go on ahead of an end that waits behind them

    def _on_end(self) -> None:
        self._alarm.cancel()


@Stream.register_api()
class timed_window(_Timed):
    """Gather the elements of every *interval* into a list.

    Emits a list at every full interval since the first use, also an empty one
    unless told otherwise; a flush or the end gives what is there.  Holds back
    while the list before is still on its way; the next one then waits for the
    next full interval.

    Parameters
    ----------
    interval : float, str or timedelta
        Seconds, or a string such as ``"500ms"``, above 0.
    emit_empty : bool
        Emit ``[]`` when nothing came.

    >>> source = Stream()
    >>> windows = source.timed_window("20ms", emit_empty=False).sink_to_list()
    >>> source.emit_many([1, 2])
    >>> source.join()
    >>> windows
    [[1, 2]]
    """

    def __init__(
        self, upstream: Stream[Any], interval: Interval, emit_empty: bool = True, **kwargs: Any
    ) -> None:
        self._held: list[Any] = []
        super().__init__(upstream, interval, emit_empty, **kwargs)

    @property
    def _buffer(self) -> list[Any]:
        """The elements of the present interval."""
        return self._held

    def _holding_step(self) -> Callable[[Any], object]:
        return self._held.append

    def _take(self) -> Any:
        return _taken_out(self._held)

    def _in_window(self) -> int:
        return len(self._held)


@Stream.register_api()
class timed_window_unique(_Timed, _Unique[Any]):
    """Gather the elements of every *interval* into a tuple, one for each key.

    Emits and holds back as `timed_window` does.

    Parameters
    ----------
    interval : float, str or timedelta
        Seconds, or a string such as ``"500ms"``, above 0.
    key : callable or object
        Called with the element, or the index or key of an item; the element
        is its own key by default.  Keys must be hashable.
    keep : "first" or "last"
        Which of the elements with the same key; the last one also takes the
        last place.
    emit_empty : bool
        Emit ``()`` when nothing came.

    >>> source = Stream()
    >>> windows = source.timed_window_unique("20ms", key=len, emit_empty=False).sink_to_list()
    >>> source.emit_many(["a", "b", "cc"])
    >>> source.join()
    >>> windows
    [('a', 'cc')]
    """

    def __init__(
        self,
        upstream: Stream[Any],
        interval: Interval,
        key: Key = identity,
        keep: Literal["first", "last"] = "first",
        emit_empty: bool = True,
        **kwargs: Any,
    ) -> None:
        self.key, self.keep = key, keep
        self._check()
        self._held: dict[Any, Any] = {}
        super().__init__(upstream, interval, emit_empty, **kwargs)

    def _holding_step(self) -> Callable[[Any], object]:
        return self._holding(self._held)

    def _take(self) -> Any:
        return tuple(_values_out(self._held))

    def _in_window(self) -> int:
        return len(self._held)
