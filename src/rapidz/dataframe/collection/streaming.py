"""Streaming: a collection that arrives in parts, along a stream."""

from __future__ import annotations

import functools
import importlib
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rapidz.dataframe.collection.class_registry import (
    checked_stream_type,
    get_stream_type,
    stream_type,
)
from rapidz.dataframe.collection.display import DisplayMixin
from rapidz.dataframe.collection.errors import stream_hint
from rapidz.dataframe.collection.example import Example, accumulated_example
from rapidz.dataframe.collection.nodes import accumulate_node, map_node
from rapidz.dataframe.collection.operators import OperatorMixin
from rapidz.dataframe.collection.partials import (
    FoldCall,
    PartialCall,
    apply_args,
    partial_by_order,
)
from rapidz.dataframe.collection.zip_by_element import align_by_element
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

#: A result of Python's operators has the class of its operand while no example is known.
_OPERATOR_MODULES = ("_operator", OperatorMixin.__module__)

_verified_streams: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()
"""Streams whose elements need no verification, since collections have made them."""


def _validation() -> Any:
    """Return the module that validates and converts frames, which imports pandas."""
    return importlib.import_module("rapidz.dataframe.collection.validation")


class _MapPartitions:
    """Descriptor: `map_partitions` as a method, of the collection unless another one is given.

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


class Streaming(OperatorMixin, DisplayMixin, APIRegisterMixin):
    """A collection that arrives in parts, along a stream.

    Operations on the collection are applied to every part.  The parts are like the *example*, from
    which the library infers, before the first part arrives, what a function will return and so
    which methods the result has.

    Parameters
    ----------
    stream : Stream, optional
        The stream of the parts; a stream of its own by default, see `emit`.
    example : object, optional
        A part, as small as you like, or a callable that returns one.  If it is not given, the
        first part becomes the example.
    stream_type : "streaming" or "updating", optional
        Whether the parts add up to the collection, or each part replaces all before it.

    >>> numbers = Streaming(example=0)
    >>> shown = (numbers * 2 + 1).stream.sink(print)
    >>> numbers.emit(20)
    41
    """

    _subtype: Any = (object,)
    _stream_type: str = "streaming"
    _conform: ClassVar[Any] = None
    """Checks an element against the example and returns it, corrected; picklable."""

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
            self._stream_type = checked_stream_type(stream_type)
        example = example() if callable(example) else example
        if example is not None:
            example, own = self._read_example(example)
            kind = kind or own
            self._check_example(example)
        self._set_example(Example(example, kind=kind))
        self._entry_node: Stream[Any] = stream
        """The node that `emit` enters elements at."""
        self._outer: Stream[Any] | None = None
        self._deferred: Stream[Any] | None = None
        """The stream of elements that become frames of pandas on demand; see `Deferred`."""
        self._verifier: Any = None
        self._eager: Stream[Any] | None = self._verified(stream)
        self._eager._unused = False  # expressions of frames often go unused
        if self._eager is not stream:
            self._eager._warns_if_unused = False
        if self._verifier is not None and self._verifier.defers:
            self._deferred, self._eager = self._eager, None

    @property
    def _inner(self) -> Stream[Any]:
        """The stream of the elements as pandas has them, whatever library they are of."""
        if self._eager is None:
            assert self._deferred is not None
            self._eager = map_node(self._deferred, _validation().whole)
            _verified_streams.add(self._eager)
        return self._eager

    def _input_of(self, func: Callable[..., Any]) -> Stream[Any]:
        """Return the stream of what *func* gets: deferred frames, if it takes these."""
        if self._deferred is not None and getattr(func, "takes_deferred", False):
            return self._deferred
        return self._inner

    @classmethod
    def look_for_plugins(cls) -> bool:
        """Return False: plug-ins are nodes, which become methods of `Stream` alone."""
        return False

    def _set_example(self, example: Example) -> None:
        self._example = self._input_example = example
        """The example of the elements, and of those that `emit` takes."""

    @property
    def stream(self) -> Stream[Any]:
        """The stream of the elements."""
        if self._example.kind is None:
            return self._inner
        if self._outer is None:
            convert = _validation().OutputConversion(self._example.kind, self._example.get())
            self._outer = map_node(self._inner, convert)
        return self._outer

    @stream.setter
    def stream(self, stream: Stream[Any]) -> None:
        self._eager, self._deferred, self._outer = stream, None, None

    @staticmethod
    def _read_example(example: Any) -> tuple[Any, str | None]:
        """Return the example as pandas has it, and its library if that is another one."""
        return example, None

    def _check_example(self, example: Any) -> None:
        """Refuse an example of the wrong kind."""

    def _verified(self, stream: Stream[Any]) -> Stream[Any]:
        """Return the stream of the elements once they are verified."""
        if self._conform is None or stream in _verified_streams:
            return stream
        if self._example.value is None and stream._remote:
            raise ValueError(
                f"{type(self).__name__}: example must be given where elements are on workers, "
                "got None"
            )
        self._verifier = _validation().Verifier(
            self._conform, self._example, type(self).__name__, self._may_defer(stream)
        )
        verified = map_node(stream, self._verifier)
        _verified_streams.add(verified)
        return verified

    def _may_defer(self, stream: Stream[Any]) -> bool:
        """Return whether elements can become frames of pandas column by column."""
        return False

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = stream_hint(name)
            said = f"{type(self).__name__} has no attribute {name!r}"
            raise AttributeError(f"{said}: {hint}" if hint else said)

    # --- elements -----------------------------------------------------------------------

    @property
    def example(self) -> Any:
        """An element, or what one will be like; ValueError as long as none is known."""
        return self._converted(self._known_example())

    @example.setter
    def example(self, value: Any) -> None:
        value, kind = self._read_example(value)
        self._set_example(Example(value, kind=kind))

    def _converted(self, x: Any) -> Any:
        """Return what pandas made in the library of the elements."""
        kind = self._example.kind
        return x if kind is None else _validation().like(kind, x)

    def _known_example(self) -> Any:
        """Return the example as functions get it; ValueError as long as none is known."""
        example = self._example.get()
        if example is None:
            raise ValueError(
                f"{type(self).__name__}: example must be given for that, or wait until the first "
                "element has arrived"
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
        """Verify *x*, and emit it at the node where the elements of this collection enter.

        Returns what `Stream.emit` does: an awaitable in an asynchronous pipeline.
        """
        self.verify(x)
        if self._conform is not None and self._entry_node in _verified_streams:
            # no verifier is downstream
            x = self._conform(self._to_pandas(x), self._input_example.get())
        return self._entry_node.emit(x, asynchronous=asynchronous, metadata=metadata)

    def _to_pandas(self, x: Any) -> Any:
        """Return an element as pandas has it."""
        kind = self._input_example.kind
        return x if kind is None else _validation().to_pandas_checked(type(self).__name__, kind, x)

    def start(self) -> None:
        """Start the sources upstream."""
        self._inner.start()

    def stop(self) -> None:
        """Stop the sources upstream."""
        self._inner.stop()

    @property
    def current_value(self) -> Any:
        """The last element, recorded from the first access on; None before."""
        return self.stream.current_value

    # --- operations on every part -------------------------------------------------------

    def accumulate_partitions(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Fold every part into a state, and emit the state.

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
            As in `Streaming`, for the collection that is returned.

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
        fold = FoldCall(func, args, kwargs) if args or kwargs else func
        stream = accumulate_node(self._inner, fold, start=start, **states)
        infer = functools.partial(accumulated_example, fold, start, **states)
        known = Example(example, infer, [self._example])
        if states["with_state"]:
            hint = Streaming  # pairs are no batches
        elif known.get() is not None:
            hint = None
        return make_collection(stream, known, kind, hint)


def _named(types: Any) -> str:
    kinds = types if isinstance(types, tuple) else (types,)
    return " or ".join(kind.__name__ for kind in kinds)


def make_collection(
    stream: Stream[Any], known: Example, stream_type: str, cls: type[Streaming] | None = None
) -> Any:
    """Return the collection of the elements of *stream*, made by another collection.

    The class is *cls* as long as the example is unknown; it decides otherwise.
    """
    _verified_streams.add(stream)
    example = known.get()
    if cls is None and example is not None:
        cls = get_stream_type(example, stream_type)
    cls = Streaming if cls is None else cls
    made: Streaming = Streaming.__new__(cls)
    if example is None or cls is Streaming:
        Streaming.__init__(made, stream, None, stream_type)
        made._set_example(known)
    else:
        made = cls(stream, example)
        made._example.kind = known.kind
    return made


def map_partitions(func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function with every part of the collections among the arguments.

    With several collections it is called with the parts that derive from the same element of
    their common stream, or else with the n-th part of each.

    Parameters
    ----------
    func : callable
        Called with the parts in place of the collections.  What it returns for the examples
        decides the class of the collection that is returned.
    *args, **kwargs
        At least one `Streaming` among them.
    example : object, optional
        What the function returns; otherwise it is called to find out.

    >>> a = Streaming(example=1)
    >>> shown = map_partitions(divmod, a * 10, a + 1).stream.sink(print)
    >>> a.emit(2)
    (6, 2)
    """
    check_callable("map_partitions", "func", func)
    kind = kwargs.pop("_kind", None)  # the class if the example is not known yet
    given = kwargs.pop("example", None)
    copies = not (_is_operator(func) or _is_of_rapidz(func))
    call = PartialCall(func, args, kwargs, Streaming, copies)
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
    streams = [one._input_of(func) for one in collections]
    stream = call.map(streams[0]) if len(streams) == 1 else align_by_element(streams).map(call)
    return make_collection(stream, known, stream_type, kind)


def _type_of(func: Callable[..., Any], collections: Sequence[Streaming]) -> str:
    """Return the stream type of a result: of rows where an operator has rows and an aggregate."""
    types = [one._stream_type for one in collections]
    rows = "streaming" in types and _is_operator(func)
    return "streaming" if rows else types[0]


def _is_of_rapidz(func: Any) -> bool:
    """Return whether a function is of this library, which writes into no frame."""
    while isinstance(func, functools.partial):
        func = func.func
    module = getattr(func, "__module__", None) or type(func).__module__
    return module.partition(".")[0] == "rapidz"


def _is_operator(func: Callable[..., Any]) -> bool:
    return getattr(func, "__module__", "") in _OPERATOR_MODULES or type(func).__name__ == "ufunc"
