"""Recorded streams: what a build function chains, noted without making nodes."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rapidz.eventtime.keyed.fused_chain import ChainStep, Kind
from rapidz.kernel.graph.constructor_arguments import remember
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import no_default
from rapidz.kernel.runtime.loop import is_async

#: What a recorded stream is to be: its parent, kind, function and start; None and the hub for the
#: stream of the elements of the key.
Plan: TypeAlias = tuple[Any, Any, Any, Any]

#: Flags of code that is no plain function: generators, coroutines, asynchronous generators.
_NOT_PLAIN: Final = 0x20 | 0x80 | 0x100 | 0x200


class RecordedStream(Stream[Any]):
    """Stream that notes `map`, `filter` and `accumulate`, and becomes a node if it must.

    A node costs fifty times as much as the note of one.  Whoever reads an attribute of the node,
    sets one, or makes another node downstream of it, gets the node, of the class that it always
    has.
    """

    _plan: Plan

    if not TYPE_CHECKING:  # the methods of `Stream`, with the same types

        def map(self, func: Any, *args: Any, **kwargs: Any) -> Any:
            if args or kwargs:
                return Stream.map(self, func, *args, **kwargs)
            return _noted(self, "map", func) or Stream.map(self, func)

        def filter(self, predicate: Any, *args: Any, **kwargs: Any) -> Any:
            if args or kwargs:
                return Stream.filter(self, predicate, *args, **kwargs)
            return _noted(self, "filter", predicate) or Stream.filter(self, predicate)

        def accumulate(self, func: Any, start: Any = no_default, *args: Any, **kwargs: Any) -> Any:
            if args or kwargs:
                return Stream.accumulate(self, func, start, *args, **kwargs)
            noted = _noted(self, "accumulate", func, start)
            return noted or Stream.accumulate(self, func, start)

        scan = accumulate

    def __getattr__(self, name: str) -> Any:
        if "_plan" in vars(self):
            make_node(self)
            return getattr(self, name)
        return super().__getattr__(name)  # type: ignore[misc]

    def __setattr__(self, name: str, value: Any) -> None:
        make_node(self)
        setattr(self, name, value)


def recorded_head(hub: Stream[Any]) -> Any:
    """Return the stream that a build function gets."""
    stream: Any = object.__new__(RecordedStream)
    stream.__dict__["_plan"] = (None, None, None, hub)
    return stream


def _noted(parent: RecordedStream, kind: Kind, func: Any, start: Any = no_default) -> Any:
    """Return a recorded stream; None if it is to be a node."""
    if "_plan" not in parent.__dict__:
        return None
    plain = func.__class__ is FunctionType and not func.__code__.co_flags & _NOT_PLAIN
    if not (plain and not func.__dict__) and (not callable(func) or is_async(func)):
        return None
    stream: Any = object.__new__(RecordedStream)
    stream.__dict__["_plan"] = (parent, kind, func, start)
    return stream


def make_node(stream: RecordedStream) -> None:
    """Make *stream* the node that it stands for."""
    parent, kind, func, start = vars(stream).pop("_plan")
    node: Any = stream
    if parent is None:
        cls: type = SubPipelineHead
        arguments: tuple[Any, ...] = (start,)
    else:
        cls = getattr(Stream, kind).__wrapped__
        arguments = (parent, *_arguments(func, start))
    object.__setattr__(node, "__class__", cls)
    remember(node, arguments, {})
    node.__init__(*arguments)


def _arguments(func: Any, start: Any) -> tuple[Any, ...]:
    return (func,) if start is no_default else (func, start)


def add_step(node: Stream[Any], step: ChainStep) -> Any:
    """Return a new node downstream of *node*."""
    return getattr(Stream, step.kind)(node, *_arguments(step.func, step.start))


def recorded_nodes(node: Any, head: Any) -> list[RecordedStream] | None:
    """Return the recorded streams from *node* up to *head*; None if some are nodes."""
    found = []
    while node.__class__ is RecordedStream:
        found.append(node)
        if node is head:
            return found
        node = node.__dict__["_plan"][0]
    return None


class SubPipelineHead(Stream[Any]):
    """The stream that a build function gets: the elements of one key."""

    def __init__(self, hub: Stream[Any]) -> None:
        super().__init__(hub)
        self._unused = False
