"""Lane stream: what `scatter` of a keyed stream returns, with the operators that run in lanes.

Its methods record their arguments, and build the same node in this process at once, which checks
them; workers build the nodes that do the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rapidz.eventtime.keyed.keyed_stream import KeyedStream
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.parallel.lanes.program import SIDE_STREAMS

#: Operators that keep no state, so that each lane may have its own.
STATELESS = (
    "map",
    "starmap",
    "filter",
    "remove",
    "pluck",
    "flatten",
    "timestamps",
    "key_by",
    "on_error",
)
#: Operators that keep one state a key.
KEYED = (
    "accumulate",
    "scan",
    "map_with_state",
    "unique",
    "process",
)
#: Operators that return windows, which are a stream once it is said what becomes of them.
WINDOWS = ("tumbling", "sliding", "session")


class LaneStream:
    """Stream in the lanes of a keyed stream, until `gather` brings its elements back.

    Its methods are the operators that can run in a lane: those of a keyed stream that keep one
    state a key, and those that keep none.  They take the same arguments as on a keyed stream, and
    are refused if they need an event loop, as ``async def`` functions do.

    Parameters
    ----------
    scatter : lane_scatter
        The node that elements come from.
    step : int
        The number of the step whose result it is; 0 for what comes from `scatter`.
    """

    def __init__(self, scatter: Any, step: int) -> None:
        self._scatter, self._step = scatter, step

    def __repr__(self) -> str:
        return f"<lanes of {self._scatter}: {self._node}>"

    @property
    def _node(self) -> Any:
        """The node that was built here, which no element reaches."""
        return self._scatter._template[self._step]

    def _call(self, method: str, *args: Any, **kwargs: Any) -> LaneStream:
        if method in (*KEYED, *WINDOWS) and not isinstance(self._node, KeyedStream):
            raise TypeError(
                f"{method}: upstream must have keys in a lane, got {short_repr(self._node)}: call "
                "key_by(...) again, with the key by which elements were scattered"
            )
        return LaneStream(self._scatter, self._scatter._add_step(self._step, method, args, kwargs))

    # --- operators ----------------------------------------------------------------------------

    def accumulate(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> LaneStream:
        """Fold every element into the state of its key: see `keyed_accumulate`."""
        return self._call("accumulate", func, *args, **kwargs)

    scan = accumulate

    def map_with_state(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> LaneStream:
        """Apply ``func(state, x) -> (state, result)``: see `map_with_state`."""
        return self._call("map_with_state", func, *args, **kwargs)

    def unique(self, *args: Any, **kwargs: Any) -> LaneStream:
        """Drop elements whose key has occurred before: see `keyed_unique`."""
        return self._call("unique", *args, **kwargs)

    def process(self, cls: Callable[..., Any], *args: Any, **kwargs: Any) -> LaneStream:
        """Call a class with each element and each timer of its key: see `process`."""
        return self._call("process", cls, *args, **kwargs)

    def tumbling(self, size: Any, **kwargs: Any) -> LaneWindows:
        """Divide event time into windows of one size: see `tumbling`."""
        return LaneWindows(self._call("tumbling", size, **kwargs))

    def sliding(self, size: Any, every: Any, **kwargs: Any) -> LaneWindows:
        """Windows of one size that begin every so often: see `sliding`."""
        return LaneWindows(self._call("sliding", size, every, **kwargs))

    def session(self, gap: Any, **kwargs: Any) -> LaneWindows:
        """Windows of elements that follow each other closely: see `session`."""
        return LaneWindows(self._call("session", gap, **kwargs))

    def map(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> LaneStream:
        """Apply a function to every element: see `map`."""
        return self._call("map", func, *args, **kwargs)

    def starmap(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> LaneStream:
        """Apply a function to the items of every element: see `starmap`."""
        return self._call("starmap", func, *args, **kwargs)

    def filter(self, predicate: Any, *args: Any, **kwargs: Any) -> LaneStream:
        """Pass the elements for which a predicate is true: see `filter`."""
        return self._call("filter", predicate, *args, **kwargs)

    def remove(self, predicate: Any, *args: Any, **kwargs: Any) -> LaneStream:
        """Pass the elements for which a predicate is false: see `remove`."""
        return self._call("remove", predicate, *args, **kwargs)

    def pluck(self, pick: Any, **kwargs: Any) -> LaneStream:
        """Pick items of every element: see `pluck`."""
        return self._call("pluck", pick, **kwargs)

    def flatten(self, **kwargs: Any) -> LaneStream:
        """Emit the items of every element: see `flatten`."""
        return self._call("flatten", **kwargs)

    def timestamps(self, timestamp: Any, **kwargs: Any) -> LaneStream:
        """Say anew where the timestamp of an element is: see `timestamps`."""
        return self._call("timestamps", timestamp, **kwargs)

    def key_by(self, key: Any, **kwargs: Any) -> LaneStream:
        """Say anew where the key of an element is, after an operator has changed elements.

        It must be the key by which elements were scattered: an element with a key of another lane
        fails.
        """
        return self._call("key_by", key, **kwargs)

    def on_error(self, policy: Any) -> LaneStream:
        """Say what becomes of elements that fail here: see `Stream.on_error`."""
        if isinstance(policy, Stream):
            raise TypeError(
                "on_error: policy must be 'raise', 'skip', 'send' or a Retry in a lane, got a "
                "Stream; connect to `errors`"
            )
        return self._call("on_error", policy)

    # --- ways out -----------------------------------------------------------------------------

    def gather(self, **kwargs: Any) -> Stream[Any]:
        """Return the elements to this process.

        Emits the results of all lanes as they arrive, in order for each key.
        """
        node: Stream[Any] = self._scatter._gather(self._step, **kwargs)
        return node

    @property
    def late(self) -> Stream[Any]:
        """The elements that came too late here, each a `Late`, in this process."""
        return self._side_stream("late")

    @property
    def late_count(self) -> int:
        """How many elements have come too late here."""
        count: int = self._scatter._late_counts.get(self._step, 0)
        return count

    @property
    def evicted(self) -> Stream[Any]:
        """The states that have left by a bound, each ``(key, state)``, in this process."""
        return self._side_stream("evicted")

    @property
    def errors(self) -> Stream[Any]:
        """The failures of this node, each a `Failure`, in this process."""
        return self._side_stream("errors")

    def _side_stream(self, name: str) -> Stream[Any]:
        if name not in SIDE_STREAMS or not hasattr(type(self._node), name):
            raise AttributeError(f"{self._node} has no stream {name!r}", name=name, obj=self)
        stream: Stream[Any] = self._scatter._side_stream(self._step, name)
        return stream

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("_") and hasattr(KeyedStream, name):
                raise TypeError(
                    f"{name}: cannot run in a lane, got {short_repr(self)} for an upstream; "
                    "gather() first"
                )
            raise AttributeError(f"a stream in lanes has no attribute {name!r}", name=name)


class LaneWindows:
    """Windows in the lanes of a keyed stream, still without what becomes of their elements.

    Parameters
    ----------
    windows : LaneStream
        What the method that has defined them has returned.
    """

    def __init__(self, windows: LaneStream) -> None:
        self._windows = windows

    def __repr__(self) -> str:
        return short_repr(self._windows._node)

    def _call(self, method: str, *args: Any, **kwargs: Any) -> LaneStream:
        windows = self._windows
        step = windows._scatter._add_step(windows._step, method, args, kwargs)
        return LaneStream(windows._scatter, step)

    def aggregate(self, **aggregators: Any) -> LaneStream:
        """Aggregate the elements of each window: see `Windows.aggregate`."""
        return self._call("aggregate", **aggregators)

    def reduce(self, func: Callable[[Any, Any], Any], *args: Any, **kwargs: Any) -> LaneStream:
        """Fold the elements of each window: see `Windows.reduce`."""
        return self._call("reduce", func, *args, **kwargs)

    def collect(self) -> LaneStream:
        """Collect the elements of each window into a list: see `Windows.collect`."""
        return self._call("collect")
