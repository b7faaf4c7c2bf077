"""Keys of windows, and the state of windows of distinct elements."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.checks import check_choice
from rapidz.kernel.runtime.tracked_element import unbox

T = TypeVar("T")
Key = Callable[[Any], Any] | Hashable


def read_key(key: Any, x: Any) -> Any:
    """Return the key of an element."""
    return key(x) if callable(key) else x[key]


def key_function(node: Stream[Any], key: Any) -> Callable[[Any], Any]:
    """Return the function that reads the key of a buffered element."""
    read = key if callable(key) else lambda x: x[key]
    if node._pipeline.tracked:
        return lambda entry: read(unbox(entry))
    return read


def take_values(elements: dict[Any, Any]) -> list[Any]:
    """Remove and return all values.

    No object is created between the copy and the removal: that could run a
    finalizer, which may add elements.
    """
    taken = [*elements.values()]
    elements.clear()
    return taken


def take_all(elements: list[Any]) -> list[Any]:
    """Remove and return all elements, except those that a finalizer adds meanwhile."""
    taken = list(elements)
    del elements[: len(taken)]
    return taken


class UniqueWindow(Stream[tuple[T, ...]]):
    """Base class of the windows with one element for each key."""

    key: LiveAttribute[Any] = LiveAttribute()
    keep: LiveAttribute[str] = LiveAttribute()

    def _get_key(self, x: T) -> Any:
        """Return the key of *x*; used by code for streamz."""
        return read_key(self.key, x)

    def _compiled_key(self) -> Any:
        """Return the key that the step reads; overridden where the elements are handles."""
        return self.key

    def _check_keep(self) -> None:
        check_choice(type(self).__name__, "keep", self.keep, ("first", "last"))

    def _make_add_unique(self, elements: dict[Any, Any]) -> Callable[[Any], None]:
        """Return the function that adds an element under its key."""
        key = key_function(self, self._compiled_key())
        if self.keep == "first":

            def add_first(x: Any) -> None:
                elements.setdefault(key(x), x)

            return add_first

        def add_last(x: Any) -> None:
            k = key(x)
            elements.pop(k, None)
            elements[k] = x

        return add_last
