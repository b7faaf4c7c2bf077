"""Compatibility module: methods as functions that can be pickled."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["M", "MethodCache", "methodcaller"]


class methodcaller:
    """Function that calls the method of that name on its argument.

    One instance exists for each name, so it can be compared and pickled.

    >>> upper = methodcaller("upper")
    >>> upper("ab")
    'AB'
    >>> upper is methodcaller("upper")
    True
    """

    __slots__ = ("__weakref__", "method")

    _known: ClassVar[weakref.WeakValueDictionary[str, methodcaller]] = weakref.WeakValueDictionary()

    method: str

    def __new__(cls, method: str) -> methodcaller:
        if not isinstance(method, str):
            raise TypeError(f"methodcaller: method must be a str, got {short_repr(method)}")
        caller = super().__new__(cls)
        caller.method = method
        return cls._known.setdefault(method, caller)

    @property
    def func(self) -> str:
        """The name of the method."""
        return self.method

    def __call__(self, obj: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(obj, self.method)(*args, **kwargs)

    def __reduce__(self) -> tuple[type[methodcaller], tuple[str]]:
        return type(self), (self.method,)

    def __str__(self) -> str:
        return f"<methodcaller: {self.method}>"

    __repr__ = __str__


class MethodCache:
    """Namespace whose attributes are method callers; its only instance is `M`.

    >>> M.split("a b")
    ['a', 'b']
    """

    def __getattr__(self, item: str) -> methodcaller:
        if item.startswith("__"):  # asked for by copy, pickle or a notebook
            raise AttributeError(item)
        return methodcaller(item)

    def __dir__(self) -> list[str]:
        return sorted(methodcaller._known)


M = MethodCache()
