"""Calls with the elements left out, and what they will return: objects that can be pickled."""

from __future__ import annotations

import copy
import functools
import importlib
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from rapidz.kernel.graph.engine_node import short_name
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import SKIP, no_default

#: Keywords that `Stream.map` would take for itself.
_TAKEN = frozenset({"self", "upstream", "func", "stream_name"})


_Checks: TypeAlias = "weakref.WeakKeyDictionary[Stream[Any], list[Callable[[Any], Any]]]"


class Example:
    """What is known of the elements of a collection: an example, or how to make one.

    As long as one of the examples *of* others that it is made from is not known, it is not either.
    The *kind* is the library that elements come from and go back to, if that is not pandas.
    """

    def __init__(
        self,
        value: Any = None,
        make: Callable[..., Any] | None = None,
        of: Sequence[Example] = (),
        kind: str | None = None,
    ) -> None:
        self.value: Any = value
        self._make, self._of = make, list(of)
        self.kind: str | None = kind or next((one.kind for one in of if one.kind), None)
        self._asked: _Checks | None = None

    def ask(self, check: Callable[[Any], Any], node: Stream[Any]) -> None:
        """As long as it is not known, let *check* refuse elements that *node* could not take."""
        if self.value is None:
            self._asked = weakref.WeakKeyDictionary() if self._asked is None else self._asked
            self._asked.setdefault(node, []).append(check)

    def check(self, value: Any) -> None:
        """Refuse an example that one of the nodes could not take which are still there."""
        for checks in list((self._asked or {}).values()):
            for check in checks:
                check(value)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_asked": None}  # nodes stay where they are

    def take(self, value: Any) -> None:
        """Know an example from now on."""
        self.value, self._asked = value, None

    def get(self) -> Any:
        """The example; None as long as it is not known."""
        if self.value is None and (make := self._make) is not None:
            known = [one.get() for one in self._of]
            if all(value is not None for value in known):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)  # an example may be empty
                    made = make(*(copy.copy(value) for value in known))  # it may change them
                self.value = None if made is SKIP else made
                self._make, self._of, self._asked = None, [], None
        return self.value


class Call:
    """A function and its arguments, but for some that come later, in one tuple."""

    def __init__(
        self,
        func: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        left_out: type,
        own: bool = False,
    ) -> None:
        self.func = Own(func) if own else func
        self._places = [i for i, arg in enumerate(args) if isinstance(arg, left_out)]
        self._names = [name for name, arg in kwargs.items() if isinstance(arg, left_out)]
        self._args = [None if i in self._places else arg for i, arg in enumerate(args)]
        self._kwargs = {name: arg for name, arg in kwargs.items() if name not in self._names}
        self.__name__ = short_name(func)

    def on(self, *values: Any) -> Any:
        """Call the function with *values* where arguments were left out."""
        args, kwargs, rest = self._args.copy(), self._kwargs, iter(values)
        for place in self._places:
            args[place] = next(rest)
        if self._names:
            kwargs = {**kwargs, **dict(zip(self._names, rest, strict=True))}
        return self.func(*args, **kwargs)

    def __call__(self, values: tuple[Any, ...]) -> Any:
        return self.on(*values)

    def map(self, stream: Stream[Any]) -> Stream[Any]:
        """Return the stream of results for one argument, which comes from *stream*."""
        if self._places == [0] and _TAKEN.isdisjoint(self._kwargs):
            return stream.map(self.func, *self._args[1:], **self._kwargs)
        return stream.map(Alone(self))


class Own:
    """Calls a function with frames of its own, which it may write into.

    Others have the same frame: the branches beside, and who emitted it.
    """

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func
        self.__name__ = short_name(func)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        named = {name: _own(arg) for name, arg in kwargs.items()} if kwargs else kwargs
        return self._func(*map(_own, args), **named)


def _own(x: Any) -> Any:
    """A frame that shares no change with *x*; pandas copies what is written into from 3.0 on."""
    if not (hasattr(x, "iloc") and hasattr(x, "copy")):
        return x
    return x.copy(deep=not _copies_on_write())


@functools.cache
def _copies_on_write() -> bool:
    version = str(importlib.import_module("pandas").__version__)
    return int(version.split(".")[0]) >= 3


class Alone:
    """A `Call` of which one argument was left out; that is the element."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.__name__ = call.__name__

    def __call__(self, x: Any) -> Any:
        return self._call.on(x)


class Fold:
    """A function of a state and an element, and what it gets besides."""

    def __init__(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        self._func, self._args, self._kwargs = func, args, kwargs
        self.__name__ = short_name(func)

    def __call__(self, state: Any, x: Any) -> Any:
        return self._func(state, x, *self._args, **self._kwargs)


class FoldedExample:
    """Makes the example of what an accumulation emits from one of what it gets."""

    def __init__(
        self, fold: Callable[[Any, Any], Any], start: Any, returns_state: bool, with_state: bool
    ) -> None:
        self._fold, self._start = fold, start
        self._returns_state, self._with_state = returns_state, with_state

    def __call__(self, example: Any) -> Any:
        if self._start is no_default:
            state = result = example
        else:
            result = self._fold(_copied(self._start), example)
            state, result = result if self._returns_state else (result, result)
        return (state, result) if self._with_state else result


def _copied(start: Any) -> Any:
    """A copy of *start*, which the function may change; itself if it cannot be copied."""
    try:
        return copy.deepcopy(start)
    except Exception:
        return start


class Method:
    """Calls a method of what it gets first."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, self.__name__)(*args, **kwargs)


# --- names from before ------------------------------------------------------------------------


def partial_by_order(*args: Any, **kwargs: Any) -> Any:
    """Call a function with arguments, and others at their positions among them.

    >>> from operator import sub
    >>> partial_by_order(5, function=sub, other=[(1, 10)])
    -5
    """
    function: Callable[..., Any] = kwargs.pop("function")
    others: Iterable[tuple[int, Any]] = kwargs.pop("other")
    filled = list(args)
    for position, value in others:
        filled.insert(position, value)
    return function(*filled, **kwargs)


def apply_args(args: Iterable[Any], func: Callable[..., Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a function with the items of *args*, and *kwargs*.

    >>> apply_args((2, 10), pow, {})
    1024
    """
    return func(*args, **kwargs)
