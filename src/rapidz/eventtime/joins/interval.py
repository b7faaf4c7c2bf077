"""Interval join: pairs of elements of one key that happened close to each other."""

from __future__ import annotations

from typing import Any, ClassVar

from rapidz.eventtime.clock import NEVER
from rapidz.eventtime.domain import nanoseconds
from rapidz.eventtime.event_time import TimeDefinition
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.joins.base import JoinNode, PairTime, Row, Side
from rapidz.eventtime.wheel import Wheel
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.checks import check_choice
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending
from rapidz.kernel.protocol.short_repr import short_repr


@Stream.register_api()
class interval_join(JoinNode[T]):
    """Pair the elements of two streams that have the same key and are close in event time.

    Emits ``(left, right)`` when the second of the two comes.  An outer join also emits
    ``(left, None)`` or ``(None, right)`` for an element without a partner, once the watermark
    says that none will come.  An element whose interval the watermark has passed goes
    to `late`.  A flush emits nothing; the end of the stream emits the outer rows.  Applies
    back pressure when downstream does.  Keeps each element for its interval.

    Parameters
    ----------
    other : Stream
        The right side.
    key : object or pair, optional
        Where the key is in an element: a key or index, the name of an attribute, or a function;
        a pair of them if the sides differ.  Default: those of `key_by`, else all pairs in time.
    within : float, str or timedelta, or a pair of them
        How long before and after the left element the right one may be, both included.
    how : "inner", "left", "right" or "outer"
        Which elements also come without a partner.
    timestamp : object or pair, optional
        Where the timestamps are, if not where `event_time` finds them.

    >>> orders, payments = Stream(), Stream()
    >>> pairs = orders.event_time("at").interval_join(
    ...     payments.event_time("at"), key="id", within="1h", how="left"
    ... )
    >>> shown = pairs.sink(lambda pair: print(pair[0]["id"], pair[1] and pair[1]["sum"]))
    >>> orders.emit_many([{"id": 1, "at": 0}, {"id": 2, "at": 60}])
    >>> payments.emit({"id": 2, "at": 90, "sum": 12})
    2 12
    >>> payments.emit({"id": 3, "at": 9000, "sum": 7})
    >>> orders.emit({"id": 4, "at": 9000})
    1 None
    """

    _needs_local_elements: ClassVar[bool] = True
    _waits_for_partners: ClassVar[bool] = True

    def __init__(
        self,
        upstream: Stream[Any],
        other: Stream[Any],
        key: Any = None,
        *,
        within: Interval | tuple[Interval, Interval],
        how: str = "inner",
        timestamp: Any = None,
        **kwargs: Any,
    ) -> None:
        name = "interval_join"
        check_choice(name, "how", how, ("inner", "left", "right", "outer"))
        before, after = _spans(name, within)
        self._reach = (before, after), (after, before)
        """By side: how long before and after an element its partners may be."""
        self._outer = how in ("left", "outer"), how in ("right", "outer")
        self._sides = Side(), Side()
        self._wheel: Wheel[tuple[int, Row]] = Wheel(max((before + after) // 64, 1))
        super().__init__(name, upstream, other, key, timestamp, **kwargs)
        pair_time = Getter(PairTime(self), name, "timestamp")
        self.time_definition = TimeDefinition(pair_time, self._domain)

    @property
    def open_count(self) -> int:
        """How many elements are kept for partners to come."""
        return len(self._sides[0]) + len(self._sides[1])

    def _buffered(self) -> int:
        return sum(
            not row.matched
            for side, outer in zip(self._sides, self._outer, strict=True)
            if outer
            for row in side
        )

    def _take(self, row: Row, port: int) -> Pending:
        before, after = self._reach[port]
        reached = self._clock.arrived()
        if row.t + after < reached:
            return self._late_row(row, port, reached - row.t)
        partners = self._sides[1 - port].between(row.key, row.t - before, row.t + after)
        self._keep(row)
        self._sides[port].add(row)
        self._wheel.add(row.t + after + 1, (port, row))
        self._set_timer()
        row.matched = bool(partners)
        pairs = []
        for partner in partners:
            partner.matched = True
            pair = (row, partner) if port == 0 else (partner, row)
            pairs.append((pair[0].element, pair[1].element))
        return self._emit_all(pairs) if pairs else None

    def _set_timer(self) -> None:
        clock = self._clock
        outer = any(self._outer)
        when = self._wheel.next() if outer else self._wheel.next_tick()
        # Outer rows leave behind their interval, at their own time; else nothing is old.
        clock.shift = max(self._reach[0][1], self._reach[1][1]) + 1 if outer else -NEVER
        if when < clock.timer:
            clock.set_timer(when)

    def _on_time(self, t: int) -> Pending:
        rows = []
        for _, (port, row) in self._wheel.take(t):
            self._sides[port].remove(row)
            self._let_go(row)
            if self._outer[port] and not row.matched:
                rows.append((row.order, port, row))
        rows.sort(key=_by_time)
        self._clock.timer = NEVER
        self._set_timer()
        alone = [(row.element, None) if port == 0 else (None, row.element) for _, port, row in rows]
        return self._emit_all(alone) if alone else None


def _by_time(item: tuple[tuple[int, int], int, Row]) -> tuple[int, int]:
    return item[0]


def _spans(operator: str, within: Any) -> tuple[int, int]:
    """Return how long before and after the left element the right one may be."""
    pair = within if isinstance(within, tuple) else (within, within)
    if len(pair) != 2:
        raise ValueError(
            f"{operator}: within must be an interval or a pair of them, got {short_repr(within)}"
        )
    before, after = (
        nanoseconds(each, operator=operator, argument="within", allow_zero=True) for each in pair
    )
    return before, after
