"""Compatibility module: operators from other packages, by entry point.

A package declares node classes in the entry-point groups ``rapidz.nodes``, ``rapidz.sources`` and
``rapidz.sinks`` (or ``streamz.…``); each becomes a method of `Stream`, and is imported when first
used.
"""

from __future__ import annotations

from rapidz.kernel.graph.registry import get_entry_point, load_plugins, try_register

__all__ = ["get_entry_point", "load_plugins", "try_register"]
