"""Event loops: the background loop, the running one, and calls between threads.

The engine speaks asyncio.  This is the only file of the lower layers that
knows Tornado: its loops enter by `asyncio_loop` and leave by `io_loop`, and
`is_async` knows its coroutines.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import selectors
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from time import monotonic, sleep
from typing import Any

from tornado import gen
from tornado.ioloop import IOLoop as IOLoop
from tornado.locks import Condition
from tornado.platform.asyncio import AsyncIOLoop

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.notebook import in_notebook_thread
from rapidz.kernel.runtime.thread_future import ThreadFuture

running_loop = asyncio._get_running_loop

_io_loops: list[IOLoop] = []
_starting = threading.RLock()  # a signal handler may interrupt
_background: Background | None = None


class Background:
    """The library's own event loop, in a daemon thread."""

    def __init__(self) -> None:
        self.loop = new_event_loop()
        self._ready = threading.Event()
        self.thread = threading.Thread(target=self._run, name="rapidz-loop", daemon=True)
        self.thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)

        async def announce() -> None:
            _io_loops.append(IOLoop.current())
            self._ready.set()

        self.loop.create_task(announce())
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the background loop, started if need be."""
    global _background
    known = _background
    if known is not None and known.thread.is_alive():
        return known.loop
    with _starting:
        if _background is None or not _background.thread.is_alive():
            started = Background()
            if _background is None or not _background.thread.is_alive():
                _background = started
            else:  # an interrupt has started another one meanwhile
                started.stop()
        return _background.loop


#: How long a loop may run flat out before other threads have their turn, in seconds.
BREATH = 0.005

_last_breath = 0.0


def let_others_run() -> None:
    """Let other threads have the interpreter, if they have not had it for a while.

    A loop with something to do looks for events so often that a thread which
    waits for the interpreter's lock never gets round to ask for it.
    """
    global _last_breath
    now = monotonic()
    if now - _last_breath > BREATH:
        _last_breath = now
        if len(sys._current_frames()) > 1:
            sleep(1e-6)


class PoliteSelector(selectors.DefaultSelector):
    """Selector of a loop that leaves other threads their turn."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look for events; a loop that would not wait for them lets others run now and then."""
        if timeout is not None and timeout <= 0:
            let_others_run()
        return super().select(timeout)


def polite_event_loop() -> asyncio.AbstractEventLoop:
    """Make a loop as asyncio does, which leaves other threads their turn."""
    loop = asyncio.new_event_loop()
    if type(loop) is not asyncio.SelectorEventLoop or sys.platform == "win32":
        return loop
    loop.close()
    return asyncio.SelectorEventLoop(PoliteSelector())


#: Makes the loop of the background thread; replaced by virtual time in tests.
new_event_loop: Callable[[], asyncio.AbstractEventLoop] = polite_event_loop


def can_start_threads() -> bool:
    """Return whether this interpreter starts threads: not in Pyodide, nor at its own end.

    At its end `Thread.start` would wait forever for a thread that never runs.
    """
    if sys.is_finalizing():
        return False
    if sys.platform not in ("emscripten", "wasi"):
        return True
    return bool(getattr(getattr(sys, "_emscripten_info", None), "pthreads", False))


def foreign_loop() -> str:
    """Say which other event loop runs here, if the caller has one that is not asyncio's."""
    sniffio = sys.modules.get("sniffio")
    trio = sys.modules.get("trio")
    with contextlib.suppress(Exception):
        if trio is not None and trio.lowlevel.current_task() is not None:
            return " (trio is running here: it is not supported, asyncio is)"
    with contextlib.suppress(Exception):
        name = None if sniffio is None else sniffio.current_async_library()
        if name not in (None, "asyncio"):
            return f" ({name} is running here: it is not supported, asyncio is)"
    return ""


def in_notebook() -> bool:
    """Return whether the running loop is that of a notebook, whose cells are to block."""
    return running_loop() is not None and in_notebook_thread() and can_start_threads()


def in_background() -> bool:
    """Return whether the caller runs on the background loop."""
    return _background is not None and running_loop() is _background.loop


def stop_background_loop() -> None:
    """Stop the background loop; the next pipeline that needs one starts another."""
    global _background
    with _starting:
        stopping, _background = _background, None
    _io_loops.clear()
    if stopping is not None:
        stopping.stop()


