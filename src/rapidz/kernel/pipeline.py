"""What connected nodes share: a lock, a loop, what is under way, what failed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import concurrent.futures.thread
import contextlib
import functools
import inspect
import logging
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from rapidz.kernel import loop as loops
from rapidz.kernel.alignment import Alignment
from rapidz.kernel.attribution import leaves
from rapidz.kernel.clock import Clock
from rapidz.kernel.failures import interrupted
from rapidz.kernel.pending_failures import PendingFailures
from rapidz.kernel.push import DONE, Failed, Pending
from rapidz.kernel.running import Refusal, Running, as_coroutine
from rapidz.kernel.trampoline import Trampoline
from rapidz.kernel.turn import Turn

if TYPE_CHECKING:
    from rapidz.kernel.gate import Gate
    from rapidz.kernel.stream import Stream

logger = logging.getLogger("rapidz")

#: How often a thread that is held back looks whether anybody can still help it, in seconds, and
#: how often in vain before it gives up on those who only may.
PATIENCE, GRACE = 0.05, 20

#: Where a thread is that waits for another one to end, or, in a pool, for something to do.
_IDLE = {
    method.__code__
    for method in (
        getattr(threading.Thread, "join", None),
        getattr(threading.Thread, "_wait_for_tstate_lock", None),
        getattr(concurrent.futures.thread, "_worker", None),
    )
    if method is not None
}

pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()


class Hop(concurrent.futures.Future[None]):
    """An element on its way to the loop, for a thread that is elsewhere.

    A failure that nobody took is kept by the pipeline.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._claimed = False

    def result(self, timeout: float | None = None) -> None:
        try:
            return super().result(timeout)
        finally:
            self._claimed = self.done()  # else who waits was interrupted, or looks again

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            return super().exception(timeout)
        finally:
            self._claimed = self.done()

    def __del__(self) -> None:
        error: BaseException | None = self._exception
        if error is None or self._claimed:
            return
        if isinstance(error, concurrent.futures.CancelledError) or not isinstance(error, Exception):
            self._pipeline.interrupted(error)
        else:
            self._pipeline.keep(error)


