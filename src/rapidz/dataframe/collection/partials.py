"""Partial functions: calls that get the elements later, and functions of a single frame.

All of them can be pickled, for they travel to where the elements are. pandas is imported by none
before it is called.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType
from typing import Any

from rapidz.dataframe.collection.errors import NoColumnError
from rapidz.dataframe.collection.nodes import map_node
from rapidz.kernel.graph.engine_node import short_name
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

# --- calls of functions -----------------------------------------------------------------------

#: Keywords that `map` would take for itself.
_TAKEN = frozenset({"self", "upstream", "func", "stream_name"})


class PartialCall:
    """A function and its arguments, without some that come later, in one tuple.

    Parameters
    ----------
    func : callable
        The function.
    args, kwargs
        Its arguments.
    left_out : class
        Arguments of this class are left out.
    copies : bool
        Whether the function gets frames of its own, which it may write into: other branches, and
        the caller of `emit`, have the same frame.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        left_out: type,
        copies: bool = False,
    ) -> None:
        self.func, self._copies = func, copies
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
        if self._copies:
            args, kwargs = [*map(_own, args)], {name: _own(arg) for name, arg in kwargs.items()}
        return self.func(*args, **kwargs)

    def __call__(self, values: tuple[Any, ...]) -> Any:
        return self.on(*values)

    def map(self, stream: Stream[Any]) -> Stream[Any]:
        """Return the stream of results for one argument, which comes from *stream*."""
        if self._places == [0] and not self._copies and _TAKEN.isdisjoint(self._kwargs):
            return map_node(stream, self.func, *self._args[1:], **self._kwargs)
        return map_node(stream, named_partial(self.__name__, self.on))


class FoldCall:
    """A function of a state and an element, with further arguments."""

    def __init__(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        self._func, self._args, self._kwargs = func, args, kwargs
        self.__name__ = short_name(func)

    def __call__(self, state: Any, x: Any) -> Any:
        return self._func(state, x, *self._args, **self._kwargs)


def named_partial(name: str, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return a `functools.partial` that goes by *name* in drawings and messages."""
    partial: Any = functools.partial(func, *args, **kwargs)
    partial.__name__ = name
    return partial


def method_call(name: str) -> Any:
    """Return a function that calls the method *name* of its first argument.

    >>> method_call("upper")("a")
    'A'
    """
    return named_partial(name, _call_method, name)


def _call_method(name: str, x: Any, /, *args: Any, **kwargs: Any) -> Any:
    return getattr(x, name)(*args, **kwargs)


def _own(x: Any) -> Any:
    """Return a frame that shares no change with *x*; from 3.0 on pandas copies on write."""
    if not (hasattr(x, "iloc") and hasattr(x, "copy")):
        return x
    return x.copy(deep=not _copies_on_write())


@functools.cache
def _copies_on_write() -> bool:
    version = str(importlib.import_module("pandas").__version__)
    return int(version.split(".")[0]) >= 3


def as_tuple(*values: Any) -> tuple[Any, ...]:
    """Return the arguments."""
    return values


# --- functions of a frame ---------------------------------------------------------------------


def selected(frame: Any, index: Any) -> Any:
    """Return columns of *frame*, or rows.

    >>> import pandas as pd
    >>> selected(pd.DataFrame({"x": [1], "y": [2]}), "z")
    Traceback (most recent call last):
    ...
    rapidz...NoColumnError: getitem: index must name columns of ['x', 'y'], got 'z'
    """
    try:
        return frame[index]
    except KeyError:
        if isinstance(index, slice):
            raise  # that is about rows
        raise _no_columns("getitem: index", frame, index) from None


selected.takes_deferred = True  # type: ignore[attr-defined]  # see `rapidz.dataframe.interop.deferred`


def largest(frame: Any, n: int, *args: Any, **kwargs: Any) -> Any:
    """Return the *n* largest rows of *frame*, which may be a series."""
    try:
        return frame.nlargest(n, *args, **kwargs)
    except KeyError:
        columns = args[0] if args else kwargs.get("columns")
        raise _no_columns("nlargest: columns", frame, columns) from None


def _no_columns(argument: str, frame: Any, got: Any) -> NoColumnError:
    return NoColumnError(
        f"{argument} must name columns of {short_repr(list(frame))}, got {short_repr(got)}"
    )


def with_column(frame: Any, key: Any, value: Any) -> Any:
    """Return *frame* with one column added or replaced."""
    frame = frame.copy(deep=False)
    frame[key] = _as_long(frame, value)
    return frame


def assigned(frame: Any, names: tuple[str, ...], *values: Any) -> Any:
    """Return *frame* with columns added or replaced."""
    values = tuple(_as_long(frame, value) for value in values)
    return frame.assign(**dict(zip(names, values, strict=True)))


def _as_long(frame: Any, value: Any) -> Any:
    """Return *value* without rows if *frame* has none: pandas would add those of a series."""
    return value.iloc[:0] if not len(frame) and hasattr(value, "iloc") else value


def frame_of_columns(names: tuple[Any, ...], *values: Any) -> Any:
    """Return a frame of columns."""
    return importlib.import_module("pandas").DataFrame(dict(zip(names, values, strict=True)))


def accumulate_size(accumulator: int, new: Any) -> int:
    """Add the number of values of a batch."""
    return accumulator + int(new.size)


def names_in_expression(expr: str, frame: FrameType) -> dict[str, Any]:
    """Return the values of the names with an ``@`` in *expr*, as the Python *frame* knows them.

    pandas complains about a name that is unknown there.
    """
    known = {**frame.f_globals, **frame.f_locals}
    return {name: known[name] for name in re.findall(r"@(\w+)", expr) if name in known}


def cumulate(state: Any, new: Any, how: str) -> tuple[Any, Any]:
    """Continue a cumulative function; the first batch says which columns the state has."""
    if state is None:
        incremental: Any = importlib.import_module("rapidz.dataframe.incremental")
        state = incremental.CumulativeState(new.iloc[:0], how)
    return state, state.update(new)


def with_index_as_column(frame: Any) -> Any:
    """Return what `reset_index` gives, with the index kept as well."""
    return frame.reset_index().set_axis(frame.index)


def renumbered(frame: Any) -> Any:
    """Return *frame* with rows numbered from 0."""
    return frame.reset_index(drop=True)


# --- names of rapidz 0.2 ----------------------------------------------------------------------


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
