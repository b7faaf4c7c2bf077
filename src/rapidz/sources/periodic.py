"""Sources that poll a function at a fixed rate."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from numbers import Real
from typing import Any, ClassVar, TypeVar

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import SKIP
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import LiveInterval, Source

T = TypeVar("T")


@Stream.register_api(staticmethod)
class from_periodic(Source[T]):
    """Call a function at every interval, and emit its results.

    Calls and emits when it is started, and then at a fixed rate: at the start
    plus 1, 2, ... times the interval.  Under back pressure, and while the
    function runs, it skips the instants that pass.  Never ends by itself.  An
    exception of the function ends the run, unless the source has another
    policy (`on_error`).

    Parameters
    ----------
    callback : callable
        Called without arguments on the loop; its result is emitted, unless it
        is `SKIP`.  An ``async def`` function is awaited.
    poll_interval : float or str
        Seconds, or a string such as ``"500ms"``, above 0.  May be changed while
        the source runs.
    **kwargs
        Options of every `Source`.

    >>> import itertools
    >>> source = Stream.from_periodic(itertools.count().__next__, "5ms")
    >>> seen = source.sink_to_list()
    >>> last = source.filter(lambda x: x == 2).sink(lambda _: source.stop())
    >>> source.start()
    >>> source.join()
    >>> seen
    [0, 1, 2]
    """

    infinite: ClassVar[bool | None] = True
    poll_interval: LiveInterval = LiveInterval()

    _delayed = False
    """Whether the first call is made one interval after the start."""

    def __init__(
        self,
        callback: Callable[[], Awaitable[T] | T],
        poll_interval: Interval = 0.1,
        **kwargs: Any,
    ) -> None:
        check_callable("from_periodic", "callback", callback)
        self.callback = callback
        self.poll_interval = poll_interval
        super().__init__(**kwargs)

    async def run(self) -> None:
        clock, interval = self._pipeline.clock, self.poll_interval
        begin, n = clock.time() + (interval if self._delayed else 0.0), 0
        while self._may_emit():
            await clock.sleep_until(begin + n * interval)
            await self._apply_policy(self._call)
            if interval != self.poll_interval:
                begin, interval, n = begin + n * interval, self.poll_interval, 0
            # The tolerance is for rounding: an instant equal to now has not passed.
            n = max(n + 1, math.ceil((clock.time() - begin) / interval - 1e-9))

    async def _call(self) -> None:
        result: Any = self.callback()
        if inspect.isawaitable(result):
            result = await result
        if result is not SKIP:
            for wait in self._emit(result):
                await wait


def PeriodicCallback(  # noqa: N802  the name in the old libraries
    callback: Callable[[], Awaitable[T] | T],
    callback_time: float,
    asynchronous: bool | None = False,
    **kwargs: Any,
) -> from_periodic[T]:
    """Return a started `from_periodic` whose interval is in milliseconds.

    As Tornado's class of this name does, it makes the first call one interval
    after it was created.

    Parameters
    ----------
    callback : callable
        Called without arguments; its result is emitted.
    callback_time : float
        Milliseconds from call to call, above 0.
    asynchronous : bool
        True: call on the running loop.  False: on the background loop of the
        library.
    **kwargs
        Options of every `Stream`.

    >>> source = PeriodicCallback(lambda: "tick", 50)
    >>> seen = source.sink_to_list()
    >>> last = source.sink(lambda _: source.stop())
    >>> source.join()
    >>> seen
    ['tick']
    """
    name = "PeriodicCallback"
    check_callable(name, "callback", callback)
    if isinstance(callback_time, bool) or not isinstance(callback_time, Real):
        raise TypeError(
            f"{name}: callback_time must be milliseconds > 0, got {short_repr(callback_time)}"
        )
    if not 0 < callback_time < math.inf:
        raise ValueError(
            f"{name}: callback_time must be milliseconds > 0, got {short_repr(callback_time)}"
        )
    start = kwargs.pop("start", True)
    source = from_periodic(callback, callback_time / 1000, asynchronous=asynchronous, **kwargs)
    source._delayed = True
    if start:
        source.start()
    return source
