"""Constructor arguments of nodes, recorded so that a pipeline can be described and rebuilt."""

from __future__ import annotations

import functools
import weakref
from typing import Any, TypeVar

from rapidz.kernel.protocol.node import Node

C = TypeVar("C", bound=type)


def _weakref_node(x: Any) -> Any:
    """Return a weak reference in place of a node; anything else as it is."""
    return weakref.ref(x) if isinstance(x, Node) else x


def _deref_weakref(x: Any) -> Any:
    """Return the node that a weak reference stands for; anything else as it is."""
    return x() if isinstance(x, weakref.ref) else x


def remember(node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Store the arguments that *node* is made with, streams as weak references."""
    node._init_args = tuple(_weakref_node(arg) for arg in args)
    node._init_kwargs = {key: _weakref_node(arg) for key, arg in kwargs.items()}


def args_kwargs(cls: C) -> C:
    """Class decorator: instances know the arguments they were made with.

    ``node._init_args`` and ``node._init_kwargs`` are these, streams as weak
    references.  Every `Stream` class does so by itself; the decorator is for
    classes that change the arguments before they pass them on.

    >>> from rapidz import Stream
    >>> node = Stream().map(str)
    >>> node._init_args[1]
    <class 'str'>
    """
    init = cls.__init__  # type: ignore[misc]

    @functools.wraps(init)
    def remembering(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        remember(self, args, kwargs)

    cls.__init__ = remembering  # type: ignore[misc]
    return cls
