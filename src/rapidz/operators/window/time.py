"""Windows that end at a cadence of the clock."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeVar

from rapidz.kernel.graph.registry import identity
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.checks import check_bool, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.futures import child_future
from rapidz.kernel.runtime.in_flight_token import InFlightToken
from rapidz.kernel.runtime.supervision import SupervisedPush, push_supervised
from rapidz.kernel.runtime.timer import Timer
from rapidz.kernel.runtime.wait_for_graph import waits_for_caller
from rapidz.operators.window.cadence import Cadence, WallCadence
from rapidz.operators.window.keys import (
    Key,
    UniqueWindow,
    take_all,
    take_values,
)

T = TypeVar("T")


class TimedWindow(Stream[Any]):
    """Base class of the windows that end at a cadence of the clock."""

    _keeps_elements: ClassVar[bool] = True
    _graphviz_shape = "octagon"

    interval: LiveAttribute[float] = LiveAttribute()
    emit_empty: LiveAttribute[bool] = LiveAttribute()
    align: LiveAttribute[bool] = LiveAttribute()

    def __init__(
        self,
        upstream: Stream[Any],
        interval: Interval,
        emit_empty: bool,
        align: bool,
        **kwargs: Any,
    ) -> None:
        self.interval = read_interval(type(self).__name__, interval)
        self.emit_empty = emit_empty
        self.align = check_bool(type(self).__name__, "align", align)
        self._cadence = _cadence(align)
        self._token = InFlightToken(self)
        self._pending_push: SupervisedPush | None = None
        kwargs["ensure_io_loop"] = True
        super().__init__(upstream, **kwargs)
        self._timer = Timer(self)

    def _take(self) -> Any:
        """Remove and return the elements of the window."""
        raise NotImplementedError

    def _make_add(self) -> Callable[[Any], object]:
        """Return the function that adds an element to the window."""
        raise NotImplementedError

    def _on_attribute_set(self, name: str, value: Any) -> None:
        running = self._cadence.is_running()
        if name == "interval":
            vars(self)[name] = read_interval(type(self).__name__, value)
            self._cadence.retime()
        elif name == "align":
            check_bool(type(self).__name__, "align", value)
            self._cadence = _cadence(value)
            if running:
                self._cadence.start(self._pipeline.clock)
        else:
            return
        self._schedule()

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._cadence.stop()
        self._pending_push = None
        self._token = InFlightToken(self)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        add, token, pipeline = self._make_add(), self._token, self._pipeline
        ref = weakref.ref(self)
        if not self._cadence.is_running():
            self._cadence.start(pipeline.clock)
            self._schedule()
        if self._window_size():
            token.begin(pipeline)

        def step(x: Any) -> Pending:
            try:
                add(x)
            except Exception as error:
                attribute_to(error, ref(), x)
                raise
            token.begin(pipeline)
            node = ref()
            wait = None if node is None else node._pending_push
            return None if wait is None or waits_for_caller(wait.carried) else child_future(wait)

        return step

    def _schedule(self) -> None:
        if not self._cadence.is_running():
            return
        ref = weakref.ref(self)

        def tick() -> None:
            if (node := ref()) is not None and not node._ended:
                node._tick()

        end = self._cadence.next_end(self._pipeline.clock, self.interval)
        self._timer.set(self._pipeline, end, tick)

    def _tick(self) -> None:
        has_come = self._cadence.advance(self._pipeline.clock, self.interval)
        if has_come and self._pending_push is None:  # else the window before is not taken yet
            window = self._take()
            if window or self.emit_empty:
                self._emit_window(window)
        self._schedule()

    def _emit_window(self, window: Any) -> Pending:
        wait = push_supervised(self._pipeline, self._outlet.send, window)
        if wait is not None:
            self._pending_push = wait
            wait.add_done_callback(self._on_delivered)
            return child_future(wait)
        self._end_token_if_idle()
        return None

    def _on_delivered(self, wait: object) -> None:
        if self._pending_push is wait:  # else a flush has emitted another window meanwhile
            self._pending_push = None
        self._end_token_if_idle()

    def _end_token_if_idle(self) -> None:
        if self._pending_push is None and not self._window_size():  # feedback may add elements
            self._token.end(self._pipeline)

    def _window_size(self) -> int:
        """Return how many elements the window contains."""
        raise NotImplementedError

    def _buffered(self) -> int:
        return self._window_size()

    def _resumes_queue(self) -> bool:
        return self._window_size() > 0

    def _emit_buffered(self) -> Pending:
        if self._window_size():
            return self._emit_window(self._take())
        return None if self._pending_push is None else child_future(self._pending_push)

    def _stop_background_work(self) -> None:
        self._timer.cancel()  # else empty windows would delay an end that is queued behind them

    def _on_end(self) -> None:
        self._timer.cancel()


def _cadence(align: bool) -> Cadence:
    return WallCadence() if align else Cadence()


@Stream.register_api()
class timed_window(TimedWindow):
    """Collect the elements of every *interval* into a list.

    Emits a list at every full interval since the first use, or, with *align*,
    whenever the wall clock shows a multiple of the interval; with *emit_empty*
    also an empty one; a flush or the end emits an incomplete window.  Applies
    back pressure while downstream has not taken the list before; the next one
    is then emitted at the next full interval.

    Parameters
    ----------
    interval : float, str or timedelta
        Seconds, or a string such as ``"500ms"``, above 0.
    emit_empty : bool
        Emit ``[]`` when no element arrived.
    align : bool
        End windows at the multiples of the interval on the wall clock, counted
        from 1970 (UTC): ``"1 min"`` at full minutes, ``"1 day"`` at midnight UTC.

    >>> source = Stream()
    >>> windows = source.timed_window("20ms", emit_empty=False).sink_to_list()
    >>> source.emit_many([1, 2])
    >>> source.join()
    >>> windows
    [[1, 2]]
    """

    def __init__(
        self,
        upstream: Stream[Any],
        interval: Interval,
        emit_empty: bool = True,
        align: bool = False,
        **kwargs: Any,
    ) -> None:
        self._elements: list[Any] = []
        super().__init__(upstream, interval, emit_empty, align, **kwargs)

    @property
    def _buffer(self) -> list[Any]:
        """The elements of the current interval."""
        return self._elements

    def _make_add(self) -> Callable[[Any], object]:
        return self._elements.append

    def _take(self) -> Any:
        return take_all(self._elements)

    def _window_size(self) -> int:
        return len(self._elements)


@Stream.register_api()
class timed_window_unique(TimedWindow, UniqueWindow[Any]):
    """Collect the elements of every *interval* into a tuple, one for each key.

    Emits and applies back pressure as `timed_window` does.

    Parameters
    ----------
    interval : float, str or timedelta
        Seconds, or a string such as ``"500ms"``, above 0.
    key : callable or object
        Called with the element, or the index or key of an item; the element
        is its own key by default.  Keys must be hashable.
    keep : "first" or "last"
        Which of the elements with the same key to keep; the last one also moves
        to the last position.
    emit_empty : bool
        Emit ``()`` when no element arrived.
    align : bool
        End windows at the multiples of the interval on the wall clock.

    >>> source = Stream()
    >>> windows = source.timed_window_unique("20ms", key=len, emit_empty=False).sink_to_list()
    >>> source.emit_many(["a", "b", "cc"])
    >>> source.join()
    >>> windows
    [('a', 'cc')]
    """

    def __init__(
        self,
        upstream: Stream[Any],
        interval: Interval,
        key: Key = identity,
        keep: Literal["first", "last"] = "first",
        emit_empty: bool = True,
        align: bool = False,
        **kwargs: Any,
    ) -> None:
        self.key, self.keep = key, keep
        self._check_keep()
        self._elements: dict[Any, Any] = {}
        super().__init__(upstream, interval, emit_empty, align, **kwargs)

    def _make_add(self) -> Callable[[Any], object]:
        return self._make_add_unique(self._elements)

    def _take(self) -> Any:
        return tuple(take_values(self._elements))

    def _window_size(self) -> int:
        return len(self._elements)
