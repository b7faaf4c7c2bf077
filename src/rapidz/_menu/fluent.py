"""The menu: every operator as a typed method, for type checkers and editors.

`Stream` inherits from `Fluent` while types are checked; at run time the methods
come by `Stream.register_api`, and the docstring of the operator is the contract.
Where a method has two overloads that differ in ``Awaitable``, the function may
be ``async def``.  To have the attributes of a node typed as well, for tuning,
call its class: ``rapidz.map(source, func).func``.
"""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose: the first that fits is
# the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false
# pyright: reportReturnType=false

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Hashable, Iterable
from os import PathLike
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    Never,
    ParamSpec,
    Protocol,
    TextIO,
    TypedDict,
    TypeGuard,
    TypeVarTuple,
    Unpack,
    overload,
)

from rapidz.kernel.graph.registry import identity
from rapidz.kernel.protocol.push import no_default

if TYPE_CHECKING:
    from typing_extensions import TypeIs, TypeVar

    from rapidz.dataframe.frames.batch import Batch
    from rapidz.dataframe.frames.dataframe import DataFrame
    from rapidz.kernel.graph.stream import Stream
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.operators import window
    from rapidz.parallel.nodes.stream import ParallelStream
    from rapidz.sinks import base as sinks
    from rapidz.sinks import files
    from rapidz.sources.base import Source

    T = TypeVar("T", default=Any)  # so that `Stream()` is a stream of anything
else:
    from typing import TypeVar

    T = TypeVar("T")

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
K = TypeVar("K")
S = TypeVar("S")
U = TypeVar("U")
In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
P = ParamSpec("P")
Items = TypeVarTuple("Items")


class Emits(Protocol[Out]):
    """A stream whose elements are at least *Out*; `Stream` itself is exact about them."""

    def _element(self) -> Out: ...


class TakesAny(Protocol[In, Out]):
    """A function that takes any keyword, besides the element."""

    def __call__(self, x: In, /, **kwargs: Any) -> Out: ...


class Gives(Protocol[Out]):
    """A queue, of threads, of processes or of a loop."""

    def get_nowait(self) -> Out: ...


class Submits(Protocol):
    """An executor, or a client of Dask."""

    @property
    def submit(self) -> Callable[..., Any]: ...


class NodeOptions(TypedDict, total=False):
    """What every node takes: see `Stream`."""

    stream_name: str | None
    loop: Any
    asynchronous: bool | None
    ensure_io_loop: bool


class JoinOptions(NodeOptions, total=False):
    """What operators with several inputs take besides."""

    first: bool | Stream[Any] | Iterable[Stream[Any]] | None


class ZipOptions(JoinOptions, total=False):
    """See `zip` and `zip_latest`."""

    maxsize: int


class CombineOptions(JoinOptions, total=False):
    """See `combine_latest`."""

    emit_on: int | Stream[Any] | Iterable[int | Stream[Any]] | None


class SourceOptions(NodeOptions, total=False):
    """What every source takes."""

    start: bool


Fn = Callable[Concatenate[A, P], U]
Fn2 = Callable[Concatenate[A, B, P], U]
Fn3 = Callable[Concatenate[A, B, C, P], U]
Fn4 = Callable[Concatenate[A, B, C, D, P], U]
AnyFn = Callable[Concatenate[A, ...], U]
Fold = Callable[[S, A], Awaitable[S] | S]
AnyFold = Callable[Concatenate[S, A, ...], Awaitable[S] | S]
Mealy = Callable[Concatenate[S, A, ...], tuple[S, U]]
Empty = dict[Never, Never] | list[Never] | set[Never]
Key = Callable[[A], Any] | Hashable
Keep = Literal["first", "last"]
Backend = Literal["dask", "thread", "process"] | Submits | Callable[[], Submits]


