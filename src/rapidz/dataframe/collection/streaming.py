"""Streaming: a stream whose elements are parts of one large collection."""

from __future__ import annotations

import functools
import html
import importlib
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from rapidz.dataframe.collection.alignment import together
from rapidz.dataframe.collection.calls import (
    Call,
    Example,
    Fold,
    FoldedExample,
    apply_args,
    partial_by_order,
)
from rapidz.dataframe.collection.column_access import stream_hint
from rapidz.dataframe.collection.elements import Like, Verify, like, taken, whole
from rapidz.dataframe.collection.operators import OperatorMixin
from rapidz.dataframe.collection.recompute import in_process
from rapidz.kernel.graph.registry import APIRegisterMixin
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.protocol.push import no_default
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = [
    "OperatorMixin",
    "Streaming",
    "apply_args",
    "get_stream_type",
    "map_partitions",
    "partial_by_order",
    "stream_type",
]

#: Says whether an example is of a kind: a predicate, or the classes of it.
Kind: TypeAlias = "Callable[[Any], bool] | tuple[type, ...]"

_stream_types: defaultdict[str, list[tuple[Kind, type[Streaming]]]] = defaultdict(list)
"""By ``"streaming"`` and ``"updating"``: which class is for which kind of element."""

#: What Python's operators do gives a collection of the same class, if nothing tells better.
_OPERATOR_MODULES = ("_operator", OperatorMixin.__module__)

_whole: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()
"""Streams whose elements need no more verification: what the collections here have made."""


def get_stream_type(example: Any, stream_type: str = "streaming") -> type[Streaming] | None:
    """Return the class of collection for elements like *example*; None if there is no special one.

    >>> get_stream_type([1, 2])
    <class 'rapidz.dataframe.frames.batch.Batch'>
    """
    importlib.import_module("rapidz.dataframe.frames.batch")
    if sys.modules.get("pandas") is not None:  # else the example cannot be a frame
        importlib.import_module("rapidz.dataframe.frames.dataframe")
    for kind, cls in _stream_types[_checked_type(stream_type)]:
        if isinstance(example, kind) if isinstance(kind, tuple) else kind(example):
            return cls
    return None


stream_type = get_stream_type
"""The name it had in rapidz 0.2."""


def _checked_type(stream_type: object) -> str:
    if stream_type not in ("streaming", "updating"):
        raise ValueError(
            f"Streaming: stream_type must be 'streaming' or 'updating', "
            f"got {short_repr(stream_type)}"
        )
    return str(stream_type)


