"""Windows that slide: the last elements, for every element."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar, TypeVar

from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute
from rapidz.kernel.protocol.checks import check_count, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.operators.by_time import go_by_time, goes_by_time, refuse_timestamp
from rapidz.operators.window.span import SpanWindow

T = TypeVar("T")


@Stream.register_api()
class sliding_window(Stream[tuple[T, ...]]):
    """Emit the last *n* elements, or those of the last *time*, for every element.

    With *n*, emits a tuple for every element from the *n*-th on, or, with
    *return_partial*, from the first one on.  With *time*, emits for every element
    the elements of that time, itself included; with both, only the tuples of *n*
    elements that have arrived within *time*, or, with *return_partial*, shorter
    ones too.  Applies back pressure when downstream does.

    Parameters
    ----------
    n : int, optional
        Number of elements, at least 1.  Required unless *time* is given.
    return_partial : bool
        Emit tuples of less than *n* elements too.
    time : float, str or timedelta, optional
        Seconds, or a string such as ``"5 min"``, above 0.  An element that is
        exactly as old is left out.  Downstream of an `event_time` the node goes by
        timestamps, else by the monotonic clock.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where `event_time` found it.

    >>> source = Stream()
    >>> node = source.sliding_window(2).sink(print)
    >>> source.emit_many("abc")
    ('a', 'b')
    ('b', 'c')
    """

    _combines_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True
    _graphviz_shape = "diamond"

    n: LiveAttribute[int | None] = LiveAttribute()
    return_partial: LiveAttribute[bool] = LiveAttribute()
    time: LiveAttribute[Any] = LiveAttribute()

    def __init__(
        self,
        upstream: Stream[T],
        n: int | None = None,
        return_partial: bool = False,
        *,
        time: Interval | None = None,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> None:
        if type(self) is sliding_window and goes_by_time(upstream, time):
            options = {"time": time, "timestamp": timestamp, **kwargs}
            by_time = "window.sliding_by_time:SlidingWindowByTime"
            go_by_time(self, by_time, upstream, n, return_partial, **options)
            return
        if timestamp is not None:
            refuse_timestamp("sliding_window", "time", timestamp)
        if time is not None:
            time = read_interval("sliding_window", time, argument="time")
        if n is not None or time is None:
            check_count("sliding_window", "n", n)
        self.n, self.return_partial, self.time = n, return_partial, time
        self._window: Cell[tuple[T, ...]] = Cell(())
        """The last elements that the next window contains too."""
        self._span: SpanWindow | None = None if time is None else SpanWindow()
        """The same, where they leave the window with time."""
        super().__init__(upstream, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "n" and (value is not None or self._span is None):
            check_count("sliding_window", "n", value)
        elif name == "time":
            if self._span is None:
                raise ValueError(
                    "sliding_window: time must be given when the node is built, "
                    f"got {short_repr(value)} later"
                )
            vars(self)[name] = read_interval("sliding_window", value, argument="time")

    def _retains(self, entry: Any) -> bool:
        return any(x is entry for x in self._kept())

    def _kept(self) -> tuple[T, ...]:
        return self._window.value if self._span is None else self._span.kept[1]

    @property
    def _buffer(self) -> deque[T]:
        """The elements that the next window may contain too."""
        return deque(self._kept())

    def _can_inline(self) -> bool:
        return True

    def inline(self, code: Code, port: int = 0) -> None:
        if self._span is None:
            self._inline_count(code)
            code.line("x = y; w = None")
        else:
            clock = self._pipeline.monotonic
            self._span.resume(clock())
            add = code.bind("add", self._span.adder(self.time, self.n))
            code.line(f"y = {add}(x, {code.bind('clock', clock)}())")
            if self.n is not None and not self.return_partial:
                code.nest(f"len(y) == {self.n}")
            code.line("x = y")

    def _inline_count(self, code: Code) -> None:
        # Elements that the next window does not contain are released before this one is pushed.
        window, n = code.bind("window", self._window), self.n
        code.line("while True:")
        code.line(f"    w = {window}.value; y = w + (x,)")
        code.line(f"    if len(y) > {n}: y = y[-{n}:]")
        code.line(f"    rest = y[{code.bind('tail', slice(1, None))}] if len(y) == {n} else y")
        code.line(f"    if {window}.value is w: break")  # else a finalizer has emitted first
        code.line(f"{window}.value = rest")
        if not self.return_partial:
            code.nest(f"len(y) == {n}")
