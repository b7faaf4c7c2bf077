"""TimedNode: base class of nodes with timers and background tasks of their own."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Awaitable, Coroutine, Hashable
from typing import Any, ClassVar, NamedTuple, TypeVar

from rapidz.kernel.compile.async_steps import starter
from rapidz.kernel.compile.feedback import flushes
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.intervals import Interval, seconds
from rapidz.kernel.protocol.push import Pending, Push, await_result, no_default
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.failures import PolicyHandler, guard
from rapidz.kernel.runtime.futures import run_async, wait_for
from rapidz.kernel.runtime.in_flight_token import InFlightToken
from rapidz.kernel.runtime.loop import is_async, running_loop, sync
from rapidz.kernel.runtime.supervision import push_supervised
from rapidz.kernel.runtime.tasks import EagerTask, detach
from rapidz.kernel.runtime.timer import Timer
from rapidz.kernel.runtime.tracked_element import unbox

T = TypeVar("T")


class TimerEntry(NamedTuple):
    """What `TimedNode.on_timer` failed on, where a failure names its element."""

    name: Hashable


class _NodeTimers:
    """The timers of one node, and what keeps `join` waiting for them."""

    def __init__(self, node: TimedNode[Any]) -> None:
        self.timers: dict[Hashable, tuple[Timer, float]] = {}
        self.busy = InFlightToken(node)


class TimedNode(Stream[T]):
    """Base class of nodes that emit later: by a timer, or from a task.

    A subclass overrides `on_element`, and `on_timer` and `on_flush` if it needs
    them; it calls `push`, `set_timer`, `cancel_timer`, `start_task` and `now`.
    None of these methods needs `super()`.  One of them runs at a
    time, on the pipeline's loop: an element, a timer or a flush that comes
    while another is awaited waits its turn.

    `join` waits while a timer is set or a task runs.  What fails in `on_timer`
    or in a task goes to the node's policy, else it is raised by the next `emit`,
    `join` or `close`; the node continues.  At the end of the stream timers are
    cancelled after `on_flush`, and tasks too.

    Parameters
    ----------
    upstream : Stream
        Where elements come from.
    **kwargs
        As for `Stream`.

    >>> class debounce(TimedNode):
    ...     '''Emit an element once no other has come for a while.'''
    ...
    ...     def __init__(self, upstream, interval, **kwargs):
    ...         self.interval = interval
    ...         self.waiting = []
    ...         super().__init__(upstream, **kwargs)
    ...
    ...     def on_element(self, x):
    ...         self.waiting = [x]
    ...         self.set_timer(self.interval)
    ...
    ...     def on_timer(self, name):
    ...         return self.push(self.waiting.pop())
    ...
    ...     def on_flush(self):
    ...         if self.cancel_timer():
    ...             return self.push(self.waiting.pop())
    >>> with Stream() as source:
    ...     calm = debounce(source, "10ms").sink_to_list()
    ...     source.emit_many([1, 2, 3])
    ...     source.join()
    ...     source.emit_many([4, 5])
    >>> calm
    [3, 5]
    """

    _attributes_failures: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True

    def __init__(self, upstream: Stream[Any], **kwargs: Any) -> None:
        self._node_timers = _NodeTimers(self)
        self._tasks: weakref.WeakSet[EagerTask] = weakref.WeakSet()
        self._in_tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._flushing: Any = None
        """What is in flight of a flush."""
        self._quiet = False
        """Whether timers are left alone: the end comes, and no element has come since."""
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, **kwargs)

    # --- to be overridden ------------------------------------------------------------------

    def on_element(self, x: Any) -> Any:
        """Take one element.

        Returns None, or what is to be waited for before the next one: what
        `push` returned, or a list of that.  May be ``async def``.
        """
        return self.push(x)

    def on_timer(self, name: Hashable) -> Any:
        """Do what the timer *name* was set for; returns as `on_element` does."""

    def on_flush(self) -> Any:
        """Emit what the node buffers: at a flush, and at the end.

        Returns as `on_element` does.
        """

    # --- to be called ------------------------------------------------------------------------

    def push(self, x: Any) -> Pending:
        """Emit *x*; return None, or an awaitable, to be returned or awaited for back pressure."""
        wait = self._outlet.send(x)
        if wait is None or not self._in_tasks or asyncio.current_task() not in self._in_tasks:
            return wait
        return detach(
            self._pipeline, wait
        )  # a task is cancelled at the end, and not what it emitted

    def now(self) -> float:
        """Return the time of the pipeline's clock, in seconds."""
        return self._pipeline.clock.time()

    def set_timer(self, after: Interval, name: Hashable = None) -> None:
        """Call ``on_timer(name)`` once, *after* that time; from any thread.

        Parameters
        ----------
        after : float, str or timedelta
            Seconds, or a string such as ``"500ms"``, at least 0.
        name : hashable
            A timer of the same name that is set already is replaced.
        """
        delay = seconds(after, operator=type(self).__name__, argument="after", allow_zero=True)
        hash(name)  # refused here, and not on the loop
        loop = self._pipeline.running_on
        if running_loop() is loop or not loop.is_running():
            self._start(name, delay)
        else:
            loop.call_soon_threadsafe(self._start, name, delay)

    def cancel_timer(self, name: Hashable = None) -> bool:
        """Cancel the timer *name*; return whether it was set."""
        hash(name)
        loop = self._pipeline.loop
        if loop is None or running_loop() is loop or not loop.is_running():
            return self._cancel(name)
        return bool(sync(loop, self._cancel, name))

    def _cancel(self, name: Hashable) -> bool:
        timer, _ = self._node_timers.timers.pop(name, (None, 0.0))
        if timer is not None:
            timer.cancel()
        self._release_token()
        return timer is not None

    def start_task(self, coroutine: Awaitable[object]) -> None:
        """Run *coroutine* on the pipeline's loop, concurrently with the elements.

        To be called from `on_element`, `on_timer` or a task.  What it raises goes
        to the node's policy, with None for an element; it cannot be tried again.
        """
        if not inspect.isawaitable(coroutine):
            raise TypeError(
                f"{type(self).__name__}: coroutine must be one to start as a task, "
                f"got {short_repr(coroutine)}"
            )
        pipeline, tasks = self._pipeline, self._tasks

        def start(task: Coroutine[Any, Any, None]) -> Pending:
            running = EagerTask(task, pipeline)
            running.detach()
            tasks.add(running)
            return running

        push_supervised(pipeline, start, _run_task(weakref.ref(self), coroutine))

    # --- for the engine ----------------------------------------------------------------------

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        """Return a step that calls `on_element`."""
        ref, start, line = weakref.ref(self), starter(self), self._serial_queue
        pipeline, awaits = self._pipeline, is_async(self.on_element)
        self._restore_timers()

        def step(x: Any) -> Pending:
            if (node := ref()) is None:
                return None
            node._quiet = False
            if awaits or line.busy():
                return line.enqueue(_call(ref, "on_element", unbox(x)), pipeline)
            since = attribution.last_serial
            try:
                return await_result(node.on_element(unbox(x)), start)
            except Exception as error:
                attribution.is_attributed_to(error, node, x, since)
                raise

        return step

    def _start(self, name: Hashable, delay: float) -> None:
        if self._quiet or self._ended:
            return
        clockwork, pipeline, ref = self._node_timers, self._pipeline, weakref.ref(self)

        def fire() -> None:
            if (node := ref()) is not None:
                node._fire(name)

        if name in clockwork.timers:
            clockwork.timers[name][0].cancel()
        timer = Timer(self)
        clockwork.timers[name] = timer, delay
        timer.set(pipeline, pipeline.clock.time() + delay, fire)
        clockwork.busy.begin(pipeline)

    def _restore_timers(self) -> None:
        """Set the timers that an earlier loop has left, anew."""
        for name, (timer, delay) in list(self._node_timers.timers.items()):
            if not timer.is_set():
                self._start(name, delay)

    def _fire(self, name: Hashable) -> None:
        del self._node_timers.timers[name]
        pipeline, ref = self._pipeline, weakref.ref(self)

        def call(timer: TimerEntry) -> Pending:
            return pipeline.start(_call(ref, "on_timer", timer.name, timer))

        policy = self._effective_policy
        step: Push[TimerEntry] = call if policy is None else guard(self, call, policy)
        line = self._serial_queue
        push_supervised(
            pipeline, lambda x: line.enqueue(run_async(lambda: step(x)), pipeline), TimerEntry(name)
        )
        self._release_token()

    def _release_token(self) -> None:
        if not self._node_timers.timers:
            self._node_timers.busy.end(self._pipeline)

    def _emit_buffered(self) -> Pending:
        alone = not self._serial_queue.busy()  # else what calls this has the place of the flush
        wait = await_result(self.on_flush(), self._pipeline.start)
        if wait is not None and alone:
            wait = self._serial_queue.enqueue(wait_for(wait), self._pipeline)
        self._flushing = wait
        return wait

    def _stop_background_work(self) -> None:
        self._quiet = True
        for name in list(self._node_timers.timers):
            self._cancel(name)
        flushing, self._flushing = self._flushing, None
        if flushing is None or flushing.done():
            self._cancel_tasks()
        else:
            flushing.add_done_callback(lambda _: self._cancel_tasks())

    def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            if task._task is not None:
                task._task.cancel()

    def _end(self) -> None:
        self._stop_background_work()
        super()._end()

    def _resumes_queue(self) -> bool:
        return bool(self._node_timers.timers)

    def _loop_changed(self) -> None:
        for timer, _ in self._node_timers.timers.values():
            timer.cancel()
        self._node_timers.busy = InFlightToken(self)
        super()._loop_changed()


flushes.add(TimedNode._emit_buffered.__code__)


async def _call(ref: weakref.ref[Any], method: str, x: Any, element: Any = no_default) -> None:
    """Call a method of the node, and wait for what it returned."""
    if (node := ref()) is None or (node._quiet and method == "on_timer"):
        return
    since = attribution.last_serial
    try:
        wait = await_result(getattr(node, method)(x), node._pipeline.start)
        if wait is not None:
            await wait
    except Exception as error:
        attribution.is_attributed_to(error, node, x if element is no_default else element, since)
        raise


async def _run_task(ref: weakref.ref[Any], coroutine: Awaitable[object]) -> None:
    since = attribution.last_serial
    if (node := ref()) is not None:
        node._in_tasks.add(asyncio.current_task())
    del node
    try:
        await coroutine
    except Exception as error:
        node = ref()
        mine = attribution.is_attributed_to(error, node, None, since)
        if node is None or not mine or node._effective_policy is None:
            raise
        await wait_for(PolicyHandler(node, node._effective_policy).apply_policy(None, error, 1))
