"""Elements on their way in and out: as they are worked with, and of the kind that they came as.

What is of pandas, or no frame at all, stays as it is, and needs no pandas to be there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from rapidz.dataframe.calls import Example

__all__ = ["Like", "Verify", "like", "taken"]


def taken(owner: str, kind: str | None, x: Any) -> Any:
    """An element as one of pandas, if elements are of another *kind*."""
    if kind is None:
        return x
    if (got := _native().kind_of(x)) != kind:
        of = type(x).__name__ if got is None else f"{type(x).__name__} of {got}"
        raise TypeError(f"{owner}: element must be of {kind}, as the example is, got {of}")
    return _native().to_pandas(x)


def like(kind: str | None, x: Any) -> Any:
    """What pandas made as one of *kind*."""
    return x if kind is None else _native().like(kind, x)


def _exact(owner: str, kind: str, x: Any, example: Any) -> Any:
    nullable: Any = importlib.import_module("rapidz.dataframe.nullable")
    return nullable.exact(owner, kind, x, example)


def _native() -> Any:
    return importlib.import_module("rapidz.dataframe.native")


class Verify:
    """Checks every element against the example; takes the first one for it if there is none.

    Not one without a column that is asked for: then the next one is the first.
    """

    def __init__(
        self, conform: Callable[[Any, Any], Any], example: Example, owner: str = "Streaming"
    ) -> None:
        self.conform, self.example, self.owner = conform, example, owner
        self.by_first = False
        """Whether the example is the first element."""
        self.__name__ = "verify"

    def __call__(self, x: Any) -> Any:
        example = self.example.value
        x = taken(self.owner, self.example.kind, x)
        if example is None:
            return self._first(self.conform(x, None))
        try:
            x = self.conform(x, example)
            kind = self.example.kind
            return x if kind is None else _exact(self.owner, kind, x, example)
        except Exception as problem:
            if self.by_first:
                problem.add_note(f"{self.owner}: the first element is the example: give another")
            raise

    def _first(self, x: Any) -> Any:
        if not len(getattr(x, "columns", "?")):  # no columns: nothing is known
            return x
        example = x.iloc[:0] if hasattr(x, "iloc") else x[:0]  # an index
        self.example.check(example)
        self.example.take(example)
        self.by_first = True
        return x


class Like:
    """Makes of what was worked with what elements were; of a state and a result, of the result.

    The *example* of what was worked with, if it is known, fixes the schema.
    """

    def __init__(self, kind: str, example: Any = None) -> None:
        self.kind = kind
        self.__name__ = f"like_{kind}"
        example = example[1] if _is_pair(example) else example
        self._outputs = _native().Outputs(kind, example)

    def __call__(self, x: Any) -> Any:
        if _is_pair(x):
            return x[0], self._outputs.of(x[1])
        return self._outputs.of(x)


def _is_pair(x: Any) -> bool:
    return isinstance(x, tuple) and len(x) == 2
