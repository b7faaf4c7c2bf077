"""Optional libraries: imported when a frame of another kind, or a plot, first needs them."""

from __future__ import annotations

import functools
import importlib
from typing import Any

__all__ = ["import_arrow", "import_library", "import_narwhals", "import_optional"]


def import_narwhals() -> Any:
    """Return narwhals, which knows the frames of all libraries."""
    return import_optional("narwhals.stable.v2", "pip install 'rapidz[frames]'")


def import_arrow() -> Any:
    """Return pyarrow, by which values are exchanged."""
    return import_optional("pyarrow", "pip install pyarrow")


@functools.cache
def import_optional(name: str, remedy: str) -> Any:
    """Return a module that frames need which are not of pandas; see `import_library`."""
    return import_library(name, "frames of other kinds than pandas need", remedy)


def import_library(name: str, needed_by: str, remedy: str) -> Any:
    """Return a module; ImportError, which says what to do, if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        raise ImportError(f"{needed_by} {library}, which is not installed: {remedy}") from error
