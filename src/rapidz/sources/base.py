"""Source: base class of nodes that emit elements by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import threading
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from rapidz.kernel.graph import shutdown, signals
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_writes
from rapidz.kernel.protocol.node import engine_default
from rapidz.kernel.protocol.push import flat
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.attribution import attribute_to, comes_from_downstream
from rapidz.kernel.runtime.failures import PolicyHandler, Raise, StreamClosed, interrupted
from rapidz.kernel.runtime.supervision import being_ended, supervised
from rapidz.kernel.runtime.tracked_element import Metadata
from rapidz.sources.live_interval import LiveInterval
from rapidz.sources.reopen import reopen, sinks_downstream
from rapidz.sources.restart import Restart, read_restart
from rapidz.sources.restarting import RestartingSource
from rapidz.sources.run import DeliveryWait, SourceRun, active_runs, current_run

T = TypeVar("T")

State: TypeAlias = Literal["new", "running", "restarting", "stopped", "failed", "done"]

#: States of a source that will emit more by itself.
ACTIVE = ("running", "restarting")

__all__ = ["LiveInterval", "Source", "State", "stop_infinite_sources"]


class Source(RestartingSource[T]):
    """Node that emits elements by itself, from `start` to `stop` or to the end of its data.

    To write a source, override one of two methods, as ``async def``, as an
    asynchronous generator, whose items are emitted, as a Tornado coroutine or
    synchronous:

    ``run(self)``
        emits all elements.  When it returns, the data have ended: everything
        downstream flushes, and the stream ends.  (A class that also overrides
        `stop`, such as a server, ends its stream itself.)
    ``_run(self)``
        polls once; it is called again and again, until the source is stopped.
        A policy (`on_error`) of the source applies to each call.

    Both emit by ``await self.emit(x, asynchronous=True)``, or by
    ``await asyncio.gather(*self._emit(x))``, which applies back pressure to the
    source.  `stop` cancels whatever else the source awaits.

    The source runs on the loop of its pipeline: the loop that runs where `start`
    is called first, or else the background loop of the library.  While it
    runs, `join` waits for it.  When the program exits, finite sources continue
    for the time that pipelines have to drain; infinite sources are stopped.

    An exception in the source, or downstream in a chain of direct calls without
    a policy, ends the run: the state is then ``"failed"``, `exception` is
    the exception, and `join` and `close` raise it.  `start` resumes with the
    next element.  With *restart*, `run` is called again after a transient failure
    of the source itself; until it is connected, the state is ``"restarting"``.

    Parameters
    ----------
    start : bool
        Start at once.  Elements emitted before the nodes downstream are built are lost:
        call `start` after the last one.
    restart : bool or Restart, optional
        Whether, when and how often to start again after a transient failure; by
        default what the class says in `default_restart`.
    **kwargs
        Options of every `Stream`: stream_name, loop, asynchronous.

    >>> class countdown(Source):
    ...     async def run(self):
    ...         for n in (3, 2, 1):
    ...             await self.emit(n, asynchronous=True)
    >>> source = countdown()
    >>> pairs = source.partition(2).sink_to_list()
    >>> source.start()
    >>> source.join()
    >>> pairs, source.state
    ([(3, 2), (1,)], 'done')
    """

    _graphviz_shape = "doubleoctagon"

    infinite: ClassVar[bool | None] = None
    """Whether the source is infinite: stopped at exit, and with policies that apply to one call;
    None: if `run` is not overridden."""

    _has_run: ClassVar[bool] = False
    """Whether the class overrides `run`."""
    _has_poll: ClassVar[bool] = False
    """Whether the class overrides `_run`."""
    _has_stop: ClassVar[bool] = False
    """Whether the class overrides `stop`, and so ends its stream itself."""

    _state: State = "new"
    _source_run: SourceRun | None = None
    _closed = False
    _sinks: tuple[Stream[Any], ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name for c in cls.__mro__[: cls.__mro__.index(Source)] for name in vars(c)}
        cls._has_run, cls._has_poll, cls._has_stop = (
            name in own for name in ("run", "_run", "stop")
        )

    def __init__(
        self, start: bool = False, *, restart: bool | Restart | None = None, **kwargs: Any
    ) -> None:
        name = type(self).__name__
        for work in ("run", "_run"):
            method = getattr(type(self), work)
            if not inspect.isasyncgenfunction(method):
                check_writes(name, work, method)
        self._restart = read_restart(name, restart, self.default_restart)
        self._thread: ThreadPoolExecutor | None = None
        self.stopped, self.started = True, False
        self._state_lock = threading.RLock()
        kwargs["ensure_io_loop"] = True  # old classes ask for it too
        super().__init__(**kwargs)
        if start:
            self.start()

    # --- to be overridden ----------------------------------------------------------------

    def run(self) -> Any:
        """Emit all elements."""
        return self._repeat_turns()

    def _run(self) -> Any:
        """Poll once."""
        raise NotImplementedError(f"{self}: neither run nor _run is overridden")

    # --- control ---------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """``"new"``, ``"running"``, ``"restarting"``, ``"stopped"``, ``"failed"`` or ``"done"``."""
        if self._state == "running" and self.stopped:
            return "stopped"
        if self._state == "running" and self.exception is not None:
            return "restarting"
        if self._state == "new" and not self.stopped:
            return "running"  # a class that starts by itself
        return self._state

    def start(self) -> None:
        """Start or resume emitting; without effect on a source that runs.

        After the end of the data the source iterates the same object again: a
        list is repeated, a generator is exhausted.  Raises `StreamClosed` after
        `close`.
        """
        with self._state_lock:
            if self._closed:
                raise StreamClosed(f"{self}: the stream was closed, it cannot start again")
            loop, run = self._pipeline.bind(), self._source_run
            if run is not None and run.loop is loop and not self.stopped:
                return
            if run is not None:
                run.retire()
            self._source_run = run = SourceRun(self, loop)
            run.follows_failure = self._state == "failed"
            self.stopped, self.started = False, True
            self._state, self.exception = "running", None
            run.begin()

    def stop(self) -> None:
        """Stop emitting, until `start`; without effect on a source that does not run.

        Elements in flight are delivered: `join` waits for them.
        """
        with self._state_lock:
            run, self._source_run = self._source_run, None
            self.stopped = True
            if self._state == "running":
                self._state = "stopped"
        self._on_run_stopped()
        if run is not None:
            run.retire()

    def emit(self, x: T, asynchronous: bool = False, metadata: Metadata | None = None) -> Any:
        """Push one element into the pipeline; see `Stream.emit`."""
        run = current_run.get()
        if run is None or run.source is not self:
            return super().emit(x, asynchronous, metadata)
        run.raise_if_retired()
        run.raised = False
        if not run.connected:
            self.connected()
        token = current_run.set(None)
        try:
            wait = super().emit(x, asynchronous, metadata)
        except BaseException:
            run.raised = True
            raise
        finally:
            current_run.reset(token)
        return None if wait is None else DeliveryWait(wait, run)

    @engine_default
    def _emit(self, x: T, metadata: Any = None) -> list[Awaitable[object]]:
        run = current_run.get()
        if run is None or run.source is not self:
            return super()._emit(x, metadata)
        run.raise_if_retired()
        run.raised = False
        if not run.connected:
            self.connected()
        token = current_run.set(None)
        push = functools.partial(super()._emit, x, metadata)
        try:
            waits = self._pipeline.reentry.within(push)
        except BaseException:
            run.raised = True
            raise
        finally:
            current_run.reset(token)
        return [DeliveryWait(wait, run) for wait in waits]

    # --- for authors, while it runs ----------------------------------------------------------

    async def in_thread(self, func: Callable[..., Any], *args: Any) -> Any:
        """Return ``func(*args)``, called in a thread of this source alone, one call at a time."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=str(self))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, functools.partial(func, *args))

    # --- while it runs -----------------------------------------------------------------------

    def _fail_unacknowledged(self, run: SourceRun | None, error: BaseException) -> None:
        """End the run: an element failed, and no policy has handled that."""
        with self._state_lock:
            if run is None or self._source_run is not run or self._state != "running":
                return
            self._source_run, self.stopped = None, True
            self._state = "failed"
            self.exception = error if isinstance(error, Exception) else interrupted(error)
        self._on_run_stopped()
        run.retire_failed()

    async def _supervise_run(self, run: SourceRun) -> None:
        """Execute one run, after the one before, and record how it ends."""
        await run.wait_for_earlier_runs()
        if run.follows_failure:
            self._pipeline.pending_failures.leave_to_join()
        if self._ended:
            reopen(self)
        if not self._emits_itself():
            return
        current_run.set(run)
        task = asyncio.current_task()
        try:
            await self._work()
        except asyncio.CancelledError as error:
            if not run.retired and task is not None and task.cancelling():
                raise  # the loop shuts down
            if not run.retired:
                self._fail_run(run, _cancelled(self, error))
            elif run.failed and (failure := _replaced(error)) is not None:
                self._pipeline.record_failure(failure, log_at_once=True)
        except BaseException as error:
            if being_ended(error, task):
                raise
            self._fail_run(run, supervised(error))
        else:
            if self._source_run is run and not self.stopped and self._ends_with_run():
                await self._complete_run(run)
        finally:
            if (thread := self._thread) is not None:
                self._thread = None
                thread.shutdown(wait=False)
        current_run.set(None)
        if self._source_run is not run:
            self._emit_rest()

    def _on_run_stopped(self) -> None:
        """Prepare for the end of the run; called by `stop`, in any thread."""

    def _end_of_data(self) -> asyncio.Future[None] | None:
        run = self._source_run
        if run is None or current_run.get() is run or not run.loop.is_running():
            return None
        runs_out = self.state in ACTIVE and self._emits_itself() and self._is_finite()
        return run.finished if runs_out else None

    def _before_end(self, at_once: bool) -> None:
        if (
            self.state == "new"
            and self._emits_itself()
            and not (at_once or self._closed or self._ended)
        ):
            warnings.warn(
                f"{self}: closed, and never started: call start(), or pass start=True",
                RuntimeWarning,
                stacklevel=4,
            )
        self._closed = True
        if self.state in ACTIVE and self._emits_itself():
            self.stop()

    def _is_finite(self) -> bool:
        """Return whether the run ends by itself, and the stream with it."""
        return not self._is_infinite() and self._ends_with_run()

    def _emits_itself(self) -> bool:
        return self._has_run or self._has_poll

    def _ends_with_run(self) -> bool:
        return not self._has_stop

    async def _work(self) -> None:
        """Call `run`; a policy of the source may call it again."""
        if self._is_infinite():
            await self._run_and_restart()  # which applies the policy to each call of `_run`
        else:
            await self._apply_policy(self._run_and_restart)

    async def _run_and_restart(self) -> None:
        async def work() -> None:
            await self._await_all(self.run())

        await self._restart_after_failures(work)

    async def _repeat_turns(self) -> None:
        async def turn() -> None:
            await self._await_all(self._run())

        while self._may_emit():
            await self._apply_policy(turn)
            await asyncio.sleep(0)

    async def _await_all(self, result: Any) -> None:
        """Await what a method returned: nothing, an awaitable, lists of them, or a generator."""
        if inspect.isasyncgen(result):
            async with contextlib.aclosing(result) as items:
                x: Any
                async for x in items:
                    for wait in self._emit(x):
                        await wait
        elif inspect.isawaitable(result):
            await result
        else:
            for wait in flat(result):
                await wait

    def _may_emit(self) -> bool:
        """Return whether the run that calls this may emit.

        After False the run is to free its resources and to return: `stop` no longer interrupts
        what it awaits.
        """
        run = current_run.get()
        if run is None:
            return not self.stopped
        if not (self.stopped or run.retired):
            return True
        run.note_ending()
        return False

    async def _apply_policy(self, work: Any) -> None:
        """Do *work*; the policy of the source handles the exceptions of the source itself."""
        since = attribution.last_serial
        try:
            await work()
        except Exception as error:
            policy = self._policy
            if policy is None or isinstance(policy, Raise):
                raise
            handler = PolicyHandler(self, policy)
            await handler.retry_async(lambda _: self._pipeline.start(work()), None, error, since)

    async def _complete_run(self, run: SourceRun) -> None:
        """End the stream: the data have ended."""
        self._state, self.stopped = "done", True
        self._sinks = sinks_downstream(self)
        current_run.set(None)
        try:
            if (wait := signals.send(self, signals.Signal.END)) is not None:
                await DeliveryWait(wait, run)
        except Exception as error:
            self._fail_run(run, error)

    def _fail_run(self, run: SourceRun, error: Exception) -> None:
        if not comes_from_downstream(error, self._pipeline, run.serial):
            attribute_to(error, self)
        failed = self._source_run is run
        if failed:
            self._state, self.stopped, self.exception = "failed", True, error
        self._pipeline.record_failure(error, log_at_once=failed or run.failed)

    def _emit_rest(self) -> None:
        """Emit what a stopped source has buffered."""
        try:
            self._emit_buffered()  # `join` waits for the awaitable that it returns
        except Exception as error:
            self._pipeline.record_failure(error)

    def _on_run_finished(self, run: SourceRun) -> None:
        with self._state_lock:
            if self._source_run is not run:
                return
            if self._state == "running" and not self._emits_itself():
                return  # the user emits to this node, until it is stopped
            if self._state == "running" and not self._ends_with_run() and not run.retired:
                return  # a server serves on after its `run` has returned
            self._source_run, self.stopped = None, True
            if self._state == "running":  # the loop was closed
                self._state = "stopped"

    def _end(self) -> None:
        if not self.stopped:
            self.stop()
        super()._end()

    def _is_infinite(self) -> bool:
        return not self._has_run if self.infinite is None else self.infinite


def _replaced(error: BaseException) -> Exception | None:
    """Return the failure that a cancellation has replaced while `run` was freeing its resources."""
    context = error.__context__
    while isinstance(context, asyncio.CancelledError):
        context = context.__context__
    return context if isinstance(context, Exception) else None


def _cancelled(source: Source[Any], error: BaseException) -> Exception:
    failure = RuntimeError(f"{source}: what it waited for was cancelled")
    failure.__cause__ = error
    return failure


def stop_infinite_sources() -> None:
    """Stop infinite sources at exit, before pipelines drain."""
    for run in list(active_runs):
        if run.source._is_infinite():
            run.source.stop()


shutdown.before_exit.append(stop_infinite_sources)