def _forget_after_fork() -> None:
    """Replace the loop in a forked child, which does not have its thread."""
    global _background, _starting
    _background, _starting = None, threading.RLock()
    _io_loops.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def asyncio_loop(loop: Any) -> asyncio.AbstractEventLoop:
    """Return the asyncio loop behind what a user gave as ``loop=``."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop
    inner = getattr(loop, "asyncio_loop", None)
    if isinstance(inner, asyncio.AbstractEventLoop):
        return inner
    raise TypeError(
        f"Stream: loop must be a Tornado IOLoop or an asyncio loop, got {short_repr(loop)}"
    )


def io_loop(loop: asyncio.AbstractEventLoop) -> IOLoop:
    """Return Tornado's face of an asyncio loop."""
    if running_loop() is loop:
        return IOLoop.current()
    known: dict[Any, IOLoop] = getattr(IOLoop, "_ioloop_for_asyncio", {})
    return known.get(loop) or AsyncIOLoop(asyncio_loop=loop, make_current=False)


def get_io_loop(asynchronous: bool | None = None) -> IOLoop:
    """Return the current loop if *asynchronous*, else the one in the background."""
    return IOLoop.current() if asynchronous else io_loop(background_loop())


def is_async(func: Any) -> bool:
    """Return whether calling *func* gives an awaitable: ``async def`` or a Tornado coroutine.

    Wrapped in partials or as the ``__call__`` of an object, too.
    """
    while isinstance(func, functools.partial):
        func = func.func
    if inspect.iscoroutinefunction(func) or gen.is_coroutine_function(func):
        return True
    call = getattr(type(func), "__call__", None)  # noqa: B004 - which, not whether
    return inspect.iscoroutinefunction(call) or gen.is_coroutine_function(call)


def sync(loop: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run *func* on *loop*, from another thread, and wait for its result."""
    target = asyncio_loop(loop)
    if running_loop() is target:
        raise RuntimeError("sync: cannot wait for a loop from within it")
    result: ThreadFuture[Any] = ThreadFuture()

    async def call() -> None:
        try:
            value = func(*args, **kwargs)
            result.set_result(await value if inspect.isawaitable(value) else value)
        except BaseException as error:
            result.set_exception(error)

    target.call_soon_threadsafe(lambda: target.create_task(call()))
    return result.result()


class LoopEnd:
    """Notification that a loop ends: calls its listeners when asyncio shuts the loop down.

    A loop does not notify when it ends, but it closes its asynchronous generators,
    after it has cancelled its tasks.  So one of ours waits on each loop.
    """

    def __init__(self) -> None:
        self.listeners: weakref.WeakSet[Any] = weakref.WeakSet()
        """Objects whose `loop_ended` is called."""
        self.ended = False
        self._waiting: AsyncGenerator[None, None] | None = None

    def begin(self) -> None:
        """Let the running loop know of the generator."""
        self._waiting = self._wait()
        with contextlib.suppress(StopIteration):  # it has come to its `yield`
            self._waiting.__anext__().send(None)

    async def _wait(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.ended, self._waiting = True, None
            for listener in list(self.listeners):
                listener.loop_ended(self)


#: The attribute of a loop with its `LoopEnd`; the two refer to each other.
_END = "_rapidz_end"


def notify_end(loop: asyncio.AbstractEventLoop, listener: object) -> None:
    """Call ``listener.loop_ended`` when *loop*, which is running here, ends."""
    end: LoopEnd | None = getattr(loop, _END, None)
    if end is None or end.ended:
        end = LoopEnd()
        try:
            setattr(loop, _END, end)
        except AttributeError:  # a loop without attributes of its own
            return
        end.begin()
    end.listeners.add(listener)


def has_ended(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether *loop* is closed, or about to be."""
    if loop.is_closed():
        return True
    end: LoopEnd | None = getattr(loop, _END, None)
    return end is not None and end.ended


_kept: set[asyncio.Future[Any]] = set()


def keep_running(loop: asyncio.AbstractEventLoop, awaitable: Any) -> None:
    """Run *awaitable* on *loop* and keep a reference to it until it is done."""
    future = asyncio.ensure_future(awaitable, loop=loop)
    _kept.add(future)
    future.add_done_callback(_kept.discard)


def new_condition() -> Condition:
    """Return a condition as node classes of the old libraries use them."""
    return Condition()
