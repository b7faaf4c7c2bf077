"""Restarting source: calls `run` again after transient failures of the source itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar

from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.attribution import comes_from_downstream
from rapidz.sources.acknowledging import AcknowledgingSource
from rapidz.sources.restart import Restart
from rapidz.sources.run import SourceRun, current_run

T = TypeVar("T")

_log = logging.getLogger("rapidz.sources")


class RestartingSource(AcknowledgingSource[T]):
    """The part of `Source` that restarts."""

    transient: ClassVar[tuple[type[Exception], ...]] = (OSError, EOFError)
    """Exceptions of the source itself after which *restart* starts it again."""

    default_restart: ClassVar[Restart | None] = None
    """The rule if no *restart* is given; None: a failure is final."""

    exception: Exception | None = None
    """The exception that ended the run, until the source is started or connected again."""

    _restart: Restart | None

    def connected(self) -> None:
        """Report that the source is connected: the next failure begins a new series of restarts."""
        run = current_run.get()
        source: Any = self
        if run is not None and run.source is source:
            run.connected = True
            if self._source_run is run:
                self.exception = None

    async def _restart_after_failures(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work*, again and again if it fails and the source may restart."""
        run, rule = current_run.get(), self._restart
        if run is None or rule is None:
            return await work()
        attempt, connected_before = 0, False
        while True:
            run.connected, since = False, attribution.last_serial
            try:
                return await work()
            except Exception as error:
                if not self._restarts_after(error, since, rule):
                    raise
                attempt = 1 if run.connected else attempt + 1
                connected_before = connected_before or run.connected
                if not rule.allows(attempt, connected_before):
                    raise
                await self._pause_before_restart(run, error, rule.pause(attempt))

    def _restarts_after(self, error: Exception, since: int, rule: Restart) -> bool:
        """Return whether *error* is transient, and of the source itself."""
        if comes_from_downstream(error, self._pipeline, since):
            return False
        return self._is_transient(error) if rule.on is None else isinstance(error, rule.on)

    async def _pause_before_restart(self, run: SourceRun, error: Exception, pause: float) -> None:
        if self._source_run is run:
            self.exception = error
        failure = f"{type(error).__name__}: {error}"
        _log.warning("%s: %s; starts again in %.2g s", self, failure, pause)
        await asyncio.sleep(pause)

    def _is_transient(self, error: Exception) -> bool:
        """Return whether the source may start again after *error*, which it raised itself."""
        return isinstance(error, self.transient)
