"""Base class of aggregators: what a window computes of its elements."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Protocol

from rapidz.kernel.protocol.short_repr import short_repr


class Bindings(Protocol):
    """Names for the values that generated lines use: `fusion.Code` is one."""

    def bind(self, hint: str, value: Any) -> str:
        """Return the name under which the lines find *value*."""
        ...


class Aggregator:
    """Aggregation function of a window: a state, and how elements change it.

    Derive from this class for an aggregation of your own, and define four
    methods.  ``start()`` returns the state of no elements.  ``add(state, value,
    timestamp)``, or ``add(state, value)``, returns the state with one more
    value.  ``merge(a, b)`` returns the state of the elements of both.
    ``result(state)`` returns what the window emits; without it, that is the
    state.

    `add` and `merge` return a new state and never change one in place, because
    windows share states.  Without `merge` the aggregator is refused by session
    and sliding windows, which merge states.  A state is plain data: a checkpoint
    pickles it.

    Parameters
    ----------
    of : key, attribute name or callable, optional
        What of an element is aggregated: ``x["price"]`` or ``x.price`` for
        ``"price"``, ``f(x)`` for a callable *f*.  Default: the element itself.

    >>> class Product(Aggregator):
    ...     def start(self):
    ...         return 1
    ...
    ...     def add(self, state, value):
    ...         return state * value
    ...
    ...     def merge(self, a, b):
    ...         return a * b
    >>> product = Product("factor")
    >>> product
    Product('factor')
    >>> product.mergeable, product.takes_timestamp
    (True, False)
    """

    #: What of an element is aggregated, None for the element itself.
    of: Any = None

    #: Whether the lines use floats in fixed point, which several aggregators may share.
    uses_fixed_point: bool = False

    #: Names of further arguments that the repr shows.
    _arguments: tuple[str, ...] = ()

    def __init__(self, of: Any = None) -> None:
        check_of(type(self).__name__, of)
        self.of = of

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Do not inherit the lines of an `add`, or of a `merge`, that *cls* replaces."""
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "lines" not in own and ("add" in own or "start" in own):
            cls.lines = Aggregator.lines  # type: ignore[method-assign]
        if "merge_line" not in own and "merge" in own:
            cls.merge_line = Aggregator.merge_line  # type: ignore[method-assign]

    def start(self) -> Any:
        """Return the state of no elements."""
        raise NotImplementedError(f"{short_repr(self)}: start must be defined")

    def add(self, *args: Any, **kwargs: Any) -> Any:
        """Return the state with one more value: ``add(state, value, timestamp)``."""
        raise NotImplementedError(f"{short_repr(self)}: add must be defined")

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of the elements of both; those of *a* count as the earlier arrivals."""
        raise NotImplementedError(f"{short_repr(self)}: merge must be defined")

    def result(self, state: Any) -> Any:
        """Return what the window emits; the state itself, unless it is overridden."""
        return state

    @property
    def mergeable(self) -> bool:
        """Whether states can be merged: session and sliding windows need that."""
        return type(self).merge is not Aggregator.merge

    @property
    def takes_timestamp(self) -> bool:
        """Whether `add` takes a timestamp after the value."""
        try:
            inspect.signature(self.add).bind(None, None, None)
        except TypeError:
            return False
        except ValueError:  # written in C, without a signature
            return True
        return True

    def adder(self) -> Callable[[Any, Any, Any], Any]:
        """Return `add` as a function of a state, a value and a timestamp."""
        add: Callable[..., Any] = self.add
        if self.takes_timestamp:
            return add
        return lambda state, value, timestamp: add(state, value)

    def merger(self) -> Callable[[Any, Any], Any]:
        """Return `merge` as a function, a quicker one where there is such."""
        return self.merge

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        """Return Python expressions for the state of the first value, and with the next one.

        *state*, *value* and *timestamp* are the names of variables, *code* makes
        values available to the expressions.
        """
        arguments = f"{value}, {timestamp}" if self.takes_timestamp else value
        add, start = code.bind("add", self.add), code.bind("start", self.start)
        return f"{add}({start}(), {arguments})", f"{add}({state}, {arguments})"

    def merge_line(self, code: Bindings, a: str, b: str) -> str:
        """Return the Python expression for `merge` of the states in the variables *a* and *b*."""
        return f"{code.bind('merge', self.merge)}({a}, {b})"

    def __repr__(self) -> str:
        shown = [] if self.of is None else [short_repr(self.of)]
        shown += [f"{name}={short_repr(getattr(self, name))}" for name in self._arguments]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _refuse(self, rule: str, value: object) -> TypeError:
        """Return the error for a value of the wrong type."""
        return TypeError(f"{short_repr(self)}: value must be {rule}, got {short_repr(value)}")


def check_of(operator: str, of: object) -> None:
    """Refuse what is no key, attribute name or callable.

    >>> check_of("Mean", ["price"])
    Traceback (most recent call last):
    ...
    TypeError: Mean: of must be a key, an attribute name or a callable, got ['price']
    """
    rule = f"{operator}: of must be a key, an attribute name or a callable, got {short_repr(of)}"
    if isinstance(of, Aggregator) or (isinstance(of, type) and issubclass(of, Aggregator)):
        raise TypeError(rule)
    if not (callable(of) or isinstance(of, Hashable)):
        raise TypeError(rule)


def check_aggregator(operator: str, argument: str, value: object, merge: str = "") -> None:
    """Refuse what is no aggregator, and one without ``merge`` if *merge* says why it is needed.

    >>> check_aggregator("aggregate", "mean", "price")
    Traceback (most recent call last):
    ...
    TypeError: aggregate: mean must be an aggregator such as Count() or Mean('price'), got 'price'
    """
    rule = f"{operator}: {argument} must be an aggregator such as Count() or Mean('price')"
    if isinstance(value, type) and issubclass(value, Aggregator):
        name = value.__name__
        raise TypeError(f"{rule}, got the class {name}: write {name}(...)")
    if not isinstance(value, Aggregator):
        raise TypeError(f"{rule}, got {short_repr(value)}")
    kind = type(value)
    for name in ("start", "add"):
        if getattr(kind, name) is getattr(Aggregator, name):
            raise TypeError(f"{operator}: {argument} must define {name}(), got {short_repr(value)}")
    try:
        inspect.signature(value.add).bind(*([None] * (2 + value.takes_timestamp)))
    except ValueError:
        pass  # written in C, without a signature
    except TypeError:
        rule = "must have add(state, value) or add(state, value, timestamp)"
        raise TypeError(f"{operator}: {argument} {rule}, got {short_repr(value)}") from None
    if merge and not value.mergeable:
        raise TypeError(
            f"{operator}: {argument} must define merge(), {merge}, got {short_repr(value)}"
        )


if TYPE_CHECKING:
    from rapidz.kernel.compile.fusion import Code

    def _code_binds(code: Code) -> Bindings:
        return code
