"""Base class of the joins by event time, and the rows that they keep."""

from __future__ import annotations

import weakref
from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any, ClassVar

from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keys import check_key, key_of
from rapidz.eventtime.time_node import TimeNode
from rapidz.kernel.compile.async_steps import attribute_failure
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.tracked_element import TrackedElement, unbox


class Row:
    """An element that a join keeps, at its instant; those of one instant by arrival."""

    __slots__ = ("element", "key", "matched", "order", "t")

    def __init__(self, element: Any, key: Any, t: int, number: int) -> None:
        self.element, self.key, self.t = element, key, t
        self.order = (t, number)
        self.matched = False

    def __lt__(self, other: Row) -> bool:
        return self.order < other.order


class Side:
    """The rows of one input, by key, in order of time."""

    def __init__(self) -> None:
        self.rows: dict[Any, list[Row]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def add(self, row: Row) -> None:
        rows = self.rows.get(row.key)
        if rows is None:
            self.rows[row.key] = [row]
        elif rows[-1].order < row.order:
            rows.append(row)
        else:
            insort(rows, row)

    def remove(self, row: Row) -> None:
        rows = self.rows[row.key]
        at = 0 if rows[0] is row else bisect_left(rows, row)
        del rows[at]
        if not rows:
            del self.rows[row.key]

    def between(self, key: Any, first: int, last: int) -> list[Row]:
        """Return the rows of *key* from the instant *first* to *last*, both included."""
        rows = self.rows.get(key)
        if rows is None or rows[-1].t < first or rows[0].t > last:
            return []
        start = bisect_left(rows, (first, -1), key=time_order)
        stop = bisect_left(rows, (last + 1, -1), key=time_order)
        return rows[start:stop]

    def __iter__(self) -> Iterator[Row]:
        for rows in self.rows.values():
            yield from rows


def time_order(row: Row) -> tuple[int, int]:
    """Return the place of *row* in the order of time."""
    return row.order


class JoinNode(TimeNode[T]):
    """Base class of the joins: two inputs, a key of each, a timestamp of each.

    Parameters
    ----------
    operator : str
        Its name, for errors.
    left, right : Stream
        The inputs.
    key : object
        A getter of the keys of both, or a pair of them; None: there is one key.
    timestamp : object
        The same of timestamps; None: where `event_time` finds them.
    """

    _keeps_elements: ClassVar[bool] = True
    _combines_elements: ClassVar[bool] = True
    _graphviz_shape = "trapezium"

    def __init__(
        self,
        operator: str,
        left: Any,
        right: Any,
        key: Any,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(right, Stream):
            raise TypeError(f"{operator}: other must be a Stream, got {short_repr(right)}")
        self._operator = operator
        self._keys = key_getters(operator, left, right, key)
        self._numbers = 0
        self._kept: set[int] = set()
        """The ids of the tracked elements that are kept."""
        super().__init__(operator, [left, right], timestamp, **kwargs)

    def __str__(self) -> str:
        return f"<{self.name}; {self._operator}>" if self.name else f"<{self._operator}>"

    __repr__ = __str__

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        ref = weakref.ref(self)

        def step(x: Any) -> Pending:
            node = ref()
            return None if node is None else node._receive(x, port)

        return step

    def _receive(self, x: Any, port: int) -> Pending:
        """Take an element that arrives at *port*: 0 left, 1 right."""
        try:
            t, key = self._read(unbox(x), port)
        except Exception as error:
            attribute_failure(self, unbox(x), error)
            raise
        self._numbers += 1
        return self._take(Row(x, key, t, self._numbers), port)

    def _read(self, element: Any, port: int) -> tuple[int, Any]:
        """Return the instant and the key of *element*."""
        t = self._domains[port].to_ns(self._timestamps[port](element))
        getter = self._keys[port]
        key = None if getter is None else getter(element)
        check_key(self._operator, key)
        return t, key

    def _take(self, row: Row, port: int) -> Pending:
        """Take *row* in, and emit what it completes."""
        raise NotImplementedError

    def _late_row(self, row: Row, port: int, behind: int) -> Pending:
        return self._send_late(unbox(row.element), behind, self._domains[port])

    # --- elements with metadata ---------------------------------------------------------------

    def _keep(self, row: Row) -> None:
        """Note that *row* is kept beyond the results it is in."""
        if type(row.element) is TrackedElement:
            self._kept.add(id(row.element))

    def _let_go(self, row: Row) -> None:
        """Note that *row* is kept no longer."""
        if type(row.element) is TrackedElement:
            self._kept.discard(id(row.element))

    def _retains(self, entry: Any) -> bool:
        return id(entry) in self._kept


def key_getters(operator: str, left: Any, right: Any, key: Any) -> tuple[Getter | None, ...]:
    """Return what reads the key of the elements of both inputs."""
    if key is None:
        found = key_of(left), key_of(right)
        if (found[0] is None) != (found[1] is None):
            raise TypeError(
                f"{operator}: key must be given, or both streams have `key_by`, got one with"
            )
        return found
    pair = key if isinstance(key, tuple) and len(key) == 2 else (key, key)
    return Getter(pair[0], operator, "key"), Getter(pair[1], operator, "key")


class PairTime:
    """Reads the timestamp of a pair: the later of both, of a single one its own."""

    def __init__(self, node: JoinNode) -> None:
        self._getters, self._domains = node._timestamps, node._domains

    def __call__(self, pair: tuple[Any, Any]) -> Any:
        left, right = pair
        if right is None:
            return self._getters[0](left)
        if left is None:
            return self._getters[1](right)
        first, second = self._getters[0](left), self._getters[1](right)
        later = self._domains[0].to_ns(first) >= self._domains[1].to_ns(second)
        return first if later else second
