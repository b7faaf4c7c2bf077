"""The names of types that the whole state engine shares."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Bools", "Floats", "Frame", "Ints", "Numbers", "Positions"]

# A DataFrame or a Series: the stubs of pandas do not know what holds for both alike.
Frame: TypeAlias = Any
Numbers = npt.NDArray[Any]
# What numbers an array holds is said by its name: numpy and the stubs of pandas disagree on it.
Floats = npt.NDArray[Any]
Ints = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[Any]
