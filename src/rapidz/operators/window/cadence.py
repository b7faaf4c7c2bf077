"""Cadences: the instants at which windows of the clock end."""

from __future__ import annotations

from rapidz.kernel.protocol.clock import Clock

_SECOND_NS = 1_000_000_000


class Cadence:
    """Fixed cadence: ends an interval apart on the monotonic clock, from the first use on."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: float | None = None

    def is_running(self) -> bool:
        """Return whether the first end is known."""
        return self._last is not None

    def start(self, clock: Clock) -> None:
        """Begin the first window now."""
        self._last = clock.time()

    def stop(self) -> None:
        """Forget the present window: the next one begins with `start`."""
        self._last = None

    def retime(self) -> None:
        """Note that the interval is another one."""

    def next_end(self, clock: Clock, interval: float) -> float:
        """Return the next end, by the monotonic clock."""
        assert self._last is not None
        return self._last + interval

    def advance(self, clock: Clock, interval: float) -> bool:
        """Begin the next window if the end has come, and return whether it has.

        Ends that were missed are skipped.
        """
        assert self._last is not None
        now = clock.time()
        while self._last + interval <= now:
            self._last += interval
        return True


class WallCadence(Cadence):
    """Aligned cadence: ends at the multiples of an interval on the wall clock, since 1970 (UTC).

    A window never ends before its multiple.  Where the wall clock is set, the
    present window ends after one more interval at most.
    """

    __slots__ = ("_due",)

    def __init__(self) -> None:
        super().__init__()
        self._due: int | None = None
        """The next end, in nanoseconds of the wall clock."""

    def stop(self) -> None:
        super().stop()
        self._due = None

    def retime(self) -> None:
        self._due = None

    def next_end(self, clock: Clock, interval: float) -> float:
        now, length = clock.wall_ns(), max(1, round(interval * _SECOND_NS))
        multiple = (now // length + 1) * length
        self._due = multiple if self._due is None else min(self._due, multiple)
        return clock.time() + (self._due - now) / _SECOND_NS

    def advance(self, clock: Clock, interval: float) -> bool:
        if self._due is not None and clock.wall_ns() < self._due:
            return False  # the wall clock is slower, or was set back
        self._due = None
        return True
