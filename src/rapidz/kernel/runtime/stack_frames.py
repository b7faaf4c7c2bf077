"""Stack frames: of the kernel, the library, a fused function, or the user."""

from __future__ import annotations

from types import FrameType
from typing import Final

#: The ``__name__`` in the globals of fused functions.
FUSED: Final = "rapidz.kernel.fused"
#: The module at the bottom of every stack in the background.
_LOOP: Final = "rapidz.kernel.runtime.loop"


def module_of(frame: FrameType) -> str:
    """Return the name of the module whose code *frame* runs."""
    return str(frame.f_globals.get("__name__", ""))


def is_fused(frame: FrameType) -> bool:
    """Return whether *frame* runs a fused function."""
    return module_of(frame) == FUSED


def is_of_kernel(frame: FrameType) -> bool:
    """Return whether *frame* runs code of the kernel, fused functions included."""
    name = module_of(frame)
    return name.startswith("rapidz.kernel.") and name != _LOOP


def is_of_library(frame: FrameType) -> bool:
    """Return whether *frame* runs code of the library, fused functions included."""
    return module_of(frame).startswith("rapidz.")
