"""Distinct values, or their number."""

from __future__ import annotations

import enum
import math
from typing import Any, TypeAlias

from rapidz.eventtime.aggregators.base import Aggregator, Bindings
from rapidz.kernel.protocol.checks import check_bool

#: Pair of a tuple of the newest values, and a frozenset of those before with the pair of what is
#: older; no value occurs twice.
Sets: TypeAlias = tuple[Any, ...]

NO_SETS: Sets = ((), ())

#: Number of the newest values, and how much larger each further set is.
LENGTH = 8
FACTOR = 16


class NotANumber(enum.Enum):
    """The one value that a set contains for every NaN, which equals nothing."""

    NAN = "nan"


class Distinct(Aggregator):
    """Number of distinct values, or the values themselves.

    Values are distinct unless they are equal, as in a set: 1 and 1.0 count once.
    All values that do not equal themselves, NaN among them, count as one, None as
    another.  Exact, and independent of the order of arrival.

    State: disjoint frozensets of the values, about 60 bytes for each distinct value
    besides the value; an element whose value is known leaves it as it is.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of an element is counted.  Default: the element itself.
    values : bool
        Whether the result is the frozenset of the values, not their number.

    Raises
    ------
    TypeError
        By an element whose value cannot be hashed.

    >>> distinct = Distinct()
    >>> state = distinct.start()
    >>> for value in "abca":
    ...     state = distinct.add(state, value)
    >>> distinct.result(state)
    3
    >>> sorted(Distinct(values=True).result(state))
    ['a', 'b', 'c']
    >>> distinct.add(state, [1])
    Traceback (most recent call last):
    ...
    TypeError: Distinct(): value must be hashable, got [1]
    """

    def __init__(self, of: Any = None, values: bool = False) -> None:
        super().__init__(of)
        self.values = check_bool(type(self).__name__, "values", values)
        if values:
            self._arguments = ("values",)

    def start(self) -> Sets:
        """Return the state of no elements."""
        return NO_SETS

    def add(self, state: Sets, value: Any, timestamp: Any = None) -> Sets:
        """Return the state with one more value."""
        newest, older = state
        try:
            if value in newest:
                return state
            rest = older
            while rest:
                known, rest = rest
                if value in known:
                    return state
            hash(value)
            equal = bool(value == value)
        except Exception:
            equal = self._equals_itself(value)
        if not equal:
            return self.add(state, NotANumber.NAN)
        if len(newest) < LENGTH:
            return (newest + (value,), older)  # noqa: RUF005 - twice as quick as unpacking
        return ((value,), _insert(older, frozenset(newest), LENGTH * FACTOR))

    def merge(self, a: Sets, b: Sets) -> Sets:
        """Return the state of the elements of both."""
        newest, older = b
        while older:
            known, older = older
            a = _join(a, known)
        return _join(a, frozenset(newest))

    def result(self, state: Sets) -> Any:
        """Return the number of values, or their frozenset."""
        if not self.values:
            return count_of(state)
        values = all_of(state)
        if NotANumber.NAN in values:
            return values - {NotANumber.NAN} | {math.nan}
        return values

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        add, start = code.bind("add", self.add), code.bind("start", NO_SETS)
        usual = code.bind("usual", (int, str, float))
        return f"{add}({start}, {value})", (
            f"{state} if type({value}) in {usual} and "
            f"({value} in {state}[0] or {state}[1] and {value} in {state}[1][0]) "
            f"else {add}({state}, {value})"
        )

    def _equals_itself(self, value: Any) -> bool:
        """Return whether *value*, which could not be compared, equals itself; it can be hashed."""
        try:
            hash(value)
        except TypeError:
            raise self._refuse("hashable", value) from None
        try:
            equal = bool(value == value)
        except Exception:  # such as `pandas.NA`
            equal = False
        if equal:
            raise self._refuse("comparable by == with the others", value)
        return False


def all_of(sets: Sets) -> frozenset[Any]:
    """Return the values of all sets."""
    values: frozenset[Any] = frozenset()
    while sets:
        newest, sets = sets
        values = values.union(newest)
    return values


def count_of(sets: Sets) -> int:
    """Return the number of values of all sets."""
    count = 0
    while sets:
        newest, sets = sets
        count += len(newest)
    return count


def _join(sets: Sets, values: frozenset[Any]) -> Sets:
    """Return *sets* with those of *values* that it has not yet."""
    rest = sets
    while rest:
        known, rest = rest
        values = values.difference(known)
    newest, older = sets
    if len(newest) + len(values) <= LENGTH:
        return (newest + tuple(values), older)
    return (newest, _insert(older, values, LENGTH * FACTOR))


def _insert(sets: Sets, values: frozenset[Any], limit: int) -> Sets:
    """Return *sets*, whose first has up to *limit* values, with new *values*."""
    if not sets:
        return values, ()
    newest, older = sets
    if len(newest) < limit:
        return newest | values, older
    return values, _insert(older, newest, limit * FACTOR)
