"""When elements go on, and how many at once."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from rapidz.kernel.compile.legacy import interpreted
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute, LiveKwargs
from rapidz.kernel.protocol.checks import check_callable, check_count, check_queue, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import SKIP, Pending, Push, Step
from rapidz.kernel.protocol.signatures import check_arguments
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.attribution import blame
from rapidz.kernel.runtime.deadlock import waits_for_caller
from rapidz.kernel.runtime.failures import BackPressureError, Handler, StreamClosed
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.loop import new_condition
from rapidz.kernel.runtime.queue import QueueDrainer, SignalMark, elements_in
from rapidz.kernel.runtime.supervision import being_ended, supervised
from rapidz.kernel.runtime.tasks import following, resolve
from rapidz.kernel.runtime.tracking import Entry, fail, rebox, unbox


class _Queued(Stream[T]):
    """What the operators with a queue of their own have in common."""

    _keeps_elements: ClassVar[bool] = True

    def __init__(self, upstream: Stream[Any], **kwargs: Any) -> None:
        self._drainer = QueueDrainer()
        self._gate = Gate(shared=False)
        self._gate.makers = self._drainer.makers
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, **kwargs)

    @property
    def queue(self) -> Any:
        """The elements that wait, first one first."""
        return vars(self).get("queue", self._drainer.entries)

    @queue.setter
    def queue(self, queue: Any) -> None:
        """Take over the bound and the elements of another queue.

        A class of a user with an `update` of its own has the queue itself.
        """
        if interpreted(self):
            vars(self)["queue"] = queue
            return
        check_queue(type(self).__name__, queue)
        self._set_bound(queue.maxsize)
        while not queue.empty():
            self.update(queue.get_nowait())

    def _set_bound(self, maxsize: int) -> None:
        """Let at most *maxsize* elements wait, any number if it is 0."""

    def _has_in_flight(self) -> bool:
        return self._drainer.running or super()._has_in_flight()

    def _queue_action(self, action: Callable[[], Pending]) -> bool:
        entries = self._drainer.entries
        if self._gate.line:  # elements wait outside: the action comes in behind them
            self._gate.queue(self._pipeline, lambda: entries.append(SignalMark(action)), no_room)
            return True
        if self._drainer.running:
            entries.append(SignalMark(action))
            return True
        return super()._queue_action(action)

    def _buffered(self) -> int:
        return elements_in(self.queue) + self._gate.waiting()

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._drainer.running = False
        self._gate.readmit()


def take_losses(node: _Queued[Any]) -> None:
    """Let an element that is withdrawn at the gate of *node* be reported in its place."""
    lost = node._loss_reporter()
    if lost is None:
        return
    gate, conveyor, pipeline = node._gate, node._drainer, node._pipeline

    def report() -> Pending:
        lost()
        return None

    def admit() -> Pending:
        if conveyor.running:
            conveyor.entries.append(SignalMark(report))
            return None
        return report()

    gate.withdrawn = lambda at: gate.keep_place(pipeline, at, admit)


def no_room() -> Exception:
    return BackPressureError("there is no room, and nobody left who could make some")


@Stream.register_api()
class buffer(_Queued[T]):
    """Let elements wait in a queue, so that what is above need not.

    Emits by itself, in order, as soon as downstream has room.  Holds back when
    *n* elements wait.  What fails below is kept for the next emitter, and the
    queue goes on.

    Parameters
    ----------
    n : int
        How many elements may wait, at least 1.

    >>> source = Stream()
    >>> elements = source.buffer(2).sink_to_list()
    >>> source.emit_many(range(3))
    >>> source.join()
    >>> elements
    [0, 1, 2]
    """

    _graphviz_shape = "diamond"
    _emits_one_for_one: ClassVar[bool] = True

    maxsize: LiveAttribute[int] = LiveAttribute()

    def __init__(self, upstream: Stream[T], n: int, **kwargs: Any) -> None:
        check_count("buffer", "n", n)
        self.maxsize = n
        super().__init__(upstream, **kwargs)

    def _set_bound(self, maxsize: int) -> None:
        self.maxsize = maxsize or sys.maxsize

    def compile(self, push: Push[T], port: int = 0) -> Push[Any] | Step:
        conveyor, gate, maxsize = self._drainer, self._gate, self.maxsize
        conveyor.gate = gate
        take_losses(self)
        pipeline, outlet = self._pipeline, self._outlet
        entries, line = conveyor.entries, gate.line

        def carry(x: T) -> Pending:
            if line:
                gate.open(pipeline)
            return outlet.send(x)

        conveyor.resume(carry, pipeline)

        def step(x: T) -> Pending:
            if len(entries) < maxsize and not line:
                if conveyor.running:
                    entries.append(x)
                    return None
                return conveyor.put(x, carry, pipeline)
            return gate.enter(
                pipeline,
                lambda: len(entries) >= maxsize,
                lambda: conveyor.put(x, carry, pipeline),
                no_room,
            )

        return step


@Stream.register_api()
class delay(_Queued[T]):
    """Let every element go on a while later.

    Emits an element no earlier than *interval* after it came, and, unless
    *spaced* is False, no earlier than *interval* after the one before left.
    Holds back when downstream does; what waits for its time is not bounded.

    Parameters
    ----------
    interval : float, str or timedelta
        Seconds, or a string such as ``"500ms"``, at least 0.
    spaced : bool
        Keep the distance between elements too.

    >>> source = Stream()
    >>> delayed = source.delay("10ms").sink_to_list()
    >>> source.emit("later")
    >>> source.join()
    >>> delayed
    ['later']
    """

    _graphviz_shape = "octagon"
    _emits_one_for_one: ClassVar[bool] = True

    interval: LiveAttribute[float] = LiveAttribute()
    spaced: LiveAttribute[bool] = LiveAttribute()

    def __init__(
        self, upstream: Stream[T], interval: Interval, spaced: bool = True, **kwargs: Any
    ) -> None:
        self.interval = read_interval("delay", interval, allow_zero=True)
        self.spaced = spaced
        self._left = Cell(float("-inf"))
        self._room: Cell[asyncio.Future[None] | None] = Cell(None)
        self._next: Cell[Any] = Cell(None)
        """What waits for its time at the head of the queue."""
        super().__init__(upstream, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "interval":
            vars(self)[name] = read_interval("delay", value, allow_zero=True)
        super()._on_attribute_set(name, value)

    def _buffered(self) -> int:
        return (self._next.value is not None) + super()._buffered()

    def _resumes_queue(self) -> bool:
        return self._next.value is not None

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._left.value, self._room.value = float("-inf"), None
        if self._next.value is not None:  # its task was never told that the loop has ended
            self._drainer.entries.appendleft(self._next.value)
            self._next.value = None
        self._drainer.entries.extend(
            (float("-inf"), space, x)
            for _, space, x in [self._drainer.entries.popleft() for _ in self.queue.copy()]
        )

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        conveyor, outlet, pipeline, left = self._drainer, self._outlet, self._pipeline, self._left
        interval, space = self.interval, self.interval if self.spaced else 0.0
        clock, room, waiting = pipeline.clock, self._room, self._next

        async def carry(entry: tuple[float, float, T]) -> None:
            due, space, x = entry
            waiting.value = entry
            try:
                await clock.sleep_until(max(due, left.value + space))
            except asyncio.CancelledError:  # this queue ends with its loop, and the next goes on
                waiting.value = None
                conveyor.entries.appendleft(entry)
                raise
            left.value, waiting.value = clock.time(), None
            if (wait := outlet.send(x)) is not None:
                room.value = pipeline.running_on.create_future()
                try:
                    await wait
                finally:
                    resolve(room.value)
                    room.value = None

        conveyor.resume(carry, pipeline)

        def step(x: T) -> Pending:
            conveyor.put((clock.time() + interval, space, x), carry, pipeline)
            if room.value is None or waits_for_caller(*conveyor.makers()):
                return None
            return following(room.value)

        return step


@Stream.register_api()
class rate_limit(Stream[T]):
    """Keep elements apart.

    Emits an element at once if the one before left at least *interval* ago,
    else as soon as that is so.  Holds back until then, and when downstream
    does.  Elsewhere known as throttle, where that loses no elements.

    Parameters
    ----------
    interval : float, str or timedelta
        The least time between two elements: seconds, or a string such as
        ``"500ms"``, at least 0.  The clock is monotonic.

    >>> source = Stream()
    >>> node = source.rate_limit("5ms").sink(print)
    >>> source.emit_many("ab")
    a
    b
    """

    _graphviz_shape = "octagon"
    _emits_one_for_one: ClassVar[bool] = True

    interval: LiveAttribute[float] = LiveAttribute()

    def __init__(self, upstream: Stream[T], interval: Interval, **kwargs: Any) -> None:
        self.interval = read_interval("rate_limit", interval, allow_zero=True)
        self._left = Cell(float("-inf"))
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        vars(self)[name] = read_interval("rate_limit", value, allow_zero=True)
        super()._on_attribute_set(name, value)

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._left.value = float("-inf")

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        outlet, pipeline, line, left = self._outlet, self._pipeline, self._serial_queue, self._left
        interval, clock = self.interval, self._pipeline.clock

        lost, ref = self._loss_reporter(), weakref.ref(self)

        async def later(x: T) -> None:
            try:
                await clock.sleep_until(left.value + interval)
            except BaseException:
                if (node := ref()) is not None:
                    node._report_loss()
                raise
            left.value = clock.time()
            if (wait := outlet.send(x)) is not None:
                line.emitted += 1
                try:
                    await wait
                finally:
                    line.emitted -= 1

        def step(x: T) -> Pending:
            now = clock.time()
            if line.busy() or now < left.value + interval:
                return line.follow(later(x), pipeline, lost)
            left.value = now
            return push(x)

        return step


@Stream.register_api()
class latest(_Queued[T]):
    """Let only the newest element wait.

    Emits the newest element as soon as downstream has room; those that it
    replaced are lost.  The last one always arrives.  Never holds back.
    Elsewhere known as conflate.

    >>> source = Stream()
    >>> newest = source.latest().sink_to_list()
    >>> source.emit("now")
    >>> source.join()
    >>> newest
    ['now']
    """

    _graphviz_shape = "octagon"

    def __init__(self, upstream: Stream[T], **kwargs: Any) -> None:
        super().__init__(upstream, **kwargs)

    @functools.cached_property
    def condition(self) -> Any:
        """A Tornado condition, for subclasses in the old manner to wait and notify with."""
        return new_condition()

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        conveyor, outlet, pipeline = self._drainer, self._outlet, self._pipeline
        entries = conveyor.entries

        def carry(x: T) -> Pending:
            return outlet.send(x)

        conveyor.resume(carry, pipeline)

        def step(x: T) -> Pending:
            if entries and type(entries[-1]) is not SignalMark:
                entries[-1] = x
                return None
            return conveyor.put(x, carry, pipeline)

        return step


@Stream.register_api()
class map_async(_Queued[T]):
    """Apply an asynchronous function to several elements at once.

    Emits the results by itself, in the order of the elements.  Holds back
    while *parallelism* elements are under way.  A result of `SKIP` is not
    emitted.  What fails is kept for the next emitter, unless a policy says
    otherwise, and the node goes on.  Elsewhere known as mapAsync.

    Parameters
    ----------
    func : callable
        Called with the element; returns an awaitable.
    *args, **kwargs
        Given to the function after the element.
    parallelism : int
        How many elements may be under way, from the call of the function until
        the result is through; at least 1.
    stop_on_exception : bool
        Take no more elements once the function has failed.

    >>> import asyncio
    >>> async def double(x):
    ...     await asyncio.sleep(0)
    ...     return 2 * x
    >>> source = Stream()
    >>> doubled = source.map_async(double, parallelism=2).sink_to_list()
    >>> source.emit_many([1, 2])
    >>> source.join()
    >>> doubled
    [2, 4]
    """

    _emits_one_for_one: ClassVar[bool] = True
    _loses_queue_with_loop: ClassVar[bool] = True

    func: LiveAttribute[Callable[..., Any]] = LiveAttribute()
    args: LiveAttribute[tuple[Any, ...]] = LiveAttribute()
    kwargs: LiveAttribute[Mapping[str, Any]] = LiveAttribute()
    parallelism: LiveAttribute[int] = LiveAttribute()

    def __init__(
        self,
        upstream: Stream[Any],
        func: Callable[..., Any],
        *args: Any,
        parallelism: int = 1,
        stop_on_exception: bool = False,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_callable("map_async", "func", func)
        check_arguments(self, func, args, kwargs)
        check_count("map_async", "parallelism", parallelism)
        self.func, self.args, self.kwargs = func, args, LiveKwargs(kwargs)
        self.parallelism = parallelism
        self.stop_on_exception = stop_on_exception
        self._under_way = Cell(0)
        self._calls: set[asyncio.Task[Any]] = set()
        self._emitted = Cell(0)
        """How many of these are through here, and wait for downstream."""
        self._most = Cell(parallelism)
        self._stopped_by: Cell[Exception | None] = Cell(None)
        super().__init__(upstream, stream_name=stream_name)

    def _buffered(self) -> int:
        return self._under_way.value - self._emitted.value + self._gate.waiting()

    def _on_loop_changed(self) -> None:
        # What was under way in the old loop was lost with it.
        self._drainer.entries.clear()
        self._under_way.value = self._emitted.value = 0
        super()._on_loop_changed()

    def compile(self, push: Push[T], port: int = 0) -> Push[Any]:
        func, args, kwargs, parallelism = self.func, self.args, self.kwargs, self.parallelism
        pipeline, outlet, conveyor, gate = self._pipeline, self._outlet, self._drainer, self._gate
        under_way, stopped_by, stops = self._under_way, self._stopped_by, self.stop_on_exception
        calls = self._calls
        gate.makers = lambda: (*conveyor.makers(), *calls)  # in order: each is in the way
        take_losses(self)
        most, emitted = self._most, self._emitted
        most.value = parallelism
        ref, label = weakref.ref(self), str(self)
        handler = None if self._effective_policy is None else Handler(self, self._effective_policy)

        async def call(x: Any) -> Any:
            task = asyncio.current_task()
            try:
                result = func(unbox(x), *args, **kwargs)
                return await result if inspect.isawaitable(result) else result
            except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
                if being_ended(error, task):
                    raise
                raise supervised(error) from error  # a task cannot hand it on

        def lost() -> None:
            if (node := ref()) is not None:
                node._report_loss()

        async def interruptible(calling: Awaitable[Any]) -> Any:
            try:
                return await calling
            except Exception:
                raise  # a policy may yet get it through
            except BaseException:
                lost()
                raise

        async def call_again(x: Any) -> None:
            await deliver(x, await interruptible(call(x)))

        async def deliver(x: Any, result: Any) -> None:
            if result is not SKIP and (wait := outlet.send(rebox(x, result))) is not None:
                emitted.value = 1
                await wait

        async def carry(entry: tuple[Any, asyncio.Task[Any]]) -> None:
            x, task = entry
            since = attribution.last_serial
            ended = False
            try:
                try:
                    result = await interruptible(task)
                except Exception as error:
                    blame(error, ref(), unbox(x))
                    if handler is None:
                        lost()
                        stopped_by.value = error if stops else None
                        if type(x) is Entry:
                            fail(x.metadata, error)
                        raise
                    await handler.retry_later(
                        lambda x: pipeline.start(call_again(x)), x, error, since
                    )
                else:
                    await deliver(x, result)
            except asyncio.CancelledError as error:
                ended = being_ended(error, asyncio.current_task())
                raise
            finally:
                calls.discard(task)
                if type(x) is Entry:
                    x.release()
                under_way.value -= 1
                emitted.value = 0
                if not ended:  # else the next loop lets in who waits
                    let_in()

        def let_in() -> None:
            while gate.line and under_way.value < most.value:
                gate.open(pipeline)

        def begin(x: Any) -> Pending:
            under_way.value += 1
            task = pipeline.running_on.create_task(call(x))
            calls.add(task)
            return conveyor.put((x, task), carry, pipeline)

        conveyor.resume(carry, pipeline)
        let_in()

        def step(x: Any) -> Pending:
            if stopped_by.value is not None:
                raise StreamClosed(f"{label} has stopped on an exception") from stopped_by.value
            if under_way.value < parallelism and not gate.line:
                return begin(x)
            return gate.enter(
                pipeline, lambda: under_way.value >= parallelism, lambda: begin(x), no_room
            )

        return step
