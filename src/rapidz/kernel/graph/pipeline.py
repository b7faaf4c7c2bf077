"""What connected nodes share: a lock, a loop, what is under way, what failed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import concurrent.futures.thread
import functools
import inspect
import logging
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

from rapidz.kernel.compile.alignment import Alignment
from rapidz.kernel.compile.compiler import link
from rapidz.kernel.protocol.clock import Clock
from rapidz.kernel.protocol.push import DONE, Done, Failed, Pending
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.attribution import leaves
from rapidz.kernel.runtime.deadlock import waits_for_caller
from rapidz.kernel.runtime.exclusion import PipelineLock, called_by_interrupt
from rapidz.kernel.runtime.failures import BackPressureError, LoopEnded, interrupted
from rapidz.kernel.runtime.pending_failures import PendingFailures
from rapidz.kernel.runtime.queue import elements_in
from rapidz.kernel.runtime.tasks import EagerTask, FailedTask, as_coroutine
from rapidz.kernel.runtime.thread_future import ThreadFuture
from rapidz.kernel.runtime.trampoline import Trampoline

if TYPE_CHECKING:
    from rapidz.kernel.graph.stream import Stream
    from rapidz.kernel.runtime.gate import Gate

logger = logging.getLogger("rapidz")

#: How often a thread that is held back looks whether anybody can still help it, in seconds, and
#: how often in vain before it gives up on those who only may.
PATIENCE, GRACE = 0.05, 20

#: How long a call is blocked before it asks whether an interrupt has made it, in seconds.
GLANCE = 0.002

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


class LoopCall(ThreadFuture[None]):
    """An element on its way to the loop, for a thread or a loop that is elsewhere.

    A failure that nobody took is kept by the pipeline.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._claimed = False
        self.awaited = True
        """Whether who blocks until it is done still does."""
        self.waits_for: Any = None
        """What is in flight for it on the loop."""

    def __await__(self) -> Generator[Any, Any, None]:
        if not self._done:
            blocking = _blocking.get(self._pipeline.root().loop)
            if blocking is not None and waits_for_caller(blocking.waits_for):
                raise BackPressureError(
                    "emit: the event loop of the pipeline is blocked by a call that waits for the "
                    "one that awaits this; the element goes in when that call has returned"
                )
        return (yield from super().__await__())

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            return super().exception(timeout)
        finally:
            self._claimed = self.done()  # else who waits was interrupted, or looks again

    def __del__(self) -> None:
        error = self._error
        if error is None or self._claimed:
            return
        if isinstance(error, concurrent.futures.CancelledError) or not isinstance(error, Exception):
            self._pipeline.record_interruption(error)
        else:
            self._pipeline.record_failure(error)


_blocking: dict[asyncio.AbstractEventLoop | None, LoopCall] = {}
"""For each loop that a call blocks, what it waits for."""


class blocking:
    """Note that the loop that is running here, if any, is blocked until *hop* is done.

    A class: `contextlib.contextmanager` assigns to what is raised in it, which may be frozen.
    """

    def __init__(self, hop: LoopCall) -> None:
        self._hop = hop

    def __enter__(self) -> None:
        self._here = loops.running_loop()
        self._before = _blocking.get(self._here)
        if self._here is not None:
            _blocking[self._here] = self._hop

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            _blocking[self._here] = self._before
        elif self._here is not None:
            del _blocking[self._here]


class BlockedThread:
    """Notes, for the length of a block, that the calling thread is held."""

    def __init__(self, pipeline: Pipeline, back: Callable[[], bool]) -> None:
        self._pipeline, self._back = pipeline, back
        self._thread = threading.current_thread()

    def __enter__(self) -> None:
        self._pipeline.root().blocked_threads[self._thread] = self._back

    def __exit__(self, *_: object) -> None:
        self._pipeline.root().blocked_threads.pop(
            self._thread, None
        )  # it may be another pipeline by now


class NoLoop(RuntimeError):
    """A node needs an event loop where none is running and none can be started."""


