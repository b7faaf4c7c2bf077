"""Windows that slide: the last elements, for every element."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar, TypeVar

from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute
from rapidz.kernel.protocol.checks import check_count

T = TypeVar("T")


@Stream.register_api()
class sliding_window(Stream[tuple[T, ...]]):
    """Emit the last *n* elements as a tuple, for every element.

    Emits a tuple for every element from the *n*-th on, or, with
    *return_partial*, from the first one on.  Applies back pressure when
    downstream does.

    Parameters
    ----------
    n : int
        Number of elements, at least 1.
    return_partial : bool
        Emit shorter tuples at the beginning.

    >>> source = Stream()
    >>> node = source.sliding_window(2).sink(print)
    >>> source.emit_many("abc")
    ('a', 'b')
    ('b', 'c')
    """

    _combines_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True
    _graphviz_shape = "diamond"

    n: LiveAttribute[int] = LiveAttribute()
    return_partial: LiveAttribute[bool] = LiveAttribute()

    def __init__(
        self, upstream: Stream[T], n: int, return_partial: bool = False, **kwargs: Any
    ) -> None:
        check_count("sliding_window", "n", n)
        self.n, self.return_partial = n, return_partial
        self._window: Cell[tuple[T, ...]] = Cell(())
        """The last elements that the next window contains too."""
        super().__init__(upstream, **kwargs)

    def _on_attribute_set(self, name: str, value: Any) -> None:
        if name == "n":
            check_count("sliding_window", "n", value)

    def _retains(self, entry: Any) -> bool:
        return any(x is entry for x in self._window.value)

    @property
    def _buffer(self) -> deque[T]:
        """The elements that the next window contains too."""
        return deque(self._window.value)

    def _can_inline(self) -> bool:
        return True

    def inline(self, code: Code, port: int = 0) -> None:
        # Elements that the next window does not contain are released before this one is pushed.
        window, n = code.bind("window", self._window), self.n
        code.line("while True:")
        code.line(f"    w = {window}.value; y = w + (x,)")
        code.line(f"    if len(y) > {n}: y = y[-{n}:]")
        code.line(f"    rest = y[{code.bind('tail', slice(1, None))}] if len(y) == {n} else y")
        code.line(f"    if {window}.value is w: break")  # else a finalizer has emitted first
        code.line(f"{window}.value = rest")
        if not self.return_partial:
            code.nest(f"len(y) == {n}")
        code.line("x = y; w = None")
