"""Operators with one input that emit other elements than they receive."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar

from rapidz.kernel.compile.async_steps import await_each, push_each
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.function_node import FunctionNode
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute, LiveKwargs
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.protocol.push import SKIP, Pending, Push, no_default
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.protocol.signatures import check_arguments
from rapidz.kernel.runtime.awaitables import look_at_first, may_return_coroutine
from rapidz.kernel.runtime.loop import is_async


def _look_at_first(node: map[Any] | accumulate[Any], code: Code) -> None:
    """Generate a check that the first result is no coroutine, if it could be one."""
    if may_return_coroutine(node.func):
        check = code.bind("check", look_at_first(type(node).__name__, "func"))
        code.line(f"if {check}: {check}[0](x)")


def _nest_unless_skipped(node: map[Any] | accumulate[Any], code: Code, result: str = "x") -> None:
    """Write that the rest is done unless *result* is `SKIP`."""
    if (skipped := node._skip_reporter()) is not None:
        code.line(f"if {result} is SKIP: {code.bind('skipped', skipped)}()")
    code.nest(f"{result} is not SKIP")


@Stream.register_api()
class map(FunctionNode[T]):
    """Apply a function to every element.

    Emits the result of the function, unless that is `SKIP`.  Applies back
    pressure when downstream does, and while an ``async def`` function runs; its
    coroutines are awaited one after the other.

    Parameters
    ----------
    func : callable
        Called with the element.  May be ``async def``.
    *args, **kwargs
        Passed to the function after the element.

    >>> source = Stream()
    >>> node = source.map(round, 1).sink(print)
    >>> source.emit(2.345)
    2.3
    """

    _emits_one_for_one: ClassVar[bool] = True

    def __init__(
        self,
        upstream: Stream[Any],
        func: Callable[..., Any],
        *args: Any,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._configure(func, args, kwargs)
        super().__init__(upstream, stream_name=stream_name, ensure_io_loop=is_async(func))

    def inline(self, code: Code, port: int = 0) -> None:
        code.line(f"x = {self._inline_call(code)}")
        _look_at_first(self, code)
        _nest_unless_skipped(self, code)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._can_inline():
            return self._compile_inline(push, port)
        outlet = self._outlet
        return await_each(self, self._call(), lambda _, y: None if y is SKIP else outlet.send(y))


@Stream.register_api()
class starmap(map[T]):
    """Apply a function to every element, with its items as arguments.

    Emits, applies back pressure and awaits as `map` does.

    Parameters
    ----------
    func : callable
        Called with the items of the element.  May be ``async def``.
    *args, **kwargs
        Passed to the function after these.

    >>> source = Stream()
    >>> node = source.starmap(pow).sink(print)
    >>> source.emit((2, 10))
    1024
    """

    _unpacks_elements: ClassVar[bool] = True


@Stream.register_api()
@Stream.register_api(attribute_name="scan")
class accumulate(Stream[T]):
    """Fold every element into a running state, and emit the state.

    Emits the new state for every element; without *start* the first element is
    the initial state, and is emitted as it is.  A result of `SKIP` is not
    emitted and does not change the state.  Applies back pressure when
    downstream does.  The state changes after the function has returned, and not
    if it raises an exception.  Scan is an alias.

    Parameters
    ----------
    func : callable
        ``func(state, x, **kwargs)`` returns the new state.  May be ``async def``.
    start : object, optional
        The state before the first element.
    returns_state : bool
        *func* returns ``(state, result)``, and the result is emitted.
    reset_stream : Stream, optional
        A stream each of whose elements resets the state to *start*; a reset
        emits nothing.
    with_state : bool
        Emit ``(state, result)``.

    >>> source = Stream()
    >>> node = source.accumulate(lambda total, x: total + x).sink(print)
    >>> source.emit_many([1, 2, 3])
    1
    3
    6
    """

    _graphviz_shape = "box"
    _emits_one_for_one: ClassVar[bool] = True

    func: LiveAttribute[Callable[..., Any]] = LiveAttribute()
    kwargs: LiveAttribute[Mapping[str, Any]] = LiveAttribute()
    returns_state: LiveAttribute[bool] = LiveAttribute()
    with_state: LiveAttribute[bool] = LiveAttribute()

    def __init__(
        self,
        upstream: Stream[Any],
        func: Callable[..., Any],
        start: Any = no_default,
        returns_state: bool = False,
        reset_stream: Stream[Any] | None = None,
        with_state: bool = False,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_callable("accumulate", "func", func)
        check_arguments(self, func, (), kwargs, elements=2)
        if reset_stream is not None and not isinstance(reset_stream, Stream):
            raise TypeError(
                f"accumulate: reset_stream must be a Stream, got {short_repr(reset_stream)}"
            )
        self.func, self.kwargs = func, LiveKwargs(kwargs)
        self.returns_state, self.with_state = returns_state, with_state
        self._side_ports = frozenset() if reset_stream is None else frozenset({1})
        self._state = Cell(start)
        self._start = start if reset_stream is None else copy.deepcopy(start)
        super().__init__(
            upstreams=[upstream] if reset_stream is None else [upstream, reset_stream],
            stream_name=stream_name,
            ensure_io_loop=is_async(func),
        )

    @property
    def state(self) -> Any:
        """The current state; `no_default` before the first element."""
        return self._state.value

    @state.setter
    def state(self, value: Any) -> None:
        self._state.value = value
        if value is no_default:
            self._invalidate()  # the step was compiled for an existing state

    def _first(self) -> Callable[[Any], Any]:
        """Return the substitute of the function for the first element, which sets the state."""
        ref, state, func, kwargs = weakref.ref(self), self._state, self.func, self.kwargs
        returns_state = self.returns_state

        def first(x: Any) -> Any:
            if state.value is not no_default:  # a second element, pushed before the recompilation
                return func(state.value, x, **kwargs)
            if (node := ref()) is not None:
                node._invalidate()
            return (x, x) if returns_state else x

        return first

    def _can_inline(self) -> bool:
        return not is_async(self.func)

    def inline(self, code: Code, port: int = 0) -> None:
        state = code.bind("state", self._state)
        if self._state.value is no_default:
            call = f"{code.bind('first', self._first())}(x)"
        else:
            call = code.call(code.bind("func", self.func), (), self.kwargs, f"{state}.value, x")
        if self.returns_state:
            code.line(f"s, y = {call}")
            code.line(f"{state}.value = s")
            _nest_unless_skipped(self, code, "y")
            code.line("x = (s, y)" if self.with_state else "x = y")
        else:
            code.line(f"x = {call}")
            _look_at_first(self, code)
            _nest_unless_skipped(self, code)
            code.line(f"{state}.value = x")
            if self.with_state:
                code.line("x = (x, x)")

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if port in self._side_ports:
            return self._resetting()
        if self._can_inline():
            return self._compile_inline(push, port)
        func, kwargs, state, outlet = self.func, self.kwargs, self._state, self._outlet
        returns_state, with_state = self.returns_state, self.with_state

        async def call(x: Any) -> Any:
            if state.value is no_default:
                return (x, x) if returns_state else x
            return await func(state.value, x, **kwargs)

        def then(x: Any, result: Any) -> Pending:
            new, y = result if returns_state else (result, result)
            if new is not SKIP:
                state.value = new
            if y is SKIP:
                return None
            return outlet.send((new, y) if with_state else y)

        return await_each(self, call, then)

    def _resetting(self) -> Push[Any]:
        ref, start = weakref.ref(self), self._start

        def step(_: Any) -> None:
            if (node := ref()) is not None:
                node.state = copy.deepcopy(start)

        return step


scan = accumulate


@Stream.register_api()
@Stream.register_api(attribute_name="concat")
class flatten(Stream[T]):
    """Emit the items of every element.

    Emits each item as soon as downstream has capacity, and applies back
    pressure until downstream has taken the last one.  Emits all items, also
    when one fails downstream.  Concat is an alias.  In other libraries: flat_map,
    after a map.

    >>> source = Stream()
    >>> node = source.flatten().sink(print)
    >>> source.emit(["a", "b"])
    a
    b
    """

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        return push_each(self)


concat = flatten


@Stream.register_api()
class pluck(Stream[Any]):
    """Emit one item of every element, or a tuple of several.

    Emits for every element.  Applies back pressure when downstream does.

    Parameters
    ----------
    pick : object or list
        The index or key of the item; a list of them gives a tuple.

    >>> source = Stream()
    >>> node = source.pluck("name").sink(print)
    >>> source.emit({"name": "Ada", "born": 1815})
    Ada
    >>> node = source.pluck(["born", "name"]).sink(print)
    >>> source.emit({"name": "Alan", "born": 1912})
    Alan
    (1912, 'Alan')
    """

    _emits_one_for_one: ClassVar[bool] = True

    pick: LiveAttribute[Any] = LiveAttribute()

    def __init__(self, upstream: Stream[Any], pick: Any, **kwargs: Any) -> None:
        self.pick = pick
        super().__init__(upstream, **kwargs)

    def inline(self, code: Code, port: int = 0) -> None:
        pick = code.bind("pick", self.pick)
        code.line(
            f"x = tuple([x[i] for i in {pick}])"
            if isinstance(self.pick, list)
            else f"x = x[{pick}]"
        )


def _update_frequencies(counts: dict[Any, int], x: Hashable) -> dict[Any, int]:
    return {**counts, x: counts.get(x, 0) + 1}


_update_frequencies.__name__ = "update_frequencies"


@Stream.register_api()
def frequencies(upstream: Stream[Any], **kwargs: Any) -> Stream[Any]:
    """Count how often each element has occurred.

    Emits for every element a new dict of the counts so far, by element, which must be hashable.
    Applies back pressure when downstream does.

    >>> source = Stream()
    >>> node = source.frequencies().sink(print)
    >>> source.emit_many("aba")
    {'a': 1}
    {'a': 1, 'b': 1}
    {'a': 2, 'b': 1}
    """
    return upstream.accumulate(_update_frequencies, start={}, **kwargs)
