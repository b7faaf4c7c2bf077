"""Lines that the aggregators of a window share: a float in fixed point is computed once."""

from __future__ import annotations

from typing import Any

from rapidz.eventtime.aggregators.base import Bindings
from rapidz.eventtime.aggregators.fixed_point import HUGE, SCALE, TINY


class SharedBindings:
    """Names for the lines of several aggregators: a value that several use has one name.

    Parameters
    ----------
    code : Bindings
        Where the names come from.
    """

    def __init__(self, code: Bindings) -> None:
        self._code = code
        self._names: dict[tuple[str, int], str] = {}
        self.fixed_point: dict[str, str] = {}
        """Variable of a value → that of the value in fixed point, None if it does not fit."""

    def bind(self, hint: str, value: Any) -> str:
        """Return the name under which the lines find *value*."""
        at = (hint, id(value))  # the code keeps the value, so that no other gets its id
        if at not in self._names:
            self._names[at] = self._code.bind(hint, value)
        return self._names[at]

    def share_fixed_point(self, value: str, name: str) -> str:
        """Return the line that sets *name*; from now on lines use it for the variable *value*."""
        fixed, fits = fixed_point_lines(self, value)
        self.fixed_point[value] = name
        return f"{name} = {fixed} if {fits} else None"


def fixed_point_lines(code: Bindings, value: str) -> tuple[str, str]:
    """Return the expression for a float in fixed point, and the one for whether it fits."""
    if isinstance(code, SharedBindings) and value in code.fixed_point:
        name = code.fixed_point[value]
        return name, f"{name} is not None"
    to_int, scale = code.bind("int", int), code.bind("SCALE", SCALE)
    tiny, huge = code.bind("TINY", TINY), code.bind("HUGE", HUGE)
    fits = f"{tiny} <= {value} < {huge} or -{huge} < {value} <= -{tiny} or {value} == 0.0"
    return f"{to_int}({value} * {scale})", f"type({value}) is float and ({fits})"
