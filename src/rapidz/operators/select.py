"""Operators that pass some elements on unchanged and drop the others."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from rapidz.kernel.compile.async_steps import await_each
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.registry import identity
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import LiveAttribute, LiveKwargs
from rapidz.kernel.protocol.checks import check_callable, check_count, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Push
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.protocol.signatures import check_arguments
from rapidz.kernel.runtime.awaitables import check_verdict, may_return_coroutine
from rapidz.kernel.runtime.loop import is_async
from rapidz.operators.by_time import go_by_time, goes_by_time, refuse_timestamp
from rapidz.operators.seen_keys import RecentKeys, SeenKeys

T = TypeVar("T")


def _truthy(x: object) -> bool:
    return bool(x)


@Stream.register_api()
class filter(Stream[T]):
    """Keep the elements that satisfy a predicate.

    Emits an element if the predicate is true of it.  Applies back pressure when
    downstream does.

    Parameters
    ----------
    predicate : callable or None
        Called with the element.  May be ``async def``.  None keeps true elements.
    *args, **kwargs
        Passed to the predicate after the element.

    >>> source = Stream()
    >>> node = source.filter(lambda x: x % 2 == 0).sink(print)
    >>> source.emit_many(range(4))
    0
    2
    """

    _passes_elements: ClassVar[bool] = True

    predicate: LiveAttribute[Callable[..., Any]] = LiveAttribute()
    args: LiveAttribute[tuple[Any, ...]] = LiveAttribute()
    kwargs: LiveAttribute[Mapping[str, Any]] = LiveAttribute()

    def __init__(
        self,
        upstream: Stream[T],
        predicate: Callable[..., Any] | None,
        *args: Any,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        predicate = _truthy if predicate is None else predicate
        check_callable("filter", "predicate", predicate)
        check_arguments(self, predicate, args, kwargs, argument="predicate")
        self.predicate, self.args, self.kwargs = predicate, args, LiveKwargs(kwargs)
        super().__init__(upstream, stream_name=stream_name, ensure_io_loop=is_async(predicate))

    def _can_inline(self) -> bool:
        return not is_async(self.predicate)

    def inline(self, code: Code, port: int = 0) -> None:
        call = code.call(code.bind("predicate", self.predicate), self.args, self.kwargs)
        if may_return_coroutine(self.predicate):
            checked = code.bind("checked", functools.partial(check_verdict, "filter"))
            code.line(f"y = {call}")
            call = f"y is True or (y is not False and {checked}(y))"
        code.nest(call)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._can_inline():
            return self._compile_inline(push, port)
        predicate, args, kwargs, outlet = self.predicate, self.args, self.kwargs, self._outlet
        return await_each(
            self,
            lambda x: predicate(x, *args, **kwargs),
            lambda x, passes: outlet.send(x) if passes else None,
        )


@Stream.register_api()
def remove(upstream: Stream[T], predicate: Callable[[T], Any]) -> Stream[T]:
    """Drop the elements that satisfy a predicate.

    Emits an element if the predicate is false of it.  Applies back pressure when
    downstream does.

    Parameters
    ----------
    predicate : callable
        Called with the element.

    >>> source = Stream()
    >>> node = source.remove(lambda x: x % 2 == 0).sink(print)
    >>> source.emit_many(range(4))
    1
    3
    """
    check_callable("remove", "predicate", predicate)
    func: Any = functools.partial(_fails_later if is_async(predicate) else _fails, predicate)
    func.__name__ = getattr(predicate, "__name__", type(predicate).__name__)
    return upstream.filter(func)


def _fails(predicate: Callable[[Any], Any], x: Any) -> bool:
    verdict = predicate(x)
    return verdict is False or (verdict is not True and not check_verdict("remove", verdict))


async def _fails_later(predicate: Callable[[Any], Any], x: Any) -> bool:
    return not await predicate(x)


@Stream.register_api()
class unique(Stream[T]):
    """Drop duplicates: elements whose key has occurred before.

    Emits an element whose key is not among those remembered: all keys, the last
    ones, or, with *within*, those of the elements emitted within that time.
    Applies back pressure when downstream does.  In other libraries: distinct.

    Parameters
    ----------
    history : int, optional
        Number of keys to remember, first in, first out; unlimited by default.
    key : callable
        Called with the element, which is its own key by default.  Unhashable
        keys are compared one by one.
    maxsize : int, optional
        As *history*, but with the least recently used key dropped first.
    hashable : bool, optional
        Ignored; kept for compatibility.
    within : float, str or timedelta, optional
        How long to remember a key after the last element with it that was
        emitted: seconds, or a string such as ``"1h"``, above 0.  What was dropped
        prolongs nothing.  Downstream of an `event_time` the node goes by timestamps,
        else by the monotonic clock.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where `event_time` found it.

    >>> source = Stream()
    >>> node = source.unique(history=1).sink(print)
    >>> source.emit_many([1, 1, 2, 1])
    1
    2
    1
    """

    _passes_elements: ClassVar[bool] = True

    key: LiveAttribute[Callable[[Any], Any]] = LiveAttribute()
    within: LiveAttribute[Any] = LiveAttribute()

    def __init__(
        self,
        upstream: Stream[T],
        history: int | None = None,
        key: Callable[[T], Any] = identity,
        maxsize: int | None = None,
        hashable: bool | None = None,
        *,
        within: Interval | None = None,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> None:
        if type(self) is unique and goes_by_time(upstream, within):
            options = {"maxsize": maxsize, "hashable": hashable, "timestamp": timestamp, **kwargs}
            by_time = "unique_by_time:UniqueByTime"
            go_by_time(self, by_time, upstream, history, key, within=within, **options)
            return
        check_callable("unique", "key", key)
        if timestamp is not None:
            refuse_timestamp("unique", "within", timestamp)
        for argument, value in (("history", history), ("within", within)):
            if value is not None and maxsize is not None:
                raise ValueError(
                    f"unique: maxsize must not be given with {argument}, "
                    f"got {short_repr(maxsize)} and {short_repr(value)}"
                )
        if within is not None:
            within = read_interval("unique", within, argument="within")
        if history is not None:
            check_count("unique", "history", history)
        if maxsize is not None:
            check_count("unique", "maxsize", maxsize)
        self.key = key
        self.maxsize = maxsize if history is None else history
        self.within = within
        self._seen = SeenKeys(self.maxsize, refresh=maxsize is not None)
        self._recent: RecentKeys | None = None if within is None else RecentKeys(self.maxsize)
        super().__init__(upstream, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "within":
            if self._recent is None:
                raise ValueError(
                    "unique: within must be given when the node is built, "
                    f"got {short_repr(value)} later"
                )
            vars(self)[name] = read_interval("unique", value, argument="within")

    @property
    def seen(self) -> Any:
        """The remembered keys, oldest first."""
        if self._recent is not None:
            return self._recent
        return self._seen.listed or self._seen.hashed

    def _compiled_key(self) -> Any:
        """Return the key that the step reads; overridden where the elements are handles."""
        return self.key

    def inline(self, code: Code, port: int = 0) -> None:
        read = self._compiled_key()
        key = "x" if read is identity else f"{code.bind('key', read)}(x)"
        if self._recent is None:
            code.nest(f"{code.bind('is_new', self._seen.is_new)}({key})")
        else:
            clock = self._pipeline.monotonic
            self._recent.resume(clock())
            is_new = code.bind("is_new", self._recent.tester(self.within))
            code.nest(f"{is_new}({key}, {code.bind('clock', clock)}())")


class SlicePosition:
    """Position of the last element that a slice has received."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = -1

    def advance(self) -> int:
        """Return the position of the next element."""
        self.seen += 1
        return self.seen


