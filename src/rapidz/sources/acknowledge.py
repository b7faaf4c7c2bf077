"""Acknowledgement by sources: reported for each element, and for a prefix of all elements."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from rapidz.kernel.runtime.failures import interrupted
from rapidz.kernel.runtime.loop import running_loop
from rapidz.kernel.runtime.tracking import RefCounter

P = TypeVar("P")


class Acknowledgement(RefCounter):
    """Reference counter of an element that a source acknowledges.

    A failure that a policy has handled, by skipping the element or by sending it to a dead-letter
    stream, counts as done: the pipeline is through with the element.
    """

    def _callback(self) -> Callable[[], object] | None:
        return self.cb if self.handled else super()._callback()


class SourceAcknowledgement(Acknowledgement):
    """Acknowledgement that a source reports, once, to the author of the source.

    Reports on the loop of the source.  A failure that no policy has handled, or an exception of
    the report itself, fails the source.
    """

    def __init__(
        self,
        source: AcknowledgementOwner,
        run: Any,
        done: Callable[[], object] | None,
        failed: Callable[[BaseException], object] | None,
    ) -> None:
        # What `RefCounter` does: written out, for it is done for every element.
        self.count, self.loop, self.failure = 0, None, None
        self.handled, self.told = True, False
        self.cb, self.on_failure = done, failed
        self._source, self._run = source, run
        self._counted = False

    def retain(self, n: int = 1) -> None:
        """Count another reference; from the first one on the element is unsettled."""
        if not self._counted:
            self._counted = True
            self._source._unsettled += 1
        self.count += n

    def _tell(self) -> None:
        loop: Any = self._run.loop if self._run is not None else self._source._pipeline.bind()
        if sys.is_finalizing():
            return
        if loop.is_closed():  # no callback can run: the element is delivered again
            self._source._settle_one()
            return
        here: bool = running_loop() is loop
        if not here:
            loop.call_soon_threadsafe(self.report)
        elif self._run is None:
            loop.call_soon(self.report)
        else:
            reports = self._run.reports
            reports.append(self)
            if len(reports) == 1:
                loop.call_soon(report_all, reports)

    def report(self) -> None:
        """Call back: the element is done, or has failed."""
        source, failure = self._source, self.failure
        try:
            if failure is None or self.handled:
                result = None if self.cb is None else self.cb()
            else:
                result = None if self.on_failure is None else self.on_failure(failure)
                source._fail_unacknowledged(self._run, failure)
            if inspect.isawaitable(result):
                source._pipeline.start(self._finish(result))
                return
        except Exception as error:
            source._fail_report(self._run, error)
        except asyncio.CancelledError as error:
            source._fail_report(self._run, interrupted(error))
        source._settle_one()

    async def _finish(self, result: Awaitable[object]) -> None:
        try:
            await result
        except Exception as error:
            self._source._fail_report(self._run, error)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the loop ends
            self._source._fail_report(self._run, interrupted(error))
        finally:
            self._source._settle_one()


def report_all(reports: deque[SourceAcknowledgement]) -> None:
    """Report the elements of a run that are done, in their order."""
    try:
        while reports:  # the first one stays in, so that what comes meanwhile schedules nothing
            reports[0].report()
            reports.popleft()
    except BaseException:
        reports.popleft()
        if reports:
            asyncio.get_running_loop().call_soon(report_all, reports)
        raise


class AcknowledgementOwner(Protocol):
    """Source, as far as its acknowledgements know it."""

    _pipeline: Any
    _unsettled: int

    def _fail_unacknowledged(self, run: Any, error: BaseException) -> None: ...
    def _fail_report(self, run: Any, error: Exception) -> None: ...
    def _settle_one(self) -> None: ...


class InOrder(Generic[P]):
    """Positions in the order of their elements, and how far all of them are done.

    A position may be committed when its element and all before it are done: what was committed
    is never delivered again.  Use it on one loop.

    Parameters
    ----------
    on_progress : callable, optional
        Called with the newest position, each time that `committed` advances.

    >>> prefix = InOrder[int]()
    >>> first, second = prefix.add(1), prefix.add(2)
    >>> second()
    >>> prefix.committed, prefix.pending
    (None, 2)
    >>> first()
    >>> prefix.committed, prefix.pending
    (2, 0)
    """

    def __init__(self, on_progress: Callable[[P], object] | None = None) -> None:
        self.committed: P | None = None
        """The newest position up to which every element is done; None before the first one."""
        self._on_progress = on_progress
        self._tickets: deque[Ticket[P]] = deque()

    @property
    def pending(self) -> int:
        """Number of elements that are not done, or come after one that is not."""
        return len(self._tickets)

    def add(self, position: P) -> Ticket[P]:
        """Return a ticket for the next element; calling it marks the element as done."""
        ticket = Ticket(self, position)
        self._tickets.append(ticket)
        return ticket

    def clear(self) -> None:
        """Forget the elements that are not done: they will be delivered again.

        Tickets given out before have no effect any more.
        """
        self._tickets.clear()

    def _advance(self) -> None:
        tickets, last = self._tickets, None
        while tickets and tickets[0].done:
            last = tickets.popleft()
        if last is not None:
            self.committed = last.position
            if self._on_progress is not None:
                self._on_progress(last.position)


class Ticket(Generic[P]):
    """Position of one element; calling it marks the element as done."""

    __slots__ = ("_order", "done", "position")

    def __init__(self, order: InOrder[P], position: P) -> None:
        self._order, self.position, self.done = order, position, False

    def __call__(self) -> None:
        self.done = True
        if (tickets := self._order._tickets) and tickets[0] is self:
            self._order._advance()


def metadata_of(metadata: Any, counter: RefCounter) -> list[dict[str, Any]]:
    """Return *metadata* with *counter*."""
    return [*(metadata or ()), {"ref": counter}]