class Pipeline:
    """Shared by all nodes that were ever connected."""

    patience = PATIENCE

    def __init__(self, loop: Any = None, asynchronous: bool | None = None) -> None:
        self.asynchronous = asynchronous
        self.loop = None if loop is None else loops.asyncio_loop(loop)
        self.loop_given = loop is not None
        self.nodes: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()
        self.turn = Turn()
        self.active: set[Any] = set()
        self.gates: weakref.WeakSet[Gate] = weakref.WeakSet()
        self.kept = PendingFailures()
        self.emitters: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self.joins: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()
        self.edits = 0
        self._alignment: tuple[int, Alignment] | None = None
        self.held: dict[threading.Thread, Callable[[], bool]] = {}
        """Threads that wait until something is not so any more."""
        self.tracked = False
        self.policies = 0
        self.watched = self.compiled = False
        self.trampoline = Trampoline(self)
        """For edges that lead back, and very long pipelines."""
        self.again = Trampoline(self)
        """For what is emitted from within."""
        self.needs_loop = loop is not None or asynchronous is not None
        self.merged_into: Pipeline | None = None
        self._orphans: list[Running] = []
        self._process = os.getpid()
        pipelines.add(self)

    # --- which nodes -----------------------------------------------------------------

    def root(self) -> Pipeline:
        """The pipeline that this one became part of, or itself."""
        pipeline = self
        while pipeline.merged_into is not None:
            pipeline = pipeline.merged_into
        return pipeline

    def check_compatible(self, other: Pipeline) -> None:
        """Refuse to join two pipelines that run differently."""
        if None is not self.asynchronous is not other.asynchronous is not None:
            raise ValueError(
                "Stream: asynchronous must be the same in all of a pipeline, got True and False"
            )
        mine, theirs = self.loop, other.loop
        if self.loop_given and other.loop_given and mine is not theirs:
            raise ValueError(
                f"Stream: loop must be one in all of a pipeline, got {mine} and {theirs}"
            )

    def absorb(self, other: Pipeline) -> Pipeline:
        """Become one with *other*; return what both are now."""
        if other is self:
            return self
        self.check_compatible(other)
        if len(other.nodes) > len(self.nodes):
            return other.absorb(self)
        self.forget_all()  # what was compiled in either is not for both
        other.forget_all()
        if self.loop is None or (other.loop_given and not self.loop_given):
            self.loop = other.loop if other.loop is not None else self.loop
        if self.asynchronous is None:
            self.asynchronous = other.asynchronous
        self.loop_given |= other.loop_given
        self.needs_loop |= other.needs_loop
        self.tracked |= other.tracked
        self.again.left.extend(other.again.left)
        self.trampoline.left.extend(other.trampoline.left)
        self.policies += other.policies
        self.active |= other.active
        self.kept.absorb(other.kept)
        self.gates |= other.gates
        self.joins |= other.joins
        self.edits += other.edits + 1
        self.emitters |= other.emitters
        self.held |= other.held
        other.active, other.kept, other.held = self.active, self.kept, self.held
        other.merged_into = self
        other.loop, other.turn = None, self.turn
        for node in other.nodes:
            node._pipeline = self
            self.nodes.add(node)
        return self

    def forget_all(self) -> None:
        """Compile every node anew when it is next used."""
        if self.compiled:
            self.compiled = False
            for node in list(self.nodes):
                node._forget()

    def need_loop(self) -> None:
        """Some node cannot run without an event loop."""
        if not self.needs_loop:
            self.needs_loop = True
            self.forget_all()

    def track(self) -> None:
        """Elements carry metadata from now on."""
        if not self.tracked:
            self.tracked = True
            self.forget_all()

    def alignment(self) -> Alignment:
        """Return which inputs of joins are aligned, as the graph is now."""
        if self._alignment is None or self._alignment[0] != self.edits:
            self._alignment = self.edits, Alignment(self.joins)
        return self._alignment[1]

    def realign(self) -> None:
        """An edge has come or gone: joins far below may be aligned otherwise now."""
        if self.joins:
            self.forget_all()

    # --- which loop ------------------------------------------------------------------

    @property
    def running_on(self) -> asyncio.AbstractEventLoop:
        """The loop that the nodes run on, bound now if it was not."""
        if self.merged_into is not None:
            return self.root().running_on
        return self.loop if self.loop is not None else self.bind()

    @property
    def clock(self) -> Clock:
        return Clock(self.running_on)

    def bind(self) -> asyncio.AbstractEventLoop:
        """Choose the loop: the one given, else the one that runs here, else the background's."""
        loop, here = self.loop, loops.running_loop()
        if self._process != os.getpid():
            self._process, loop = os.getpid(), None
        if (
            loop is not None
            and not loop.is_closed()
            and (self.loop_given or loop.is_running() or here is None)
        ):
            return loop
        if here is not None and self.asynchronous is not False:
            fresh = here
        elif self.asynchronous:
            raise RuntimeError(
                "Stream: asynchronous=True needs a running event loop; emit from within it"
            )
        else:
            fresh = loops.background_loop()
        if fresh is not self.loop:
            rebound, self.loop = self.loop is not None, fresh
            self.loop_given = False
            if rebound:
                self.active.clear()
                for running in self._orphans:
                    running.abandon()
                self._orphans.clear()
                for node in list(self.nodes):
                    node._loop_changed()
            self.forget_all()
        return fresh

    def here(self) -> bool:
        """Whether the nodes may be run, and compiled, in the calling thread."""
        return not self.needs_loop or (self.loop is not None and loops.running_loop() is self.loop)

    def is_alive(self) -> bool:
        """Whether the loop is there and runs, in this process."""
        loop = self.loop
        return loop is not None and loop.is_running() and self._process == os.getpid()

    def is_of_this_process(self) -> bool:
        """Whether it was not inherited by a fork."""
        return self._process == os.getpid()

    def is_busy(self) -> bool:
        """Whether something is under way that will go on by itself."""
        return self.merged_into is None and bool(self.active) and self.is_alive()

    # --- running ---------------------------------------------------------------------

    def start(self, awaitable: Awaitable[object]) -> Pending:
        """See to it that *awaitable* runs; return what to wait for."""
        if isinstance(awaitable, Running):
            return awaitable
        if self.merged_into is not None:
            return self.root().start(awaitable)
        loop = self.running_on
        if loops.running_loop() is loop:
            if isinstance(awaitable, asyncio.Future):
                self.active.add(awaitable)
                awaitable.add_done_callback(self.active.discard)
                return awaitable
            if not inspect.iscoroutine(awaitable):
                awaitable = as_coroutine(awaitable)
            return Running(awaitable, self)
        # An awaitable came out of a function that did not look asynchronous, in
        # a thread without a loop: run it in the background, and wait here.
        self.need_loop()
        hop = asyncio.run_coroutine_threadsafe(as_coroutine(awaitable), loop)
        hop.add_done_callback(self.notify)
        with self.turn as turn:
            while not hop.done():
                turn.wait(PATIENCE)
        hop.result()
        return None

    def orphaned(self, running: Running) -> None:
        """See that *running* is run, if nobody awaits it in this turn of the loop."""
        if not self._orphans:
            (self.loop or self.running_on).call_soon(self._adopt_orphans)
        self._orphans.append(running)

    def _adopt_orphans(self) -> None:
        orphans = self._orphans
        for running in orphans:
            if running.coroutine is not None:
                running.adopt()
        orphans.clear()

    def notify(self, _: object = None) -> None:
        """Wake the threads that wait for this pipeline."""
        self.turn.wake()

    def edit(self, action: Callable[[], object]) -> None:
        """Change the graph by *action*, between two elements."""

        def change() -> None:
            action()

        pipeline = self.root()
        loop = pipeline.loop
        if pipeline.needs_loop and loop is not None and pipeline.is_alive() and not self.here():
            pipeline.block(pipeline.hop(change))
        else:
            with pipeline.turn:
                action()

    def run(self, action: Callable[[], Pending], *, asynchronous: bool = False) -> Any:
        """Run *action* where the nodes run, and wait as `emit` does.

        The general way in; `entrance` has the fast ones.
        """
        if self.merged_into is not None:
            return self.root().run(action, asynchronous=asynchronous)
        if not self.needs_loop:
            try:
                with self.turn:
                    self.emitters.add(threading.current_thread())
                    self.take_up_left()
                    wait = action()
            except Exception as error:
                leaves(error)
                if asynchronous:
                    return self.failed(error)
                raise
            return self.promise(wait) if asynchronous else wait
        here = loops.running_loop()
        if self.asynchronous and here is None and (self.loop is None or self.loop.is_closed()):
            with self.turn:
                return self.promise(action())
        loop = self.bind()
        if here is loop:
            try:
                return self.promise(action())
            except Exception as error:
                return self.failed(error)
        self.emitters.add(threading.current_thread())
        blocks = here is None and not asynchronous and not self.asynchronous
        hop = self.hop(action, blocks=blocks)
        if here is not None:
            return asyncio.wrap_future(hop, loop=here)
        return self.block(hop) if blocks else hop

    # --- what an interruption has left -------------------------------------------------

    def left(self) -> bool:
        """Return whether elements wait that an interruption has left in a trampoline."""
        return bool(self.trampoline.left or self.again.left)

    def left_over(self, trampoline: Trampoline) -> None:
        """See that what an interruption has left in *trampoline* is taken up."""
        if self.needs_loop and self.is_alive():

            async def resume() -> None:
                trampoline.resume()

            Running(resume(), self)
        else:  # the next call does it, by the general way in
            self.compiled = True
            self.forget_all()

    def take_up_left(self) -> None:
        """Take up what an interruption has left; the turn is the caller's."""
        if self.trampoline.left or self.again.left:
            self.trampoline.resume()
            self.again.resume()
            self.compiled = True
            self.forget_all()

    def promise(self, wait: Pending) -> Awaitable[object]:
        """What an asynchronous `emit` returns for *wait*."""
        if wait is not None:
            return wait
        here = loops.running_loop()
        if here is None:
            return DONE
        future = here.create_future()
        future.set_result(None)
        return future

    def failed(self, error: Exception) -> Awaitable[object]:
        """What an asynchronous `emit` returns when the element failed at once."""
        leaves(error)
        if loops.running_loop() is None:
            return Failed(error)

        async def fail() -> None:
            raise error

        return Running(fail(), self)

    def hop(self, action: Callable[[], Pending], *, blocks: bool = False) -> Hop:
        """Run *action* on the loop; the future is done when its wait is over.

        *blocks*: a thread waits for it, and takes what there is to be raised.
        """
        result = Hop(self)
        held = [result]

        def deliver() -> None:
            result = held.pop()  # let go at the end: a traceback may keep this frame
            self.active.discard(result)
            try:
                wait: Any = action()
            except BaseException as error:  # a SystemExit, too, is the emitter's
                result.set_exception(error)
            else:
                if blocks and isinstance(wait, Refusal):
                    wait.take_effect()
                if wait is None:
                    result.set_result(None)
                else:
                    if not hasattr(wait, "add_done_callback"):
                        wait = Running(as_coroutine(wait), self)
                    wait.add_done_callback(functools.partial(_settle, result))
            del result

        self.active.add(result)
        self.running_on.call_soon_threadsafe(deliver)
        return result

    def block(self, hop: concurrent.futures.Future[None]) -> None:
        """Hold the calling thread back until *hop* is done."""
        quiet = 0
        with self.holding(lambda: not hop.done()):
            while True:
                try:
                    hop.result(PATIENCE)
                    return
                except concurrent.futures.TimeoutError:
                    if hop.done():
                        return hop.result()
                    quiet += 1
                    if self.gates and self.helpless(quiet):
                        self.running_on.call_soon_threadsafe(self.break_deadlock)

    # --- who could still help --------------------------------------------------------

    @contextlib.contextmanager
    def holding(self, back: Callable[[], bool]) -> Iterator[None]:
        """Note that the calling thread is held, and can do nothing as long as *back* is so."""
        me = threading.current_thread()
        self.root().held[me] = back
        try:
            yield
        finally:
            self.root().held.pop(me, None)  # it may be another pipeline by now

    def helpless(self, quiet: int) -> bool:
        """Whether no thread but this one can make room; it has looked *quiet* times in vain.

        Threads that are held back themselves cannot.  Some are in doubt, and
        trusted for a while only: those that wait for another thread to end or
        for something to do, and daemons that have not emitted yet, since some
        tools run such threads in every process.
        """
        me, frames = threading.current_thread(), sys._current_frames()
        others = [t for t in threading.enumerate() if t is not me and t.name != "rapidz-loop"]

        def may_emit(thread: threading.Thread) -> bool:
            back = self.held.get(thread)
            if back is not None and back():
                return False
            frame = frames.get(thread.ident or 0)
            idle = frame is not None and frame.f_code in _IDLE
            idle |= type(thread).__name__ == "_ExecutorManagerThread"  # of a pool of processes
            return not idle and (not thread.daemon or thread in self.emitters)

        if any(may_emit(thread) for thread in others):
            return False
        return not others or quiet > GRACE

    def watch(self) -> None:
        """Note which threads emit, from now on."""
        if not self.watched:
            self.watched = True
            self.forget_all()

    def break_deadlock(self) -> None:
        """Fail the waits for room that nothing can end any more."""
        waiting = [gate for gate in list(self.gates) if gate.waiting()]
        if len(self.active) <= sum(gate.waiting() for gate in waiting):
            for gate in waiting:
                gate.refuse()

    # --- what failed -----------------------------------------------------------------

    def keep(self, error: Exception, *, log_at_once: bool = False) -> None:
        """Keep a failure that no emitter was there to take, for the next one."""
        root = self.root()
        root.kept.keep(root, error, log_at_once)

    def interrupted(self, error: BaseException) -> None:
        """Keep what would have ended the background loop."""
        self.keep(interrupted(error))

    def raise_kept(self) -> None:
        """Raise the oldest failure kept, if any."""
        if self.kept:
            raise self.kept.take()

    def raise_all_kept(self) -> None:
        """Raise every failure kept: one as it is, several as a group."""
        if self.kept and (error := self.kept.take_all()) is not None:
            raise error


def _settle(result: Hop, wait: Any) -> None:
    """An element that came from elsewhere is through: tell."""
    if wait.cancelled():
        if isinstance(wait, Running):
            wait.exception()  # taken, by whoever waits for the hop
        result.set_exception(concurrent.futures.CancelledError())
    elif (error := wait.exception()) is not None:
        result.set_exception(error)
    else:
        result.set_result(None)


def _start_anew_after_fork() -> None:
    """A forked child has none of the threads that may have had their turn in the parent."""
    for pipeline in list(pipelines):
        pipeline.turn = Turn()
        pipeline.compiled = True
        pipeline.forget_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_after_fork)
