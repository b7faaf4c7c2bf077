"""Delivery: the results of lanes go downstream, in the order in which their batches came back."""

from __future__ import annotations

import asyncio
import pickle
import warnings
import weakref
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rapidz.kernel.compile.fusion import EDITED
from rapidz.kernel.compile.legacy import overridden_emit
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.failures import Failure, make_policy
from rapidz.kernel.runtime.futures import wait_for
from rapidz.kernel.runtime.supervision import push_supervised
from rapidz.kernel.runtime.tracked_element import TrackedElement, mark_failed, unbox
from rapidz.parallel.lanes.lane_failure import UNHANDLED, LaneFailure
from rapidz.parallel.lanes.program import Tagged
from rapidz.parallel.scheduling.errors import error_for_element

if TYPE_CHECKING:
    from rapidz.parallel.lanes.lane_queue import LaneQueue
    from rapidz.parallel.lanes.runtime import LaneReport

_SPECIAL = frozenset({Tagged, LaneFailure})


class LaneDelivery:
    """Sends the results of batches on, one batch after the other.

    Parameters
    ----------
    node : lane_scatter
        The node whose lanes they come from.
    """

    def __init__(self, node: Any) -> None:
        self._ref = weakref.ref(node)
        self._waiters: list[asyncio.Future[None]] = []

    def put(self, lane: LaneQueue, report: LaneReport, kept: list[Any]) -> None:
        """Queue the results of a batch; *kept* are its elements as they came."""
        if (node := self._ref()) is not None:
            node._drainer.put((lane, report, kept), self.carry, node._pipeline)

    def when_idle(self, future: asyncio.Future[None]) -> None:
        """Let *future* be done when all lanes are through."""
        self._waiters.append(future)

    def carry(self, entry: tuple[LaneQueue, LaneReport, list[Any]]) -> Any:
        """Send the results of one batch downstream."""
        return self._carry(*entry)

    async def _carry(self, lane: LaneQueue, report: LaneReport, kept: list[Any]) -> None:
        node = self._ref()
        if node is None:
            return
        try:
            await self._send_all(node, report.results)
        finally:
            for x in kept:
                if type(x) is TrackedElement:
                    x.release()
            lane.undelivered -= 1
            if not lane.undelivered:
                lane.reached = max(lane.reached, report.reached)
            await wait_for(node._delivered())
            if not node._lanes_busy():
                self.release_waiters()

    def release_waiters(self) -> None:
        """Note that all lanes are through."""
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(None)

    async def _send_all(self, node: Any, results: Any) -> None:
        if isinstance(results, bytes):
            results = pickle.loads(results)
        stream = node._outlets[node._program.main_output]()
        for plain, run in groupby(results, _is_plain):
            if plain and stream is not None:
                await send_in_bulk(stream, run)
            elif not plain:
                await self._send_special(node, run)

    async def _send_special(self, node: Any, results: Iterable[Any]) -> None:
        for x in results:
            if type(x) is Tagged:
                self._count_late(node, x)
                wait = self._send_to(node, x.output)(x.x)
            else:
                wait = push_supervised(node._pipeline, self._settle, x)
            if wait is not None:
                await wait

    def _send_to(self, node: Any, output: int) -> Any:
        stream = node._outlets[output]()
        if stream is None:
            return _drop
        send, pipeline = stream._outlet.send, node._pipeline

        def push(x: Any) -> Any:
            return push_supervised(pipeline, send, x)

        return push

    def _count_late(self, node: Any, x: Tagged) -> None:
        step, stream = node._program.outputs[x.output]
        if stream != "late":
            return
        count = node._late_counts.get(step, 0)
        node._late_counts[step] = count + 1
        listener = node._outlets[x.output]()
        if not count and (listener is None or not len(listener.downstreams)):
            warnings.warn(
                f"{node._template[step]}: an element is {x.x.by} behind the watermark and left "
                f"out: {short_repr(x.x.element)}; attach a sink to `.late` to get all such "
                "elements, `.late_count` counts them",
                RuntimeWarning,
                stacklevel=2,
            )

    def _settle(self, failed: LaneFailure) -> Any:
        """Do with an element that failed in a lane what the policy says."""
        node = self._ref()
        if node is None:
            return None
        error = failed.restore_error()
        if failed.output >= 0:
            failure = Failure(failed.element, error, node, failed.attempts)
            return self._send_to(node, failed.output)(failure)
        attribute_to(error, node, failed.element)
        return self.fail(failed.element, error, failed.attempts, failed.output == UNHANDLED)

    def fail(self, element: Any, error: Exception, attempts: int = 1, handled: bool = True) -> Any:
        """Settle the failure of an element by the policy of the node, if that is *handled*."""
        node = self._ref()
        policy = None if node is None or not handled else node._effective_policy
        if node is None or policy is None:
            raise error
        return _last_of(node, policy).settle(Failure(element, error, node, attempts))

    def drop(self, kept: list[Any], error: Exception) -> None:
        """Let the elements *kept* fail: they never got through a lane."""
        node = self._ref()
        if node is None:
            return
        for x in kept:
            element = unbox(x)
            own = error_for_element(error, element, len(kept))
            if type(x) is TrackedElement:
                mark_failed(x.metadata, own)
                x.release()
            attribute_to(own, node, element)
            push_supervised(node._pipeline, partial(self._fail_with, own), element)

    def _fail_with(self, error: Exception, element: Any) -> Any:
        return self.fail(element, error)


def _is_plain(result: Any) -> bool:
    return type(result) not in _SPECIAL


async def send_in_bulk(stream: Any, values: Iterable[Any]) -> None:
    """Emit *values* from *stream*, as downstream has capacity; what fails is a pending failure."""
    rest, pipeline = iter(values), stream._pipeline
    if pipeline.tracked or overridden_emit(stream) or stream._record is not None:
        for x in rest:
            if (wait := push_supervised(pipeline, stream._outlet.send, x)) is not None:
                await wait
        return
    while True:
        try:
            entry = stream._compiled_entry()
            wait = pipeline.reentry.within(partial(entry.bulk(), rest))
            if wait is None:
                return
            if wait is not EDITED:
                await wait
        except Exception as error:
            pipeline.record_failure(error)


def _drop(x: Any) -> None:
    """Drop what leaves a lane by a way that no stream is left of."""


def _last_of(node: Any, policy: Any) -> Any:
    """Return what a policy does at last, when all tries have failed."""
    then = getattr(policy, "then", None)
    return policy if then is None else make_policy(node, then)