class _MapPartitions:
    """`map_partitions` as a method: of the collection, unless another one is among the arguments.

    ``sdf.map_partitions(f, sdf.x)`` has always been a call of the function with these arguments
    only.
    """

    def __get__(self, instance: Streaming | None, owner: type) -> Callable[..., Any]:
        if instance is None:
            return map_partitions

        @functools.wraps(map_partitions)
        def method(func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            if not any(isinstance(arg, Streaming) for arg in (*args, *kwargs.values())):
                args = (instance, *args)
            return map_partitions(func, *args, **kwargs)

        return method


class Streaming(OperatorMixin, APIRegisterMixin):
    """A collection that comes in parts, along a stream.

    What is done to the collection is done to every part.  The parts are like the *example*: it
    tells, before the first one comes, what a function will return and so which methods the result
    has.

    Parameters
    ----------
    stream : Stream, optional
        Where the parts come from; a stream of its own by default, see `emit`.
    example : object, optional
        A part, as small as you like, or a callable that returns one.  It is taken from the first
        part that comes if it is not given.
    stream_type : "streaming" or "updating", optional
        Whether the parts add up to the collection, or each is all of it anew.

    >>> numbers = Streaming(example=0)
    >>> shown = (numbers * 2 + 1).stream.sink(print)
    >>> numbers.emit(20)
    41
    """

    _subtype: Any = (object,)
    _stream_type: str = "streaming"
    _conform: ClassVar[Any] = None
    """Checks an element against the example and returns it, put right; picklable."""

    map_partitions = _MapPartitions()

    def __init__(self, stream: Any = None, example: Any = None, stream_type: Any = None) -> None:
        name = type(self).__name__
        kind: str | None = None
        if isinstance(stream, Streaming):
            example = stream._example.value if example is None else example
            stream, kind = stream._inner, stream._example.kind
        if not isinstance(stream, Stream):
            if stream is not None:
                raise TypeError(f"{name}: stream must be a Stream, got {short_repr(stream)}")
            stream = Stream()
        if stream_type is not None:
            self._stream_type = _checked_type(stream_type)
        example = example() if callable(example) else example
        if example is not None:
            example, own = self._admitted(example)
            kind = kind or own
            self._check_example(example)
        self._knows(Example(example, kind=kind))
        self._entry: Stream[Any] = stream
        """Where `emit` puts elements in."""
        self._outer: Stream[Any] | None = None
        self._deferred: Stream[Any] | None = None
        """Where elements become frames of pandas on demand: their stream; see `Deferred`."""
        self._checks: Verify | None = None
        self._worked: Stream[Any] | None = self._verified(stream)
        self._worked._unused = False  # an expression of frames may well go unused
        if self._worked is not stream:
            self._worked._warns_if_unused = False
        if self._checks is not None and self._checks.defers:
            self._deferred, self._worked = self._worked, None

    @property
    def _inner(self) -> Stream[Any]:
        """What the work is done on: frames of pandas, of whatever kind they were."""
        if self._worked is None:
            assert self._deferred is not None
            self._worked = self._deferred.map(whole)
            _whole.add(self._worked)
        return self._worked

    def _given_to(self, func: Callable[..., Any]) -> Stream[Any]:
        """The stream of what *func* gets: deferred frames, if that is all the same to it."""
        if self._deferred is not None and getattr(func, "takes_deferred", False):
            return self._deferred
        return self._inner

    @classmethod
    def look_for_plugins(cls) -> bool:
        """Plug-ins are nodes: they become methods of `Stream`, and not of collections."""
        return False

    def _knows(self, example: Example) -> None:
        self._example = self._coming = example
        """What the elements are like, and what those are like that `emit` puts in."""

    @property
    def stream(self) -> Stream[Any]:
        """The stream of the elements."""
        if self._example.kind is None:
            return self._inner
        if self._outer is None:
            self._outer = self._inner.map(Like(self._example.kind, self._example.get()))
        return self._outer

    @stream.setter
    def stream(self, stream: Stream[Any]) -> None:
        self._worked, self._deferred, self._outer = stream, None, None

    @staticmethod
    def _admitted(example: Any) -> tuple[Any, str | None]:
        """The example as it is worked with, and the library it is of if that is another one."""
        return example, None

    def _check_example(self, example: Any) -> None:
        """Refuse an example of the wrong kind."""

    def _verified(self, stream: Stream[Any]) -> Stream[Any]:
        """The stream below the one given, of elements that are as they must be."""
        if self._conform is None or stream in _whole:
            return stream
        if self._example.value is None and not in_process(stream):
            raise ValueError(
                f"{type(self).__name__}: example must be given where elements are elsewhere, "
                "got None"
            )
        self._checks = Verify(
            self._conform, self._example, type(self).__name__, self._may_defer(stream)
        )
        verified = stream.map(self._checks)
        _whole.add(verified)
        return verified

    def _may_defer(self, stream: Stream[Any]) -> bool:
        """Whether elements can become frames of pandas column by column."""
        return False

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = stream_hint(name)
            said = f"{type(self).__name__} has no attribute {name!r}"
            raise AttributeError(f"{said}: {hint}" if hint else said)

    # --- elements -----------------------------------------------------------------------

    @property
    def example(self) -> Any:
        """An element, or what one will be like; ValueError as long as that is not known."""
        return like(self._example.kind, self._worked_with())

    @example.setter
    def example(self, value: Any) -> None:
        value, kind = self._admitted(value)
        self._knows(Example(value, kind=kind))

    def _worked_with(self) -> Any:
        """The example as functions get it."""
        example = self._example.get()
        if example is None:
            raise ValueError(
                f"{type(self).__name__}: example must be given for that, or wait until the first "
                "element has come"
            )
        return example

    def verify(self, x: Any) -> None:
        """Raise TypeError or ValueError if *x* is not as the example is."""
        if not isinstance(x, self._subtype):
            raise TypeError(
                f"{type(self).__name__}: element must be of type {_named(self._subtype)}, "
                f"got {type(x).__name__}"
            )

    def emit(self, x: Any, asynchronous: bool = False, metadata: Any = None) -> Any:
        """Verify *x*, and put it in where the elements of this collection come from.

        Returns what `Stream.emit` does: an awaitable in an asynchronous pipeline.
        """
        self.verify(x)
        if self._conform is not None and self._entry in _whole:  # nobody checks it down there
            x = self._conform(self._taken(x), self._coming.get())
        return self._entry.emit(x, asynchronous=asynchronous, metadata=metadata)

    def _taken(self, x: Any) -> Any:
        """An element as it is worked with."""
        return taken(type(self).__name__, self._coming.kind, x)

    def start(self) -> None:
        """Start the sources above."""
        self._inner.start()

    def stop(self) -> None:
        """Stop the sources above."""
        self._inner.stop()

    @property
    def current_value(self) -> Any:
        """The last element, from the first time this is asked for; None before."""
        return self.stream.current_value

    # --- what is done to every part ---------------------------------------------------

    def accumulate_partitions(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Fold every part into a state, and emit it.

        Parameters
        ----------
        func : callable
            ``func(state, part, *args, **kwargs)`` returns the new state.
        *args, **kwargs
            Given to the function after these.
        start : object, optional
            The state before the first part; the first part itself if it is not given.
        returns_state : bool
            *func* returns ``(state, result)``, and the result is emitted.
        with_state : bool
            Emit ``(state, result)``.
        stream_type, example : optional
            As in `Streaming`, for what is returned.

        >>> numbers = Streaming(example=0)
        >>> shown = numbers.accumulate_partitions(max, start=0).stream.sink(print)
        >>> numbers.emit(3)
        3
        >>> numbers.emit(2)
        3
        """
        check_callable("accumulate_partitions", "func", func)
        start, example = kwargs.pop("start", no_default), kwargs.pop("example", None)
        kind = kwargs.pop("stream_type", self._stream_type)
        hint = kwargs.pop("_kind", None)  # the class if the example is not known yet
        states = {name: kwargs.pop(name, False) for name in ("returns_state", "with_state")}
        fold = Fold(func, args, kwargs) if args or kwargs else func
        stream = self._inner.accumulate(fold, start=start, **states)
        known = Example(example, FoldedExample(fold, start, **states), [self._example])
        if states["with_state"]:
            hint = Streaming  # pairs are no batches
        elif known.get() is not None:
            hint = None
        return _made(stream, known, kind, hint)

    # --- looking at it -----------------------------------------------------------------

    def __repr__(self) -> str:
        return f"{type(self).__name__} - elements like:\n{self._head()}"

    def _head(self) -> Any:
        example = self._example.get()
        if example is None:
            return "not known yet"
        example = example.head(2) if hasattr(example, "head") else example
        return like(self._example.kind, example)

    def _repr_html_(self) -> str:
        head = self._head()
        make = getattr(head, "_repr_html_", None)
        body = f"<pre>{html.escape(str(head))}</pre>" if make is None else make()
        return f"<h5>{type(self).__name__} - elements like</h5>\n{body}"

    def _ipython_display_(self, **kwargs: Any) -> None:
        """Show what the elements are like; to show a collection changes nothing in it."""
        try:
            display = importlib.import_module("IPython.display").display
        except ImportError:
            print(repr(self))
            return
        shown = {"text/plain": repr(self), "text/html": self._repr_html_()}
        display(shown, raw=True, **kwargs)

    def __iter__(self) -> Any:
        raise TypeError(
            f"{type(self).__name__} has no end: it cannot be iterated over; "
            "attach a sink, e.g. collection.stream.sink_to_list()"
        )


def _named(types: Any) -> str:
    kinds = types if isinstance(types, tuple) else (types,)
    return " or ".join(kind.__name__ for kind in kinds)


def _made(
    stream: Stream[Any], known: Example, stream_type: str, cls: type[Streaming] | None = None
) -> Any:
    """Return a collection for what one of ours gives."""
    _whole.add(stream)
    example = known.get()
    if cls is None and example is not None:
        cls = get_stream_type(example, stream_type)
    cls = Streaming if cls is None else cls
    made: Streaming = Streaming.__new__(cls)
    if example is None or cls is Streaming:
        Streaming.__init__(made, stream, None, stream_type)
        made._knows(known)
    else:
        made = cls(stream, example)
        made._example.kind = known.kind
    return made


# --- functions of several collections -------------------------------------------------------


def map_partitions(func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function with every part of the collections among the arguments.

    With several collections it is called with what came of the same element of the stream that
    they all derive from, or else with the n-th part of each.

    Parameters
    ----------
    func : callable
        Called with the parts in place of the collections.  What it makes of the examples says
        which class of collection is returned.
    *args, **kwargs
        At least one `Streaming` among them.
    example : object, optional
        What the function returns, if it is not to be called to find out.

    >>> a = Streaming(example=1)
    >>> shown = map_partitions(divmod, a * 10, a + 1).stream.sink(print)
    >>> a.emit(2)
    (6, 2)
    """
    check_callable("map_partitions", "func", func)
    kind = kwargs.pop("_kind", None)  # the class if the example is not known yet
    given = kwargs.pop("example", None)
    call = Call(func, args, kwargs, Streaming, own=not (_is_operator(func) or _is_ours(func)))
    collections = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, Streaming)]
    if not collections:
        raise TypeError(
            f"map_partitions: args must include a Streaming collection, got {short_repr(args)}"
        )
    known = Example(given, call.on, [one._example for one in collections])
    stream_type = _type_of(func, collections)
    if known.get() is not None:
        kind = None
    elif kind is None and _is_operator(func):
        kind = type(next(one for one in collections if one._stream_type == stream_type))
    streams = [one._given_to(func) for one in collections]
    stream = call.map(streams[0]) if len(streams) == 1 else together(streams).map(call)
    return _made(stream, known, stream_type, kind)


def _type_of(func: Callable[..., Any], collections: Sequence[Streaming]) -> str:
    """Return the stream type of a result: of rows where an operator has rows and an aggregate."""
    types = [one._stream_type for one in collections]
    rows = "streaming" in types and _is_operator(func)
    return "streaming" if rows else types[0]


def _is_ours(func: Callable[..., Any]) -> bool:
    """Return whether a function is of this package, which writes into no frame."""
    module = getattr(func, "__module__", None) or type(func).__module__
    return module.partition(".")[0] == "rapidz"


def _is_operator(func: Callable[..., Any]) -> bool:
    return getattr(func, "__module__", "") in _OPERATOR_MODULES or type(func).__name__ == "ufunc"
