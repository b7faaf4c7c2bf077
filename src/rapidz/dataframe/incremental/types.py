"""Type aliases that all incremental aggregates share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Bools", "Floats", "Frame", "Ints", "Numbers", "Positions"]

# A DataFrame or a Series: the stubs of pandas have no type for what both have in common.
Frame: TypeAlias = Any
Numbers = npt.NDArray[Any]
# The name alone tells the dtype of an array: numpy and the stubs of pandas disagree on it.
Floats = npt.NDArray[Any]
Ints = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[Any]