class Pipeline:
    """Shared by all nodes that were ever connected."""

    patience = PATIENCE

    def __init__(self, loop: Any = None, asynchronous: bool | None = None) -> None:
        self.asynchronous = asynchronous
        self.loop = None if loop is None else loops.asyncio_loop(loop)
        self.loop_given = loop is not None
        self.nodes: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()
        self.lock = PipelineLock()
        self.active: set[Any] = set()
        self.loop_calls: set[LoopCall] = set()
        """What other threads and loops wait for."""
        self.gates: weakref.WeakSet[Gate] = weakref.WeakSet()
        self.pending_failures = PendingFailures()
        self.emitters: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self.joins: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()
        self.edits = 0
        self._alignment: tuple[int, Alignment] | None = None
        self.blocked_threads: dict[threading.Thread, Callable[[], bool]] = {}
        """Threads that wait until something is not so any more."""
        self.tracked = False
        self.policies = 0
        self.records_emitters = self.compiled = False
        self.trampoline = Trampoline(self)
        """For edges that lead back, and very long pipelines."""
        self.reentry = Trampoline(self)
        """For what is emitted from within."""
        self.needs_loop = loop is not None or asynchronous is not None
        self.merged_into: Pipeline | None = None
        self._orphans: list[EagerTask] = []
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
        if mine is None or theirs is None or mine is theirs:
            return
        both_run = mine.is_running() and theirs.is_running()
        if (self.loop_given and other.loop_given) or (
            both_run and self.asynchronous and other.asynchronous
        ):
            raise ValueError(
                f"Stream: loop must be one in all of a pipeline, got {mine} and {theirs}: elements "
                "go from one loop to another by first.sink(second.emit)"
            )

    def absorb(self, other: Pipeline) -> Pipeline:
        """Become one with *other*; return what both are now."""
        if other is self:
            return self
        self.check_compatible(other)
        if len(other.nodes) > len(self.nodes):
            return other.absorb(self)
        self.invalidate_all()  # what was compiled in either is not for both
        other.invalidate_all()
        if self.loop is None or (other.loop_given and not self.loop_given):
            self.loop = other.loop if other.loop is not None else self.loop
        if self.asynchronous is None:
            self.asynchronous = other.asynchronous
        self.loop_given |= other.loop_given
        self.needs_loop |= other.needs_loop
        self.tracked |= other.tracked
        self.reentry.interrupted.extend(other.reentry.interrupted)
        self.trampoline.interrupted.extend(other.trampoline.interrupted)
        self.policies += other.policies
        self.active |= other.active
        self.pending_failures.absorb(other.pending_failures)
        self.gates |= other.gates
        self.joins |= other.joins
        self.edits += other.edits + 1
        self.emitters |= other.emitters
        self.blocked_threads |= other.blocked_threads
        self.loop_calls |= other.loop_calls
        other.active, other.pending_failures, other.blocked_threads = (
            self.active,
            self.pending_failures,
            self.blocked_threads,
        )
        other.loop_calls = self.loop_calls
        other.merged_into = self
        other.loop, other.lock = None, self.lock
        for node in other.nodes:
            node._pipeline = self
            self.nodes.add(node)
        return self

    def invalidate_all(self) -> None:
        """Compile every node anew when it is next used."""
        if self.compiled:
            self.compiled = False
            for node in list(self.nodes):
                node._invalidate()

    def require_loop(self) -> None:
        """Some node cannot run without an event loop."""
        if not self.needs_loop:
            self.needs_loop = True
            self.invalidate_all()

    def enable_tracking(self) -> None:
        """Elements carry metadata from now on."""
        if not self.tracked:
            self.tracked = True
            self.invalidate_all()

    def alignment(self) -> Alignment:
        """Return which inputs of joins are aligned, as the graph is now."""
        if self._alignment is None or self._alignment[0] != self.edits:
            self._alignment = self.edits, Alignment(self.joins)
        return self._alignment[1]

    def realign(self) -> None:
        """An edge has come or gone: joins far below may be aligned otherwise now."""
        if self.joins:
            self.invalidate_all()

    # --- which loop ------------------------------------------------------------------

    @property
    def running_on(self) -> asyncio.AbstractEventLoop:
        """The loop that the nodes run on, bound now if it was not."""
        if self.merged_into is not None:
            return self.root().running_on
        return self.loop if self.loop is not None else self.bind()

    def check_loop(self) -> None:
        """Raise if the pipeline has no loop to run on, and there is none to bind it to."""
        assert self.running_on is not None

    @property
    def clock(self) -> Clock:
        return Clock(self.running_on)

    def bind(self) -> asyncio.AbstractEventLoop:
        """Choose the loop: the one given, else the one that runs here, else the background's."""
        loop, here = self.loop, loops.running_loop()
        if self._process != os.getpid():
            self._process, loop = os.getpid(), None
        if loop is not None and self._stays_on(loop, here):
            if self.loop_given and loop is here:
                loops.tell_end(loop, self)
            return loop
        fresh = self._choose_loop(here)
        if fresh is not self.loop:
            rebound, self.loop = self.loop is not None, fresh
            self.loop_given = False
            if rebound:
                self._leave_loop()
            self.invalidate_all()
            if rebound:
                self._resume_queues_on(fresh)
        if fresh is here:
            loops.tell_end(fresh, self)
        return fresh

    def _stays_on(
        self, loop: asyncio.AbstractEventLoop, here: asyncio.AbstractEventLoop | None
    ) -> bool:
        """Whether the pipeline stays on *loop*, where it was."""
        if loops.has_ended(loop):
            return False
        if self.loop_given or loop.is_running():
            return True
        return here is None and self.asynchronous is not None  # it will run again

    def _choose_loop(self, here: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
        """Return the loop that a pipeline used in the loop *here*, if any, is to run on."""
        threads = loops.can_start_threads()
        if here is not None and (not threads or self._prefers_running_loop()):
            return here
        if self.asynchronous:
            raise NoLoop(
                "Stream: asynchronous=True needs a running event loop; emit from within it"
                + loops.foreign_loop()
            )
        if not threads:
            raise NoLoop(
                "Stream: no thread can start here, so a node that needs an event loop must be "
                "used within a running one"
            )
        return loops.background_loop()

    def _prefers_running_loop(self) -> bool:
        """Whether to run on the loop that is running, and not on that in the background."""
        return not loops.in_notebook() if self.asynchronous is None else self.asynchronous

    def bind_to_running_loop(self) -> None:
        """A node told to be asynchronous was built: it belongs to the loop that runs here."""
        here = loops.running_loop()
        if self.asynchronous and self.loop is None:
            self.loop = here
        if here is not None and self.loop is here:
            loops.tell_end(here, self)

    def _leave_loop(self) -> None:
        """Let go of all that belonged to a loop that has ended."""
        self._fail_loop_calls()
        self.active.clear()
        for running in self._orphans:
            running.abandon()
        self._orphans.clear()
        for node in list(self.nodes):
            node._loop_changed()

    def _fail_loop_calls(self) -> None:
        """Tell those who wait in other threads and loops that the loop has ended."""
        for hop in list(self.loop_calls):
            self.active.discard(hop)
            hop.set_exception(LoopEnded())

    def _resume_queues_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let queues go on with what the loop before has left in them."""

        def link_all() -> None:
            for node in list(self.nodes):
                if self._has_queued_work(node) and not node._ended:
                    for up in node.upstreams:
                        link(up)

        if loops.running_loop() is loop:
            link_all()
        else:
            loop.call_soon_threadsafe(link_all)

    @staticmethod
    def count_queued(node: Stream[Any]) -> int:
        """Return how many elements wait in the queue of *node*, if it has one."""
        conveyor = getattr(node, "_drainer", None)
        if node._accepts_handles or node._remote:  # what is with workers is lost with the loop
            return 0
        if conveyor is None:
            return 0
        gate: Gate = node._gate  # type: ignore[attr-defined]
        entries = 0 if node._loses_queue_with_loop else elements_in(conveyor.entries)
        return entries + gate.waiting_in_loop()

    @staticmethod
    def _take_lost_count(node: Stream[Any]) -> int:
        """Return how many elements were in flight in *node* when the loop ended; forget them."""
        count = max(node._serial_queue.cut_off, node._policy_queue.cut_off)
        node._serial_queue.cut_off = node._policy_queue.cut_off = 0
        conveyor = getattr(node, "_drainer", None)
        if conveyor is not None and not (node._accepts_handles or node._remote):
            count += conveyor.cut_off
            conveyor.cut_off = 0
            if node._loses_queue_with_loop:
                count += elements_in(conveyor.entries)
        return count

    def _has_queued_work(self, node: Stream[Any]) -> bool:
        """Whether *node* would go on by itself with what a loop has left there."""
        return bool(self.count_queued(node)) or (not node._ended and node._resumes_queue())

    def has_queued_elements(self) -> bool:
        """Whether a loop that has ended has left elements that go on by themselves."""
        loop = self.loop
        if loop is None or (loop.is_running() and not loops.has_ended(loop)):
            return False
        return any(self._has_queued_work(node) for node in list(self.nodes))

    def needs_running_loop(self) -> bool:
        """Whether elements are left over that only a loop which is not running here can take."""
        return (
            bool(self.asynchronous) and loops.running_loop() is None and self.has_queued_elements()
        )

    def loop_ended(self, end: object) -> None:
        """Say what is left: the loop of the pipeline ends, and runs no more tasks."""
        if self.merged_into is not None or self.loop is not loops.running_loop():
            return
        self._fail_loop_calls()
        for node in list(self.nodes):
            if (node._accepts_handles or node._remote) and (lost := node._buffered()):
                logger.warning(
                    "%s: the event loop has ended; %d element%s with workers and lost. Await "
                    "close() or join() before the loop ends.",
                    node,
                    lost,
                    " was" if lost == 1 else "s were",
                )
            elif lost := self._take_lost_count(node):
                logger.warning(
                    "%s: the event loop has ended; %d element%s in flight and lost. Await "
                    "close() or join() before the loop ends.",
                    node,
                    lost,
                    " was" if lost == 1 else "s were",
                )
        left = [(node, n) for node in list(self.nodes) if (n := self.count_queued(node))]
        for node, n in left:
            logger.warning(
                "%s: the event loop has ended with %d element%s in the queue; they go on when the "
                "pipeline is used in another one. Await close() or join() before the loop ends.",
                node,
                n,
                "" if n == 1 else "s",
            )

    def runs_here(self) -> bool:
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
        if isinstance(awaitable, EagerTask):
            return awaitable
        if self.merged_into is not None:
            return self.root().start(awaitable)
        if isinstance(awaitable, (Done, Failed)):
            awaitable.result()  # this needs no loop
            return None
        loop = self.running_on
        if loops.running_loop() is loop:
            if isinstance(awaitable, asyncio.Future):
                self.active.add(awaitable)
                awaitable.add_done_callback(self.active.discard)
                return awaitable
            if not inspect.iscoroutine(awaitable):
                awaitable = as_coroutine(awaitable)
            return EagerTask(awaitable, self)
        # An awaitable came out of a function that did not look asynchronous, in
        # a thread without a loop: run it in the background, and wait here.
        self.require_loop()
        hop = self.call_on_loop(lambda: EagerTask(as_coroutine(awaitable), self), blocks=True)
        hop.add_done_callback(self.notify)
        with self.lock as lock:
            while not hop.done():
                lock.wait(PATIENCE)
        hop.result()
        return None

    def run_unless_awaited(self, running: EagerTask) -> None:
        """See that *running* is run, if nobody awaits it in this turn of the loop."""
        if self.loop is None and running.is_of_one() and loops.running_loop() is None:
            return running.run_at_once()
        if not self._orphans:
            (self.loop or self.running_on).call_soon(self._adopt_orphans)
        self._orphans.append(running)

    def _adopt_orphans(self) -> None:
        orphans = self._orphans
        for running in orphans:
            if not running.begun:
                running.adopt()
        orphans.clear()

    def notify(self, _: object = None) -> None:
        """Wake the threads that wait for this pipeline."""
        self.lock.wake()

    def edit(self, action: Callable[[], object]) -> None:
        """Change the graph by *action*, between two elements."""

        def change() -> None:
            action()

        pipeline = self.root()
        loop = pipeline.loop
        if (
            pipeline.needs_loop
            and loop is not None
            and pipeline.is_alive()
            and not pipeline.runs_here()
        ):
            pipeline.call(change)
        else:
            with pipeline.lock:
                action()

    def run(self, action: Callable[[], Pending], *, asynchronous: bool = False) -> Any:
        """Run *action* where the nodes run, and wait as `emit` does.

        The general way in; `entrance` has the fast ones.
        """
        if self.merged_into is not None:
            return self.root().run(action, asynchronous=asynchronous)
        here = loops.running_loop()
        if not self.needs_loop:
            return self._run_here(action, asynchronous)
        if self.asynchronous and here is None and (self.loop is None or self.loop.is_closed()):
            return self._run_without_loop(action, asynchronous)
        loop = self.bind()
        if here is loop:
            if self.lock.busy and self.lock.later(functools.partial(self._do, action)):
                return self.as_awaitable(None)
            try:
                return self.as_awaitable(action())
            except Exception as error:
                return self.failed_awaitable(error)
        self.emitters.add(threading.current_thread())
        blocks = not asynchronous and self.emit_blocks()
        if not blocks:
            return self.call_on_loop(action)
        self._call_or_leave(action)
        return None if here is None else DONE

    def emit_blocks(self) -> bool:
        """Whether `emit`, called here, blocks until there is room; it returns an awaitable else."""
        here = loops.running_loop()
        if not self.needs_loop or (here is not None and here is self.loop):
            return False
        if self.asynchronous is None:
            return here is None or loops.in_notebook()
        return not (self.asynchronous or loops.in_background())

    def _run_here(self, action: Callable[[], Pending], asynchronous: bool) -> Any:
        """Run *action* in the calling thread, when it is its turn."""
        lock = self.lock
        if lock.busy and lock.later(functools.partial(self._do, action)):
            return self.as_awaitable(None) if asynchronous else None
        try:
            with lock:
                self.emitters.add(threading.current_thread())
                self.resume_interrupted()
                wait = action()
        except Exception as error:
            leaves(error)
            if asynchronous:
                return self.failed_awaitable(error)
            raise
        return self.as_awaitable(wait) if asynchronous else wait

    def _run_without_loop(self, action: Callable[[], Pending], asynchronous: bool) -> Any:
        """Run *action* of an asynchronous pipeline where no loop is running.

        Only a node that needs a loop asks for one, and is refused.
        """
        try:
            wait = self._run_here(action, asynchronous)
        except NoLoop:
            self._leave_loop()  # what such a node has begun it will not go on with
            self.invalidate_all()
            raise
        return wait if asynchronous else self.as_awaitable(wait)

    def _do(self, action: Callable[[], Pending]) -> None:
        """Do what an interrupt has left behind; nobody is there to take what fails."""
        try:
            action()
        except Exception as error:
            self.record_failure(error)

    # --- what an interruption has left -------------------------------------------------

    def has_interrupted(self) -> bool:
        """Return whether elements wait that an interruption has left in a trampoline."""
        return bool(self.trampoline.interrupted or self.reentry.interrupted)

    def resume_later(self, trampoline: Trampoline) -> None:
        """See that what an interruption has left in *trampoline* is taken up."""
        if self.needs_loop and self.is_alive():

            async def resume() -> None:
                trampoline.resume()

            EagerTask(resume(), self)
        else:  # the next call does it, by the general way in
            self.compiled = True
            self.invalidate_all()

    def resume_interrupted(self) -> None:
        """Take up what an interruption has left; the turn is the caller's."""
        if self.trampoline.interrupted or self.reentry.interrupted:
            self.trampoline.resume()
            self.reentry.resume()
            self.compiled = True
            self.invalidate_all()

    def as_awaitable(self, wait: Pending) -> Awaitable[object]:
        """What an asynchronous `emit` returns for *wait*."""
        if wait is not None:
            return wait
        here = loops.running_loop()
        if here is None:
            return DONE
        future = here.create_future()
        future.set_result(None)
        return future

    def failed_awaitable(self, error: Exception) -> Awaitable[object]:
        """What an asynchronous `emit` returns when the element failed at once."""
        leaves(error)
        if loops.running_loop() is None:
            return Failed(error)

        async def fail() -> None:
            raise error

        return EagerTask(fail(), self)

    def call_on_loop(
        self, action: Callable[[], Pending], *, blocks: bool = False, result: LoopCall | None = None
    ) -> LoopCall:
        """Run *action* on the loop; the future is done when its wait is over.

        *blocks*: a thread waits for it, and takes what there is to be raised.
        """
        result = LoopCall(self) if result is None else result
        held = [result]

        def deliver() -> None:
            result = held.pop()  # let go at the end: a traceback may keep this frame
            self.active.discard(result)
            try:
                wait: Any = action()
            except BaseException as error:  # a SystemExit, too, is the emitter's
                result.set_exception(error)
            else:
                if blocks and result.awaited and isinstance(wait, FailedTask):
                    wait.take_effect()
                if wait is None:
                    result.set_result(None)
                else:
                    if not hasattr(wait, "add_done_callback"):
                        wait = EagerTask(as_coroutine(wait), self)
                    result.waits_for = wait
                    wait.add_done_callback(functools.partial(_settle, result))
            del result

        loop = self.running_on
        self.active.add(result)
        self.loop_calls.add(result)
        result.add_done_callback(self.loop_calls.discard)
        loop.call_soon_threadsafe(deliver)
        return result

    def call(self, action: Callable[[], Pending], hop: LoopCall | None = None) -> None:
        """Run *action* on the loop; block the calling thread until its wait is over."""
        hop = LoopCall(self) if hop is None else hop
        with blocking(hop):  # from before it begins
            self.call_on_loop(action, blocks=True, result=hop)
            self.block(hop)

    def _call_or_leave(self, action: Callable[[], Pending]) -> None:
        """Run *action* on the loop; block until its wait is over, unless an interrupt calls.

        An interrupt may have left a lock taken that a function on the loop waits for.  It
        is looked for only where the wait is not short.
        """
        if (
            threading.current_thread() in self.blocked_threads
        ):  # a call that blocks runs nothing else
            self.call_on_loop(action)
            return
        hop = LoopCall(self)
        with blocking(hop):
            self.call_on_loop(action, blocks=True, result=hop)
            if not hop.wait(GLANCE) and called_by_interrupt(sys._getframe(1)):
                hop.awaited = False
                if not hop.done():
                    return
            self.block(hop)

    def block(self, hop: LoopCall) -> None:
        """Hold the calling thread back until *hop* is done."""
        quiet = 0
        with self.blocked(lambda: not hop.done()):
            while not hop.wait(PATIENCE):
                quiet += 1
                if self.loop is None or self.loop.is_closed():
                    hop.set_exception(LoopEnded())
                elif self.gates and self.is_deadlocked(quiet):
                    self.running_on.call_soon_threadsafe(self.break_deadlock)
        hop.result()

    # --- who could still help --------------------------------------------------------

    def blocked(self, back: Callable[[], bool]) -> BlockedThread:
        """Note that the calling thread is held, and can do nothing as long as *back* is so."""
        return BlockedThread(self, back)

    def is_deadlocked(self, quiet: int) -> bool:
        """Whether no thread but this one can make room; it has looked *quiet* times in vain.

        Threads that are held back themselves cannot.  Some are in doubt, and
        trusted for a while only: those that wait for another thread to end or
        for something to do, and daemons that have not emitted yet, since some
        tools run such threads in every process.
        """
        me, frames = threading.current_thread(), sys._current_frames()
        others = [t for t in threading.enumerate() if t is not me and t.name != "rapidz-loop"]

        def may_emit(thread: threading.Thread) -> bool:
            back = self.blocked_threads.get(thread)
            if back is not None and back():
                return False
            frame = frames.get(thread.ident or 0)
            idle = frame is not None and frame.f_code in _IDLE
            idle |= type(thread).__name__ == "_ExecutorManagerThread"  # of a pool of processes
            return not idle and (not thread.daemon or thread in self.emitters)

        if any(may_emit(thread) for thread in others):
            return False
        return not others or quiet > GRACE

    def record_emitters(self) -> None:
        """Note which threads emit, from now on."""
        if not self.records_emitters:
            self.records_emitters = True
            self.invalidate_all()

    def break_deadlock(self) -> None:
        """Fail the waits for room that nothing can end any more."""
        waiting = [gate for gate in list(self.gates) if gate.waiting()]
        if len(self.active) <= sum(gate.waiting() for gate in waiting):
            for gate in waiting:
                gate.refuse()

    # --- what failed -----------------------------------------------------------------

    def record_failure(self, error: Exception, *, log_at_once: bool = False) -> None:
        """Keep a failure that no emitter was there to take, for the next one."""
        root = self.root()
        root.pending_failures.keep(root, error, log_at_once)

    def record_interruption(self, error: BaseException) -> None:
        """Keep what would have ended the background loop."""
        self.record_failure(interrupted(error))

    def raise_pending(self) -> None:
        """Raise the oldest failure kept, if any."""
        if self.pending_failures:
            raise self.pending_failures.take()

    def raise_all_pending(self) -> None:
        """Raise every failure kept: one as it is, several as a group."""
        if self.pending_failures and (error := self.pending_failures.take_all()) is not None:
            raise error


def _settle(result: LoopCall, wait: Any) -> None:
    """An element that came from elsewhere is through: tell."""
    if wait.cancelled():
        task = wait._task if isinstance(wait, EagerTask) else wait
        if isinstance(wait, EagerTask):
            wait.exception()  # taken, by whoever waits for the hop
        if isinstance(task, asyncio.Task) and task.cancelling():
            result.set_exception(LoopEnded())  # the function has not cancelled itself
        else:
            result.set_exception(concurrent.futures.CancelledError())
    elif (error := wait.exception()) is not None:
        result.set_exception(error)
    else:
        result.set_result(None)


def _start_anew_after_fork() -> None:
    """A forked child has none of the threads that may have had their turn in the parent."""
    for pipeline in list(pipelines):
        pipeline.lock = PipelineLock()
        pipeline.trampoline.belong_to(pipeline.lock)
        pipeline.reentry.belong_to(pipeline.lock)
        pipeline.compiled = True
        pipeline.invalidate_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_after_fork)
