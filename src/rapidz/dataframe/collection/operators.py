"""OperatorMixin: what Python's operators do to a collection."""

from __future__ import annotations

import operator
from typing import Any

from rapidz.kernel.protocol.short_repr import short_repr

# The operands come in the order (collection, other): these put them the right way round.


def radd(right: Any, left: Any) -> Any:
    return left + right


def rsub(right: Any, left: Any) -> Any:
    return left - right


def rmul(right: Any, left: Any) -> Any:
    return left * right


def rtruediv(right: Any, left: Any) -> Any:
    return left / right


def rfloordiv(right: Any, left: Any) -> Any:
    return left // right


def rmod(right: Any, left: Any) -> Any:
    return left % right


def rpow(right: Any, left: Any) -> Any:
    return left**right


def rlshift(right: Any, left: Any) -> Any:
    return left << right


def rrshift(right: Any, left: Any) -> Any:
    return left >> right


def rand(right: Any, left: Any) -> Any:
    return left & right


def ror(right: Any, left: Any) -> Any:
    return left | right


def rxor(right: Any, left: Any) -> Any:
    return left ^ right


_INSTEAD = (
    "its elements are still to come. Use & for `and`, | for `or`, ~ for `not`, (a < x) & (x < b) "
    "for `a < x < b`, series.map_partitions(np.where, condition, a, b) for a choice, and "
    "`is not None` to ask whether there is one"
)


class OperatorMixin:
    """Arithmetic, comparisons and logic by ``self.map_partitions(function, self, other)``.

    What they give has no truth value, as in pandas: it is not known before the elements come.
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
            "one that is still to come: use collection == value, which is asked of each element"
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{type(self).__name__} has no values before its elements come: to call a function of "
            "numpy with each of them, use collection.map_partitions(function)"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs.get("out") is not None:
            called = f"{ufunc.__name__}.{method}" if method != "__call__" else "out="
            raise TypeError(
                f"{type(self).__name__}: ufunc must be called with elements alone, got {called}: "
                "use an aggregate, or collection.map_partitions(function)"
            )
        return self.map_partitions(ufunc, *inputs, **kwargs)

    def __abs__(self) -> Any:
        return self.map_partitions(operator.abs, self)

    def __neg__(self) -> Any:
        return self.map_partitions(operator.neg, self)

    def __pos__(self) -> Any:
        return self.map_partitions(operator.pos, self)

    def __invert__(self) -> Any:
        return self.map_partitions(operator.invert, self)

    __inv__ = __invert__

    def __add__(self, other: Any) -> Any:
        return self.map_partitions(operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return self.map_partitions(radd, self, other)

    def __sub__(self, other: Any) -> Any:
        return self.map_partitions(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.map_partitions(rsub, self, other)

    def __mul__(self, other: Any) -> Any:
        return self.map_partitions(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.map_partitions(rmul, self, other)

    def __truediv__(self, other: Any) -> Any:
        return self.map_partitions(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.map_partitions(rtruediv, self, other)

    def __floordiv__(self, other: Any) -> Any:
        return self.map_partitions(operator.floordiv, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self.map_partitions(rfloordiv, self, other)

    def __mod__(self, other: Any) -> Any:
        return self.map_partitions(operator.mod, self, other)

    def __rmod__(self, other: Any) -> Any:
        return self.map_partitions(rmod, self, other)

    def __pow__(self, other: Any) -> Any:
        return self.map_partitions(operator.pow, self, other)

    def __rpow__(self, other: Any) -> Any:
        return self.map_partitions(rpow, self, other)

    def __lshift__(self, other: Any) -> Any:
        return self.map_partitions(operator.lshift, self, other)

    def __rlshift__(self, other: Any) -> Any:
        return self.map_partitions(rlshift, self, other)

    def __rshift__(self, other: Any) -> Any:
        return self.map_partitions(operator.rshift, self, other)

    def __rrshift__(self, other: Any) -> Any:
        return self.map_partitions(rrshift, self, other)

    def __and__(self, other: Any) -> Any:
        return self.map_partitions(operator.and_, self, other)

    def __rand__(self, other: Any) -> Any:
        return self.map_partitions(rand, self, other)

    def __or__(self, other: Any) -> Any:
        return self.map_partitions(operator.or_, self, other)

    def __ror__(self, other: Any) -> Any:
        return self.map_partitions(ror, self, other)

    def __xor__(self, other: Any) -> Any:
        return self.map_partitions(operator.xor, self, other)

    def __rxor__(self, other: Any) -> Any:
        return self.map_partitions(rxor, self, other)

    def __eq__(self, other: object) -> Any:
        return self.map_partitions(operator.eq, self, other)

    def __ne__(self, other: object) -> Any:
        return self.map_partitions(operator.ne, self, other)

    def __lt__(self, other: Any) -> Any:
        return self.map_partitions(operator.lt, self, other)

    def __le__(self, other: Any) -> Any:
        return self.map_partitions(operator.le, self, other)

    def __gt__(self, other: Any) -> Any:
        return self.map_partitions(operator.gt, self, other)

    def __ge__(self, other: Any) -> Any:
        return self.map_partitions(operator.ge, self, other)

    __hash__ = None  # type: ignore[assignment]  # what compares by value has no hash
