"""Extremes: the least and the greatest value."""

from __future__ import annotations

from typing import Any, ClassVar

from rapidz.eventtime.aggregators.base import Aggregator, Bindings
from rapidz.kernel.protocol.short_repr import short_repr


class _Extreme(Aggregator):
    """Extreme value: the state is the value, None for no elements."""

    _keeps: ClassVar[str]
    _replaces: ClassVar[str]

    def start(self) -> Any:
        """Return the state of no elements."""
        return None

    def add(self, state: Any, value: Any, timestamp: Any = None) -> Any:
        """Return the state with one more value."""
        if state is None:
            return self._only(value)
        try:
            return self._extreme(state, value)
        except Exception as error:
            raise self._refuse(f"comparable with {short_repr(state)}", value) from error

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of the elements of both."""
        return a if b is None else self.add(a, b)

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return the expressions for the first and the next value."""
        usual = code.bind("usual", (int, float, str))
        first = f"{value} if type({value}) in {usual} else {code.bind('only', self._only)}({value})"
        add = code.bind("add", self.add)
        same = f"type({value}) is type({state}) and type({value}) in {usual}"
        return first, (
            f"({state} if {state} {self._keeps} {value} else {value} "
            f"if {value} {self._replaces} {state} or {value} != {value} else {state}) "
            f"if {same} else {add}({state}, {value})"
        )

    def _only(self, value: Any) -> Any:
        """Return the state of a single value."""
        try:
            bool(value < value)
            comparable = not isinstance(value, (set, frozenset))  # these have a partial order
        except ArithmeticError:  # a Decimal that is NaN
            comparable = True
        except Exception:
            comparable = False
        if not comparable:
            raise self._refuse("comparable", value)
        return value

    def _extreme(self, a: Any, b: Any) -> Any:
        """Return the extreme of both; *a* if they are equal, NaN if one of them is."""
        raise NotImplementedError


class Min(_Extreme):
    """Least value.

    Values of any type that has an order: numbers, text, datetimes, tuples.  Of
    equal values the first to arrive; NaN as soon as one value is NaN.

    State: the value.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of an element is compared.  Default: the element itself.

    Raises
    ------
    TypeError
        By an element whose value cannot be compared with the others.

    >>> least = Min()
    >>> least.result(least.add(least.add(least.start(), 3), 2))
    2
    >>> least.add(3, None)
    Traceback (most recent call last):
    ...
    TypeError: Min(): value must be comparable with 3, got None
    """

    _keeps, _replaces = "<=", "<"

    def _extreme(self, a: Any, b: Any) -> Any:
        return a if a <= b else b if b < a or b != b else a


class Max(_Extreme):
    """Greatest value.

    Values of any type that has an order: numbers, text, datetimes, tuples.  Of
    equal values the first to arrive; NaN as soon as one value is NaN.

    State: the value.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of an element is compared.  Default: the element itself.

    Raises
    ------
    TypeError
        By an element whose value cannot be compared with the others.

    >>> greatest = Max()
    >>> greatest.result(greatest.add(greatest.add(greatest.start(), "a"), "b"))
    'b'
    """

    _keeps, _replaces = ">=", ">"

    def _extreme(self, a: Any, b: Any) -> Any:
        return a if a >= b else b if b > a or b != b else a
