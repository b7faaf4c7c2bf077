"""Processes: a source of the lines that a command writes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from rapidz.connectors.codecs import Codec, read_codec
from rapidz.connectors.codecs.base import RAW, TruncatedFrame
from rapidz.connectors.codecs.framing import MAX_SIZE, LineFramer
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import Source

logger = logging.getLogger("rapidz.sources")

_CHUNK = 1 << 16
#: Seconds that a command has to end after SIGKILL; one of another user gets no signal.
_KILL_WAIT = 5.0
#: Seconds that asyncio has to end a command that it was starting when the loop shuts down.
_CLOSING_WAIT = 0.1
#: Seconds that standard error may stay open after the end of the command.
_STDERR_WAIT = 0.5
#: Bytes of standard error that are kept, the last ones, and those that a message shows.
_STDERR_KEPT, _STDERR_SHOWN = 1 << 16, 1000


class ProcessFailed(RuntimeError):
    """Command that ended with an exit code other than 0, or by a signal.

    Attributes
    ----------
    returncode : int
        The exit code; the negative number of a signal.
    stderr : bytes
        The end of what the command wrote to standard error.
    """

    def __init__(self, program: str, returncode: int, stderr: bytes = b"") -> None:
        self.returncode, self.stderr = returncode, stderr
        said = stderr[-_STDERR_SHOWN:].decode(errors="replace").strip()
        super().__init__(f"{program} {describe_end(returncode)}" + (f": {said}" if said else ""))


@Stream.register_api(staticmethod)
class from_process(Source[Any]):
    r"""Run a command, and emit the lines that it writes to standard output.

    Ends when the command has closed its output and has exited; a final line needs no newline.
    While downstream has no capacity the source does not read, so the command waits in its next
    write.  `stop` ends the command and the processes of its group: SIGTERM, and SIGKILL after
    *grace*; lines that were not read are lost.  A child that has left the group, as a daemon
    does, survives; `stop` does not wait for it.  Every `start` runs the command again.

    Parameters
    ----------
    cmd : list of str, or str
        The program and its arguments; a string is split as a shell does, but no shell runs it.
    open_kwargs : dict, optional
        Arguments of `asyncio.create_subprocess_exec`, such as cwd and env.
    with_stderr : bool
        Whether to emit the lines of standard error too; they are in the order of the writes.
    with_end : bool
        Whether the newline stays part of the element.  It does not with a codec.
    check : bool
        Whether an exit code other than 0 is a failure of the source, `ProcessFailed`.
    grace : float or str
        Seconds, or a string such as ``"5s"``, that the command has to end when it is stopped.
    max_size : int
        Bytes of a line; a longer one is a failure, which a policy of the source handles.
    codec : str, Codec or pair of functions, optional
        Decodes a line; what it cannot decode goes to the policy of the source.
    type : type, optional
        The type of the elements, for the codec.
    **kwargs
        Options of every `Source`.

    Attributes
    ----------
    returncode : int or None
        The exit code of the last run.
    stderr : bytes
        The end of its standard error, 64 KiB at most, unless *with_stderr*.

    >>> source = Stream.from_process(["echo", "hello"], with_end=False)
    >>> lines = source.sink_to_list()
    >>> source.start()
    >>> source.join()
    >>> lines, source.returncode
    ([b'hello'], 0)
    """

    infinite: ClassVar[bool | None] = False

    def __init__(
        self,
        cmd: str | Sequence[str | os.PathLike[str]],
        open_kwargs: dict[str, Any] | None = None,
        with_stderr: bool = False,
        with_end: bool = True,
        *,
        check: bool = True,
        grace: Interval = "5s",
        max_size: int = MAX_SIZE,
        codec: Any = None,
        type: Any = None,
        **kwargs: Any,
    ) -> None:
        self._command = _read_command(cmd)
        self.cmd, self.open_kwargs = cmd, open_kwargs
        self.with_stderr, self.with_end, self.check = with_stderr, with_end, check
        self.grace = read_interval("from_process", grace, argument="grace", allow_zero=True)
        LineFramer(max_size=max_size)  # checks it
        self.max_size = max_size
        self._codec: Codec[Any] | None = None
        if codec is not None or type is not None:
            self._codec = read_codec("from_process", "raw" if codec is None else codec, type)
        self.child: Process | None = None
        self.returncode: int | None = None
        self._stderr = bytearray()
        super().__init__(**kwargs)

    @property
    def stderr(self) -> bytes:
        """The end of what the command has written to standard error."""
        return bytes(self._stderr)

    async def run(self) -> None:
        self.returncode = None
        self._stderr.clear()
        async with self._running() as process:
            assert process.stdout is not None
            errors = asyncio.ensure_future(self._keep_errors(process.stderr))
            try:
                await self._emit_lines(process.stdout)
                await _wait_for_exit(process)
                await asyncio.wait([errors], timeout=_STDERR_WAIT)  # a child may keep it open
            finally:
                errors.cancel()
                await asyncio.wait([errors])
            self.returncode = process.returncode
        if self.returncode and self.check:
            raise ProcessFailed(self._program, self.returncode, self.stderr)

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[Process]:
        options: dict[str, Any] = {
            "stdin": DEVNULL,
            "stdout": PIPE,
            "stderr": STDOUT if self.with_stderr else PIPE,
            "start_new_session": True,  # one group, so that `stop` ends its children too
            **(self.open_kwargs or {}),
        }
        process, stopped = await _create(self._command, options)
        self.child, ended = process, False
        try:
            if stopped is not None:
                raise stopped
            self.connected()
            yield process
            ended = True
        finally:
            if not ended:
                await self._end_process(process, bool(options["start_new_session"]))
            self.returncode = process.returncode
            with contextlib.suppress(PermissionError):  # it ends the command, if it can
                process._transport.close()  # type: ignore[attr-defined]  # of open pipes

    async def _emit_lines(self, output: asyncio.StreamReader) -> None:
        framer, codec = LineFramer(max_size=self.max_size), self._codec
        end = b"\n" if self.with_end and codec is None else b""
        while chunk := await output.read(_CHUNK):
            for line in framer.feed(chunk):
                whole = end and type(line) is not TruncatedFrame
                await self._emit_line(line + end if whole else line)
        for line in framer.finish():
            await self._emit_line(line)

    async def _emit_line(self, line: bytes) -> None:
        if self._codec is None and type(line) is not TruncatedFrame:
            await self.emit(line, asynchronous=True)
        else:
            await self.emit_decoded(line, (self._codec or RAW).decode)

    async def _keep_errors(self, output: asyncio.StreamReader | None) -> None:
        while output is not None and (chunk := await output.read(_CHUNK)):
            self._stderr += chunk
            del self._stderr[:-_STDERR_KEPT]

    async def _end_process(self, process: Process, group: bool) -> None:
        """End the command and its children; wait until the command has ended."""
        for number, wait in ((signal.SIGTERM, self.grace), (signal.SIGKILL, _KILL_WAIT)):
            _send_signal(process, number, group)
            if await _wait_for_exit(process, wait, cancellable=False):
                break
        else:
            logger.warning("%s: process %d cannot be ended", self._program, process.pid)
        if group:
            _send_signal(process, signal.SIGKILL, group)

    @property
    def _program(self) -> str:
        """Name of the program; its arguments may contain secrets."""
        return f"{self}: {os.path.basename(self._command[0])}"


async def _create(
    command: list[str], options: dict[str, Any]
) -> tuple[Process, asyncio.CancelledError | None]:
    """Start a command; return it, and the cancellation that came meanwhile.

    The cancellation of `create_subprocess_exec` would leave the children of the command.
    """
    creation = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, **options))
    stopped: asyncio.CancelledError | None = None
    while not creation.done():
        closing = creation.cancelling() > 0  # its loop cancels all; asyncio may wait for ever then
        try:
            done, _ = await asyncio.wait([creation], timeout=_CLOSING_WAIT if closing else None)
        except asyncio.CancelledError as error:
            stopped = error
        else:
            if not done:
                creation.cancel()
    if stopped is not None and (creation.cancelled() or creation.exception() is not None):
        raise stopped
    return creation.result(), stopped


async def _wait_for_exit(
    process: Process, limit: float | None = None, cancellable: bool = True
) -> bool:
    """Wait until a process has exited; return whether it has, within *limit* seconds.

    `Process.wait` also waits, in some versions of Python, for pipes that a child keeps open.
    """
    now, pause = asyncio.get_running_loop().time, 0.001
    end = None if limit is None else now() + limit
    while process.returncode is None:
        if end is not None and now() >= end:
            return False
        try:
            await asyncio.sleep(pause)
        except asyncio.CancelledError:
            if cancellable:
                raise
        pause = min(2 * pause, 0.05)
    return True


def _send_signal(process: Process, number: signal.Signals, group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if group and hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def _read_command(cmd: Any) -> list[str]:
    rule = f"from_process: cmd must be a str or a list of str, got {type(cmd).__name__}"
    if isinstance(cmd, str):
        words = shlex.split(cmd)
    elif isinstance(cmd, (list, tuple)):
        if not all(isinstance(word, (str, os.PathLike)) for word in cmd):
            raise TypeError(rule)
        words = [os.fspath(word) for word in cmd]
    else:
        raise TypeError(rule)
    if not words:
        raise ValueError(f"from_process: cmd must name a program, got {short_repr(cmd)}")
    return words


def describe_end(returncode: int) -> str:
    """Say how a process has ended.

    >>> describe_end(3), describe_end(-9)
    ('exited with code 3', 'was ended by SIGKILL')
    """
    if returncode >= 0:
        return f"exited with code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"was ended by {name}"
