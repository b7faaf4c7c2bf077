"""Where elements come from by themselves."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import warnings
from collections.abc import Awaitable
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, overload

from rapidz.kernel.compile.compiler import edges
from rapidz.kernel.graph import shutdown, signals
from rapidz.kernel.graph.signals import SignalBarrier
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_writes, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import flat
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.attribution import blame, comes_from_below
from rapidz.kernel.runtime.failures import Handler, Raise, StreamClosed
from rapidz.kernel.runtime.supervision import being_ended, supervised
from rapidz.kernel.runtime.tracking import Metadata
from rapidz.sources.run import SourceRun, Through, current_run, runs

T = TypeVar("T")

State: TypeAlias = Literal["new", "running", "stopped", "failed", "done"]


class Source(Stream[T]):
    """A node that emits by itself, from `start` to `stop` or to the end of its data.

    To write one, override one of two methods, as ``async def``, as a Tornado
    coroutine or plain:

    ``run(self)``
        emits all there is.  When it returns, the data have ended: everything
        below flushes, and the stream ends.  (A class that overrides `stop` as
        well says itself when it is over, as a server does.)
    ``_run(self)``
        takes one turn; it is called again and again, until the source is
        stopped.  A policy (`on_error`) on the source is for one turn.

    Both emit by ``await self.emit(x, asynchronous=True)``, or by
    ``await asyncio.gather(*self._emit(x))``: that holds the source back until
    there is room below.  To stop a source cancels whatever else it waits for.

    The source runs on the loop of its pipeline: the one that runs where `start`
    is called first, or else the library's own, in the background.  While it
    runs, `join` waits for it.  When the program ends, sources whose data end go
    on, for the time that pipelines have to drain; all others are stopped.

    What fails in the source, or below in a chain of direct calls without a
    policy, ends the run: the state is then ``"failed"``, `exception` tells why,
    and `join` and `close` raise it.  `start` goes on with what comes next.

    Parameters
    ----------
    start : bool
        Start at once.  What is emitted before the nodes downstream are built is lost:
        call `start` after the last one.
    **kwargs
        What every `Stream` takes: stream_name, loop, asynchronous.

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

    endless: ClassVar[bool | None] = None
    """Whether the source goes on turn after turn, so that there is no end to wait for when
    the program ends, and policies are for one turn; None: if `run` is not overridden."""

    _has_run: ClassVar[bool] = False
    """Whether the class overrides `run`."""
    _has_turns: ClassVar[bool] = False
    """Whether the class overrides `_run`."""
    _has_stop: ClassVar[bool] = False
    """Whether the class overrides `stop`: it says itself when it is over."""

    exception: Exception | None = None
    """What the source failed with, until it is started again."""

    _state: State = "new"
    _turn: SourceRun | None = None
    _closed = False
    _sinks: tuple[Stream[Any], ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name for c in cls.__mro__[: cls.__mro__.index(Source)] for name in vars(c)}
        cls._has_run, cls._has_turns, cls._has_stop = (
            name in own for name in ("run", "_run", "stop")
        )

    def __init__(self, start: bool = False, **kwargs: Any) -> None:
        for work in ("run", "_run"):
            check_writes(type(self).__name__, work, getattr(type(self), work))
        self.stopped, self.started = True, False
        self._switch = threading.RLock()
        kwargs["ensure_io_loop"] = True  # old classes ask for it too
        super().__init__(**kwargs)
        if start:
            self.start()

    # --- to be overridden ----------------------------------------------------------------

    def run(self) -> Any:
        """Emit all there is."""
        return self._turns()

    def _run(self) -> Any:
        """Take one turn."""
        raise NotImplementedError(f"{self}: neither run nor _run is there")

    # --- from outside ----------------------------------------------------------------------

    @property
    def state(self) -> State:
        """``"new"``, ``"running"``, ``"stopped"``, ``"failed"`` or ``"done"``."""
        if self._state == "running" and self.stopped:
            return "stopped"
        if self._state == "new" and not self.stopped:
            return "running"  # a class that starts by itself
        return self._state

    def start(self) -> None:
        """Begin to emit, or go on; no matter if the source runs already.

        After the end of the data it begins anew, from the same object: a list
        comes again, a generator has nothing more.  Raises `StreamClosed` after
        `close`.
        """
        with self._switch:
            if self._closed:
                raise StreamClosed(f"{self}: the stream was closed, it cannot start again")
            loop, run = self._pipeline.root().bind(), self._turn
            if run is not None and run.loop is loop and not self.stopped:
                return
            if run is not None:
                run.retire()
            self.stopped, self.started = False, True
            self._state, self.exception = "running", None
            self._turn = run = SourceRun(self, loop)
            run.begin()

    def stop(self) -> None:
        """Emit no more, until `start`; no matter if the source does not run.

        Elements on their way go through: `join` waits for them.
        """
        with self._switch:
            run, self._turn = self._turn, None
            self.stopped = True
            if self._state == "running":
                self._state = "stopped"
        self._interrupted()
        if run is not None:
            run.retire()

    def emit(self, x: T, asynchronous: bool = False, metadata: Metadata | None = None) -> Any:
        """Push one element into the pipeline, here: see `Stream.emit`."""
        run = current_run.get()
        if run is None or run.source is not self:
            return super().emit(x, asynchronous, metadata)
        run.check()
        token = current_run.set(None)
        try:
            wait = super().emit(x, asynchronous, metadata)
        finally:
            current_run.reset(token)
        return None if wait is None else Through(wait, run)

    def _emit(self, x: T, metadata: Any = None) -> list[Awaitable[object]]:
        run = current_run.get()
        if run is None or run.source is not self:
            return super()._emit(x, metadata)
        run.check()
        token = current_run.set(None)
        push = functools.partial(super()._emit, x, metadata)
        try:
            waits = self._pipeline.root().reentry.within(push)
        finally:
            current_run.reset(token)
        return [Through(wait, run) for wait in waits]

    # --- while it runs -----------------------------------------------------------------------

    async def _main(self, run: SourceRun) -> None:
        """All of one run: wait for the one before, run, and see how that ends."""
        await run.after_those_before()
        if self._ended:
            reopen(self)
        if not self._works():
            return
        current_run.set(run)
        task = asyncio.current_task()
        try:
            await self._work()
        except asyncio.CancelledError as error:
            if not run.retired and task is not None and task.cancelling():
                raise  # the loop is going down
            if not run.retired:
                self._failed(run, _cancelled(self, error))
        except BaseException as error:
            if being_ended(error, task):
                raise
            self._failed(run, supervised(error))
        else:
            if self._turn is run and not self.stopped and self._ends_with_run():
                await self._done(run)
        current_run.set(None)
        if self._turn is not run:
            self._give_up_rest()

    def _interrupted(self) -> None:
        """The source is being stopped, in whatever thread."""

    def _end_of_data(self) -> asyncio.Future[None] | None:
        run = self._turn
        if run is None or current_run.get() is run or not run.loop.is_running():
            return None
        runs_out = self.state == "running" and self._works() and self._has_an_end()
        return run.over if runs_out else None

    def _before_end(self, at_once: bool) -> None:
        if self.state == "new" and self._works() and not (at_once or self._closed or self._ended):
            warnings.warn(
                f"{self}: closed, and never started: call start(), or pass start=True",
                RuntimeWarning,
                stacklevel=4,
            )
        self._closed = True
        if self.state == "running" and self._works():
            self.stop()

    def _has_an_end(self) -> bool:
        """Return whether the run ends by itself, and the stream with it."""
        return not self._is_endless() and self._ends_with_run()

    def _works(self) -> bool:
        return self._has_run or self._has_turns

    def _ends_with_run(self) -> bool:
        return not self._has_stop

    async def _work(self) -> None:
        """Run; a policy on the source may run it again."""

        async def work() -> None:
            await _all_of(self.run())

        if self._is_endless():
            await work()  # where the policy takes care of each turn
        else:
            await self._under_policy(work)

    async def _turns(self) -> None:
        async def turn() -> None:
            await _all_of(self._run())

        while self._goes_on():
            await self._under_policy(turn)
            await asyncio.sleep(0)

    def _goes_on(self) -> bool:
        """Whether the run that calls this may emit."""
        run = current_run.get()
        return not self.stopped and (run is None or not run.retired)

    async def _under_policy(self, work: Any) -> None:
        """Do *work*; the source's policy is asked about what the source itself fails with."""
        since = attribution.last_serial
        try:
            await work()
        except Exception as error:
            policy = self._policy
            if policy is None or isinstance(policy, Raise):
                raise
            handler = Handler(self, policy)
            await handler.retry_later(lambda _: self._pipeline.start(work()), None, error, since)

    async def _done(self, run: SourceRun) -> None:
        """The data have ended: so does the stream."""
        self._state, self.stopped = "done", True
        self._sinks = sinks_below(self)
        current_run.set(None)
        try:
            if (wait := signals.send(self, signals.Signal.END)) is not None:
                await Through(wait, run)
        except Exception as error:
            self._failed(run, error)

    def _failed(self, run: SourceRun, error: Exception) -> None:
        if not comes_from_below(error, self._pipeline, run.serial):
            blame(error, self)
        failed = self._turn is run
        if failed:
            self._state, self.stopped, self.exception = "failed", True, error
        self._pipeline.record_failure(error, log_at_once=failed)

    def _give_up_rest(self) -> None:
        """The source was stopped: emit what it holds."""
        try:
            self._emit_buffered()  # what it returns is under way: `join` waits for it
        except Exception as error:
            self._pipeline.record_failure(error)

    def _run_over(self, run: SourceRun) -> None:
        with self._switch:
            if self._turn is not run:
                return
            if self._state == "running" and not self._works():
                return  # others emit here, until it is stopped
            if self._state == "running" and not self._ends_with_run() and not run.retired:
                return  # a server goes on without its run
            self._turn, self.stopped = None, True
            if self._state == "running":  # the loop has gone
                self._state = "stopped"

    def _end(self) -> None:
        if not self.stopped:
            self.stop()
        super()._end()

    def _is_endless(self) -> bool:
        return not self._has_run if self.endless is None else self.endless


