"""Types of the typed methods: type variables, protocols, options and aliases."""

# mypy: disable-error-code="empty-body"
# pyright: reportReturnType=false

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    Never,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVarTuple,
)

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from rapidz.kernel.graph.stream import Stream
    from rapidz.kernel.protocol.intervals import Interval
    from rapidz.sources.restart import Restart

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
KeyIn = TypeVar("KeyIn", contravariant=True)
Out = TypeVar("Out", covariant=True)
P = ParamSpec("P")
Items = TypeVarTuple("Items")


class Emits(Protocol[Out]):
    """Stream whose elements are of type *Out* or a subtype; `Stream` itself is invariant."""

    def _element(self) -> Out: ...


class AcceptsKeywords(Protocol[In, Out]):
    """Function of an element that accepts any keyword."""

    def __call__(self, x: In, /, **kwargs: Any) -> Out: ...


class QueueLike(Protocol[Out]):
    """Queue: of `queue`, `multiprocessing` or `asyncio`."""

    def get_nowait(self) -> Out: ...


class Processor(Protocol[KeyIn, In, Out]):
    """Class of `process`: its methods get a key, an element or instant, and a `KeyContext`."""

    def on_element(self, key: KeyIn, x: In, ctx: Any, /) -> Iterable[Out] | None: ...


class ExecutorLike(Protocol):
    """Executor of `concurrent.futures`, or Dask client."""

    @property
    def submit(self) -> Callable[..., Any]: ...


class NodeOptions(TypedDict, total=False):
    """Options of every node; see `Stream`."""

    stream_name: str | None
    loop: Any
    asynchronous: bool | None
    ensure_io_loop: bool


class JoinOptions(NodeOptions, total=False):
    """Options of every operator with several inputs."""

    first: bool | Stream[Any] | Iterable[Stream[Any]] | None


class ZipOptions(JoinOptions, total=False):
    """Options of `zip` and `zip_latest`."""

    maxsize: int


class CombineOptions(JoinOptions, total=False):
    """Options of `combine_latest`."""

    emit_on: int | Stream[Any] | Iterable[int | Stream[Any]] | None


class TimeWindowOptions(NodeOptions, total=False):
    """Options of the windows of event time: when they emit."""

    emit: Literal["close", "update"]
    early: Interval | None
    lateness: Interval
    timestamp: Any


class SourceOptions(NodeOptions, total=False):
    """Options of every source."""

    start: bool
    restart: bool | Restart | None


class WriterOptions(NodeOptions, total=False):
    """Options of every sink that writes to a `Writer`; see `WriterSink`."""

    batch: int
    max_bytes: int | None
    max_wait: Interval | None
    restart: bool | Restart | None


Fn = Callable[Concatenate[A, P], U]
Fn2 = Callable[Concatenate[A, B, P], U]
Fn3 = Callable[Concatenate[A, B, C, P], U]
Fn4 = Callable[Concatenate[A, B, C, D, P], U]
AnyFn = Callable[Concatenate[A, ...], U]
Reducer = Callable[[S, A], Awaitable[S] | S]
AnyReducer = Callable[Concatenate[S, A, ...], Awaitable[S] | S]
Mealy = Callable[Concatenate[S, A, ...], tuple[S, U]]
EmptyCollection = dict[Never, Never] | list[Never] | set[Never]
Key = Callable[[A], Any] | Hashable
Keep = Literal["first", "last"]
Backend = Literal["dask", "thread", "process"] | ExecutorLike | Callable[[], ExecutorLike]


class ElementType(Generic[T]):
    """Type of the elements of a stream; base class of all groups of methods."""

    def _element(self) -> T: ...
