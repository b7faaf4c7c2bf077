"""Stepwise node: emits and calls one thing after the other, as downstream has capacity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from rapidz.eventtime.time_node import TimeNode
from rapidz.kernel.protocol.push import Pending, exception_group
from rapidz.kernel.runtime.futures import wait_for

T = TypeVar("T")


class StepwiseNode(TimeNode[T]):
    """Base class of the nodes whose work is an iterator of what must be awaited in between.

    The work is done at once as far as nothing must be awaited, and the rest on the loop.
    """

    def _send_each(self, results: Sequence[Any], errors: list[Exception]) -> Iterator[Any]:
        for x in results:
            try:
                if (wait := self._outlet.send(x)) is not None:
                    yield wait
            except Exception as error:
                errors.append(error)

    def _drive(self, steps: Iterator[Any], errors: list[Exception]) -> Pending:
        """Run *steps* to the first that must be awaited; the rest runs when it is done."""
        for wait in steps:
            return self._pipeline.start(_drive_on(wait, steps, errors))
        if errors:
            raise exception_group(errors, "elements")
        return None

    def _run_alone(self, steps: Iterator[Any]) -> Pending:
        """Run *steps*, ahead of the elements that come before they are done."""
        alone = not self._serial_queue.busy()  # else what calls this has its place in the queue
        wait = self._drive(steps, [])
        if wait is not None and alone:
            self._note_watermark()
            wait = self._serial_queue.enqueue(wait_for(wait), self._pipeline)
        return wait

    def _note_watermark(self) -> None:
        """Note the watermark of what is in flight from now on."""


async def _drive_on(wait: Any, steps: Iterator[Any], errors: list[Exception]) -> None:
    while wait is not None:
        try:
            await wait
        except Exception as error:
            errors.append(error)
        wait = next(steps, None)
    if errors:
        raise exception_group(errors, "elements")
