"""Event loop in virtual time: its clock jumps to the next timer, and it detects deadlocks."""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import threading
import warnings
from collections.abc import Callable, Coroutine
from concurrent.futures import (
    Executor,
    InvalidStateError,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextvars import Context
from typing import Any, Final, TypeVar

from tornado.platform.asyncio import AsyncIOLoop

from rapidz.kernel.runtime.loop import in_notebook
from rapidz.kernel.runtime.thread_future import ThreadFuture
from rapidz.kernel.runtime.wait_for_graph import awaited_in
from rapidz.testing.threads import Activity, ThreadMonitor

__all__ = ["Deadlock", "LeftBehindWarning", "VirtualLoop", "run"]

T = TypeVar("T")

_POLL_INTERVAL: Final = 0.001
"""Real seconds between two polls of the other threads."""
_IDLE_POLL_INTERVAL: Final = 0.01
"""The same while no timer is set."""
_QUIET_POLLS: Final = 3
"""Number of consecutive polls that must find all threads waiting."""
_IO_GRACE: Final = 0.05
"""Real seconds to wait for sockets before time jumps to a timer."""
_GRACE_ITERATIONS: Final = 3
"""Iterations of the loop in which a pending task may end before it counts as left behind."""


class Deadlock(RuntimeError):
    """Error: nothing is ready, no timer is set, and no other thread could wake the loop."""


class LeftBehindWarning(ResourceWarning):
    """Warning: tasks are pending, or threads alive, at the end."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Asyncio loop whose `time()` starts at 0.0 and jumps to the next timer when all threads wait.

    Virtual time passes only while all other threads wait: jobs of an executor and other busy
    threads take no virtual time, and a thread that waits for this loop (in `Future.result`, in
    anything of `threading` or `queue.Queue`, or for a quarter of a second in any other call) lets
    it jump. Where nothing could ever wake the loop, it raises `Deadlock`, which lists what the
    tasks await. At `limit`, in virtual seconds, it raises TimeoutError. Tornado's timers use the
    same clock.

    With `background`, the loop serves other threads: it may be idle, and raises a deadlock in the
    threads whose `Future.result` could never return.

    The wall clock of a pipeline on the loop shows `wall_start` at time 0, in seconds since 1970
    (UTC): the loop's own time by default.

    >>> loop = VirtualLoop()
    >>> loop.run_until_complete(asyncio.sleep(3600))
    >>> loop.time()
    3600.0
    >>> loop.close()
    """

    def __init__(
        self, *, limit: float | None = None, background: bool = False, wall_start: float = 0.0
    ) -> None:
        self._now = 0.0
        seconds, fraction = divmod(wall_start, 1)
        self._wall_start = int(seconds) * 1_000_000_000 + round(fraction * 1_000_000_000)
        self._limit = math.inf if limit is None else limit
        self._background = background
        self._threads = ThreadMonitor()
        self._jobs = 0  # submitted to an executor and not finished
        self._jobs_at_work: set[int] = set()  # identifiers of the threads that run one
        self._distant_jobs = 0  # jobs in other processes
        self._virtual_selector = _VirtualSelector(self)
        super().__init__(self._virtual_selector)
        self._be_exact()
        self._own_files = len(self._virtual_selector.get_map())
        _VirtualIOLoop(
            asyncio_loop=self, make_current=False
        )  # found by IOLoop.current() from now on

    def time(self) -> float:
        """Return the virtual time, in seconds since the loop was created."""
        return self._now

    def wall_ns(self) -> int:
        """Return the virtual wall-clock time, in nanoseconds since 1970 (UTC)."""
        return self._wall_start + round(self._now * 1_000_000_000)

    def watch(self, thread: threading.Thread) -> None:
        """Let time pass only while `thread` waits; threads that call into the loop are watched."""
        if thread.ident is not None:
            self._threads.callers.add(thread.ident)

    def call_soon_threadsafe(  # type: ignore[override]  # spelt with a TypeVarTuple there
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if self._running_elsewhere():
            self._threads.callers.add(threading.get_ident())
        return super().call_soon_threadsafe(callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        distant = isinstance(executor, ProcessPoolExecutor)
        local = executor is None or isinstance(executor, ThreadPoolExecutor)
        job = super().run_in_executor(executor, self._noted(func) if local else func, *args)
        self._jobs += local
        self._distant_jobs += distant

        def back(_: object) -> None:
            self._jobs -= local
            self._distant_jobs -= distant

        job.add_done_callback(back)
        return job

    def _noted(self, func: Callable[..., T]) -> Callable[..., T]:
        def at_work(*args: Any) -> T:
            me = threading.get_ident()
            self._jobs_at_work.add(me)
            try:
                return func(*args)
            finally:
                self._jobs_at_work.discard(me)

        return at_work

    def _running_elsewhere(self) -> bool:
        return getattr(self, "_thread_id", None) != threading.get_ident() and self.is_running()

    def _next_timer(self) -> float | None:
        scheduled: list[asyncio.TimerHandle] = getattr(self, "_scheduled")  # noqa: B009
        return scheduled[0].when() if scheduled else None

    def _something_ready(self) -> bool:
        return bool(getattr(self, "_ready")) or bool(getattr(self, "_stopping"))  # noqa: B009

    def _jump(self, when: float) -> None:
        if when > self._limit:
            self._limit = math.inf  # raised once: the clean-up may take longer
            raise TimeoutError(f"virtual time would pass its limit; {_awaited(self)}")
        self._now = max(self._now, when)
        self._be_exact()

    def _be_exact(self) -> None:
        # The loop fires timers before `time() + resolution`, the next float: none early.
        self._clock_resolution = math.ulp(self._now)

    def _others(self) -> Activity | None:
        """Return the highest activity outside the loop, None if no other thread counts."""
        if self._distant_jobs:
            return Activity.RUNNING
        on_the_way = self._jobs - len(self._jobs_at_work)
        if on_the_way > 0 and not self._threads.is_still("jobs", on_the_way):
            return Activity.RUNNING
        return self._threads.activity()

    def _stuck(self) -> None:
        """Raise `Deadlock` here, or in the threads that wait for the loop."""
        message = f"nothing can happen any more; {_awaited(self)}"
        if not self._background:
            raise Deadlock(message)
        for future in self._threads.awaited_futures():
            with contextlib.suppress(InvalidStateError):
                future.set_exception(Deadlock(message))


class _VirtualIOLoop(AsyncIOLoop):
    def time(self) -> float:
        return self.asyncio_loop.time()


class _VirtualSelector(selectors.DefaultSelector):
    """Selector that advances the clock to the next timer instead of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        quiet = 0
        files = len(self.get_map()) > self._loop._own_files
        patience = _IO_GRACE if files else 0.0
        while not events and not self._loop._something_ready():
            others = self._loop._others()
            if self._loop._something_ready():
                break  # a thread has called in meanwhile
            quiet = 0 if others is Activity.RUNNING else quiet + 1
            settled = others is None or quiet >= _QUIET_POLLS
            if settled and patience <= 0 and self._act(others, files):
                break
            events = super().select(patience or self._pause(others))
            patience = 0.0
        return events

    def _pause(self, others: Activity | None) -> float | None:
        if self._loop._next_timer() is not None:
            return _POLL_INTERVAL
        return None if others is None else _IDLE_POLL_INTERVAL

    def _act(self, others: Activity | None, files: bool) -> bool:
        """Jump to the next timer, or report a deadlock; return False to keep polling."""
        when = self._loop._next_timer()
        if when is not None:
            self._loop._jump(when)
            return True
        if files or others is Activity.RESTING or (others is None and self._loop._background):
            return False
        self._loop._stuck()
        return False


def run(
    coroutine: Coroutine[Any, Any, T], *, limit: float | None = None, wall_start: float = 0.0
) -> T:
    """Run `coroutine` on a new `VirtualLoop` and return its result.

    In a cell of a notebook, where a loop is running already, the new one has a thread of its own.

    The wall clock of pipelines shows `wall_start` at first, in seconds since 1970 (UTC).

    Raises `Deadlock` where it would wait forever, TimeoutError when virtual time would pass `limit`
    seconds. Cancels tasks that are left behind, and reports them in a `LeftBehindWarning`.

    >>> async def two_hours() -> float:
    ...     await asyncio.sleep(7200)
    ...     return asyncio.get_running_loop().time()
    >>> run(two_hours())
    7200.0
    """
    if in_notebook():
        result, report = in_own_thread(lambda: _run(coroutine, limit, wall_start))
    else:
        result, report = _run(coroutine, limit, wall_start)
    if report:
        warnings.warn(report, LeftBehindWarning, stacklevel=2)
    return result


def _run(
    coroutine: Coroutine[Any, Any, T], limit: float | None, wall_start: float
) -> tuple[T, str]:
    def new_loop() -> VirtualLoop:
        return VirtualLoop(limit=limit, wall_start=wall_start)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(coroutine), left_behind(runner)


def in_own_thread(function: Callable[[], T]) -> T:
    """Call *function* in a thread of its own: in the thread of a notebook a loop is running."""
    outcome: ThreadFuture[T] = ThreadFuture()

    def call() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=call, name="rapidz.testing.run", daemon=True)
    thread.start()
    try:
        return outcome.result()
    finally:
        if outcome.done():
            thread.join()


def left_behind(runner: asyncio.Runner) -> str:
    """Return a description of the tasks that are still pending, "" if none is."""
    for _ in range(_GRACE_ITERATIONS):
        if not _pending(runner.get_loop()):
            return ""
        runner.run(asyncio.sleep(0))
    return f"left behind: {_described(_pending(runner.get_loop()))}"


def _pending(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    return sorted(asyncio.all_tasks(loop), key=asyncio.Task.get_name)


def _awaited(loop: asyncio.AbstractEventLoop) -> str:
    tasks = _pending(loop)
    return f"at {loop.time():g} s: {_described(tasks)}" if tasks else "no task is pending"


def _described(tasks: list[asyncio.Task[Any]]) -> str:
    return "; ".join(map(_what_it_awaits, tasks))


def _what_it_awaits(task: asyncio.Task[Any]) -> str:
    """Return one line about a task: its name, coroutines, position, and what it awaits."""
    inner: Any = task.get_coro()
    names, place = [], ""
    while inner is not None:
        frame = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None)
        if frame is not None:
            names.append(frame.f_code.co_qualname)
            place = f" ({frame.f_code.co_filename}:{frame.f_lineno})"
        inner = awaited_in(inner)
    waiter = getattr(task, "_fut_waiter", None)
    return f"{task.get_name()} in {' > '.join(names)}{place} awaits {waiter!r}"
