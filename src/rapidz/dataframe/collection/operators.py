"""Python's operators on collections."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from rapidz.dataframe.collection.partials import named_partial
from rapidz.kernel.protocol.short_repr import short_repr

_INSTEAD = (
    "its elements have yet to arrive. Use & for `and`, | for `or`, ~ for `not`, (a < x) & (x < b) "
    "for `a < x < b`, series.map_partitions(np.where, condition, a, b) for a choice, and "
    "`is not None` to ask whether there is one"
)


def _unary(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the method that applies *function* to every part."""

    def method(self: Any) -> Any:
        return self.map_partitions(function, self)

    return method


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the method that applies *function* to every part and another operand."""

    def method(self: Any, other: Any) -> Any:
        return self.map_partitions(function, self, other)

    return method


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the method for an operand on the left that is no collection."""
    swapped = named_partial(f"r{function.__name__.rstrip('_')}", _swapped, function)
    swapped.__module__ = __name__
    return _binary(swapped)


def _swapped(function: Callable[[Any, Any], Any], right: Any, left: Any) -> Any:
    return function(left, right)


class OperatorMixin:
    """Arithmetic, comparisons and logic by ``self.map_partitions(function, self, other)``.

    The results have no truth value, as in pandas: it is unknown before the elements arrive.
    """

    map_partitions: Any
    __pandas_priority__ = 5000
    """Makes frames and series of pandas leave operators to the collection."""

    def __bool__(self) -> bool:
        raise ValueError(f"{type(self).__name__} has no truth value: {_INSTEAD}")

    def __contains__(self, item: object) -> bool:
        raise TypeError(
            f"{type(self).__name__}: `in` must be given a collection with an end, "
            f"got {short_repr(item)} in "
            "an unbounded one: use collection == value, which compares each element"
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{type(self).__name__} has no values before its elements arrive: to call a function "
            "of numpy with each of them, use collection.map_partitions(function)"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs.get("out") is not None:
            called = f"{ufunc.__name__}.{method}" if method != "__call__" else "out="
            raise TypeError(
                f"{type(self).__name__}: ufunc must be called with elements alone, got {called}: "
                "use an aggregate, or collection.map_partitions(function)"
            )
        return self.map_partitions(ufunc, *inputs, **kwargs)

    __abs__ = _unary(operator.abs)
    __neg__ = _unary(operator.neg)
    __pos__ = _unary(operator.pos)
    __invert__ = _unary(operator.invert)
    __inv__ = __invert__

    __add__, __radd__ = _binary(operator.add), _reflected(operator.add)
    __sub__, __rsub__ = _binary(operator.sub), _reflected(operator.sub)
    __mul__, __rmul__ = _binary(operator.mul), _reflected(operator.mul)
    __truediv__, __rtruediv__ = _binary(operator.truediv), _reflected(operator.truediv)
    __floordiv__, __rfloordiv__ = _binary(operator.floordiv), _reflected(operator.floordiv)
    __mod__, __rmod__ = _binary(operator.mod), _reflected(operator.mod)
    __pow__, __rpow__ = _binary(operator.pow), _reflected(operator.pow)
    __lshift__, __rlshift__ = _binary(operator.lshift), _reflected(operator.lshift)
    __rshift__, __rrshift__ = _binary(operator.rshift), _reflected(operator.rshift)
    __and__, __rand__ = _binary(operator.and_), _reflected(operator.and_)
    __or__, __ror__ = _binary(operator.or_), _reflected(operator.or_)
    __xor__, __rxor__ = _binary(operator.xor), _reflected(operator.xor)

    __eq__ = _binary(operator.eq)
    __ne__ = _binary(operator.ne)
    __lt__ = _binary(operator.lt)
    __le__ = _binary(operator.le)
    __gt__ = _binary(operator.gt)
    __ge__ = _binary(operator.ge)

    __hash__ = None  # type: ignore[assignment]  # what compares by value has no hash
