"""Compatibility module: sets in order of insertion."""

from __future__ import annotations

from rapidz.kernel.graph.edges import OrderedSet, OrderedWeakrefSet

__all__ = ["OrderedSet", "OrderedWeakrefSet"]
