"""As-of join: each element with the latest one of the other stream at its time."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, ClassVar

from rapidz.eventtime.clock import NEVER
from rapidz.eventtime.domain import nanoseconds
from rapidz.eventtime.event_time import TimeDefinition
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.joins.base import JoinNode, Row, Side, time_order
from rapidz.eventtime.wheel import Wheel
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.checks import check_choice
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending


@Stream.register_api()
class asof_join(JoinNode[T]):
    """Pair each element with the newest one of another stream that is not newer than itself.

    Emits ``(left, right)``, in order of event time, once the watermark has passed the left
    element: no right one that belongs to it can come any more.  A left element without a
    right one leaves as ``(left, None)``, or not at all.  A left element older than the
    watermark goes to `late`; a right one counts from its arrival on.  A flush emits nothing,
    the end of the stream all that waits.  Applies back pressure when downstream does.

    Keeps left elements until the watermark passes, and of each key the right ones that a
    left element may still need.

    Parameters
    ----------
    other : Stream
        The right side.
    key : object or pair, optional
        As for `interval_join`.
    tolerance : float, str or timedelta, optional
        How much older the right element may be, at most.
    how : "left" or "inner"
        Whether elements without a right one leave too.
    timestamp : object or pair, optional
        Where the timestamps are, if not where `event_time` finds them.

    >>> trades, quotes = Stream(), Stream()
    >>> node = trades.event_time("at").asof_join(quotes.event_time("at"), key="name")
    >>> shown = node.sink(lambda pair: print(pair[0]["at"], pair[1] and pair[1]["price"]))
    >>> quotes.emit_many([{"name": "x", "at": 1, "price": 10}, {"name": "x", "at": 5, "price": 12}])
    >>> trades.emit_many([{"name": "x", "at": 0}, {"name": "x", "at": 4}, {"name": "x", "at": 6}])
    0 None
    4 10
    """

    _needs_local_elements: ClassVar[bool] = True
    _waits_for_partners: ClassVar[bool] = True

    def __init__(
        self,
        upstream: Stream[Any],
        other: Stream[Any],
        key: Any = None,
        *,
        tolerance: Interval | None = None,
        how: str = "left",
        timestamp: Any = None,
        **kwargs: Any,
    ) -> None:
        operator = kwargs.pop("operator", "asof_join")
        check_choice(operator, "how", how, ("left", "inner"))
        self._tolerance = (
            None
            if tolerance is None
            else nanoseconds(tolerance, operator=operator, argument="tolerance", allow_zero=True)
        )
        self._inner = how == "inner"
        self._right = Side()
        self._waiting: Wheel[Row] = Wheel(1_000_000)
        self._keys_by_age: Wheel[Any] = Wheel(max((self._tolerance or 0) // 16, 1_000_000))
        """Keys that may have nothing but rows which are too old by then."""
        super().__init__(operator, upstream, other, key, timestamp, **kwargs)
        left_time = LeftTime(self._timestamps[0])
        self.time_definition = TimeDefinition(
            Getter(left_time, operator, "timestamp"), self._domain
        )

    @property
    def open_count(self) -> int:
        """How many left elements wait for the watermark."""
        return len(self._waiting)

    def _buffered(self) -> int:
        return len(self._waiting)

    def _take(self, row: Row, port: int) -> Pending:
        if port == 1:
            self._take_right(row)
            return None
        reached = self._clock.arrived()
        if row.t < reached:
            return self._late_row(row, port, reached - row.t)
        self._waiting.add(row.t + 1, row)
        self._set_timer()
        return None

    def _take_right(self, row: Row) -> None:
        now = self._clock.arrived()
        is_new = row.key not in self._right.rows
        self._keep(row)
        self._right.add(row)
        self._forget(row.key, now)
        if self._tolerance is None:
            return
        for _, key in self._keys_by_age.take(now):
            self._forget(key, now)
            if (rows := self._right.rows.get(key)) is not None:
                self._keys_by_age.add(rows[-1].t + self._tolerance + 1, key)
        if is_new and row.key in self._right.rows:
            self._keys_by_age.add(row.t + self._tolerance + 1, row.key)

    def _set_timer(self) -> None:
        clock = self._clock
        clock.shift = 1  # a pair leaves one instant after its time
        if (when := self._waiting.next()) < clock.timer:
            clock.set_timer(when)

    def _on_time(self, t: int) -> Pending:
        pairs: list[tuple[Any, Any]] = []
        keys: dict[Any, None] = {}
        for _, row in self._waiting.take(t):
            keys[row.key] = None
            right = self._partner(row)
            if right is not None or not self._inner:
                pairs.append((row.element, right))
        for key in keys:
            self._forget(key, t)
        self._clock.timer = NEVER
        self._set_timer()
        return self._emit_all(pairs) if pairs else None

    def _partner(self, row: Row) -> Any:
        rows = self._right.rows.get(row.key, [])
        at = bisect_left(rows, (row.t + 1, -1), key=time_order) - 1
        if at < 0:
            return None
        if self._tolerance is not None and rows[at].t < row.t - self._tolerance:
            return None
        return rows[at].element

    def _forget(self, key: Any, t: int) -> None:
        """Forget the right rows of *key* that no left one at *t* or later needs."""
        rows = self._right.rows.get(key)
        if rows is None:
            return
        newest = bisect_left(rows, (t + 1, -1), key=time_order) - 1  # the one in force at t
        for row in rows[: max(newest, 0)]:
            self._let_go(row)
        del rows[: max(newest, 0)]
        if self._tolerance is not None and rows and rows[-1].t + self._tolerance < t:
            for row in rows:
                self._let_go(row)
            del self._right.rows[key]


class LeftTime:
    """Reads the timestamp of a pair: that of its left element."""

    def __init__(self, getter: Getter) -> None:
        self._getter = getter

    def __call__(self, pair: tuple[Any, Any]) -> Any:
        return self._getter(pair[0])
