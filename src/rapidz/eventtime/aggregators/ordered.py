"""Order by time: the first and the last value, and all of them."""

from __future__ import annotations

from operator import le
from typing import Any

from rapidz.eventtime.aggregators.append_log import (
    EMPTY,
    Log,
    append,
    append_lines,
    concatenate,
    items_of,
)
from rapidz.eventtime.aggregators.base import Aggregator, Bindings


class OneByTime(Aggregator):
    """Value that a timestamp decides on: the base class of `First` and `Last`."""

    def start(self) -> Any:
        """Return the state of no elements."""
        return None

    def result(self, state: Any) -> Any:
        """Return the value."""
        return None if state is None else state[1]


class First(OneByTime):
    """Value with the earliest timestamp, of equal ones the first to arrive.

    State: a tuple of the timestamp and the value.  When states are merged, the
    elements of the first count as the earlier arrivals; within a window this
    decides nothing, because elements with equal timestamps are in one slice and
    in one session.  The result of nothing is None.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of the element is the result.  Default: the element itself.

    >>> first = First()
    >>> state = first.add(first.start(), "b", 2)
    >>> first.result(first.add(state, "a", 1))
    'a'
    """

    def add(self, state: Any, value: Any, timestamp: Any) -> Any:
        """Return the state with one more value."""
        return state if state is not None and state[0] <= timestamp else (timestamp, value)

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of the elements of both."""
        if a is None or b is None:
            return b if a is None else a
        return a if a[0] <= b[0] else b

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        entry = f"({timestamp}, {value})"
        return entry, f"{state} if {state}[0] <= {timestamp} else {entry}"


class Last(OneByTime):
    """Value with the latest timestamp, of equal ones the last to arrive.

    State: a tuple of the timestamp and the value.  When states are merged, the
    elements of the first count as the earlier arrivals, as for `First`.  The
    result of nothing is None.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of the element is the result.  Default: the element itself.

    >>> last = Last()
    >>> state = last.add(last.start(), "b", 2)
    >>> last.result(last.add(state, "a", 1))
    'b'
    """

    def add(self, state: Any, value: Any, timestamp: Any) -> Any:
        """Return the state with one more value."""
        return state if state is not None and state[0] > timestamp else (timestamp, value)

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of the elements of both."""
        if a is None or b is None:
            return b if a is None else a
        return a if a[0] > b[0] else b

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        entry = f"({timestamp}, {value})"
        return entry, f"{state} if {state}[0] > {timestamp} else {entry}"


class Collect(Aggregator):
    """List of all values by timestamp, those with equal ones in order of arrival.

    State: an append-only log of timestamps and values, 16 bytes an element
    besides the value and the timestamp.  When states are merged, the elements of the first count
    as the earlier arrivals, as for `First`.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of each element is collected.  Default: the element itself.

    >>> collect = Collect()
    >>> state = collect.add(collect.start(), "b", 2)
    >>> collect.result(collect.add(state, "a", 1))
    ['a', 'b']
    """

    def start(self) -> Log:
        """Return the state of no elements."""
        return EMPTY

    def add(self, state: Log, value: Any, timestamp: Any) -> Log:
        """Return the state with one more value."""
        return append(state, timestamp, value)

    def merge(self, a: Log, b: Log) -> Log:
        """Return the state of the elements of both."""
        return concatenate(a, b)

    def result(self, state: Log) -> list[Any]:
        """Return the values as a list."""
        items = items_of(state)
        timestamps, values = items[::2], items[1::2]
        if all(map(le, timestamps, timestamps[1:])):
            return values
        order = sorted(range(len(values)), key=timestamps.__getitem__)
        return [values[place] for place in order]

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        return append_lines(code.bind("append", append), state, f"({timestamp}, {value})")
