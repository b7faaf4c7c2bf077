"""Serialization of values and functions, by cloudpickle where pickle does not suffice."""

from __future__ import annotations

import pickle
import sys
from typing import Any


def _cloudpickle() -> Any:
    """Return the library that pickles functions by value; None if it is not installed."""
    try:
        import cloudpickle  # type: ignore[import-untyped]
    except ImportError:
        return None
    return cloudpickle


def dumps(x: Any) -> bytes:
    """Pickle *x*, a value; by value, where cloudpickle is installed, what belongs to the script.

    An instance of a class of the script travels with the class: the other process need not import
    the script, and a result is an instance of the very class that this process knows.
    """
    try:
        data = pickle.dumps(x, pickle.HIGHEST_PROTOCOL)
    except Exception:
        if _cloudpickle() is None:
            raise
        return dumps_by_value(x)
    return dumps_by_value(x) if _names_the_script(data) and _cloudpickle() is not None else data


def _names_the_script(data: bytes) -> bool:
    """Return whether *data* may refer to the script.

    It is ``__main__``, or ``__mp_main__`` in a process that `multiprocessing` has started.
    """
    return b"_main__" in data


def dumps_by_value(x: Any) -> bytes:
    """Pickle *x*, such as a function of ``__main__``: its code and not its name, if possible."""
    library = _cloudpickle()
    if library is None:
        return pickle.dumps(x)
    if (script := sys.modules.get("__mp_main__")) is not None:
        library.register_pickle_by_value(script)
    data: bytes = library.dumps(x)
    return data


def is_picklable(x: Any) -> bool:
    """Return whether *x* survives a round trip through pickle."""
    try:
        pickle.loads(dumps(x))
    except Exception:
        return False
    return True
