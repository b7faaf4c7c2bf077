"""Adaptive batch size: how many elements go into one task, by count, duration and bytes."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

#: How many seconds a task should take: long relative to the cost of submitting it.
TASK_SECONDS = 0.05
#: By which factor a task may exceed the size of the one before.
GROWTH = 8
#: How many bytes the elements of a task may have together; one alone may have more.
MAX_TASK_BYTES = 4 << 20
#: How many elements a batch has at most, so that memory is freed.
MAX_BATCH_ELEMENTS = 1 << 16
#: The smallest task is this part of the one that takes `TASK_SECONDS`.
SMALLEST_PART = 16

_SMALL_TYPES: Final = frozenset({int, float, complex, bool, type(None)})


class BatchSizer:
    """Size of tasks: few elements at first, then as many as take `TASK_SECONDS`."""

    def __init__(self, batch: int | str) -> None:
        self.fixed = batch if isinstance(batch, int) else None
        self.most = self.fixed or 1
        self._seconds = 0.0
        self._least = 1

    def record(self, size: int, seconds: float) -> None:
        """Record that a task of *size* elements took *seconds*."""
        if self.fixed is None and size:
            each = max(seconds / size, 1e-9)
            self._seconds = each if not self._seconds else (self._seconds + each) / 2
            fit = max(1, int(TASK_SECONDS / self._seconds))
            self._least = max(1, fit // SMALLEST_PART)
            self.most = min(fit, max(self.most, size) * GROWTH, MAX_BATCH_ELEMENTS)

    def task_size(self, queued: int, slots: int) -> int:
        """Return how many of the *queued* elements the next of at most *slots* tasks takes.

        A fair part, so that the last tasks end at about the same time, but no task so small that
        it takes longer to submit than to run.
        """
        part = math.ceil(queued / slots)
        return max(1, min(self.most, max(part, self._least)))


def count_by_bytes(inputs: Sequence[Any]) -> int:
    """Return how many of *inputs* fit into one task by their size in bytes, one at least."""
    if _SMALL_TYPES.issuperset(map(type, inputs)):
        return len(inputs)
    total = 0
    for count, x in enumerate(inputs):
        total += estimate_bytes(x)
        if total > MAX_TASK_BYTES and count:
            return count
    return len(inputs)


def estimate_bytes(x: Any, visits: int = 200) -> int:
    """Return about how many bytes *x* has; at most *visits* of the objects in it are counted."""
    total, ahead = 0, [x]
    while ahead and visits:
        visits -= 1
        x = ahead.pop()
        try:
            if isinstance(x, (tuple, list)):
                ahead += x[:visits]
            elif isinstance(x, dict):
                ahead += itertools.islice(x.values(), visits)
            else:
                total += _own_bytes(x)
        except Exception:  # of unknown size: it is sent as it is
            continue
    return total


def _own_bytes(x: Any) -> int:
    nbytes = getattr(x, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    memory_usage: Callable[..., Any] | None = getattr(x, "memory_usage", None)
    if memory_usage is None:
        return sys.getsizeof(x, 0)
    used = memory_usage()
    return int(getattr(used, "sum", lambda: used)())
