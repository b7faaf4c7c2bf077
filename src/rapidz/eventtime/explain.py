"""Explanations in words: which node or source keeps the watermark back, and since when."""

from __future__ import annotations

import time
from typing import Any

from rapidz.eventtime.clock import END, BoundaryClock, EventClock
from rapidz.eventtime.origin import OriginClock
from rapidz.eventtime.partitions import PartitionedClock
from rapidz.eventtime.time_graph import time_graph
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr


@Stream.register_api()
def held_by(upstream: Stream[Any]) -> str:
    """Say in words what keeps the watermark of a stream back, and since when.

    That is the slowest of the inputs that are neither idle nor ended: an `event_time` whose
    newest timestamp is the oldest, a node with elements in flight, or one that has
    results to emit.

    >>> source = Stream()
    >>> node = source.event_time("at", lag="10s")
    >>> source.emit({"at": 70})
    >>> print(node.held_by())
    the watermark is 60: <event_time> has 70 as its newest timestamp, and a lag of 10
    """
    clocks = _clocks_of(upstream)
    if not clocks:
        return f"{upstream} has no watermark: there is no `event_time` upstream"
    clock = _slowest(clocks)
    if clock is None:
        return "the stream has ended: nothing keeps the watermark back"
    return _sentence(clock)


@Stream.register_api()
def why_open(upstream: Stream[Any], window: Any = None) -> str:
    """Say in words why a window is still open: what the watermark waits for.

    Parameters
    ----------
    window : tuple, WindowResult or None
        The window: a result that was emitted early, or a pair of its start and end.  None: the one
        that will close next.

    >>> source = Stream()
    >>> node = source.event_time("at", lag="10s").tumbling("1 min").collect()
    >>> source.emit({"at": 55})
    >>> print(node.why_open())
    the window from 0 to 60 closes when the watermark is 60; \
the watermark is 45: <event_time> has 55 as its newest timestamp, and a lag of 10
    """
    if not hasattr(upstream, "_open_windows"):
        raise TypeError(f"why_open: stream must be a node of windows, got {upstream}")
    node: Any = upstream
    domain, open_ = node._domain, node._open_windows()
    if window is None:
        if not open_:
            return f"{upstream} has no open window"
        start, end = min(open_, key=lambda each: each[1])
    else:
        start, end = _borders(node, window)
        if (start, end) not in open_:
            at = f"from {domain.from_ns(start)} to {domain.from_ns(end)}"
            closed = node._clock.arrived() >= end
            return f"the window {at} {'is closed' if closed else 'has no elements yet'}"
    first, last = domain.from_ns(start), domain.from_ns(end)
    return (
        f"the window from {first} to {last} closes when the watermark is {last}; "
        f"{held_by(upstream.upstreams[0]) if upstream.upstreams else f'{upstream} has no upstream'}"
    )


def _borders(stream: Any, window: Any) -> tuple[int, int]:
    start, end = getattr(window, "start", None), getattr(window, "end", None)
    if start is None and isinstance(window, (tuple, list)) and len(window) == 2:
        start, end = window
    if start is None:
        raise TypeError(
            "why_open: window must be a WindowResult or a pair of start and end, "
            f"got {short_repr(window)}"
        )
    domain = stream._domain
    return domain.to_ns(start), domain.to_ns(end)


def _clocks_of(stream: Any) -> list[EventClock]:
    """Return the clock of *stream*, or the nearest ones upstream."""
    graph = time_graph(stream)
    graph.refresh(stream._pipeline)
    found: list[EventClock] = []
    stack, seen = [stream], {stream}
    while stack:
        node = stack.pop()
        if node._clock is not None:
            found.append(node._clock)
            continue
        ahead = [up for up in node.upstreams if up is not None and up not in seen]
        seen.update(ahead)
        stack += ahead
    return found


def _slowest(clocks: Any) -> EventClock | None:
    left = [clock for clock in clocks if not clock.has_ended()]
    active = [clock for clock in left if not clock.is_idle()]
    return min(active or left, key=lambda clock: clock.now(), default=None)


def _sentence(clock: EventClock) -> str:
    """Follow *clock* to what keeps it back, and say what that is."""
    first = clock
    while True:
        node = clock.node
        if node is None:
            return "a node that has gone keeps the watermark back"
        if isinstance(clock, OriginClock):
            return f"{_watermark(first)}: {_origin(clock)}"
        arrived = clock.arrived()
        if isinstance(clock, BoundaryClock) and clock.reached < arrived:
            count = node._count_buffered()
            what = f"{count} element{'s' * (count != 1)}" if count else "elements"
            return f"{_watermark(first)}: {node} has {what} in flight, or kept to be combined"
        if not isinstance(clock, BoundaryClock) and clock.now() < arrived:
            return f"{_watermark(first)}: {node} has results to emit first"
        above = _slowest(clock.inputs)
        if above is None:
            return "the stream has ended: nothing keeps the watermark back"
        clock = above


def _watermark(clock: EventClock) -> str:
    now = clock.now()
    origin: Any = clock
    while not isinstance(origin, OriginClock):
        above = _slowest(origin.inputs)
        if above is None:
            return "the stream has ended"
        origin = above
    if origin.bar is None or not -END < now < END:
        return "there is no watermark yet"
    return f"the watermark is {origin.domain.from_ns(now)}"


def _origin(clock: OriginClock) -> str:
    node = clock.node
    if clock.bar is None:
        return f"{node} has had no element"
    newest = clock.domain.shown(clock.bar)
    text = f"{node} has {newest} as its newest timestamp"
    if isinstance(clock, PartitionedClock):
        text = f"{node} has {newest} as the newest timestamp of {clock.slowest()}"
    if clock.lag:
        text += f", and a lag of {clock.domain.delta(clock.lag)}"
    if clock.is_idle():
        return f"{text}; it is idle"
    silent = clock.silent_for(time.monotonic())
    return f"{text}; no later one has come for {_length(silent)}" if silent >= 1 else text


def _length(seconds: float) -> str:
    whole = int(seconds)
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= unit:
            return f"{whole // unit} {name}"
    return f"{whole} s"
