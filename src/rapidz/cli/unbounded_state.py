"""Unbounded state: nodes that keep something for each key for ever."""

from __future__ import annotations

from typing import Any

from rapidz.eventtime.joins.asof import asof_join
from rapidz.eventtime.keyed.keyed_node import KeyedNode
from rapidz.eventtime.keyed.pipelines import keyed_pipelines
from rapidz.eventtime.keyed.process import process
from rapidz.eventtime.keyed.unique import keyed_unique


def bound_missing(node: Any) -> str | None:
    """Return what *node* keeps for ever, and what would bound it; None if it has a bound.

    A process with timers may remove its states by them.
    """
    if isinstance(node, KeyedNode):
        if node._state.bounded or (isinstance(node, keyed_pipelines) and not node.keeps_keys):
            return None
        bounds = "within= or maxsize=" if isinstance(node, keyed_unique) else "ttl= or max_keys="
        return f"keeps a state of each key for ever: give {bounds}"
    if isinstance(node, process):
        bounded = node._process.states.bounded or hasattr(node.instance, "on_timer")
        if node._key is not None and not bounded:
            return "keeps a state of each key for ever: give ttl= or max_keys="
    if type(node) is asof_join and node._tolerance is None:
        return "keeps the newest right element of each key for ever: give tolerance="
    return None
