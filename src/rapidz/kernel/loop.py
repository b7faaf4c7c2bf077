"""Which event loop, and from which thread.

The engine speaks asyncio.  This is the only file of the lower floors that
knows Tornado: its loops come in by `asyncio_loop` and go out by `io_loop`, and
`is_async` knows its coroutines.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import os
import threading
from collections.abc import Callable
from typing import Any

from tornado import gen
from tornado.ioloop import IOLoop
from tornado.locks import Condition
from tornado.platform.asyncio import AsyncIOLoop

from rapidz.kernel.short_repr import short_repr

#: Makes the loop of the background thread; replaced by virtual time in tests.
new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop

running_loop = asyncio._get_running_loop

_io_loops: list[IOLoop] = []
_starting = threading.Lock()
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
    with _starting:
        if _background is None or not _background.thread.is_alive():
            _background = Background()
        return _background.loop


def in_background() -> bool:
    """Whether the caller runs on the background loop."""
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
    """A forked child has the parent's loop but not its thread."""
    global _background, _starting
    _background, _starting = None, threading.Lock()
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
    """Whether calling *func* gives an awaitable: ``async def`` or a Tornado coroutine.

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
    result: concurrent.futures.Future[Any] = concurrent.futures.Future()

    async def call() -> None:
        try:
            value = func(*args, **kwargs)
            result.set_result(await value if inspect.isawaitable(value) else value)
        except BaseException as error:
            result.set_exception(error)

    target.call_soon_threadsafe(lambda: target.create_task(call()))
    return result.result()


_kept: set[asyncio.Future[Any]] = set()


def keep_running(loop: asyncio.AbstractEventLoop, awaitable: Any) -> None:
    """Run *awaitable* on *loop* and hold on to it until it is over."""
    future = asyncio.ensure_future(awaitable, loop=loop)
    _kept.add(future)
    future.add_done_callback(_kept.discard)


def new_condition() -> Condition:
    """A condition as node classes of the old libraries use them."""
    return Condition()
