"""Live attributes: those that can be assigned while a pipeline runs, which compiles anew then.

A step closes over values.  To assign ``node.func`` must therefore compile the
node anew (`LiveAttribute`), and so must ``node.kwargs["lb"] = 3`` if the step was
compiled without keywords (`LiveKwargs`).  What changes with every element lives in
a `Cell` that node and step share, so it survives the new compilation.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

V = TypeVar("V")


class LiveAttribute(Generic[V]):
    """Attribute of a node; an assignment takes effect with the next element."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, node: None, owner: type) -> LiveAttribute[V]: ...
    @overload
    def __get__(self, node: Node, owner: type) -> V: ...
    def __get__(self, node: Node | None, owner: type) -> Any:
        if node is None:
            return self
        try:
            return node.__dict__[self.name]
        except KeyError:
            raise AttributeError(
                f"{type(node).__name__!r} node has no attribute {self.name!r}"
            ) from None

    def __set__(self, node: Node, value: V) -> None:
        before = vars(node).get(self.name, value)
        vars(node)[self.name] = value
        if isinstance(value, LiveKwargs):
            value.readers.add(node)
        if "_pipeline" in node.__dict__:
            try:
                node._apply_attribute(self.name, value)
            except Exception:
                vars(node)[self.name] = before
                raise

    def __delete__(self, node: Node) -> None:
        vars(node).pop(self.name, None)


class LiveKwargs(dict[str, Any]):
    """Keyword arguments that tell the nodes reading them when they change.

    One may be shared by several nodes.
    """

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(values)
        self.readers: weakref.WeakSet[Node] = weakref.WeakSet()

    def _changed(self) -> None:
        for node in list(self.readers):
            node._invalidate()

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._changed()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._changed()

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]  # in place, as a dict's
        self.update(other)
        return self

    def clear(self) -> None:
        super().clear()
        self._changed()

    def pop(self, *args: Any) -> Any:
        value = super().pop(*args)
        self._changed()
        return value

    def popitem(self) -> tuple[str, Any]:
        item = super().popitem()
        self._changed()
        return item

    def setdefault(self, key: str, default: Any = None) -> Any:
        value = super().setdefault(key, default)
        self._changed()
        return value

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        self._changed()

    def __reduce__(self) -> Any:
        return (dict, (dict(self),))


class Cell(Generic[V]):
    """One value, shared by a node and its steps."""

    __slots__ = ("value",)

    def __init__(self, value: V) -> None:
        self.value = value
