"""Checks of lanes: what is refused when a pipeline with lanes is built."""

from __future__ import annotations

from typing import Any

from rapidz.eventtime.event_time import TimeDefinition, definition_of, definitions_upstream
from rapidz.eventtime.keyed.keyed_node import KeyedNode
from rapidz.eventtime.keyed.keyed_stream import KeyedStream
from rapidz.eventtime.keyed.process import process
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.parallel.lanes.key_groups import KEY_GROUPS


def check_scatter(upstream: Any, partitions: int | None, batch: int | str) -> None:
    """Refuse arguments of `scatter` that no lanes can be made of."""
    if not isinstance(upstream, KeyedStream):
        raise TypeError(
            f"scatter: partitions needs key_by(...) upstream, got {short_repr(upstream)}"
        )
    if partitions is not None:
        check_count("scatter", "partitions", partitions)
        if partitions > KEY_GROUPS:
            raise ValueError(f"scatter: partitions must be at most {KEY_GROUPS}, got {partitions}")
    if batch != "auto":
        check_count("scatter", "batch", batch)


def time_of(upstream: Any) -> TimeDefinition | None:
    """Return where the timestamps of *upstream* are; None without event time."""
    return definition_of("scatter", [upstream]) if definitions_upstream([upstream]) else None


def check_node(method: str, node: Any) -> None:
    """Refuse a node that cannot run in a lane."""
    if isinstance(node, Stream) and node._pipeline.needs_loop:
        raise TypeError(
            f"{method}: must do without an event loop in a lane, got {node}, which awaits a "
            "function or sets timers of the clock; gather() first"
        )
    if _goes_by_clock(node):
        raise ValueError(
            f"{method}: ttl must go by event time in a lane, got {node} without `event_time` "
            "upstream of scatter"
        )


def _goes_by_clock(node: Any) -> bool:
    """Return whether the state of *node* lives for a time of the clock."""
    if isinstance(node, KeyedNode):
        return node._state.ttl is not None and not node._by_event_time
    if isinstance(node, process):
        return node._process.states.ttl is not None and node._process.clock is None
    return False
