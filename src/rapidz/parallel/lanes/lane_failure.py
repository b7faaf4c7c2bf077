"""Lane failure: an element that failed in a lane, as it travels."""

from __future__ import annotations

from typing import Any

from rapidz.kernel.runtime.attribution import clear_attribution
from rapidz.parallel.wire.outcomes import FailedElement


class LaneFailure(FailedElement):
    """An element that failed in a lane: the error, and the way by which it leaves.

    *output* is -1 where no policy of the lane took it, -2 where one says that it is raised.
    """

    __slots__ = ("output",)

    def __init__(self, element: Any, error: Exception, attempts: int = 1, output: int = -1) -> None:
        super().__init__("lane", 0, element, error, attempts)
        self.output = output
        clear_attribution(error)  # it refers to a node

    def __reduce__(self) -> Any:
        return _load, (self.element, self.error, self.attempts, self.output, self.text)


def _load(element: Any, error: Exception, attempts: int, output: int, text: str) -> LaneFailure:
    failure = LaneFailure(element, error, attempts, output)
    failure.text = text
    return failure


#: Ways of a failure that are no output of the program.
UNHANDLED, RAISED = -1, -2
