"""KeyedStream: stream whose elements have keys, with the methods that keep one state a key."""

# The typed methods of windows have no bodies, as in a stub.  Overloads overlap on purpose: a type
# checker takes the first one that fits.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match, override"
# pyright: reportReturnType=false, reportIncompatibleMethodOverride=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, Literal, overload

from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keyed.accumulate import keyed_accumulate, map_with_state
from rapidz.eventtime.keyed.pipelines import keyed_pipelines
from rapidz.eventtime.keyed.unique import keyed_unique
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import no_default

if TYPE_CHECKING:
    from typing import Never, TypedDict, Unpack

    from typing_extensions import TypeVar

    from rapidz.eventtime.windows.definition import Windows
    from rapidz.kernel.protocol.intervals import Interval

    K = TypeVar("K", default=Any)
    T = TypeVar("T", default=Any)
    S = TypeVar("S")
    U = TypeVar("U")
    A = TypeVar("A")
    AnyReducer = Callable[Concatenate[S, A, ...], Awaitable[S] | S]
    EmptyCollection = dict[Never, Never] | list[Never] | set[Never]
    Mealy = Callable[Concatenate[S, A, ...], tuple[S, U]]

    class KeyedWindowOptions(TypedDict, total=False):
        """Options of the windows of a keyed stream, and of every node."""

        emit: Literal["close", "update"]
        early: Interval | None
        lateness: Interval
        timestamp: Any
        stream_name: str | None
        loop: Any
        asynchronous: bool | None
        ensure_io_loop: bool
else:
    from typing import TypeVar

    K, T = TypeVar("K"), TypeVar("T")


class KeyedStream(Stream[T], Generic[K, T]):
    """Stream whose elements have keys: its windows, joins and state are one for each key."""

    _passes_elements: ClassVar[bool] = True

    key_getter: Getter

    if TYPE_CHECKING:  # the windows of `Stream`, with results of each key

        def tumbling(
            self, size: Interval, *, offset: Interval = 0, **options: Unpack[KeyedWindowOptions]
        ) -> Windows[K, T]:
            """Divide event time into windows of one size, one after the other."""

        def sliding(
            self,
            size: Interval,
            every: Interval,
            *,
            offset: Interval = 0,
            **options: Unpack[KeyedWindowOptions],
        ) -> Windows[K, T]:
            """Windows of one size that begin every so often, and overlap."""

        def session(
            self,
            gap: Interval,
            *,
            max_length: Interval | None = None,
            **options: Unpack[KeyedWindowOptions],
        ) -> Windows[K, T]:
            """Windows of elements that follow each other closely."""

    @overload
    def accumulate(
        self,
        func: AnyReducer[T, T],
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
    ) -> keyed_accumulate[K, T]: ...
    @overload
    def accumulate(
        self,
        func: AnyReducer[S, T],
        start: EmptyCollection,
        returns_state: Literal[False] = False,
        with_state: Literal[False] = False,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> keyed_accumulate[K, S]: ...
    @overload
    def accumulate(
        self,
        func: AnyReducer[S, T],
        start: S,
        returns_state: Literal[False] = False,
        with_state: Literal[False] = False,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> keyed_accumulate[K, S]: ...
    @overload
    def accumulate(
        self,
        func: Mealy[S, T, U],
        start: S,
        returns_state: Literal[True],
        with_state: Literal[False] = False,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> keyed_accumulate[K, U]: ...
    @overload
    def accumulate(
        self,
        func: Callable[..., Any],
        start: Any = ...,
        returns_state: bool = False,
        with_state: bool = False,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> keyed_accumulate[K, Any]: ...
    def accumulate(
        self,
        func: Callable[..., Any],
        start: Any = no_default,
        returns_state: bool = False,
        with_state: bool = False,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> keyed_accumulate:
        """Fold every element into the state of its key, and emit ``(key, result)``.

        See `keyed_accumulate`.
        """
        return keyed_accumulate(
            self,
            func,
            start,
            returns_state,
            with_state,
            ttl=ttl,
            max_keys=max_keys,
            timestamp=timestamp,
            stream_name=stream_name,
            **kwargs,
        )

    scan = accumulate  # type: ignore[assignment]

    @overload
    def map_with_state(
        self,
        func: Callable[Concatenate[S, T, ...], Awaitable[tuple[S, U]]],
        start: S,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> map_with_state[K, U]: ...
    @overload
    def map_with_state(
        self,
        func: Callable[Concatenate[S, T, ...], tuple[S, U]],
        start: S,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> map_with_state[K, U]: ...
    @overload
    def map_with_state(
        self,
        func: Callable[Concatenate[Any, T, ...], Awaitable[tuple[Any, U]]],
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> map_with_state[K, U]: ...
    @overload
    def map_with_state(
        self,
        func: Callable[Concatenate[Any, T, ...], tuple[Any, U]],
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> map_with_state[K, U]: ...
    def map_with_state(
        self,
        func: Callable[..., Any],
        start: Any = None,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> map_with_state:
        """Apply ``func(state, x) -> (state, result)``, and emit ``(key, result)``.

        See `map_with_state`.
        """
        return map_with_state(
            self,
            func,
            start,
            ttl=ttl,
            max_keys=max_keys,
            timestamp=timestamp,
            stream_name=stream_name,
            **kwargs,
        )

    def pipelines(
        self,
        build: Callable[[Stream[T], K], Stream[U]],
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> keyed_pipelines[U]:
        """Give each key operators of its own, and merge what they emit.

        See `keyed_pipelines`.
        """
        return keyed_pipelines(
            self, build, ttl=ttl, max_keys=max_keys, timestamp=timestamp, **kwargs
        )

    def unique(
        self,
        history: int | None = None,
        maxsize: int | None = None,
        within: Interval | None = None,
        *,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> keyed_unique[T]:
        """Drop elements whose key has occurred before.

        See `keyed_unique`.
        """
        return keyed_unique(self, history, maxsize, within, timestamp=timestamp, **kwargs)


KeyedStream.register_later("scatter", "rapidz.parallel:scatter_lanes")
