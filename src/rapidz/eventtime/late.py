"""Late elements: what comes after its time, and how many."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

if TYPE_CHECKING:
    from rapidz.eventtime.domain import TimeDomain
    from rapidz.kernel.protocol.push import Pending

T = TypeVar("T")

Reason: TypeAlias = Literal["late", "future"]


class Late(NamedTuple):
    """An element that came too late for all of its windows, or from too far in the future."""

    element: Any
    by: Any
    """How far it is behind the watermark, or ahead of what is allowed: a number of the unit of the
    timestamps, or a timedelta."""
    windows: tuple[tuple[Any, Any], ...]
    """Start and end of the windows it would have been in, where there are windows."""
    reason: Reason


class SendsLate(Stream[T]):
    """Base class of the nodes that sort out late elements: a stream of them, and a count."""

    _late: Stream[Late] | None = None
    _told_late = False

    late_count: int = 0
    """How many elements have come too late here, or from the future."""

    @property
    def late(self) -> Stream[Late]:
        """The elements that came too late here, each a `Late`."""
        if self._late is None:
            self._late = Stream(stream_name=f"late of {self}")
            self._pipeline.absorb(self._late._pipeline)
            self._side_streams = (*self._side_streams, self._late)
        return self._late

    def _send_late(
        self,
        x: Any,
        by: int,
        domain: TimeDomain,
        windows: tuple[tuple[int, int], ...] = (),
        reason: Reason = "late",
    ) -> Pending:
        """Count *x*, and send it to `late`; *by* and *windows* are in nanoseconds."""
        self.late_count += 1
        length = domain.delta(by)
        if self._late is None or not len(self._late.downstreams):
            self._warn_of_late(x, length, reason)
            return None
        at = tuple((domain.from_ns(start), domain.from_ns(end)) for start, end in windows)
        return self._late._outlet.send(Late(x, length, at, reason))

    def _warn_of_late(self, x: Any, by: Any, reason: Reason) -> None:
        if self._told_late:
            return
        self._told_late = True
        how = "behind the watermark" if reason == "late" else "further ahead than allowed"
        warnings.warn(
            f"{self}: an element is {by} {how} and left out: {short_repr(x)}; attach a sink to "
            "`.late` to get all such elements, `.late_count` counts them",
            RuntimeWarning,
            stacklevel=2,
        )
