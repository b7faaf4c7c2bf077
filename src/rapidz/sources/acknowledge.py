"""Acknowledgement by sources: reported for each element, and for a prefix of all elements."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rapidz.kernel.runtime.tracking import RefCounter

P = TypeVar("P")


class Acknowledgement(RefCounter):
    """Reference counter of an element that a source acknowledges.

    A failure that a policy has handled, by skipping the element or by sending it to a dead-letter
    stream, counts as done: the pipeline is through with the element.
    """

    def _callback(self) -> Callable[[], object] | None:
        return self.cb if self.handled else super()._callback()


class InOrder(Generic[P]):
    """Positions in the order of their elements, and how far all of them are done.

    A position may be committed when its element and all before it are done: what was committed
    is never delivered again.

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
        """Forget the elements that are not done: another client delivers them."""
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


def discard_result(_: object = None) -> None:
    """Do nothing: the source acknowledges without a report."""


def metadata_of(metadata: Any, counter: RefCounter) -> list[dict[str, Any]]:
    """Return *metadata* with *counter*."""
    return [*(metadata or ()), {"ref": counter}]
