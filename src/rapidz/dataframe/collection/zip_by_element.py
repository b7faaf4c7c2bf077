"""Alignment by element: what several streams emit for the same element, as one tuple.

Within the process a `zip` does that. Where elements are with the workers of a backend, the branches
are computed by one task instead of several that exchange their results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import SKIP
from rapidz.kernel.runtime.loop import is_async
from rapidz.operators import map, zip

#: The function of a `map`, and its arguments besides the element.
MapCall: TypeAlias = "tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]"


class zip_by_element(zip):
    """A `zip` that also drops the partners of an element for which `SKIP` was returned.

    `zip` itself drops those of an element that failed, and pairs by position after a `SKIP`.

    >>> source = Stream()
    >>> even = source.map(lambda x: SKIP if x % 2 else x)
    >>> pairs = zip_by_element(even, source.map(str)).sink(print)
    >>> source.emit_many([2, 3, 4])
    (2, '2')
    (4, '4')
    """

    _drops_skipped: ClassVar[bool] = True


def align_by_element(streams: Sequence[Stream[Any]]) -> Stream[Any]:
    """Return a stream of tuples: what *streams* emit for the same element of their common origin.

    Streams without a common origin are paired by position.

    >>> source = Stream()
    >>> align_by_element([source, source.map(abs)])
    <zip_by_element>
    """
    if not any(stream._remote for stream in streams):
        return zip_by_element(*streams)
    if (joined := recompute_together(streams)) is not None:
        return joined
    zipped: Stream[Any] = streams[0].zip(*streams[1:])
    return zipped


def recompute_together(streams: Sequence[Stream[Any]]) -> Stream[Any] | None:
    """Return a `map` of the nearest common origin to the tuple of what *streams* emit for it.

    None if anything but a `map` lies between.
    """
    paths = [_path_upstream(stream) for stream in streams]
    for origin in paths[0]:
        if all(origin in path for path in paths):
            branches = [
                [(node.func, node.args, dict(node.kwargs)) for node in path[: path.index(origin)]]
                for path in paths
            ]
            joined: Stream[Any] = origin.map(branch_results, [calls[::-1] for calls in branches])
            return joined
    return None


def _path_upstream(stream: Stream[Any]) -> list[Any]:
    """Return *stream* and the nodes upstream of it, as far as each is a synchronous `map`."""
    path = [stream]
    while (
        isinstance(stream, map)
        and not stream._unpacks_elements
        and len(stream.upstreams) == 1
        and not is_async(stream.func)
    ):
        stream = stream.upstreams[0]
        path.append(stream)
    return path


def branch_results(x: Any, branches: Sequence[Sequence[MapCall]]) -> Any:
    """Return the tuple of what the functions of each branch make of *x*; `SKIP` if one does.

    >>> branch_results(2, [[(pow, (3,), {})], [(str, (), {}), (len, (), {})]])
    (8, 1)
    """
    results = []
    for calls in branches:
        result = x
        for func, args, kwargs in calls:
            result = func(result, *args, **kwargs)
            if result is SKIP:
                return SKIP
        results.append(result)
    return tuple(results)
