"""How values, and functions, become bytes that another process understands."""

from __future__ import annotations

import pickle
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.short_repr import short_repr

if TYPE_CHECKING:
    from rapidz.parallel.wire.program import Spec


def _cloudpickle() -> Any:
    """The library that pickles functions by what they are; None where it is not installed."""
    try:
        import cloudpickle  # type: ignore[import-untyped]
    except ImportError:
        return None
    return cloudpickle


def pickled(x: Any) -> bytes:
    """Pickle *x*, a value; lambdas, and what is of the script, too where cloudpickle is installed.

    An instance of a class of the script travels with the class: the other process need not import
    the script, and what comes back is an instance of the very class that is here.
    """
    try:
        data = pickle.dumps(x, pickle.HIGHEST_PROTOCOL)
    except Exception:
        if _cloudpickle() is None:
            raise
        return by_value(x)
    return by_value(x) if _names_the_script(data) and _cloudpickle() is not None else data


def _names_the_script(data: bytes) -> bool:
    """Whether *data* may refer to the script: ``__main__``, or ``__mp_main__`` in a process that
    `multiprocessing` has started."""
    return b"_main__" in data


def by_value(x: Any) -> bytes:
    """Pickle *x*, such as a function of ``__main__``: itself and not its name, if possible."""
    library = _cloudpickle()
    if library is None:
        return pickle.dumps(x)
    if (script := sys.modules.get("__mp_main__")) is not None:
        library.register_pickle_by_value(script)
    data: bytes = library.dumps(x)
    return data


def travels(x: Any) -> bool:
    """Whether *x* arrives, if it is sent to another process."""
    try:
        pickle.loads(pickled(x))
    except Exception:
        return False
    return True


def check_travels(spec: Spec) -> None:
    """Refuse an operator whose function, or another argument, cannot be sent to a process."""
    for name, part in spec.parts():
        try:
            by_value(part)
        except Exception as error:
            found = find_spec("cloudpickle") is not None
            remedy = "" if found else "; define it in a module, or install cloudpickle"
            raise TypeError(
                f"{spec.name}: {name} must be something that can be sent to another process, "
                f"got {short_repr(part)} ({error}){remedy}"
            ) from error
