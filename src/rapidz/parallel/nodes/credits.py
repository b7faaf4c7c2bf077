"""Credit-based flow control: a buffer lets elements wait upstream of it without back pressure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rapidz.kernel.protocol.push import Pending


class Credits:
    """Credits of a buffer for elements in flight between it and the nodes upstream.

    An element that has one does not apply back pressure while it waits to be resolved, as one in
    the buffer does not: so that such elements are in flight together.
    """

    __slots__ = ("_capacity", "_used")

    def __init__(self, capacity: Callable[[], int]) -> None:
        self._capacity = capacity
        """Returns the free capacity of the buffer itself."""
        self._used = 0

    def spend(self, wait: Any) -> Pending:
        """Detach *wait*, if a credit is left for it; else return it."""
        if wait is None or self._capacity() <= self._used:
            return wait  # type: ignore[no-any-return]
        self._used += 1
        wait.add_done_callback(self._give_back)
        return None

    def _give_back(self, _: object) -> None:
        self._used -= 1
