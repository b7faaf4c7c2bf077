"""Several ways of one element, gone in one call: for streams whose elements are elsewhere.

There nobody sees an element pass, so a node such as `in_step` could not tell what belongs together
when one way has failed.  What lies between is done anew instead, at one place and in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import SKIP
from rapidz.kernel.runtime.loop import is_async
from rapidz.operators import map

#: The function of a `map`, and what it gets besides the element.
Step: TypeAlias = "tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]"


def in_process(stream: Stream[Any]) -> bool:
    """Return whether the elements of *stream* are in this process, not with a backend's workers."""
    return not stream._remote


def in_one_call(streams: Sequence[Stream[Any]]) -> Stream[Any] | None:
    """A stream of tuples of what *streams* give, from the nearest node that all derive from.

    None if something else than functions of single elements lies between.
    """
    lines = [_line(stream) for stream in streams]
    for node, _ in lines[0]:
        ways = [way for line in lines if (way := _steps_below(node, line)) is not None]
        if len(ways) == len(lines):
            made: Stream[Any] = node.map(Ways(ways))
            return made
    return None


def _line(stream: Stream[Any]) -> list[tuple[Stream[Any], Step | None]]:
    """*stream* and the nodes above, with the step that each takes, as long as these are maps."""
    line: list[tuple[Stream[Any], Step | None]] = []
    while isinstance(stream, map) and not stream._unpacks_elements and len(stream.upstreams) == 1:
        if is_async(stream.func):
            break
        line.append((stream, (stream.func, stream.args, dict(stream.kwargs))))
        stream = stream.upstreams[0]
    return [*line, (stream, None)]


def _steps_below(
    origin: Stream[Any], line: list[tuple[Stream[Any], Step | None]]
) -> list[Step] | None:
    """The steps from *origin* down; None if it is not in *line*."""
    steps: list[Step] = []
    for node, step in line:
        if node is origin:
            return steps[::-1]
        if step is not None:
            steps.append(step)
    return None


class Ways:
    """Takes an element along every way, and returns what that gives, as a tuple."""

    def __init__(self, ways: Sequence[Sequence[Step]]) -> None:
        self.ways = ways
        self.__name__ = "ways"

    def __call__(self, x: Any) -> Any:
        results = []
        for way in self.ways:
            result = x
            for func, args, kwargs in way:
                if result is not SKIP:
                    result = func(result, *args, **kwargs)
            if result is SKIP:
                return SKIP
            results.append(result)
        return tuple(results)
