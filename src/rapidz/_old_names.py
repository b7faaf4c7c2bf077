"""Top-level names that are resolved late: those of the old libraries, and of the runner.

`rapidz.__getattr__` resolves them, so that old imports work and `dir(rapidz)`
stays short; they are imported on first access.
"""

from __future__ import annotations

import importlib
from typing import Any

from rapidz.connectors import CONNECTORS
from rapidz.kernel.graph.registry import load_later

#: Old name → the module of the package that defines it.
OLD_NAMES = {
    "APIRegisterMixin": "core",
    "DaskStream": "dask",
    "FromKafkaBatched": "sources",
    "OrderedWeakrefSet": "core",
    "apply": "core",
    "build_node_set": "graph",
    "convert_interval": "core",
    "create_graph": "graph",
    "get_io_loop": "core",
    "get_message_batch": "sources",
    "get_message_batch_cudf": "sources",
    "get_thread_identity": "compatibility",
    "identity": "core",
    "load_plugins": "plugins",
    "logger": "core",
    "readable_graph": "graph",
    "scatter": "dask",
    "sink_to_file": "sources",
    "sync": "core",
    "thread_state": "core",
    "to_graphviz": "graph",
    "visualize": "graph",
}

#: Names that are imported on first access because few programs need them, and their modules.
LATE_NAMES = {
    "KeyContext": "eventtime.keyed.key_context",
    "KeyedStream": "eventtime.keyed.keyed_stream",
    "Late": "eventtime.late",
    "WindowResult": "eventtime.windows.results",
    "run": "runner",
    "run_async": "runner",
}

#: Modules of the package that are imported on first access.
OLD_MODULES = frozenset(
    {
        "batch",
        "clients",
        "collection",
        "compatibility",
        "dask",
        "dataframe",
        "orderedweakset",
        "parallel",
        "river",
        "utils",
        "utils_test",
    }
)


def resolve(name: str) -> Any:
    """Return the object with the top-level name *name*, or raise AttributeError."""
    if name in OLD_MODULES:
        return importlib.import_module(f"rapidz.{name}")
    module = OLD_NAMES.get(name) or LATE_NAMES.get(name)
    if module is not None:
        return getattr(importlib.import_module(f"rapidz.{module}"), name)
    if name in CONNECTORS:
        return load_later(name)
    raise AttributeError(f"module 'rapidz' has no attribute {name!r}")
