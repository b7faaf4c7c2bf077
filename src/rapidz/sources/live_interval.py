"""LiveInterval: an interval of a source that may be assigned while it runs."""

from __future__ import annotations

from typing import Any, overload

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import read_interval
from rapidz.kernel.protocol.intervals import Interval


class LiveInterval:
    """Descriptor of an interval in seconds that may be assigned while the source runs."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, source: None, owner: type) -> LiveInterval: ...
    @overload
    def __get__(self, source: Stream[Any], owner: type) -> float: ...
    def __get__(self, source: Stream[Any] | None, owner: type) -> Any:
        return self if source is None else source.__dict__[self._name]

    def __set__(self, source: Stream[Any], value: Interval) -> None:
        vars(source)[self._name] = read_interval(type(source).__name__, value, argument=self._name)
