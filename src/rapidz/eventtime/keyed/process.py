"""process: a class of the user that keeps state and timers for each key."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from rapidz.eventtime.clock import END, NEVER
from rapidz.eventtime.domain import SECOND, nanoseconds
from rapidz.eventtime.event_time import definitions_upstream
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keyed.evicted import SendsEvicted
from rapidz.eventtime.keyed.in_order_clock import InOrderClock
from rapidz.eventtime.keyed.key_context import KeyContext
from rapidz.eventtime.keyed.keyed_node import unbounded_warner
from rapidz.eventtime.keyed.process_class import check_methods, read_results, sets_wall_timers
from rapidz.eventtime.keyed.process_state import KeyTimer, ProcessState
from rapidz.eventtime.keyed.stepwise import StepwiseNode
from rapidz.eventtime.keys import key_of, refuse_key
from rapidz.eventtime.time_graph import give_clock
from rapidz.eventtime.time_node import TimeNode
from rapidz.eventtime.timer_table import TimerTable
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_callable, check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.signatures import check_arguments
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.failures import PolicyHandler, Retry
from rapidz.kernel.runtime.futures import wait_for
from rapidz.kernel.runtime.in_flight_token import InFlightToken
from rapidz.kernel.runtime.loop import running_loop
from rapidz.kernel.runtime.supervision import push_supervised
from rapidz.kernel.runtime.timer import Timer
from rapidz.kernel.runtime.tracked_element import unbox

T = TypeVar("T")


@Stream.register_api()
class process(SendsEvicted[T], StepwiseNode[T]):
    """Call a class of the user with each element and each timer of its key.

    One instance of the class is made for the node.  Its method ``on_element(key, x, ctx)`` is
    called with every element, ``on_timer(key, t, ctx)`` with every timer that it has set; both
    return None, or an iterable of what to emit.  *ctx* is a `KeyContext`: it has the
    time, the state of the key, and sets timers.  Emits what the methods return, in their order;
    timers by instant, then in the order in which they were set, before the watermark passes on
    to nodes downstream.  Elements older than the watermark are passed as all others.  Applies back
    pressure when downstream does.  At the end of the stream all timers of event time fire;
    those of the wall clock are dropped.

    What a method has assigned to ``ctx.state``, and the timers that it has set or cancelled,
    stand when it returns, and are undone if it raises an exception.  A timer whose method fails
    counts as fired.  On a stream without keys the key is None.

    Parameters
    ----------
    cls : type
        A class with the method ``on_element`` and, if it sets timers, ``on_timer``.  They may be
        generators, which run to their end before the first element is emitted, but not
        ``async def``.
    *args, **kwargs
        Passed to the class.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where the `event_time` upstream found it.
    hold : bool, float, str or timedelta
        By how much, at most, what ``on_timer`` emits is older than its timer.  The watermark that
        nodes downstream see stays that much behind the earliest timer; True is zero, False lets
        it pass.
    ttl : float, str or timedelta, optional
        How long a key keeps its state after its last element or timer, in event time where there
        is an `event_time` upstream, else by the clock of the pipeline.  No state leaves
        before a timer of event time of its key.  What leaves goes to `evicted`.
    max_keys : int, optional
        How many keys have a state at most: that of the key which was called least recently leaves,
        with its timers.

    >>> class Silence:
    ...     '''Report the keys that are silent for ten seconds.'''
    ...
    ...     def on_element(self, key, x, ctx):
    ...         ctx.at(ctx.time + 10)
    ...
    ...     def on_timer(self, key, t, ctx):
    ...         yield f"{key} is silent at {t}"
    >>> source = Stream()
    >>> node = source.event_time(0).key_by(1).process(Silence).sink(print)
    >>> source.emit_many([(0, "a"), (4, "b"), (8, "a"), (20, "b")])
    b is silent at 14
    a is silent at 18
    >>> source.close()
    b is silent at 30
    """

    _keeps_elements: ClassVar[bool] = True
    _edited = True
    """Whether the watermark may have moved by an edit of the graph."""
    _needs_local_elements: ClassVar[bool] = True

    def __init__(
        self,
        upstream: Stream[Any],
        cls: Callable[..., Any],
        *args: Any,
        timestamp: Any = None,
        hold: bool | Interval = True,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_callable("process", "cls", cls)
        check_arguments(self, cls, args, kwargs, elements=0, argument="cls")
        shift = _read_hold(hold)
        life = None if ttl is None else nanoseconds(ttl, operator="process", argument="ttl")
        if max_keys is not None:
            check_count("process", "max_keys", max_keys)
        self.instance = cls(*args, **kwargs)
        """The object whose methods are called."""
        check_methods(self.instance)
        has_timers = hasattr(self.instance, "on_timer")
        options: dict[str, Any] = {"stream_name": stream_name}
        if sets_wall_timers(type(self.instance)):
            options["ensure_io_loop"] = True
        self._key: Getter | None = key_of(upstream)
        self._process = state = ProcessState(self, has_timers, life, max_keys)
        if not state.states.bounded:
            state.states.table.on_unbounded = unbounded_warner(self)
        self._contexts = [KeyContext(state)]
        self._wall = Timer(self)
        self._wall_until = NEVER
        self._wall_token = InFlightToken()
        if timestamp is None and not definitions_upstream([upstream]):
            super(TimeNode, self).__init__(upstream, **options)
            return
        super().__init__("process", [upstream], timestamp, **options)
        state.clock = InOrderClock(self, shift)
        state.domain, state.timestamp = self._domain, self._timestamp
        give_clock(self, state.clock)

    @property
    def key_count(self) -> int:
        """How many keys have a state."""
        return len(self._process.states.table)

    # --- elements ---------------------------------------------------------------------------

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        ref, line, pipeline = weakref.ref(self), self._serial_queue, self._pipeline
        self._process.monotonic = pipeline.monotonic
        self._edited = True
        self._restart_wall()

        async def take_in_order(x: Any) -> None:
            if (node := ref()) is not None:
                await wait_for(node._take(x))

        def step(x: Any) -> Pending:
            x = unbox(x)
            if line.busy():
                return line.enqueue(take_in_order(x), pipeline)
            if (node := ref()) is None or (wait := node._take(x)) is None:
                return None
            node._note_watermark()
            return line.enqueue(wait_for(wait), pipeline)

        return step

    def _take(self, x: Any) -> Pending:
        """Call ``on_element``, emit, and fire the timers that it has set in the past."""
        if self._edited and (clock := self._process.clock) is not None:
            self._edited = False
            clock.caught_up()
        try:
            state, key = self._process, None if self._key is None else self._key(x)
            now = state.instant_of(x)
            if state.clock is None and state.states.ttl is not None:
                state.states.sweep(now)
            results, asks = self._call("on_element", key, x, None, now)
        except Exception as error:
            attribution.attribute_to(error, self, x)
            self._note_watermark()
            raise
        if not results and not asks:
            return None
        errors: list[Exception] = []
        return self._drive(self._steps(results, asks, errors), errors)

    def _call(
        self, method: str, key: Any, x: Any, timer: KeyTimer | None, now: int
    ) -> tuple[Sequence[Any], bool]:
        """Call a method; return what it emits, and whether `_steps` has more to do."""
        context = self._contexts.pop() if self._contexts else KeyContext(self._process)
        _open(context, key, x, timer, now)
        try:
            results = read_results(method, getattr(self.instance, method)(key, x, context))
        except BaseException:
            context.close(commit=False)
            raise
        else:
            asks = context.close(commit=True)
        finally:
            self._contexts.append(context)
        if self._process.wall_changed:
            self._process.wall_changed = False
            self._wait_for_wall()
        return results, asks

    # --- emission ---------------------------------------------------------------------------

    def _steps(self, results: Sequence[Any], asks: bool, errors: list[Exception]) -> Iterator[Any]:
        """Emit *results*, then fire what is due by now; yield what is to be awaited in between."""
        yield from self._send_each(results, errors)
        state, clock = self._process, self._process.clock
        if not asks:
            return
        if clock is None:
            yield from self._send_evicted()
            return
        if clock.timer <= (now := clock.arrived()):
            yield from self._fire_each(state.event_timers, now)
            state.states.sweep(now)
            clock.timer = NEVER
            clock.set_timer(state.next_due())
        yield from self._send_evicted()
        if self._is_busy():
            clock.let_in()  # it may have passed the timer while this element was in the queue

    # --- timers -----------------------------------------------------------------------------

    def _on_time(self, t: int) -> Pending:
        self._process.ended |= t >= END
        return self._run_alone(self._fire_due(t))

    def _note_watermark(self) -> None:
        if (clock := self._process.clock) is not None:
            clock.arrived()

    def _fire_due(self, t: int) -> Iterator[Any]:
        state = self._process
        yield from self._fire_each(state.event_timers, t)
        if state.clock is not None:
            state.states.sweep(t)
            yield from self._send_evicted()
            state.clock.timer = state.next_due()
            if self._is_busy():
                state.clock.let_in()
        if state.dropped and not len(state.event_timers):
            dropped, state.dropped = state.dropped, 0
            warnings.warn(
                f"{self}: {dropped} timers were not set, for their keys have each set 1,000 since "
                "the end of the stream: set none that repeats while `ctx.ended`",
                RuntimeWarning,
                stacklevel=2,
            )

    def _fire_each(self, table: TimerTable, t: int) -> Iterator[Any]:
        """Call ``on_timer`` for what is due at *t*, one after the other."""
        state = self._process
        domain = state.domain if table is state.event_timers else None
        while (due := table.pop(t)) is not None:
            state.note_fired(due.key, due.name)
            timer = KeyTimer(due.key, None if domain is None else domain.from_ns(due.t), due.name)
            call = functools.partial(self._take_timer, state.instant_of_timer(due.t, table))
            if (wait := push_supervised(self._pipeline, call, timer)) is not None:
                yield wait

    def _send_evicted(self) -> Iterator[Any]:
        evicted = self._process.take_evicted()
        if (stream := self._evicted) is None or not len(stream.downstreams):
            return
        left = iter(evicted)
        try:
            for pair in left:
                if (wait := push_supervised(self._pipeline, stream._outlet.send, pair)) is not None:
                    yield wait
        except BaseException:  # an interrupt: the others are sent with what is evicted next
            self._process.states.evicted[:0] = left
            raise

    def _take_timer(self, now: int, timer: KeyTimer) -> Pending:
        since, call = attribution.last_serial, functools.partial(self._call_timer, now)
        try:
            return call(timer)
        except Exception as error:
            if (policy := self._effective_policy) is None:
                raise
            handler = PolicyHandler(self, policy)
            if not isinstance(policy, Retry) or running_loop() is None:
                return handler.recover(call, timer, error, since)
            return self._pipeline.start(
                handler.retry_async(call, timer, error, since)
            )  # at its place in the queue, and not behind the elements that wait there

    def _call_timer(self, now: int, timer: KeyTimer) -> Pending:
        """Call ``on_timer``, and emit."""
        try:
            results, _ = self._call("on_timer", timer.key, timer.t, timer, now)
        except Exception as error:
            attribution.attribute_to(error, self, timer)
            raise
        errors: list[Exception] = []
        return self._drive(self._send_each(results, errors), errors)

    # --- timers of the wall clock -----------------------------------------------------------

    def _wait_for_wall(self) -> None:
        """Set the timer of the loop for the earliest timer of the wall clock."""
        state = self._process
        until = state.next_of_wall()
        if len(state.wall_timers) and not self._ended:
            self._wall_token.begin(self._pipeline)
        else:
            self._wall_token.end(self._pipeline)
        if until == NEVER or self._ended or not self._pipeline.needs_loop:
            self._wall_until = NEVER
            self._wall.cancel()
        elif until != self._wall_until or not self._wall.is_set():
            self._wall_until, ref = until, weakref.ref(self)

            def fire() -> None:
                if (node := ref()) is not None:
                    node._run_in_order(functools.partial(node._fire_wall, until))

            self._wall.set(self._pipeline, until / SECOND, fire)

    def _fire_wall(self, until: int) -> Pending:
        self._wall_until = NEVER
        return self._run_alone(self._steps_of_wall(until))

    def _steps_of_wall(self, until: int) -> Iterator[Any]:
        state = self._process
        if not self._ended:
            now = max(until, state.loop_time())
            yield from self._fire_each(state.wall_timers, now)
            if state.clock is None:
                state.states.sweep(now)
            yield from self._steps((), True, [])
        self._wait_for_wall()

    def _restart_wall(self) -> None:
        if self._process.next_of_wall() < NEVER and not self._wall.is_set():
            self._process.resume_wall_timers()
            self._wait_for_wall()

    # --- for the engine ---------------------------------------------------------------------

    def _snapshot(self) -> Any:
        return self._process.snapshot()

    def _restore(self, state: Any) -> None:
        self._process.restore(state)
        if self._process.clock is not None:
            self._process.clock.set_timer(self._process.next_due())

    def _emit_at_end(self) -> Pending:
        if self._process.clock is None:
            return None
        self._process.clock.end_in_order()
        return super()._emit_at_end()

    def _resumes_queue(self) -> bool:
        return len(self._process.wall_timers) > 0

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._wall.cancel()
        self._wall_until, self._wall_token = NEVER, InFlightToken()

    def _on_end(self) -> None:
        self._process.wall_timers.clear()
        self._wall.cancel()
        self._wall_token.end(self._pipeline)
        super()._on_end()


def _open(context: KeyContext, key: Any, x: Any, timer: KeyTimer | None, now: int) -> None:
    try:
        context.open(key, x, timer, now)
    except TypeError as error:
        raise refuse_key("process", key, error) from error


def _read_hold(hold: bool | Interval) -> int:
    if hold is True:
        return 0
    if hold is False:
        return -NEVER
    return nanoseconds(hold, operator="process", argument="hold", allow_zero=True)
