"""Running state of each key: `accumulate` and `map_with_state` of a keyed stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from rapidz.eventtime.keyed.keyed_node import KeyedNode
from rapidz.eventtime.keys import key_reader
from rapidz.kernel.compile.async_steps import await_each
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.compile.intermediate import MISSING
from rapidz.kernel.protocol.attributes import LiveAttribute, LiveKwargs
from rapidz.kernel.protocol.checks import check_bool, check_callable
from rapidz.kernel.protocol.push import SKIP, Pending, Push, no_default
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.protocol.signatures import check_arguments
from rapidz.kernel.runtime.awaitables import look_at_first, may_return_coroutine
from rapidz.kernel.runtime.loop import is_async

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    K = TypeVar("K", default=Any)
    S = TypeVar("S", default=Any)
else:
    from typing import TypeVar

    K = TypeVar("K")
    S = TypeVar("S")


class keyed_accumulate(KeyedNode[tuple[K, S]], Generic[K, S]):
    """Fold every element into the state of its key, and emit ``(key, result)``.

    Emits for every element the key and the new state; without *start* the first element of a key
    is its initial state.  A result of `SKIP` is not emitted and does not change the state.  Applies
    back pressure when downstream does.  The state of the key changes after the function has
    returned, and not if it raises an exception.  ``async def`` functions are awaited one after the
    other, in the order of the elements.

    Parameters
    ----------
    func : callable
        ``func(state, x, **kwargs)`` returns the new state.  May be ``async def``.
    start : object, optional
        The state of a key before its first element; each key has a copy of what can be changed
        in place.
    returns_state : bool
        *func* returns ``(state, result)``, and ``(key, result)`` is emitted.
    with_state : bool
        Emit ``(key, (state, result))``.
    ttl : float, str or timedelta, optional
        How long the state of a key lives after it was last written: by event time where an
        `event_time` is upstream, else by the clock.
    max_keys : int, optional
        How many keys there are at most; the state that was written least recently is evicted.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where the `event_time` upstream found it.

    >>> from rapidz import Stream
    >>> source = Stream()
    >>> node = source.key_by(0).accumulate(lambda total, x: total + x[1], start=0).sink(print)
    >>> source.emit_many([("a", 1), ("b", 2), ("a", 3)])
    ('a', 1)
    ('b', 2)
    ('a', 4)
    """

    _graphviz_shape = "box"
    _emits_one_for_one: ClassVar[bool] = True

    func: LiveAttribute[Callable[..., Any]] = LiveAttribute()
    kwargs: LiveAttribute[Mapping[str, Any]] = LiveAttribute()
    returns_state: LiveAttribute[bool] = LiveAttribute()
    with_state: LiveAttribute[bool] = LiveAttribute()

    _drops_none = False
    """Whether a state of None is no state."""

    def __init__(
        self,
        upstream: Any,
        func: Callable[..., Any],
        start: Any = no_default,
        returns_state: bool = False,
        with_state: bool = False,
        *,
        ttl: Any = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        operator: str = "accumulate",
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_callable(operator, "func", func)
        check_arguments(self, func, (), kwargs, elements=2)
        self.func, self.kwargs = func, LiveKwargs(kwargs)
        self.returns_state = check_bool(operator, "returns_state", returns_state)
        self.with_state = check_bool(operator, "with_state", with_state)
        super().__init__(
            operator,
            upstream,
            MISSING if start is no_default else start,
            ttl,
            max_keys,
            is_async(func),
            timestamp,
            stream_name=stream_name,
            ensure_io_loop=is_async(func),
        )

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "func":
            check_callable(self._operator, "func", value)
            if self._by_event_time:
                self._choose_clock(is_async(value))

    # --- lines --------------------------------------------------------------------------------

    def _can_inline(self) -> bool:
        bounded = self._state.bounded and self._pipeline.needs_loop
        return not (bounded or is_async(self.func))

    def inline(self, code: Code, port: int = 0) -> None:
        self._write_read(code)
        call = code.call(code.bind("func", self.func), (), self.kwargs, "s, x")
        if self.returns_state:
            self._write_pair(code, call)
            return
        code.line(f"y = {self._unless_first(call, 'x')}")
        self._look_at_first(code, "y")
        self._nest_unless_skipped(code)
        self._write_write(code, "y")
        code.line(f"x = (key, {'(y, y)' if self.with_state else 'y'})")

    def _write_pair(self, code: Code, call: str) -> None:
        code.line(f"r = {self._unless_first(call, '(x, x)')}")
        self._look_at_first(code, "r")
        code.line("try: new, y = r")
        code.line("except (TypeError, ValueError) as error:")
        code.line(f"    raise {code.bind('no_pair', _no_pair(self._operator))}(r) from error")
        code.line("if new is not SKIP:")
        code.depth += 1
        self._write_write(code, "new", drops=self._drops_none)
        code.depth -= 1
        self._nest_unless_skipped(code)
        code.line(f"x = (key, {'(new, y)' if self.with_state else 'y'})")

    def _unless_first(self, call: str, first: str) -> str:
        """Return the source of the result of *call*, or of a *first* element without `start`."""
        no_start = self._state.table.start is MISSING
        return f"{first} if s is MISSING else {call}" if no_start else call

    def _look_at_first(self, code: Code, result: str) -> None:
        if may_return_coroutine(self.func):
            check = code.bind("check", look_at_first(self._operator, "func"))
            code.line(f"if {check}: {check}[0]({result})")

    def _nest_unless_skipped(self, code: Code) -> None:
        if (skipped := self._skip_reporter()) is not None:
            code.line(f"if y is SKIP: {code.bind('skipped', skipped)}()")
        code.nest("y is not SKIP")

    # --- other steps --------------------------------------------------------------------------

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if is_async(self.func):
            return self._with_owed(self._with_watermark(self._awaiting()))
        step = self._compile_inline(push, port)
        return step if self._can_inline() else self._with_owed(step)

    def _awaiting(self) -> Push[Any]:
        func, kwargs, state, outlet = self.func, self.kwargs, self._state, self._outlet
        read_key = key_reader(self._operator, self.key_getter)
        time, settle = self._element_time(), self._settler()
        returns_state, with_state = self.returns_state, self.with_state
        drops_none, no_pair = self._drops_none, _no_pair(self._operator)
        write = state.write if state.bounded else _writer(state.table.states)

        async def call(x: Any) -> Any:
            key, now = read_key(x), 0 if time is None else time(x)
            before = state.read(key, now)
            if state.unsettled:
                settle()
            if before is MISSING:
                return key, now, x, x
            result = await func(before, x, **kwargs)
            if not returns_state:
                return key, now, result, result
            try:
                new, y = result
            except (TypeError, ValueError) as error:
                raise no_pair(result) from error
            return key, now, new, y

        def then(x: Any, outcome: Any) -> Pending:
            key, now, new, y = outcome
            if new is None and drops_none:
                state.drop(key)
            elif new is not SKIP:
                write(key, new, now)
            if state.unsettled:
                settle()
            return None if y is SKIP else outlet.send((key, (new, y) if with_state else y))

        return await_each(self, call, then)


class map_with_state(keyed_accumulate[K, S]):
    """Apply a function to the state of the key and the element, and emit ``(key, result)``.

    Emits the key and the result for every element, unless the result is `SKIP`.  A new state of
    `SKIP` leaves the state as it was; one of None, where *start* is None, removes the key.
    Applies back pressure when downstream does.  The state of the key changes after the function has
    returned, and not if it raises an exception.

    Parameters
    ----------
    func : callable
        ``func(state, x, **kwargs)`` returns ``(state, result)``.  May be ``async def``.
    start : object, optional
        The state of a key before its first element; None by default.
    ttl, max_keys, timestamp
        As for `keyed_accumulate`.

    >>> from rapidz import Stream
    >>> source = Stream()
    >>> def change(last, x):
    ...     return x[1], None if last is None else x[1] - last
    >>> node = source.key_by(0).map_with_state(change).sink(print)
    >>> source.emit_many([("a", 1), ("b", 2), ("a", 5)])
    ('a', None)
    ('b', None)
    ('a', 4)
    """

    def __init__(
        self,
        upstream: Any,
        func: Callable[..., Any],
        start: Any = None,
        *,
        ttl: Any = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._drops_none = start is None
        super().__init__(
            upstream,
            func,
            start,
            True,
            ttl=ttl,
            max_keys=max_keys,
            timestamp=timestamp,
            operator="map_with_state",
            stream_name=stream_name,
            **kwargs,
        )


def _no_pair(operator: str) -> Callable[[Any], Exception]:
    def no_pair(result: Any) -> Exception:
        return TypeError(f"{operator}: func must return (state, result), got {short_repr(result)}")

    return no_pair


def _writer(table: dict[Any, Any]) -> Callable[[Any, Any, int], None]:
    def write(key: Any, state: Any, _: int) -> None:
        table[key] = state

    return write
