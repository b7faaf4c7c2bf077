"""How operators become methods: `register_api`, and plug-ins by entry point."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

C = TypeVar("C", bound=Callable[..., Any])

logger = logging.getLogger("rapidz")

#: Entry-point groups by what they hold; those of streamz are honoured too.
GROUPS = {
    "nodes": ("rapidz.nodes", "streamz.nodes"),
    "sources": ("rapidz.sources", "streamz.sources"),
    "sinks": ("rapidz.sinks", "streamz.sinks"),
}


def identity(x: Any) -> Any:
    return x


class APIRegisterMixin:
    """A class whose operators register themselves as its methods."""

    @classmethod
    def register_api(
        cls, modifier: Callable[[Any], Any] = identity, attribute_name: str | None = None
    ) -> Callable[[C], C]:
        """Make a node class available as a method, here and on classes below.

        Parameters
        ----------
        modifier : callable
            Applied to the method, e.g. ``staticmethod`` for a source.
        attribute_name : str, optional
            The method's name; the class's own by default.

        Returns a decorator that returns the class unchanged.

        >>> from rapidz import Stream
        >>> class MyStream(Stream): pass
        >>> @MyStream.register_api(attribute_name="shout")
        ... class louder(Stream):
        ...     def update(self, x, who=None):
        ...         return self._emit(x.upper())
        >>> source = MyStream()
        >>> shown = source.shout().sink(print)
        >>> source.emit("hello")
        HELLO
        """

        def register(node: C) -> C:
            @functools.wraps(node)
            def method(*args: Any, **kwargs: Any) -> Any:
                return node(*args, **kwargs)

            setattr(cls, attribute_name or node.__name__, modifier(method))
            return node

        return register

    @classmethod
    def register_plugin_entry_point(
        cls, entry_point: EntryPoint, modifier: Callable[[Any], Any] = identity
    ) -> None:
        """Make the node class behind *entry_point* a method; it is imported when first called."""
        if hasattr(cls, entry_point.name):
            raise ValueError(
                f"register_plugin_entry_point: entry_point must have a new name, "
                f"{entry_point.name!r} is taken by {cls.__name__}"
            )

        def stub(*args: Any, **kwargs: Any) -> Any:
            node = entry_point.load()
            if not (isinstance(node, type) and issubclass(node, APIRegisterMixin)):
                raise TypeError(
                    f"plug-in {entry_point.name!r}: {entry_point.value} must be a Stream class, "
                    f"got {node!r}"
                )
            cls.register_api(modifier=modifier, attribute_name=entry_point.name)(node)
            return node(*args, **kwargs)

        stub.__name__ = entry_point.name
        stub.__doc__ = f"Plug-in {entry_point.value}; its documentation is there once it is used."
        setattr(cls, entry_point.name, modifier(stub))


def get_entry_point(eps: Any, group: str) -> Iterable[EntryPoint]:
    """The entry points of *group* in *eps*."""
    if hasattr(eps, "select"):
        return iter(eps.select(group=group))
    return iter(eps.get(group, []))


def try_register(
    cls: type[APIRegisterMixin], entry_point: EntryPoint, *modifier: Callable[[Any], Any]
) -> None:
    """Register a plug-in; one whose name is taken is left out, with a word in the log."""
    try:
        cls.register_plugin_entry_point(entry_point, *modifier)
    except ValueError:
        logger.error(
            "plug-in %s (%s) was left out: the name is taken", entry_point.name, entry_point.value
        )


def load_plugins(cls: type[APIRegisterMixin]) -> None:
    """Register every plug-in that is installed."""
    eps = entry_points()
    for kind, groups in GROUPS.items():
        modifier = (staticmethod,) if kind == "sources" else ()
        for group in groups:
            for entry_point in get_entry_point(eps, group):
                try_register(cls, entry_point, *modifier)
