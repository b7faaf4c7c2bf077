"""Infrastructure errors: workers that died, and backends that are unavailable."""

from __future__ import annotations

from typing import Any

from rapidz.parallel.scheduling.exception_copies import copy_exception

#: How many elements `WorkersGone` lists at most.
MAX_LISTED_ELEMENTS = 10_000


class WorkerDied(RuntimeError):
    """An element ended every worker that it was given to."""

    element: Any = None
    """The element."""


class WorkersGone(RuntimeError):
    """The cluster, or the pool, is unavailable for good."""

    element: Any = None
    """An element that was not processed."""
    elements: list[Any]
    """All of them, this one too, that failed for the same reason; 10,000 at most.

    They share a list, for they may be raised together: then only one exception is seen.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.elements = []


def error_for_element(error: BaseException, element: Any, size: int) -> Exception:
    """Return a copy of *error*, with which a task of *size* elements failed, for one of them."""
    own = copy_exception(error)
    if isinstance(own, (WorkerDied, WorkersGone)):
        own.element = element
        if isinstance(own, WorkersGone) and len(own.elements) < MAX_LISTED_ELEMENTS:
            own.elements.append(element)
    elif size > 1 and own.__cause__ is None:
        own.__cause__ = error
    return own
