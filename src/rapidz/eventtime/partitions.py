"""Clock of `event_time` where elements come from several partitions: the least of theirs."""

from __future__ import annotations

from typing import Any

from rapidz.eventtime.domain import SECOND
from rapidz.eventtime.origin import OriginClock
from rapidz.kernel.protocol.short_repr import short_repr


class PartitionedClock(OriginClock):
    """Clock of a merged input: each partition has a greatest timestamp of its own.

    The watermark follows the least of these.  A partition without an element for the time
    of *idle*, while others have some, is left out until its next one.
    """

    __slots__ = ("_bars", "_begun", "_last", "expected", "patience")

    def __init__(self, *args: Any, patience: int | None, expected: int) -> None:
        super().__init__(*args)
        self.expected = expected
        """How many partitions there are, at least: the watermark waits for all."""
        self._begun: float | None = None
        self._bars: dict[Any, Any] = {}
        """By partition: the greatest timestamp."""
        self._last: dict[Any, float] = {}
        """By partition: when its last element came, on the clock without back pressure."""
        self.patience = None if patience is None else patience / SECOND

    def take_of(self, partition: Any, ts: Any) -> int:
        """Take a timestamp of *partition*; returns as `take` does."""
        before = self._bars.get(partition)
        if self.patience is not None:
            self._last[partition] = self._time()
        if before is not None and not ts > before and not self.asleep:
            self._take_least()
            return 0
        if (too_far := self.too_far(ts)) > 0:
            return too_far
        self._bars[partition] = ts if before is None else max(ts, before)
        self._take_least()
        return 0

    def _time(self) -> float:
        node = self._ref()
        now = 0.0 if node is None else node._pipeline.clock.time()
        if self.watch is not None:
            now -= self.watch.held_for(now)  # under back pressure none is asked for data
        if self._begun is None:
            self._begun = now
        return now

    def _take_least(self) -> None:
        """Move the watermark, if the least of the partitions has moved."""
        if self.patience is None:
            left, waits = list(self._bars.values()), True
        else:
            since = self._time() - self.patience
            left = [ts for each, ts in self._bars.items() if self._last[each] > since]
            if left and len(left) < len(self._bars) > self.expected:
                self._forget(since)
            waits = self._begun is None or self._begun > since
        if not left or (waits and len(self._bars) < self.expected):
            return
        least = min(left)
        if self.bar is None or least > self.bar or self.asleep:
            self.take(least)

    def _forget(self, since: float) -> None:
        """Forget the partitions that are idle, but for as many as there are."""
        gone = [each for each in self._bars if self._last[each] <= since]
        for each in gone[: len(self._bars) - self.expected]:
            del self._bars[each], self._last[each]

    def slowest(self) -> str:
        """Return the partition that the watermark waits for, in words."""
        if len(self._bars) < self.expected:
            return f"{len(self._bars)} of {self.expected} partitions"
        return f"partition {short_repr(min(self._bars, key=self._bars.__getitem__))}"
