"""Windows as users define them: `tumbling`, `sliding`, `session`, then what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from rapidz.eventtime.aggregators import Aggregator, Bindings, Collect, check_aggregator
from rapidz.eventtime.domain import nanoseconds
from rapidz.eventtime.event_time import definition_of
from rapidz.eventtime.keys import key_of
from rapidz.eventtime.windows.aligned import aligned_window
from rapidz.eventtime.windows.base import WindowNode, WindowOptions
from rapidz.eventtime.windows.bounded_session import bounded_session_window
from rapidz.eventtime.windows.fold import Fold
from rapidz.eventtime.windows.results import K, V
from rapidz.eventtime.windows.session import session_window
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_callable, check_choice
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import no_default
from rapidz.kernel.protocol.short_repr import short_repr

S = TypeVar("S")


class Windows(Generic[K, V]):
    """Windows of a stream, still without what becomes of their elements.

    Each of its methods adds a node, and returns it: a stream of `WindowResult`.
    """

    def __init__(self, operator: str, make: Callable[..., WindowNode], *, merges: bool) -> None:
        self._operator, self._make, self._merges = operator, make, merges

    def __repr__(self) -> str:
        return f"<{self._operator} windows: call aggregate, reduce or collect>"

    if not TYPE_CHECKING:  # type checkers know which methods there are

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(f"windows have no attribute {name!r}")
            raise AttributeError(
                f"{self._operator}: windows must be given aggregate, reduce or collect first, "
                f"got {name}: write .aggregate(n=Count()).{name}(…)"
                if hasattr(Stream, name)
                else f"{self._operator}: windows have aggregate, reduce and collect, got {name}"
            )

    def aggregate(self, **aggregators: Aggregator) -> WindowNode[K, dict[str, Any]]:
        """Aggregate the elements of each window; the value of a result is a dict by name.

        >>> from rapidz import Count, Mean
        >>> source = Stream()
        >>> minutes = source.event_time("at").tumbling("1 min")
        >>> shown = minutes.aggregate(n=Count(), mean=Mean("size")).sink(lambda r: print(r.value))
        >>> with source:
        ...     source.emit_many([{"at": 0, "size": 2}, {"at": 30, "size": 4}])
        {'n': 2, 'mean': 3.0}
        """
        if not aggregators:
            raise TypeError(
                f"{self._operator}: aggregate must get at least one aggregator, got none"
            )
        for name, each in aggregators.items():
            check_aggregator(self._operator, name, each)
        return self._node(Fold(aggregators, self._operator))

    @overload
    def reduce(self, func: Callable[[V, V], V]) -> WindowNode[K, V]: ...
    @overload
    def reduce(self, func: Callable[[S, V], S], start: S) -> WindowNode[K, S]: ...
    def reduce(self, func: Callable[[Any, Any], Any], start: Any = no_default) -> WindowNode:
        """Fold the elements of each window, in order of arrival; the value is the last state.

        Windows that merge, sessions and sliding ones, take ``func(state, state)`` of
        elements alone: *start* is refused there.
        """
        check_callable(self._operator, "func", func)
        if self._merges and start is not no_default:
            raise TypeError(
                f"{self._operator}: start must be left out, as windows are merged by "
                f"func(state, state), got {short_repr(start)}"
            )
        return self._node(Fold({"value": Reduce(func, start)}, self._operator, bare=True))

    def collect(self) -> WindowNode[K, list[V]]:
        """Collect the elements of each window into a list, by timestamp, ties by arrival."""
        return self._node(Fold({"value": Collect()}, self._operator, bare=True))

    def _node(self, fold: Fold) -> WindowNode:
        if self._merges and not fold.mergeable:
            names = [
                name
                for name, each in zip(fold.names, fold.aggregators, strict=True)
                if not each.mergeable
            ]
            raise TypeError(
                f"{self._operator}: aggregators must have merge, as windows share elements or "
                f"grow together, got {', '.join(names)} without"
            )
        return self._make(fold)


class Reduce(Aggregator):
    """Folds by a function of the user."""

    def __init__(self, func: Callable[[Any, Any], Any], start: Any = no_default) -> None:
        super().__init__(None)
        self.func, self.initial = func, start

    def start(self) -> Any:
        return self.initial

    def add(self, state: Any, value: Any, timestamp: Any = None) -> Any:
        return value if state is no_default else self.func(state, value)

    def lines(self, code: Bindings, state: str, value: str, timestamp: str) -> tuple[str, str]:
        func, first = code.bind("func", self.func), value
        if self.initial is not no_default:
            first = f"{func}({code.bind('initial', self.initial)}, {value})"
        return first, f"{func}({state}, {value})"

    def merge(self, a: Any, b: Any) -> Any:
        return self.func(a, b)


def window_options(
    operator: str, emit: Any, early: Interval | None, lateness: Interval, timestamp: Any
) -> WindowOptions:
    """Check the options that all windows have."""
    check_choice(operator, "emit", emit, ("close", "update"))
    length = None if early is None else nanoseconds(early, operator=operator, argument="early")
    kept = nanoseconds(lateness, operator=operator, argument="lateness", allow_zero=True)
    return WindowOptions(emit, length, kept, timestamp)


@Stream.register_api()
def tumbling(
    upstream: Stream[Any],
    size: Interval,
    *,
    offset: Interval = 0,
    emit: str = "close",
    early: Interval | None = None,
    lateness: Interval = 0,
    timestamp: Any = None,
    **kwargs: Any,
) -> Windows:
    """Divide event time into windows of one size, one after the other.

    Returns the windows; their method `aggregate`, `reduce` or `collect` adds the node, a stream
    of `WindowResult`, one for each window and key.  Results leave when the watermark passes
    the end of the window, by end, then by the first arrival of the key.  An element
    that is late for its window goes to `late`.  A flush emits early results and leaves the windows
    open; the end of the stream closes them.  Applies back pressure when downstream does.

    Parameters
    ----------
    size : float, str or timedelta
        Length of a window: seconds, or a string such as ``"5 min"``, above 0.
    offset : float, str or timedelta
        Windows begin at multiples of *size* since 1970, and this later.
    emit : "close" or "update"
        ``"update"``: every element also emits a result that is not final.
    early : float, str or timedelta, optional
        Also emit results that are not final every so often, of windows that have changed.
        Needs an event loop.
    lateness : float, str or timedelta
        Keep closed windows so long, in event time, and emit them anew with a higher
        *revision* when a late element comes.
    timestamp : str, int or callable, optional
        Where the timestamp is, if not where `event_time` finds it.

    >>> from rapidz import Count
    >>> source = Stream()
    >>> shown = source.event_time("at").tumbling("1 min").aggregate(n=Count()).sink(print)
    >>> source.emit_many([{"at": 3}, {"at": 59}, {"at": 60}])
    WindowResult(key=None, start=0, end=60, value={'n': 2}, final=True, revision=0)
    """
    return _aligned(
        "tumbling", upstream, size, size, offset, (emit, early, lateness, timestamp), kwargs
    )


@Stream.register_api()
def sliding(
    upstream: Stream[Any],
    size: Interval,
    every: Interval,
    *,
    offset: Interval = 0,
    emit: str = "close",
    early: Interval | None = None,
    lateness: Interval = 0,
    timestamp: Any = None,
    **kwargs: Any,
) -> Windows:
    """Windows of one size that begin every so often, and overlap.

    As `tumbling`; an element is in all windows over its timestamp.  Elements are kept once,
    in slices between neighbouring borders.

    Parameters
    ----------
    size : float, str or timedelta
        Length of a window: seconds, or a string such as ``"5 min"``, above 0.
    every : float, str or timedelta
        How long after one window the next begins, above 0, at most *size*.
    offset, emit, early, lateness, timestamp
        As for `tumbling`.

    >>> from rapidz import Count
    >>> source = Stream()
    >>> windows = source.event_time("at").sliding("1 min", "30s").aggregate(n=Count())
    >>> shown = windows.sink(lambda r: print(r.start, r.end, r.value))
    >>> source.emit_many([{"at": 3}, {"at": 59}, {"at": 95}])
    -30 30 {'n': 1}
    0 60 {'n': 2}
    30 90 {'n': 1}
    """
    return _aligned(
        "sliding", upstream, size, every, offset, (emit, early, lateness, timestamp), kwargs
    )


@Stream.register_api()
def session(
    upstream: Stream[Any],
    gap: Interval,
    *,
    max_length: Interval | None = None,
    emit: str = "close",
    early: Interval | None = None,
    lateness: Interval = 0,
    timestamp: Any = None,
    **kwargs: Any,
) -> Windows:
    """Windows of elements that follow each other closely; one ends after a *gap* without any.

    As `tumbling`; a session begins at its first timestamp and ends a *gap* after its last.  An
    element between two sessions may make one of them.  A result that was emitted before a
    session began earlier, or was merged, is withdrawn: it comes again with the value
    None.  Where there are many sessions a result may wait until the watermark is a
    64th of the gap past its end.

    Parameters
    ----------
    gap : float, str or timedelta
        Seconds, or a string such as ``"15 min"``, above 0.
    max_length : float, str or timedelta, optional
        Cut a session so long after its first element, and again after the next one.  All
        elements older than the watermark are late then.
    emit, early, lateness, timestamp
        As for `tumbling`; *lateness* not with *max_length*.

    >>> from rapidz import Count
    >>> source = Stream()
    >>> visits = source.event_time("at").key_by("user").session("30s").aggregate(n=Count())
    >>> shown = visits.sink(lambda r: print(r.key, r.start, r.end, r.value))
    >>> source.emit_many([{"at": 3, "user": "ada"}, {"at": 20, "user": "ada"}])
    >>> source.emit({"at": 50, "user": "bob"})
    ada 3 50 {'n': 2}
    """
    length = nanoseconds(gap, operator="session", argument="gap")
    checked = window_options("session", emit, early, lateness, timestamp)
    definition_of("session", [upstream], checked.timestamp)

    longest = (
        None
        if max_length is None
        else nanoseconds(max_length, operator="session", argument="max_length")
    )
    if longest is not None and checked.lateness:
        raise ValueError(
            "session: lateness must be 0 with max_length, since pieces that were cut cannot grow, "
            f"got {short_repr(lateness)}"
        )

    def make(fold: Fold) -> WindowNode:
        key = key_of(upstream)
        common = ("session", upstream, key, fold, checked)
        if longest is None:
            return session_window(*common, gap=length, **kwargs)
        return bounded_session_window(*common, gap=length, longest=longest, **kwargs)

    return Windows("session", make, merges=True)


def _aligned(
    operator: str,
    upstream: Stream[Any],
    size: Any,
    every: Any,
    offset: Any,
    options: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Windows:
    length = nanoseconds(size, operator=operator, argument="size")
    step = nanoseconds(every, operator=operator, argument="every")
    if step > length:
        raise ValueError(
            f"{operator}: every must be at most size, got every={short_repr(every)} and "
            f"size={short_repr(size)}"
        )
    start = nanoseconds(offset, operator=operator, argument="offset", signed=True)
    checked = window_options(operator, *options)
    definition_of(operator, [upstream], checked.timestamp)

    def make(fold: Fold) -> WindowNode:
        key = key_of(upstream)
        return aligned_window(
            operator, upstream, key, fold, checked, size=length, every=step, offset=start, **kwargs
        )

    return Windows(operator, make, merges=step != length)