class Fluent(Generic[T]):
    """A stream of elements of type *T*, as far as its operators go."""

    def _element(self) -> T: ...

    # --- one element in, one or more out -------------------------------------------------------

    @overload
    def map(self, func: Fn[T, P, Awaitable[U]], *args: P.args, **kwargs: P.kwargs) -> Stream[U]: ...
    @overload
    def map(self, func: Fn[T, P, U], *args: P.args, **kwargs: P.kwargs) -> Stream[U]: ...
    @overload
    def map(self, func: TakesAny[T, Awaitable[U]], **kwargs: Any) -> Stream[U]: ...
    @overload
    def map(self, func: TakesAny[T, U], **kwargs: Any) -> Stream[U]: ...
    @overload
    def map(
        self, func: AnyFn[T, Awaitable[U]], *args: Any, stream_name: str | None, **kwargs: Any
    ) -> Stream[U]: ...
    @overload
    def map(
        self, func: AnyFn[T, U], *args: Any, stream_name: str | None, **kwargs: Any
    ) -> Stream[U]: ...
    def map(self, func: Any, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Apply a function to every element."""

    @overload
    def starmap(
        self: Emits[tuple[*Items]],
        func: Callable[[*Items], Awaitable[U]],
        *,
        stream_name: str | None = None,
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[tuple[*Items]], func: Callable[[*Items], U], *, stream_name: str | None = None
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[tuple[A, B]],
        func: Fn2[A, B, P, Awaitable[U]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[tuple[A, B, C]],
        func: Fn3[A, B, C, P, Awaitable[U]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[tuple[A, B]], func: Fn2[A, B, P, U], *args: P.args, **kwargs: P.kwargs
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[tuple[A, B, C]], func: Fn3[A, B, C, P, U], *args: P.args, **kwargs: P.kwargs
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[Iterable[A]],
        func: Fn2[A, A, P, Awaitable[U]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[Iterable[A]],
        func: Fn3[A, A, A, P, Awaitable[U]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[Iterable[A]],
        func: Fn4[A, A, A, A, P, Awaitable[U]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[Iterable[A]], func: Fn2[A, A, P, U], *args: P.args, **kwargs: P.kwargs
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[Iterable[A]], func: Fn3[A, A, A, P, U], *args: P.args, **kwargs: P.kwargs
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[Iterable[A]], func: Fn4[A, A, A, A, P, U], *args: P.args, **kwargs: P.kwargs
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[Iterable[Any]],
        func: Callable[..., Awaitable[U]],
        arg: Any,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Stream[U]: ...
    @overload
    def starmap(
        self: Emits[Iterable[Any]], func: Callable[..., U], arg: Any, /, *args: Any, **kwargs: Any
    ) -> Stream[U]: ...
    def starmap(self, func: Any, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Apply a function to every element, spread into its arguments."""

    @overload
    def map_async(
        self, func: Fn[T, P, Awaitable[U]], *args: P.args, **kwargs: P.kwargs
    ) -> Stream[U]: ...
    @overload
    def map_async(
        self,
        func: AnyFn[T, Awaitable[U]],
        *args: Any,
        parallelism: int = 1,
        stop_on_exception: bool = False,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> Stream[U]: ...
    def map_async(self, func: Any, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Apply an asynchronous function to several elements at once, and keep their order."""

    @overload
    def accumulate(self, func: Fold[T, T], *, stream_name: str | None = None) -> Stream[T]: ...
    @overload
    def accumulate(
        self,
        func: Fold[S, T],
        start: S,
        *,
        reset_stream: Stream[Any] | None = None,
        stream_name: str | None = None,
    ) -> Stream[S]: ...
    @overload
    def accumulate(
        self,
        func: AnyFold[S, T],
        start: Empty,
        returns_state: Literal[False] = False,
        reset_stream: Stream[Any] | None = None,
        with_state: Literal[False] = False,
        **kwargs: Any,
    ) -> Stream[S]: ...
    @overload
    def accumulate(
        self,
        func: AnyFold[S, T],
        start: S,
        returns_state: Literal[False] = False,
        reset_stream: Stream[Any] | None = None,
        with_state: Literal[False] = False,
        **kwargs: Any,
    ) -> Stream[S]: ...
    @overload
    def accumulate(
        self,
        func: Mealy[S, T, U],
        start: Empty,
        returns_state: Literal[True],
        reset_stream: Stream[Any] | None = None,
        with_state: Literal[False] = False,
        **kwargs: Any,
    ) -> Stream[U]: ...
    @overload
    def accumulate(
        self,
        func: Callable[Concatenate[S, T, ...], Awaitable[tuple[S, U]]],
        start: Empty,
        returns_state: Literal[True],
        reset_stream: Stream[Any] | None = None,
        with_state: Literal[False] = False,
        **kwargs: Any,
    ) -> Stream[U]: ...
    @overload
    def accumulate(
        self,
        func: Mealy[S, T, U],
        start: S,
        returns_state: Literal[True],
        reset_stream: Stream[Any] | None = None,
        with_state: Literal[False] = False,
        **kwargs: Any,
    ) -> Stream[U]: ...
    @overload
    def accumulate(
        self,
        func: Callable[Concatenate[S, T, ...], Awaitable[tuple[S, U]]],
        start: S,
        returns_state: Literal[True],
        reset_stream: Stream[Any] | None = None,
        with_state: Literal[False] = False,
        **kwargs: Any,
    ) -> Stream[U]: ...
    @overload
    def accumulate(
        self,
        func: AnyFold[S, T],
        start: S,
        returns_state: Literal[False] = False,
        reset_stream: Stream[Any] | None = None,
        *,
        with_state: Literal[True],
        **kwargs: Any,
    ) -> Stream[tuple[S, S]]: ...
    @overload
    def accumulate(
        self,
        func: Mealy[S, T, U],
        start: S,
        returns_state: Literal[True],
        reset_stream: Stream[Any] | None = None,
        *,
        with_state: Literal[True],
        **kwargs: Any,
    ) -> Stream[tuple[S, U]]: ...
    @overload
    def accumulate(
        self,
        func: AnyFold[T, T],
        *,
        reset_stream: Stream[Any] | None = None,
        with_state: Literal[True],
        **kwargs: Any,
    ) -> Stream[tuple[T, T]]: ...
    @overload
    def accumulate(
        self,
        func: AnyFold[T, T],
        *,
        reset_stream: Stream[Any] | None = None,
        with_state: Literal[False] = False,
        **kwargs: Any,
    ) -> Stream[T]: ...
    @overload
    def accumulate(
        self,
        func: Callable[Concatenate[Any, Any, ...], Any],
        start: Any = no_default,
        *,
        returns_state: bool,
        reset_stream: Stream[Any] | None = None,
        with_state: bool = False,
        **kwargs: Any,
    ) -> Stream[Any]: ...
    def accumulate(
        self, func: Any, start: Any = no_default, *args: Any, **kwargs: Any
    ) -> Stream[Any]:
        """Fold every element into a running state, and emit it."""

    scan = accumulate

    def flatten(self: Emits[Iterable[U]], **options: Unpack[NodeOptions]) -> Stream[U]:
        """Emit the items of every element."""

    concat = flatten

    @overload
    def pluck(
        self: Emits[tuple[A, *tuple[Any, ...]]], pick: Literal[0], **options: Unpack[NodeOptions]
    ) -> Stream[A]: ...
    @overload
    def pluck(
        self: Emits[tuple[Any, A, *tuple[Any, ...]]],
        pick: Literal[1],
        **options: Unpack[NodeOptions],
    ) -> Stream[A]: ...
    @overload
    def pluck(self, pick: list[Any], **options: Unpack[NodeOptions]) -> Stream[tuple[Any, ...]]: ...
    @overload
    def pluck(self: Emits[dict[K, A]], pick: K, **options: Unpack[NodeOptions]) -> Stream[A]: ...
    @overload
    def pluck(self: Emits[list[A]], pick: int, **options: Unpack[NodeOptions]) -> Stream[A]: ...
    @overload
    def pluck(self, pick: Any, **options: Unpack[NodeOptions]) -> Stream[Any]: ...
    def pluck(self, pick: Any, **options: Unpack[NodeOptions]) -> Stream[Any]:
        """Emit one item of every element, or a tuple of several."""

    def frequencies(self, **options: Unpack[NodeOptions]) -> Stream[dict[T, int]]:
        """Count how often each element has come."""

    # --- which elements pass -------------------------------------------------------------------

    @overload
    def filter(
        self, predicate: Callable[[T], TypeIs[U]], *, stream_name: str | None = None
    ) -> Stream[U]: ...
    @overload
    def filter(
        self, predicate: Callable[[T], TypeGuard[U]], *, stream_name: str | None = None
    ) -> Stream[U]: ...
    @overload
    def filter(
        self, predicate: Fn[T, P, object], *args: P.args, **kwargs: P.kwargs
    ) -> Stream[T]: ...
    @overload
    def filter(self, predicate: TakesAny[T, object], **kwargs: Any) -> Stream[T]: ...
    @overload
    def filter(
        self: Fluent[U | None], predicate: None, *, stream_name: str | None = None
    ) -> Stream[U]: ...
    @overload
    def filter(self, predicate: None, *, stream_name: str | None = None) -> Stream[T]: ...
    @overload
    def filter(
        self, predicate: AnyFn[T, object], *args: Any, stream_name: str | None, **kwargs: Any
    ) -> Stream[T]: ...
    def filter(self, predicate: Any, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Let only those elements pass that satisfy a predicate, or, with None, are true."""

    def remove(self, predicate: Callable[[T], object]) -> Stream[T]:
        """Let only those elements pass that do not satisfy a predicate."""

    def unique(
        self,
        history: int | None = None,
        key: Callable[[T], Any] = identity,
        maxsize: int | None = None,
        hashable: bool | None = None,
        **options: Unpack[NodeOptions],
    ) -> Stream[T]:
        """Leave out elements that have come already."""

    def slice(
        self,
        start: int | None = None,
        end: int | None = None,
        step: int | None = None,
        **options: Unpack[NodeOptions],
    ) -> Stream[T]:
        """Let only the elements at some positions pass, as in a list."""

    # --- several elements in, one collection out -----------------------------------------------

    def partition(
        self,
        n: int,
        timeout: Interval | None = None,
        key: Key[T] | None = None,
        **options: Unpack[NodeOptions],
    ) -> Stream[tuple[T, ...]]:
        """Gather elements into tuples of *n*."""

    def partition_unique(
        self, n: int, key: Key[T] = identity, keep: Keep = "first", **options: Unpack[NodeOptions]
    ) -> Stream[tuple[T, ...]]:
        """Gather elements with *n* distinct keys into a tuple."""

    def sliding_window(
        self, n: int, return_partial: bool = False, **options: Unpack[NodeOptions]
    ) -> Stream[tuple[T, ...]]:
        """Emit the last *n* elements, with every element."""

    def timed_window(
        self, interval: Interval, emit_empty: bool = True, **options: Unpack[NodeOptions]
    ) -> Stream[list[T]]:
        """Gather the elements of every interval into a list."""

    def timed_window_unique(
        self,
        interval: Interval,
        key: Key[T] = identity,
        keep: Keep = "first",
        emit_empty: bool = True,
        **options: Unpack[NodeOptions],
    ) -> Stream[tuple[T, ...]]:
        """Gather the elements of every interval into a tuple, one for each key."""

    def collect(
        self, cache: Any = None, metadata_cache: Any = None, **options: Unpack[NodeOptions]
    ) -> window.collect[T]:
        """Gather elements until `flush` tells to give them up."""

    # --- when elements go on -------------------------------------------------------------------

    def buffer(self, n: int, **options: Unpack[NodeOptions]) -> Stream[T]:
        """Let up to *n* elements wait, so that the upstream need not."""

    def delay(
        self, interval: Interval, spaced: bool = True, **options: Unpack[NodeOptions]
    ) -> Stream[T]:
        """Let every element leave an interval later."""

    def rate_limit(self, interval: Interval, **options: Unpack[NodeOptions]) -> Stream[T]:
        """Let elements pass no closer than an interval."""

    def latest(self, **options: Unpack[NodeOptions]) -> Stream[T]:
        """Emit only the newest element whenever there is room."""

    # --- several streams in --------------------------------------------------------------------

    @overload
    def union(self, a: Stream[A], /, **options: Unpack[NodeOptions]) -> Stream[T | A]: ...
    @overload
    def union(
        self, a: Stream[A], b: Stream[B], /, **options: Unpack[NodeOptions]
    ) -> Stream[T | A | B]: ...
    @overload
    def union(
        self, a: Stream[A], b: Stream[B], c: Stream[C], /, **options: Unpack[NodeOptions]
    ) -> Stream[T | A | B | C]: ...
    @overload
    def union(
        self,
        a: Stream[A],
        b: Stream[B],
        c: Stream[C],
        d: Stream[D],
        /,
        **options: Unpack[NodeOptions],
    ) -> Stream[T | A | B | C | D]: ...
    @overload
    def union(self, *upstreams: Stream[Any], **options: Unpack[NodeOptions]) -> Stream[Any]: ...
    def union(self, *upstreams: Any, **options: Unpack[NodeOptions]) -> Stream[Any]:
        """Let the elements of all streams pass, as they come."""

    @overload
    def zip(self, a: Stream[A], /, **options: Unpack[ZipOptions]) -> Stream[tuple[T, A]]: ...
    @overload
    def zip(
        self, a: Stream[A], b: Stream[B], /, **options: Unpack[ZipOptions]
    ) -> Stream[tuple[T, A, B]]: ...
    @overload
    def zip(
        self, a: Stream[A], b: Stream[B], c: Stream[C], /, **options: Unpack[ZipOptions]
    ) -> Stream[tuple[T, A, B, C]]: ...
    @overload
    def zip(
        self,
        a: Stream[A],
        b: Stream[B],
        c: Stream[C],
        d: Stream[D],
        /,
        **options: Unpack[ZipOptions],
    ) -> Stream[tuple[T, A, B, C, D]]: ...
    @overload
    def zip(self, a: A, /, **options: Unpack[ZipOptions]) -> Stream[tuple[T, A]]: ...
    @overload
    def zip(
        self, a: Stream[A], b: B, /, **options: Unpack[ZipOptions]
    ) -> Stream[tuple[T, A, B]]: ...
    @overload
    def zip(
        self, a: A, b: Stream[B], /, **options: Unpack[ZipOptions]
    ) -> Stream[tuple[T, A, B]]: ...
    @overload
    def zip(self, a: A, b: B, /, **options: Unpack[ZipOptions]) -> Stream[tuple[T, A, B]]: ...
    @overload
    def zip(self, *upstreams: Any, **options: Unpack[ZipOptions]) -> Stream[tuple[Any, ...]]: ...
    def zip(
        self, *upstreams: Any, maxsize: int = 10, first: Any = None, **options: Any
    ) -> Stream[Any]:
        """Pair the n-th elements of all streams; what is no stream stands in every tuple."""

    @overload
    def zip_latest(self, a: Stream[A], /, **options: Unpack[ZipOptions]) -> Stream[tuple[T, A]]: ...
    @overload
    def zip_latest(
        self, a: Stream[A], b: Stream[B], /, **options: Unpack[ZipOptions]
    ) -> Stream[tuple[T, A, B]]: ...
    @overload
    def zip_latest(
        self, a: Stream[A], b: Stream[B], c: Stream[C], /, **options: Unpack[ZipOptions]
    ) -> Stream[tuple[T, A, B, C]]: ...
    @overload
    def zip_latest(
        self,
        a: Stream[A],
        b: Stream[B],
        c: Stream[C],
        d: Stream[D],
        /,
        **options: Unpack[ZipOptions],
    ) -> Stream[tuple[T, A, B, C, D]]: ...
    @overload
    def zip_latest(
        self, *upstreams: Stream[Any], **options: Unpack[ZipOptions]
    ) -> Stream[tuple[Any, ...]]: ...
    def zip_latest(
        self, *upstreams: Any, maxsize: int = 1000, first: Any = None, **options: Any
    ) -> Stream[Any]:
        """Pair every element with the latest of the other streams."""

    @overload
    def combine_latest(
        self, a: Stream[A], /, **options: Unpack[CombineOptions]
    ) -> Stream[tuple[T, A]]: ...
    @overload
    def combine_latest(
        self, a: Stream[A], b: Stream[B], /, **options: Unpack[CombineOptions]
    ) -> Stream[tuple[T, A, B]]: ...
    @overload
    def combine_latest(
        self, a: Stream[A], b: Stream[B], c: Stream[C], /, **options: Unpack[CombineOptions]
    ) -> Stream[tuple[T, A, B, C]]: ...
    @overload
    def combine_latest(
        self,
        a: Stream[A],
        b: Stream[B],
        c: Stream[C],
        d: Stream[D],
        /,
        **options: Unpack[CombineOptions],
    ) -> Stream[tuple[T, A, B, C, D]]: ...
    @overload
    def combine_latest(
        self, *upstreams: Stream[Any], **options: Unpack[CombineOptions]
    ) -> Stream[tuple[Any, ...]]: ...
    def combine_latest(
        self, *upstreams: Any, emit_on: Any = None, first: Any = None, **options: Any
    ) -> Stream[Any]:
        """Emit the latest elements of all streams whenever one comes."""

    # --- where elements leave ------------------------------------------------------------------

    @overload
    def sink(self, func: Fn[T, P, object], *args: P.args, **kwargs: P.kwargs) -> sinks.sink[T]: ...
    @overload
    def sink(self, func: TakesAny[T, object], **kwargs: Any) -> sinks.sink[T]: ...
    @overload
    def sink(
        self,
        func: AnyFn[T, object],
        *args: Any,
        stream_name: str | None,
        loop: Any = None,
        asynchronous: bool | None = None,
        **kwargs: Any,
    ) -> sinks.sink[T]: ...
    @overload
    def sink(
        self,
        func: Callable[[T], object],
        *,
        stream_name: str | None = None,
        loop: Any = None,
        asynchronous: bool | None = None,
    ) -> sinks.sink[T]: ...
    def sink(self, func: Any, *args: Any, **kwargs: Any) -> sinks.sink[T]:
        """Call a function with every element, and end there."""

    @overload
    def starsink(
        self: Emits[tuple[*Items]],
        func: Callable[[*Items], object],
        *,
        stream_name: str | None = None,
        loop: Any = None,
        asynchronous: bool | None = None,
    ) -> sinks.starsink[T]: ...
    @overload
    def starsink(
        self: Emits[tuple[A, B]], func: Fn2[A, B, P, object], *args: P.args, **kwargs: P.kwargs
    ) -> sinks.starsink[T]: ...
    @overload
    def starsink(
        self: Emits[tuple[A, B, C]],
        func: Fn3[A, B, C, P, object],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> sinks.starsink[T]: ...
    @overload
    def starsink(
        self: Emits[Iterable[A]], func: Fn2[A, A, P, object], *args: P.args, **kwargs: P.kwargs
    ) -> sinks.starsink[T]: ...
    @overload
    def starsink(
        self: Emits[Iterable[A]], func: Fn3[A, A, A, P, object], *args: P.args, **kwargs: P.kwargs
    ) -> sinks.starsink[T]: ...
    @overload
    def starsink(
        self: Emits[Iterable[A]],
        func: Fn4[A, A, A, A, P, object],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> sinks.starsink[T]: ...
    @overload
    def starsink(
        self: Emits[Iterable[Any]],
        func: Callable[..., object],
        arg: Any,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> sinks.starsink[T]: ...
    def starsink(self, func: Any, *args: Any, **kwargs: Any) -> sinks.starsink[Any]:
        """Call a function with the items of every element, and end there."""

    def sink_to_list(self) -> list[T]:
        """Return a list that every element is appended to."""

    def sink_to_textfile(
        self,
        file: str | PathLike[str] | TextIO,
        end: str = "\n",
        mode: str = "a",
        **options: Unpack[NodeOptions],
    ) -> files.sink_to_textfile[T]:
        """Write every element to a text file, one a line."""

    # --- to where there are more processors ----------------------------------------------------

    def scatter(
        self,
        backend: Backend = "dask",
        *,
        client: Submits | None = None,
        batch: int | Literal["auto"] = "auto",
        ordered: bool = True,
        **options: Unpack[NodeOptions],
    ) -> ParallelStream[T]:
        """Send elements to a pool or a cluster; what is below works there, up to `gather`."""

    # --- to collections ------------------------------------------------------------------------

    def to_batch(self, **kwargs: Any) -> Batch:
        """Say that the elements are lists, and work on what is in them."""

    def to_dataframe(self, example: Any = None) -> DataFrame:
        """Say that the elements are data frames, and work on their columns."""

    # --- where elements come from --------------------------------------------------------------

    @staticmethod
    def from_iterable(iterable: Iterable[U], **options: Unpack[SourceOptions]) -> Source[U]:
        """Emit what an iterable yields, and end."""

    @staticmethod
    def from_async_iterable(
        aiterable: AsyncIterable[U], **options: Unpack[SourceOptions]
    ) -> Source[U]:
        """Emit what an asynchronous iterable yields, and end."""

    @overload
    @staticmethod
    def from_periodic(
        callback: Callable[[], Awaitable[U]],
        poll_interval: Interval = 0.1,
        **options: Unpack[SourceOptions],
    ) -> Source[U]: ...
    @overload
    @staticmethod
    def from_periodic(
        callback: Callable[[], U], poll_interval: Interval = 0.1, **options: Unpack[SourceOptions]
    ) -> Source[U]: ...
    @staticmethod
    def from_periodic(callback: Any, poll_interval: Interval = 0.1, **options: Any) -> Source[Any]:
        """Emit what a function returns, called again and again."""

    @staticmethod
    def from_textfile(
        f: str | PathLike[str] | TextIO | Any,
        poll_interval: Interval = 0.1,
        delimiter: str = "\n",
        from_end: bool = False,
        *,
        encoding: str = "utf-8",
        **options: Unpack[SourceOptions],
    ) -> Source[str]:
        """Emit the lines of a file as they are written."""

    @staticmethod
    def filenames(
        path: str | PathLike[str], poll_interval: Interval = 0.1, **options: Unpack[SourceOptions]
    ) -> Source[str]:
        """Emit the names of the files that appear in a directory."""

    @staticmethod
    def from_q(
        q: Gives[U], sleep_time: Interval = 0.01, **options: Unpack[SourceOptions]
    ) -> Source[U]:
        """Emit what is put into a queue."""