@Stream.register_api()
class slice(Stream[T]):
    """Keep the elements at some positions, as ``list[start:end:step]`` does.

    Emits the elements at these positions.  Applies back pressure when
    downstream does.  After the last one it disconnects from the upstream.
    In other libraries: take, skip.

    Parameters
    ----------
    start, end, step : int, optional
        As in a list, but not negative; *step* at least 1.

    >>> source = Stream()
    >>> node = source.slice(1, None, 2).sink(print)
    >>> source.emit_many("abcd")
    b
    d
    """

    _passes_elements: ClassVar[bool] = True

    def __init__(
        self,
        upstream: Stream[T],
        start: int | None = None,
        end: int | None = None,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        for argument, value, least in (("start", start, 0), ("end", end, 0), ("step", step, 1)):
            if value is not None:
                check_count("slice", argument, value, least)
        self.star, self.end, self.step = start or 0, end, step or 1
        self._position = SlicePosition()
        super().__init__(upstream, **kwargs)

    def _leaving(self) -> Callable[[], None]:
        """Return the function that disconnects the node after its last element."""
        ref = weakref.ref(self)

        def leave() -> None:
            if (node := ref()) is not None:
                for upstream in list(node.upstreams):
                    upstream._remove_downstream(node)

        return leave

    def _check_end(self) -> None:
        """Disconnect after the last element; used by code for streamz."""
        if self.end is not None and self.state >= self.end:
            self._leaving()()

    @property
    def state(self) -> int:
        """The number of elements received."""
        return self._position.seen + 1

    def inline(self, code: Code, port: int = 0) -> None:
        code.line(f"i = {code.bind('advance', self._position.advance)}()")
        if self.end is not None:
            code.line(f"if i >= {max(self.end, 1) - 1}: {code.bind('leave', self._leaving())}()")
        conditions = [f"i >= {self.star}"] if self.star else []
        if self.end is not None:
            conditions.append(f"i < {self.end}")
        if self.step > 1:
            conditions.append(f"(i - {self.star}) % {self.step} == 0")
        if conditions:
            code.nest(" and ".join(conditions))
