"""Operator registry: `register_api`, which makes methods, and plug-ins by entry point."""

from __future__ import annotations

import abc
import functools
import importlib
import inspect
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from rapidz.kernel.graph.suggestions import MissingOperator
from rapidz.kernel.protocol.short_repr import short_repr

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

C = TypeVar("C", bound=Callable[..., Any])

#: Entry-point groups by their kind; those of streamz are honoured too.
GROUPS = {
    "nodes": ("rapidz.nodes", "streamz.nodes"),
    "sources": ("rapidz.sources", "streamz.sources"),
    "sinks": ("rapidz.sinks", "streamz.sinks"),
}


#: Operators that are imported when first used: name → ``"module:name"``.
LATER: dict[str, str] = {}


def load_later(name: str) -> Any:
    """Return the operator *name* of `LATER`; raise AttributeError if there is none."""
    if name not in LATER:
        raise AttributeError(f"no operator is called {name!r}", name=name)
    return _import_target(LATER[name])


def _import_target(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def identity(x: Any) -> Any:
    """Return *x*."""
    return x


def _as_method(signature: inspect.Signature) -> inspect.Signature:
    first, *rest = signature.parameters.values()
    return signature.replace(parameters=[first.replace(name="self"), *rest])


class _LooksForPlugins(abc.ABCMeta):
    """Loads the plug-ins that are installed when the first node is made, or a name is missing.

    To look for them takes as long as to import all of the library.
    """

    looked = False
    looking = threading.RLock()
    loading = False

    if not TYPE_CHECKING:  # what is not in the menu is an error to a type checker

        def __getattr__(cls, name: str) -> Any:
            if not name.startswith("_") and cls.look_for_plugins():
                return getattr(cls, name)
            raise MissingOperator(cls.__name__, name, lambda: dir(cls))

    def look_for_plugins(cls) -> bool:
        """Load the plug-ins if that was not done yet; whether it was done now.

        A second thread waits until the first one has registered all.
        """
        if _LooksForPlugins.looked:
            return False
        with _LooksForPlugins.looking:
            if _LooksForPlugins.loading:
                return False  # a name that `load_plugins` itself looks for
            if not _LooksForPlugins.looked:
                _LooksForPlugins.loading = True
                try:
                    root: Any = next(c for c in cls.__mro__ if "_plugins_go_here" in c.__dict__)
                    load_plugins(root)
                finally:
                    _LooksForPlugins.looked, _LooksForPlugins.loading = True, False
        return True


class APIRegisterMixin(metaclass=_LooksForPlugins):
    """A class whose operators register themselves as its methods."""

    _plugins_go_here = True

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            cls = type(self)
            if name.startswith(("from_", "to_")) and not hasattr(cls, name):
                raise MissingOperator(cls.__name__, name, lambda: dir(cls))
            return object.__getattribute__(self, name)  # a property may have failed: say why

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
        >>> class MyStream(Stream):
        ...     pass
        >>> @MyStream.register_api(attribute_name="shout")
        ... class louder(Stream):
        ...     def update(self, x, who=None):
        ...         return self._emit(x.upper())
        >>> source = MyStream()
        >>> shown = source.shout().sink(print)
        >>> source.emit("hello")
        HELLO
        """
        _check_modifier(modifier)

        def register(node: C) -> C:
            @functools.wraps(node)
            def method(*args: Any, **kwargs: Any) -> Any:
                return node(*args, **kwargs)

            func: Any = node
            if inspect.isfunction(func):  # its first parameter is the stream
                method.__signature__ = _as_method(inspect.signature(func))  # type: ignore[attr-defined]
            setattr(cls, attribute_name or node.__name__, modifier(method))
            return node

        return register

    @classmethod
    def register_later(
        cls, name: str, target: str, modifier: Callable[[Any], Any] = identity
    ) -> None:
        """Make *target*, ``"module:function"``, a method that is imported when first called."""

        def stub(*args: Any, **kwargs: Any) -> Any:
            return _import_target(target)(*args, **kwargs)

        LATER.setdefault(name, target)  # a class derived from `Stream` may have one of its own
        stub.__name__ = name
        stub.__doc__ = f"See `{target.replace(':', '.')}`."
        setattr(cls, name, modifier(stub))

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
            node = _load(entry_point)
            if not (isinstance(node, type) and issubclass(node, APIRegisterMixin)):
                raise TypeError(
                    f"plug-in {entry_point.name!r}: {_target(entry_point)} must be a Stream class, "
                    f"got {short_repr(node)}"
                )
            cls.register_api(modifier=modifier, attribute_name=entry_point.name)(node)
            return node(*args, **kwargs)

        stub.__name__ = entry_point.name
        stub.__doc__ = f"Plug-in {_target(entry_point)}; its first use loads its documentation."
        setattr(cls, entry_point.name, modifier(stub))


def _check_modifier(modifier: Any) -> None:
    """Refuse the class that a decorator without parentheses gets."""
    if isinstance(modifier, type) and issubclass(modifier, APIRegisterMixin):
        raise TypeError(
            "register_api: modifier must be a function such as staticmethod, got the class "
            f"{modifier.__name__}: write the decorator with parentheses, register_api()"
        )


def _load(entry_point: EntryPoint) -> Any:
    try:
        return entry_point.load()
    except (ImportError, AttributeError) as error:
        dist = getattr(entry_point, "dist", None)
        package = "" if dist is None else f" of the package {dist.name}"
        error.add_note(f"raised by the plug-in {entry_point.name!r}{package}")
        raise


def _target(entry_point: EntryPoint) -> str:
    return str(getattr(entry_point, "value", entry_point.name))


def get_entry_point(eps: Any, group: str) -> Iterable[EntryPoint]:
    """Return the entry points of *group* in *eps*."""
    found: Iterable[EntryPoint] = (
        eps.select(group=group) if hasattr(eps, "select") else eps.get(group, [])
    )
    return iter(found)


def try_register(
    cls: type[APIRegisterMixin], entry_point: EntryPoint, *modifier: Callable[[Any], Any]
) -> None:
    """Register a plug-in; one whose name is taken is left out, with a warning."""
    try:
        cls.register_plugin_entry_point(entry_point, *modifier)
    except ValueError:
        warnings.warn(
            f"plug-in {entry_point.name!r} ({_target(entry_point)}) was left out: "
            "the name is taken",
            UserWarning,
            stacklevel=2,
        )


def load_plugins(cls: type[APIRegisterMixin]) -> None:
    """Register every plug-in that is installed.

    A package may provide a name for this library and for streamz: the first counts.
    """
    found = _installed()
    for kind, groups in GROUPS.items():
        modifier = (staticmethod,) if kind == "sources" else ()
        provided: set[tuple[str, str | None]] = set()
        for group in groups:
            of_group = [
                point
                for points in found
                for point in get_entry_point(points, group)
                if (point.name, _package(point)) not in provided
            ]
            for entry_point in of_group:
                try_register(cls, entry_point, *modifier)
            provided.update((point.name, _package(point)) for point in of_group)


def _package(entry_point: EntryPoint) -> str | None:
    dist = getattr(entry_point, "dist", None)
    return None if dist is None else str(dist.name)


def _installed() -> list[Any]:
    """Return the entry points of all packages; one whose file cannot be read is left out."""
    from importlib.metadata import distributions, entry_points  # slow to import, seldom needed

    try:
        return [entry_points()]
    except Exception:
        pass
    found = []
    for dist in distributions():
        try:
            found.append(dist.entry_points)
        except Exception as error:
            warnings.warn(
                f"plug-ins of the package {dist.name} were left out: its entry points "
                f"cannot be read: {short_repr(error)}",
                UserWarning,
                stacklevel=2,
            )
    return found
