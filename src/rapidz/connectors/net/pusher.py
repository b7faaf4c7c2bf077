"""Pusher: emission of many small elements of a source at little cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from rapidz.kernel.graph.stream import Stream
from rapidz.sources.base import Source
from rapidz.sources.run import DeliveryWait, SourceRun, current_run


class Pusher:
    """Emits elements for the run that makes it, as ``source.emit`` does.

    Parameters
    ----------
    source : Source
        The source, whose run executes the caller.
    own_task : bool
        Whether the caller is a task of its own, that of a client, and not that of the run, which
        `stop` cancels.
    """

    __slots__ = ("_own_task", "_push", "_run", "_source")

    def __init__(self, source: Source[Any], own_task: bool) -> None:
        run = current_run.get()
        assert run is not None, "called outside of a run"
        self._run: SourceRun = run
        self._source, self._own_task = source, own_task
        overridden = type(source).emit is not Source.emit
        self._push = source.emit if overridden else Stream.emit.__get__(source)
        if own_task and not overridden:
            current_run.set(None)  # in this task alone; `push` looks whether the run was retired

    def raise_if_stopped(self) -> None:
        """Raise CancelledError if the source was stopped."""
        self._run.raise_if_retired()

    def push(self, x: Any) -> Awaitable[object] | None:
        """Emit *x*; return what to await before the next element, None for nothing.

        Raises CancelledError if the source was stopped.
        """
        run = self._run
        if run.retired:
            raise asyncio.CancelledError  # as `raise_if_stopped`
        if self._own_task:
            wait: Any = self._push(x, True)
        else:
            token = current_run.set(None)
            try:
                wait = self._push(x, True)
            finally:
                current_run.reset(token)
        if not wait.done():
            return wait if self._own_task else DeliveryWait(wait, run)
        wait.result()
        return asyncio.sleep(0) if run.should_yield() else None
