"""One time that a source runs, from `start` to `stop`: what it does later is of no account."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.tasks import as_coroutine

if TYPE_CHECKING:
    from rapidz.sources.base import Source

V = TypeVar("V")

#: How long a run may go on without letting others have the loop, in seconds.
LONGEST_BREATH = 0.01

#: Runs that are not over: they keep their sources alive.
runs: set[SourceRun] = set()

_numbers = itertools.count()

#: The run that the code under way belongs to; None in what its elements set off below.
current_run: ContextVar[SourceRun | None] = ContextVar("current_run", default=None)


class SourceRun:
    """Keeps a source going in a task, until it is over or retired.

    A retired run emits nothing more: it is cancelled, and if it cannot be, what
    it still tries to emit ends it.  An element on its way goes through first.
    """

    __slots__ = (
        "_number",
        "_task",
        "gentle",
        "loop",
        "over",
        "retired",
        "serial",
        "since",
        "source",
    )

    def __init__(self, source: Source[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._number = next(_numbers)
        self.source = source
        self.loop = loop
        self.over: asyncio.Future[None] = loop.create_future()
        self.retired = False
        self.gentle = False
        """Looks at `retired` itself, often, and need not be cancelled."""
        self.since = monotonic()
        self.serial = attribution.last_serial
        """Of the latest failure when the run began."""
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start it at the next turn of the loop."""
        runs.add(self)
        self.source._pipeline.root().active.add(self.over)
        self.hop(self._begin)

    def hop(self, action: Callable[[], object]) -> None:
        """Do *action* on the loop; at the next turn, if that is where we are."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(action)

    def _begin(self) -> None:
        if self.retired:
            self.finish()
        else:
            self._task = self.loop.create_task(self.source._main(self))
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()
        self.source._run_over(self)
        self.finish()

    def finish(self) -> None:
        """It is over, and nobody need wait for it."""
        runs.discard(self)
        self.source._pipeline.root().active.discard(self.over)
        if not self.over.done() and not self.loop.is_closed():
            self.over.set_result(None)

    def retire(self) -> None:
        """Let it come to its end; what it waits for, but for its elements, is cancelled."""
        if loops.running_loop() is self.loop:
            self._retire()
        elif self.loop.is_closed():
            self.retired = True
            self.finish()
        else:  # there, so that it never happens between taking an element and emitting it
            self.hop(self._retire)

    def _retire(self) -> None:
        self.retired = True
        if self._task is not None and not self.gentle:
            self._task.cancel()

    async def after_those_before(self) -> None:
        """Wait until no earlier run of the source is under way."""
        for run in list(runs):
            if run.source is self.source and run.loop is self.loop and run._number < self._number:
                await asyncio.wait([run.over])

    def check(self) -> None:
        """End here a run that was retired."""
        if self.retired:
            raise asyncio.CancelledError

    def out_of_breath(self) -> bool:
        """Whether it is time to let others have the loop."""
        now = monotonic()
        if now - self.since < LONGEST_BREATH:
            return False
        self.since = now
        return True


class Through:
    """Waits until an element that a run has emitted is through, also when the run is retired."""

    __slots__ = ("_run", "_wait")

    def __init__(self, wait: Awaitable[object], run: SourceRun) -> None:
        if not hasattr(wait, "add_done_callback"):
            pending = run.source._pipeline.start(as_coroutine(wait))
            assert pending is not None
            wait = pending
        self._wait: Any = wait
        self._run = run

    def __await__(self) -> Generator[Any, Any, None]:
        cancelled = False
        if self._wait.done() and self._run.out_of_breath():
            yield  # to the loop
        while not self._wait.done():
            future = self._run.loop.create_future()
            self._wait.add_done_callback(lambda _, f=future: f.done() or f.set_result(None))
            try:
                yield from future
            except asyncio.CancelledError:
                if not self._run.retired:
                    raise
                cancelled = True
        if cancelled and (task := asyncio.current_task()) is not None:
            task.cancel()  # now, at the next thing it waits for
        self._wait.result()


class Unfinished:
    """A wait that outlives its run: the next run takes it up where it is."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[Any] | None = None

    async def result(self, begin: Callable[[], Awaitable[V]]) -> V:
        """Wait for what was left unfinished, or else for what *begin* returns."""
        if self._future is None or self._future.get_loop().is_closed():
            self._future = asyncio.ensure_future(begin())
        future = self._future
        await asyncio.wait([future])
        self._future = None
        value: V = future.result()
        return value

    def then(self, action: Callable[[], object]) -> None:
        """Do *action* once nothing is under way here."""
        future = self._future
        if future is None or future.done() or future.get_loop().is_closed():
            action()
        else:
            future.add_done_callback(lambda _: action())

    async def give_up(self) -> None:
        """Cancel what was left unfinished, and see it end."""
        future, self._future = self._future, None
        if future is not None and not future.get_loop().is_closed():
            future.cancel()
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()
