"""Compatibility module: helpers for tests of streams, in real time.

New tests use `rapidz.testing`, in virtual time.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import io
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import pytest
from tornado import gen
from tornado.ioloop import IOLoop
from tornado.platform.asyncio import AsyncIOLoop

from rapidz.core import Stream, _global_sinks

__all__ = [
    "await_for",
    "captured_logger",
    "clean",
    "double",
    "free_port",
    "gen_test",
    "inc",
    "metadata",
    "pristine_loop",
    "tmpfile",
    "wait_for",
]


def inc(x: Any) -> Any:
    """Return *x* + 1."""
    return x + 1


def double(x: Any) -> Any:
    """Return 2 * *x*."""
    return 2 * x


class metadata(Stream[Any]):
    """Operator that emits the metadata of every element that has some."""

    def update(self, x: Any, who: Stream[Any] | None = None, metadata: Any = None) -> Any:
        return self._emit(metadata) if metadata else None


# --- loops -------------------------------------------------------------------------------


@contextmanager
def pristine_loop() -> Iterator[IOLoop]:
    """Make a new event loop the current one of this thread, within a ``with`` block."""
    inner = asyncio.new_event_loop()
    loop = AsyncIOLoop(asyncio_loop=inner, make_current=False)
    asyncio.set_event_loop(inner)
    try:
        yield loop
    finally:
        for task in (left := asyncio.all_tasks(inner)):
            task.cancel()
        inner.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        inner.run_until_complete(inner.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close(all_fds=True)


def gen_test(timeout: float = 10) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that runs a Tornado coroutine or ``async def`` function as a test.

    The test has a loop of its own, and at most *timeout* seconds.

    >>> @gen_test(timeout=5)
    ... def test_sleeping():
    ...     yield gen.sleep(0)
    >>> test_sleeping()
    """

    def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
        is_coroutine = inspect.iscoroutinefunction(func) or gen.is_coroutine_function(func)
        coroutine = func if is_coroutine else gen.coroutine(func)

        @functools.wraps(func)
        def test(*args: Any, **kwargs: Any) -> None:
            with pristine_loop() as loop:
                loop.run_sync(functools.partial(coroutine, *args, **kwargs), timeout=timeout)

        return test

    return decorate


@pytest.fixture
def clean() -> Iterator[None]:
    """Destroy the sinks of a test after it."""
    before = set(_global_sinks)
    yield
    for sink in set(_global_sinks) - before:
        sink.destroy()


# --- waiting -----------------------------------------------------------------------------


def _fail(timeout: float, fail_func: Callable[[], object] | None) -> NoReturn:
    if fail_func is not None:
        fail_func()
    pytest.fail(f"condition not reached within {timeout} seconds")


async def await_for(
    predicate: Callable[[], object],
    timeout: float,
    fail_func: Callable[[], object] | None = None,
    period: float = 0.001,
) -> None:
    """Wait, in a loop, until *predicate* is true; fail the test after *timeout* seconds.

    The predicate is called every *period* seconds, *fail_func* before the test fails.
    """
    now = asyncio.get_running_loop().time
    end = now() + timeout
    while not predicate():
        if now() > end:
            _fail(timeout, fail_func)
        await asyncio.sleep(period)


def wait_for(
    predicate: Callable[[], object],
    timeout: float,
    fail_func: Callable[[], object] | None = None,
    period: float = 0.001,
) -> None:
    """Wait, in a thread, until *predicate* is true, as `await_for` does."""
    end = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > end:
            _fail(timeout, fail_func)
        time.sleep(period)


# --- logs, files, ports ------------------------------------------------------------------


@contextmanager
def captured_logger(
    logger: logging.Logger | str, level: int = logging.INFO, propagate: bool | None = None
) -> Iterator[io.StringIO]:
    r"""Redirect *logger* to a file object, which the ``with`` block yields.

    The logger's own handlers are disabled; *propagate* replaces its attribute of that name.

    >>> with captured_logger("somebody") as log:
    ...     logging.getLogger("somebody").warning("a word")
    >>> log.getvalue()
    'a word\n'
    """
    if isinstance(logger, str):
        logger = logging.getLogger(logger)
    old_level, old_handlers, old_propagate = logger.level, logger.handlers, logger.propagate
    log = io.StringIO()
    logger.setLevel(level)
    logger.handlers = [logging.StreamHandler(log)]
    if propagate is not None:
        logger.propagate = propagate
    try:
        yield log
    finally:
        logger.handlers, logger.propagate = old_handlers, old_propagate
        logger.setLevel(old_level)


@contextmanager
def tmpfile(extension: str = "") -> Iterator[str]:
    """Yield the name of a file that does not exist yet, and remove the file after the block."""
    handle, name = tempfile.mkstemp("." + extension.lstrip(".") if extension else "")
    os.close(handle)
    os.remove(name)
    try:
        yield name
    finally:
        if os.path.isdir(name):
            shutil.rmtree(name)
        with suppress(FileNotFoundError):
            os.remove(name)


def free_port() -> int:
    """Return a port of this machine that is not in use."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
