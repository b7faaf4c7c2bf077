"""Positions and acknowledgement: what a source has emitted, and what of it is done."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, TypeVar

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.protocol.intervals import Interval, seconds
from rapidz.kernel.protocol.push import DONE, when_all
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.failures import PolicyHandler, Raise
from rapidz.kernel.runtime.tracked_element import Metadata
from rapidz.kernel.runtime.tracking import tracked_push
from rapidz.sources.acknowledge import SourceAcknowledgement, metadata_of
from rapidz.sources.run import SourceRun, current_run

T = TypeVar("T")


class AcknowledgingSource(Stream[T]):
    """The part of `Source` that acknowledges elements, and knows its position."""

    seekable: ClassVar[bool] = False
    """Whether `position` and `seek` work."""

    _source_run: SourceRun | None
    _unsettled = 0
    """Number of tracked elements that are neither done nor failed, or not reported yet."""
    _settling: asyncio.Future[None] | None = None

    def emit_tracked(
        self,
        x: T,
        done: Callable[[], object] | None = None,
        failed: Callable[[BaseException], object] | None = None,
        metadata: Metadata | None = None,
    ) -> Any:
        """Push one element, and acknowledge it when everything that derives from it is done.

        Exactly one of *done* and *failed* is called, once, on the loop of the source, in
        a later turn.  A failure that no policy handles fails the source, because nothing
        after the element would ever be acknowledged; so does an exception of *done*.

        Parameters
        ----------
        x : object
            The element.
        done : callable, optional
            Called without arguments when the element has reached all its sinks, or a
            policy has handled its failure; may be ``async def``.
        failed : callable, optional
            Called instead, with the exception, if no policy has handled that; may be
            ``async def``.
        metadata : list of dict, optional
            Travels with the element.

        Returns what to await before the next element.
        """
        counter = self._acknowledgement(done, failed)
        waits = self._emit(x, metadata_of(metadata, counter))
        if waits:
            return waits[0] if len(waits) == 1 else when_all(waits, [])
        run = current_run.get()
        return asyncio.sleep(0) if run is not None and run.should_yield() else DONE

    async def emit_decoded(
        self,
        raw: Any,
        decode: Callable[[Any], T],
        done: Callable[[], object] | None = None,
        failed: Callable[[BaseException], object] | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        """Push ``decode(raw)`` as `emit_tracked` does.

        An exception of *decode* goes to the policy of the source, with *raw* as the
        element of the `Failure`.
        """
        try:
            x = decode(raw)
        except Exception as error:
            await self._settle_undecodable(raw, error, done, failed)
            return
        if done is None and failed is None:
            await self.emit(x, asynchronous=True, metadata=metadata)
        else:
            await self.emit_tracked(x, done, failed, metadata)

    async def settled(self, timeout: Interval | None = None) -> bool:
        """Wait until every tracked element is done or has failed, and that is reported.

        For the end of `run`: elements in flight are done after `stop`, those in a batch
        when the stream is flushed.

        Parameters
        ----------
        timeout : float or str, optional
            How long to wait at most: seconds, or a string such as ``"5s"``.

        Returns whether no element is left.
        """
        length = None if timeout is None else seconds(timeout, operator=f"{self}: settled")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(length):
                while self._unsettled:
                    if self._settling is None or self._settling.done():
                        self._settling = asyncio.get_running_loop().create_future()
                    await asyncio.wait([self._settling])
        return not self._unsettled

    def _settle_one(self) -> None:
        self._unsettled -= 1
        settling = self._settling
        if self._unsettled or settling is None or settling.done():
            return
        if settling.get_loop().is_closed():
            self._settling = None
        else:
            settling.set_result(None)

    def _acknowledgement(
        self,
        done: Callable[[], object] | None,
        failed: Callable[[BaseException], object] | None,
    ) -> SourceAcknowledgement:
        if done is not None and not callable(done):
            check_callable(f"{self}", "done", done)
        if failed is not None and not callable(failed):
            check_callable(f"{self}", "failed", failed)
        return SourceAcknowledgement(self, self._source_run, done, failed)

    def _fail_unacknowledged(self, run: SourceRun | None, error: BaseException) -> None:
        """End the run: an element failed, and no policy has handled that."""
        raise NotImplementedError

    def _fail_report(self, run: SourceRun | None, error: Exception) -> None:
        """End the run: an element is done, and its acknowledgement failed."""
        attribute_to(error, self)
        self._pipeline.record_failure(error, log_at_once=True)
        self._fail_unacknowledged(run, error)

    async def _settle_undecodable(
        self,
        raw: Any,
        error: Exception,
        done: Callable[[], object] | None,
        failed: Callable[[BaseException], object] | None,
    ) -> None:
        attribute_to(error, self, raw)
        policy = self._policy
        if policy is None or isinstance(policy, Raise):
            if failed is not None and inspect.isawaitable(result := failed(error)):
                await result
            raise error
        handler = PolicyHandler(self, policy)
        counter = self._acknowledgement(done, failed)
        wait = tracked_push(lambda: handler.apply_policy(raw, error, 1), [{"ref": counter}])
        if wait is not None:
            await wait

    def position(self) -> Any:
        """Return where a later run would resume: behind the last element that was pushed.

        Plain data that can be pickled.  Raises `io.UnsupportedOperation` if the
        source cannot seek.
        """
        self._refuse_seek()

    def seek(self, position: Any) -> None:
        """Resume at *position*, a result of `position`, at the next `start`.

        Raises `io.UnsupportedOperation` if the source cannot seek.
        """
        self._refuse_seek()

    def _refuse_seek(self) -> NoReturn:
        raise io.UnsupportedOperation(f"{self}: the source has no positions, it cannot seek")
