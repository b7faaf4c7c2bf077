"""What came of one element along several ways, put together again."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, TypeAlias

from rapidz.dataframe.collection.recompute import in_one_call, in_process
from rapidz.kernel.graph.stream import Stream, move_to_first
from rapidz.kernel.protocol.push import Pending, Push, discard
from rapidz.kernel.runtime.loop import is_async
from rapidz.operators import accumulate, map

Ref: TypeAlias = "weakref.ref[Stream[Any]]"


class in_step(Stream[tuple[Any, ...]]):
    """Pair what comes of the same element of a stream along several ways below it.

    Emits a tuple when every way has delivered.  An element that one of the ways
    loses, because a node failed or left it out, is lost for the tuple too, and
    the next one is whole again; a `zip` would pair the wrong ones from then on.
    Holds back when downstream does.

    Parameters
    ----------
    origin : Stream
        The node that all ways come from.
    *ways : Stream
        Nodes below it, or itself, that emit at most once for each of its elements, in order.

    >>> source = Stream()
    >>> inverse, shown = source.map(lambda x: 1 / x), source.map(str)
    >>> pairs = in_step(source, inverse, shown).sink(print)
    >>> source.emit(2)
    (0.5, '2')
    >>> skipping = inverse.on_error("skip")
    >>> source.emit_many([0, 4])
    (0.25, '4')
    """

    _graphviz_shape = "triangle"
    _graphviz_orientation = 270
    _keeps_elements: ClassVar[bool] = True

    def __init__(self, origin: Stream[Any], *ways: Stream[Any], **kwargs: Any) -> None:
        self._origin, self._ways = weakref.ref(origin), [weakref.ref(way) for way in ways]
        self._rows = _Rows(self._origin, self._ways)
        super().__init__(upstreams=list(dict.fromkeys([origin, *ways])), **kwargs)
        move_to_first(self, [origin])  # it must know of an element before the ways deliver
        self._room = room(origin, self._rows)

    def destroy(self, streams: Iterable[Stream[Any]] | None = None) -> None:
        """Take the node out of the pipeline."""
        super().destroy(streams)
        if self._origin() not in self.upstreams:
            self._room.destroy()

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        upstream, rows = self.upstreams[port], self._rows
        places = [place for place, way in enumerate(self._ways) if way() is upstream]
        begins = upstream is self._origin()
        if not begins and not places:
            return discard  # connected by hand: it is no way from the origin

        def step(x: Any) -> Pending:
            if begins:
                rows.begin()
            row = None
            for place in places:
                row = rows.put(place, x) or row
            if row is None:
                return None
            wait = push(row)
            return wait if wait is None else rows.keep(wait)

        return step


class room(Stream[Any]):
    """Comes after all ways, and holds the origin back while what is below `in_step` does.

    The ways themselves are not held back: a way with a policy takes one element after the other
    then, and its next ones would come late.
    """

    def __init__(self, origin: Stream[Any], rows: _Rows) -> None:
        self._rows = rows
        super().__init__(origin)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        rows = self._rows
        return lambda _: rows.end()


class _Rows:
    """The tuples that are not whole yet."""

    def __init__(self, origin: Ref, ways: Sequence[Ref]) -> None:
        self._origin, self._ways = origin, ways
        self._due: list[deque[int]] = [deque() for _ in ways]
        """For each way the numbers of the elements that it has yet to deliver."""
        self._rows: dict[int, list[Any]] = {}
        self._missing: dict[int, int] = {}
        self._last = 0
        self._under_way = False
        self._wait: Pending = None

    def begin(self) -> None:
        """An element sets out."""
        self._last += 1
        self._under_way, self._wait = True, None
        late = False
        for due, way in zip(self._due, self._ways, strict=True):
            if due:
                if any(node._is_busy() for node in nodes_between(self._origin(), way())):
                    late = True  # it waits, for a retry perhaps, and comes in its turn
                else:
                    due.clear()
            due.append(self._last)
        if not late:
            self._rows.clear()
            self._missing.clear()
        self._rows[self._last] = [None] * len(self._due)
        self._missing[self._last] = len(self._due)

    def keep(self, wait: Awaitable[object]) -> Pending:
        """Keep what there is to wait for to the end; what comes after that is returned."""
        if not self._under_way:
            return wait
        self._wait = wait
        return None

    def end(self) -> Pending:
        """All ways have had the element."""
        self._under_way = False
        wait, self._wait = self._wait, None
        return wait

    def put(self, place: int, x: Any) -> tuple[Any, ...] | None:
        """Something was delivered; the tuple, if that makes it whole."""
        due = self._due[place]
        number = due.popleft() if due else 0
        if number not in self._rows:
            return None
        self._rows[number][place] = x
        self._missing[number] -= 1
        if self._missing[number]:
            return None
        del self._missing[number]
        return tuple(self._rows.pop(number))


def together(streams: Sequence[Stream[Any]]) -> Stream[Any]:
    """Return a stream of tuples of what *streams* emit, of the same element where there is one.

    Streams that have no common origin, or something that waits on the way from it, are zipped:
    the n-th element of each.

    >>> source = Stream()
    >>> together([source, source.map(abs)])
    <in_step>
    >>> together([source, Stream()])
    <zip>
    """
    if all(in_process(stream) for stream in streams):
        if (origin := common_origin(streams)) is not None:
            return in_step(origin, *streams)
    elif (joined := in_one_call(streams)) is not None:
        return joined
    zipped: Stream[Any] = streams[0].zip(*streams[1:])
    return zipped


def common_origin(streams: Sequence[Stream[Any]]) -> Stream[Any] | None:
    """The nearest node that all *streams* follow element by element, at once."""
    first, *others = [list(ancestry(stream)) for stream in streams]
    for node in first:
        if all(any(node is other for other in line) for line in others):
            return node
    return None


def ancestry(stream: Stream[Any]) -> Iterator[Stream[Any]]:
    """*stream* and those above it, as long as each emits as soon as the one above it does."""
    yield stream
    while follows_at_once(stream):
        stream = stream.upstreams[0]
        yield stream


def follows_at_once(node: Stream[Any]) -> bool:
    """Whether *node* emits at most once for each element of its first upstream, at once."""
    if type(node) is in_step:
        return True
    return (
        type(node) in (map, accumulate)
        and len(node.upstreams) == 1
        and not is_async(vars(node)["func"])
    )


def nodes_between(origin: Stream[Any] | None, way: Stream[Any] | None) -> Iterator[Stream[Any]]:
    """All nodes from *way* up to *origin*, which is not among them."""
    seen, stack = {None, origin}, [way]
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack.extend(node.upstreams)
            yield node
