"""Choice between event time and the clock, when an operator with a span is built."""

from __future__ import annotations

import importlib
from typing import Any

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr


def goes_by_time(upstream: object, span: object) -> bool:
    """Return whether a node with a *span* downstream of *upstream* goes by event time."""
    if span is None or not isinstance(upstream, Stream) or upstream._pipeline.time is None:
        return False
    from rapidz.eventtime.event_time import definitions_upstream  # only where some node has one

    return bool(definitions_upstream([upstream]))


def go_by_time(node: Any, target: str, *args: Any, **kwargs: Any) -> None:
    """Make *node*, as it is built, one of the class ``"module:name"`` of this package.

    That class derives from the class of *node*.
    """
    module, _, name = target.partition(":")
    node.__class__ = getattr(importlib.import_module(f"rapidz.operators.{module}"), name)
    node.__init__(*args, **kwargs)


def refuse_timestamp(operator: str, span: str, timestamp: object) -> None:
    """Refuse where the timestamps are, for a node that goes by the clock."""
    raise ValueError(
        f"{operator}: timestamp must be given only with {span} and `event_time` upstream, "
        f"got {short_repr(timestamp)}"
    )
