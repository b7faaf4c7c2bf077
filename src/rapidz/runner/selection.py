"""Selection of pipelines: from streams to whole pipelines, their sources, sinks and order."""

from __future__ import annotations

import functools
import types
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rapidz.graph.walk import depth_first
from rapidz.kernel.graph import signals
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.pipeline import Pipeline
from rapidz.sources.base import Source
from rapidz.sources.run import active_runs

#: How deep lists of streams may be nested.
MAX_NESTING = 4


class SelectedPipeline:
    """A pipeline to run: its nodes are looked up anew after every edit of the graph."""

    def __init__(self, stream: Stream[Any]) -> None:
        self.stream = stream
        self._edits = -1
        self._nodes: list[Stream[Any]] = []

    @property
    def pipeline(self) -> Pipeline:
        return self.stream._pipeline

    @property
    def nodes(self) -> list[Stream[Any]]:
        """The nodes, from the sources downstream; those in separate parts come last."""
        if self._edits != self.pipeline.edits:
            self._edits = self.pipeline.edits
            self._nodes = _in_order(self.stream)
        return self._nodes

    @property
    def sources(self) -> list[Source[Any]]:
        """The nodes that emit by themselves."""
        return [node for node in self.nodes if isinstance(node, Source) and node._emits_itself()]

    @property
    def sinks(self) -> list[Stream[Any]]:
        """The nodes where elements end, those of dead-letter streams included."""
        return [node for node in self.nodes if node._is_end]

    def ends(self) -> list[Stream[Any]]:
        """Return the nodes to close: those without an input, dead-letter streams excepted."""
        letters = signals.streams_of_failures(self.pipeline, ended=False)
        heads = [node for node in self.nodes if not node.upstreams and node not in letters]
        return heads or self.nodes[:1]  # a cycle has no head

    def feeds(self) -> set[int]:
        """Return the identities of the pipelines that functions of this one emit to."""
        found = set()
        for node in self.nodes:
            for value in list(vars(node).values()):
                if callable(value):
                    found |= {identity(stream) for stream in streams_in_function(value)}
        return found - {identity(self.stream)}


def identity(stream: Stream[Any]) -> int:
    """Return a number that all nodes of a pipeline share."""
    return id(vars(stream._pipeline))


def select(streams: Iterable[Stream[Any]]) -> list[SelectedPipeline]:
    """Return the pipelines of *streams*, each once: those that emit to another one first."""
    found = {identity(stream): stream for stream in reversed(list(streams))}
    selected = [SelectedPipeline(stream) for stream in reversed(found.values())]
    return _upstream_first(selected)


def running_streams() -> list[Stream[Any]]:
    """Return the sources of the process that run, in the order of their start."""
    runs = sorted(active_runs, key=lambda run: run._number)
    return [run.source for run in runs if isinstance(run.source, Stream)]


def as_streams(value: Any) -> list[Stream[Any]] | None:
    """Return the streams that *value* is or contains, None if it is something else.

    >>> source = Stream()
    >>> as_streams([source, (source,)]) == [source, source]
    True
    >>> as_streams([source, 3]), as_streams([])
    (None, None)
    """
    return _as_streams(value, MAX_NESTING) or None


def _as_streams(value: Any, depth: int) -> list[Stream[Any]]:
    if isinstance(value, Stream):
        return [value]
    if (stream := _stream_of_frame(value)) is not None:
        return [stream]
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple, set, frozenset)):
        return []
    found: list[Stream[Any]] = []
    for item in value if depth else ():
        part = _as_streams(item, depth - 1)
        if not part:  # a list of anything else, which may be long
            return []
        found += part
    return found


def _stream_of_frame(value: Any) -> Stream[Any] | None:
    """Return the stream of a streaming frame; ask no other object for an attribute."""
    if not any(cls.__module__.startswith("rapidz.dataframe.") for cls in type(value).__mro__):
        return None
    stream = getattr(value, "stream", None)
    return stream if isinstance(stream, Stream) else None


def check_streams(operator: str, value: Any) -> list[Stream[Any]]:
    """Return the streams that *value* is or contains; refuse everything else."""
    streams = as_streams(value)
    if streams is None:
        raise TypeError(
            f"{operator}: streams must be streams, or lists of them, got {short_repr(value)}"
        )
    return streams


def _in_order(stream: Stream[Any]) -> list[Stream[Any]]:
    nodes = depth_first(stream)
    known = set(nodes)
    for node in list(stream._pipeline.nodes):
        if node not in known:
            part = depth_first(node)
            nodes += part
            known.update(part)
    return nodes


def _upstream_first(selected: list[SelectedPipeline]) -> list[SelectedPipeline]:
    """Return *selected* in an order in which a pipeline precedes those that it emits to.

    Pipelines that emit to each other keep the order that they have.
    """
    by_number = {identity(each.stream): each for each in selected}
    feeds = {number: each.feeds() & set(by_number) for number, each in by_number.items()}
    inputs = Counter(fed for numbers in feeds.values() for fed in numbers)
    ready = deque(number for number in by_number if not inputs[number])
    waiting, ordered = dict.fromkeys(by_number), []
    while waiting:
        number = ready.popleft() if ready else next(iter(waiting))
        if number not in waiting:
            continue
        del waiting[number]
        ordered.append(by_number[number])
        for fed in feeds[number]:
            inputs[fed] -= 1
            if not inputs[fed]:
                ready.append(fed)
    return ordered


def streams_in_function(function: Callable[..., Any]) -> Iterator[Stream[Any]]:
    """Yield the streams that *function* refers to: by its object, closure, defaults or globals.

    Functions of the same module that it calls are followed.

    >>> other = Stream()
    >>> list(streams_in_function(lambda x: other.emit(x))) == [other]
    True
    >>> list(streams_in_function(other.emit)) == [other]
    True
    """
    seen: set[int] = set()
    stack: list[Any] = [function]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Stream):
            yield value
        elif isinstance(value, functools.partial):
            stack += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, types.MethodType):
            owner = value.__self__
            stack += [value.__func__, owner if isinstance(owner, Stream) else _fields(owner)]
        elif isinstance(value, types.FunctionType):
            stack += _references(value)
        else:
            stack += _as_streams(value, MAX_NESTING)


def _fields(owner: object) -> list[Any]:
    """Return the streams that are attributes of an object."""
    return [value for value in getattr(owner, "__dict__", {}).values() if isinstance(value, Stream)]


def _references(function: types.FunctionType) -> list[Any]:
    """Return what the code of *function* refers to by closure, default and global name."""
    found: list[Any] = list(function.__defaults__ or ())
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # it is empty
            continue
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if not isinstance(value, types.FunctionType) or value.__module__ == function.__module__:
            found.append(value)
    return found
