"""Elements on their way in and out: as they are worked with, and of the kind that they came as.

What is of pandas, or no frame at all, stays as it is, and needs no pandas to be there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from rapidz.dataframe.collection.calls import Example

__all__ = ["Like", "Verify", "like", "taken", "whole"]


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
    nullable: Any = importlib.import_module("rapidz.dataframe.interop.nullable")
    return nullable.exact(owner, kind, x, example)


def whole(x: Any) -> Any:
    """All columns of an element that may be converted on demand."""
    return _native_deferred().whole(x)


def _native() -> Any:
    return importlib.import_module("rapidz.dataframe.interop.native")


def _native_deferred() -> Any:
    return importlib.import_module("rapidz.dataframe.interop.deferred")


class Verify:
    """Checks every element against the example; takes the first one for it if there is none.

    Not one without a column that is asked for: then the next one is the first.
    """

    def __init__(
        self,
        conform: Callable[[Any, Any], Any],
        example: Example,
        owner: str = "Streaming",
        defers: bool = False,
    ) -> None:
        self.conform, self.example, self.owner = conform, example, owner
        self.defers = defers
        """Whether elements become frames of pandas column by column, as these are used."""
        self._schema: Any = None
        """The schema of an element that fitted as it was: others with it do so too."""
        self._eager: list[Any] = []
        """The columns whose values say whether they fit: those of categories."""
        self.by_first = False
        """Whether the example is the first element."""
        self.__name__ = "verify"

    def __call__(self, x: Any) -> Any:
        return self._deferred(x) if self.defers else self._verified(x)

    def knows(self, x: Any) -> bool:
        """Return whether an element is known to fit by its schema alone."""
        if self._schema is None or self._eager:
            return False
        return type(x) is self._schema[0] and bool(x.schema == self._schema[1])

    def _deferred(self, x: Any) -> Any:
        """The element as one that becomes a frame of pandas on demand."""
        made: Any = _native_deferred()
        if self._schema and type(x) is self._schema[0] and x.schema == self._schema[1]:
            if not self._eager:
                return made.Deferred(x)
            part = taken(self.owner, self.example.kind, x.select(self._eager))
            fitted = self._fitted(part, self.example.value[self._eager])
            return made.Deferred(x, dict(fitted.items()))
        frame = taken(self.owner, self.example.kind, x)
        fitted = self._fitted(frame, self.example.value)
        if fitted is frame:
            self._schema = type(x), x.schema
            self._eager = list(frame.select_dtypes("category"))
        return made.Deferred.of(fitted)

    def _verified(self, x: Any) -> Any:
        example = self.example.value
        x = taken(self.owner, self.example.kind, x)
        if example is None:
            return self._first(self.conform(x, None))
        try:
            return self._fitted(x, example)
        except Exception as problem:
            if self.by_first:
                problem.add_note(f"{self.owner}: the first element is the example: give another")
            raise

    def _fitted(self, x: Any, example: Any) -> Any:
        x = self.conform(x, example)
        kind = self.example.kind
        return x if kind is None else _exact(self.owner, kind, x, example)

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
