"""Edges of a node: ordered, with weak references downstream."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableSet
from typing import Any, TypeVar

from rapidz.kernel.protocol.short_repr import short_repr

T = TypeVar("T")


def _nothing() -> None:
    """Do nothing: the set is not watched."""


class _Watched(OrderedDict[Any, None]):
    """An OrderedDict that tells when its keys or their order change."""

    changed: Callable[[], None] = staticmethod(_nothing)

    def __setitem__(self, key: Any, value: None) -> None:
        super().__setitem__(key, value)
        self.changed()

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self.changed()

    def move_to_end(self, key: Any, last: bool = True) -> None:
        super().move_to_end(key, last)
        self.changed()

    def clear(self) -> None:
        super().clear()
        self.changed()


class OrderedSet(MutableSet[T]):
    """A set that remembers the order of insertion.

    >>> list(OrderedSet("hello"))
    ['h', 'e', 'l', 'o']
    """

    def __init__(self, values: Iterable[T] = ()) -> None:
        self._od = _Watched()
        for value in values:
            self.add(value)

    def __contains__(self, value: object) -> bool:
        return value in self._od

    def __iter__(self) -> Iterator[T]:
        return iter(self._od)

    def __len__(self) -> int:
        return len(self._od)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({short_repr(list(self))})"

    def add(self, value: T) -> None:
        if value not in self._od:
            self._od[value] = None

    def discard(self, value: T) -> None:
        if value in self._od:
            del self._od[value]

    def copy(self) -> OrderedSet[T]:
        return type(self)(self)


class OrderedWeakrefSet(weakref.WeakSet[Any]):
    """A WeakSet that remembers the order of insertion.

    A member that is collected leaves the set by itself.
    """

    def __init__(self, values: Iterable[Hashable] = ()) -> None:
        super().__init__()
        self.data: OrderedSet[weakref.ref[Any]] = OrderedSet()
        for value in values:
            self.add(value)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the present members: another thread may add some meanwhile."""
        for ref in list(self.data._od):
            if (member := ref()) is not None:
                yield member

    def index(self, value: object) -> int:
        """Return the position of *value*; ValueError if it is not a member.

        >>> class Node:
        ...     pass
        >>> first, second = Node(), Node()
        >>> OrderedWeakrefSet([first, second]).index(second)
        1
        """
        return list(self).index(value)


class Downstreams(OrderedWeakrefSet):
    """The nodes downstream of a node; reports changes to their owner."""

    def __init__(self, changed: weakref.WeakMethod[Any]) -> None:
        super().__init__()

        def tell() -> None:
            if (forget := changed()) is not None:
                forget()

        self.data._od.changed = tell


class Upstreams(list[Any]):
    """The nodes upstream of a node.

    A source has none.  Old code says so in two ways, ``[]`` and ``[None]``;
    both compare equal.

    >>> Upstreams() == [] and Upstreams() == [None]
    True
    """

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) or (not self and other == [None])

    def __ne__(self, other: object) -> bool:
        return not self == other