class Seconds:
    """An interval of a source, in seconds; it may be assigned while the source runs."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, source: None, owner: type) -> Seconds: ...
    @overload
    def __get__(self, source: Source[Any], owner: type) -> float: ...
    def __get__(self, source: Source[Any] | None, owner: type) -> Any:
        return self if source is None else source.__dict__[self._name]

    def __set__(self, source: Source[Any], value: Interval) -> None:
        vars(source)[self._name] = read_interval(type(source).__name__, value, argument=self._name)


def _cancelled(source: Source[Any], error: BaseException) -> Exception:
    failure = RuntimeError(f"{source}: what it waited for was cancelled")
    failure.__cause__ = error
    return failure


async def _all_of(result: object) -> None:
    """Await what a method returned: nothing, an awaitable, or lists of them."""
    if inspect.isawaitable(result):
        await result
    else:
        for wait in flat(result):
            await wait


def sinks_below(source: Stream[Any]) -> tuple[Stream[Any], ...]:
    """The ends of the stream: who holds on to them can begin it anew."""
    found: dict[Stream[Any], None] = {source: None}
    stack = [source]
    while stack:
        for down, _ in edges(stack.pop()):
            if down not in found:
                found[down] = None
                stack.append(down)
    return tuple(node for node in found if node._is_end)


def reopen(source: Stream[Any]) -> None:
    """Let elements flow again where *source* has ended the stream."""
    stack = [source]
    while stack:
        node = stack.pop()
        node._closing = node._ended = False
        node._signal_barrier = SignalBarrier()
        node._invalidate()
        node._on_restart()
        for down, port in edges(node):
            if down._ended:
                stack.append(down)
            else:
                down._signal_barrier._ended.discard(port)


def stop_endless_sources() -> None:
    """The program ends: before pipelines drain, stop what would never come to an end."""
    for run in list(runs):
        if run.source._is_endless():
            run.source.stop()


shutdown.before_exit.append(stop_endless_sources)
