"""`Fluent`: the methods of `Stream` as type checkers and editors see them.

`Stream` inherits from `Fluent` while types are checked; at run time `Stream.register_api` adds
the methods, and the docstring of the operator is the contract.  Where a method has two overloads
that differ in ``Awaitable``, the function may be ``async def``.  For a node whose attributes are
typed as well, call its class: ``rapidz.map(source, func).func``.
"""

from __future__ import annotations

from rapidz._menu.combine import CombineMethods
from rapidz._menu.connectors import ConnectorMethods
from rapidz._menu.eventtime import EventTimeMethods
from rapidz._menu.frames import FrameMethods
from rapidz._menu.pace import PaceMethods
from rapidz._menu.parallel import ParallelMethods
from rapidz._menu.select import SelectMethods
from rapidz._menu.sinks import SinkMethods
from rapidz._menu.sources import SourceMethods
from rapidz._menu.transform import TransformMethods
from rapidz._menu.types import T as T
from rapidz._menu.window import WindowMethods


class Fluent(
    TransformMethods[T],
    SelectMethods[T],
    WindowMethods[T],
    CombineMethods[T],
    PaceMethods[T],
    EventTimeMethods[T],
    SourceMethods[T],
    SinkMethods[T],
    FrameMethods[T],
    ParallelMethods[T],
    ConnectorMethods[T],
):
    """Stream of elements of type *T*, as far as its operators go."""
