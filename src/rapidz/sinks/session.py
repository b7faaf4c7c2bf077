"""Session of a writer: open, write, restart, flush and close, one call at a time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rapidz.kernel.runtime import loop as loops
from rapidz.sinks.writer import Writer
from rapidz.sources.restart import Restart

_log = logging.getLogger("rapidz.sinks")


class Turn:
    """Mutual exclusion on one loop, first come first served, that costs no task switch if free."""

    __slots__ = ("_waiting", "loop", "taken")

    def __init__(self, loop: Any) -> None:
        self.loop, self.taken = loop, False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Take it, as soon as it is free."""
        if not self.taken:
            self.taken = True
            return
        future = self.loop.create_future()
        self._waiting.append(future)
        try:
            await future
        except BaseException:
            if future.done() and not future.cancelled():
                self.release()  # it was handed to the caller already
            raise

    def release(self) -> None:
        """Hand it to the first one that waits."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.taken = False

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()


class WriterSession:
    """Calls the methods of one writer, and opens it again after transient failures."""

    def __init__(
        self, name: str, writer: Writer[Any], restart: Restart | None, max_bytes: int | None
    ) -> None:
        self.writer = writer
        self.runs_here = False
        self._name, self._restart, self._max_bytes = name, restart, max_bytes
        self._broken = self._was_open = False
        self._has_reported = False
        """Whether a flush has raised a failure, and nothing was written since."""
        self._opened_in: int | None = None
        """The process that has opened the writer; a forked child opens it anew."""
        self._thread: ThreadPoolExecutor | None = None
        self._turn: Turn | None = None

    @property
    def is_open(self) -> bool:
        """Whether the writer is open, in this process."""
        return self._opened_in == os.getpid()

    def abandon(self) -> None:
        """Open the writer again before the next write: its loop has ended."""
        self._broken = True

    def writing(self) -> Callable[[Any], Coroutine[Any, Any, None]]:
        """Return the method that writes one element, the shortest for the writer."""
        writer = self.writer
        if type(writer).write is Writer.write:
            return lambda payload: self.write_many([payload])
        returns_awaitable = inspect.iscoroutinefunction(writer.write) or not writer.blocking
        if returns_awaitable and needs_loop(writer) and not writer.flush_each:
            return functools.partial(self._write_one, writer.write)
        return self.write

    async def write(self, payload: Any) -> None:
        """Write one element."""
        async with self._exclusive():
            await self._attempt(functools.partial(self._call, self.writer.write, payload))

    async def _write_one(self, write: Callable[[Any], Any], payload: Any) -> None:
        """Write one element by a `write` that returns an awaitable."""
        turn, failure = self._turn, None
        if turn is None or turn.loop is not loops.running_loop():
            turn = self._turn_on(loops.running_loop())
        if turn.taken:
            await turn.acquire()
        else:
            turn.taken = True
        try:
            if self._opened_in == os.getpid() and not self._broken:
                try:
                    await write(payload)
                    self._has_reported = False
                    return
                except Exception as error:
                    failure = error
                except BaseException:
                    self._broken = True  # it may have written a part
                    raise
            await self._attempt(functools.partial(self._call, write, payload), failure)
        finally:
            turn.release()

    async def write_many(self, payloads: Sequence[Any]) -> None:
        """Write a batch, in parts of at most ``max_bytes``."""
        async with self._exclusive():
            for part in self._parts(payloads):
                await self._attempt(functools.partial(self._call, self.writer.write_many, part))

    async def flush(self) -> None:
        """Make durable what was written."""
        async with self._exclusive():
            if self.is_open and not self._broken:
                self._has_reported = False
                try:
                    await self._call(self.writer.flush)
                except Exception:
                    self._has_reported = True
                    raise

    async def close(self) -> None:
        """Flush and close the writer; the next write opens it again."""
        async with self._exclusive():
            try:
                await self._close()
            finally:
                if (thread := self._thread) is not None:
                    self._thread = None
                    thread.shutdown(wait=False)

    async def _close(self) -> None:
        if not self.is_open:
            return
        failure: BaseException | None = None
        try:
            if not self._broken:
                await self._call(self.writer.flush)
        except BaseException as error:
            failure = error
        self._opened_in, self._broken = None, False
        try:
            await self._call(self.writer.close)
        except Exception as error:
            failure = failure or error
        if failure is None:
            return
        if not self._has_reported or not isinstance(failure, Exception):
            raise failure
        _log.debug("%s: %r at the close, after a flush has failed", self._name, failure)

    def _loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop that the session runs on, None in a synchronous pipeline."""
        return None if self.runs_here else loops.running_loop()

    def _exclusive(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """Let one call follow the other; without a loop they do anyway."""
        loop = self._loop()
        return contextlib.nullcontext() if loop is None else self._turn_on(loop)

    def _turn_on(self, loop: Any) -> Turn:
        if self._turn is None or self._turn.loop is not loop:
            self._turn = Turn(loop)
        return self._turn

    async def _attempt(
        self, write: Callable[[], Coroutine[Any, Any, object]], failure: Exception | None = None
    ) -> None:
        """Write, until that succeeds or may not be repeated; *failure*: of a write before."""
        attempt = 0
        while True:
            if failure is not None:
                attempt += 1
                await self._wait_to_restart(failure, attempt)
            try:
                await self._open()
                await write()
                self._has_reported = False
                if self.writer.flush_each:
                    await self._call(self.writer.flush)
                return
            except Exception as error:
                failure = error
            except BaseException:
                self._broken = True  # it may have written a part
                raise

    async def _wait_to_restart(self, failure: Exception, attempt: int) -> None:
        """Wait before new attempt number *attempt*, or raise *failure* if none may be made."""
        rule = self._restart
        if rule is None or not self._may_restart(failure, rule):
            raise failure
        if not rule.allows(attempt, self._was_open):
            raise failure
        await self._pause(failure, rule.pause(attempt))

    def _may_restart(self, error: Exception, rule: Restart) -> bool:
        if not (self.writer.is_transient(error) if rule.on is None else isinstance(error, rule.on)):
            return False
        self._broken = True
        return True

    async def _open(self) -> None:
        if self._broken:
            await self._discard()
        if not self.is_open:
            await self._call(self.writer.open)
            self._opened_in, self._was_open = os.getpid(), True

    async def _discard(self) -> None:
        """Close a writer that is in an unknown state."""
        self._broken = False
        if self.is_open:
            self._opened_in = None
            try:
                writer = self.writer
                is_own = type(writer).discard is not Writer.discard
                await self._call(writer.discard if is_own else writer.close)
            except Exception as error:
                _log.debug("%s: %s at the close of a broken connection", self._name, error)

    async def _pause(self, error: Exception, pause: float) -> None:
        failure = f"{type(error).__name__}: {error}"
        _log.warning("%s: %s; writes again in %.2g s", self._name, failure, pause)
        await self._discard()
        if self._loop() is None:
            time.sleep(pause)
        else:
            await asyncio.sleep(pause)

    async def _call(self, method: Callable[..., Any], *args: Any) -> None:
        """Call a method of the writer where it may be called from."""
        if inspect.iscoroutinefunction(method):
            await method(*args)
            return
        loop = self._loop()
        if loop is None or not self.writer.blocking or method.__func__ in _TRIVIAL:  # type: ignore[attr-defined]
            result = method(*args)
        else:
            result = await self._call_in_thread(loop, method, *args)
        if inspect.isawaitable(result):
            await result

    async def _call_in_thread(
        self, loop: asyncio.AbstractEventLoop, method: Callable[..., Any], *args: Any
    ) -> Any:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        try:
            called = self._thread.submit(method, *args)
        except RuntimeError:  # the program ends, and no thread can start any more
            return method(*args)
        return await asyncio.wrap_future(called, loop=loop)

    def _parts(self, payloads: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Split a batch into parts of at most ``max_bytes``, or of one element."""
        if self._max_bytes is None:
            yield payloads
            return
        begin = total = 0
        for at, payload in enumerate(payloads):
            size = self.writer.size(payload)
            if total + size > self._max_bytes and at > begin:
                yield payloads[begin:at]
                begin, total = at, 0
            total += size
        yield payloads[begin:]


_TRIVIAL = {Writer.open, Writer.flush, Writer.close}


def needs_loop(writer: Writer[Any]) -> bool:
    """Return whether a method of *writer* is asynchronous."""
    methods = (writer.open, writer.write, writer.write_many, writer.flush, writer.close)
    return any(inspect.iscoroutinefunction(method) for method in methods)


def run_here(session: WriterSession, work: Coroutine[Any, Any, None]) -> None:
    """Run *work* of a session to its end in the caller: none of its calls is asynchronous."""
    session.runs_here = True  # whether or not a loop runs in this thread: the pipeline needs none
    try:
        work.send(None)
    except StopIteration:
        return
    finally:
        session.runs_here = False
    work.close()
    raise RuntimeError("a plain method of a writer returned an awaitable outside of a loop")
