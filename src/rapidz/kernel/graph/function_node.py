"""Function node: base class of operators that call a user's function with every element."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, TypeVar

from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import LiveAttribute, LiveKwargs
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.protocol.signatures import check_arguments
from rapidz.kernel.runtime.loop import is_async

T = TypeVar("T")


class FunctionNode(Stream[T]):
    """A node with a function, and the arguments it gets besides the element."""

    _attributes_failures: ClassVar[bool] = True
    _unpacks_elements: ClassVar[bool] = False
    """Whether the element is spread into arguments."""

    func: LiveAttribute[Callable[..., Any]] = LiveAttribute()
    args: LiveAttribute[tuple[Any, ...]] = LiveAttribute()
    kwargs: LiveAttribute[Mapping[str, Any]] = LiveAttribute()

    def _configure(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        check_callable(type(self).__name__, "func", func)
        check_arguments(self, func, args, kwargs, elements=None if self._unpacks_elements else 1)
        self.func, self.args, self.kwargs = func, args, LiveKwargs(kwargs)

    def _can_inline(self) -> bool:
        return not is_async(self.func)

    def _inline_call(self, code: Code) -> str:
        """Return the source of the call in a fused function."""
        x = "*x" if self._unpacks_elements else "x"
        return code.call(code.bind("func", self.func), self.args, self.kwargs, x)

    def _call(self) -> Callable[[Any], Awaitable[Any]]:
        """Return the call of an asynchronous function."""
        func, args, kwargs = self.func, self.args, self.kwargs
        if self._unpacks_elements:
            return lambda x: func(*x, *args, **kwargs)
        if not args and not kwargs and isinstance(kwargs, LiveKwargs):
            return func
        return lambda x: func(x, *args, **kwargs)
