"""Example of the elements of a collection; `validation` infers it from the first one."""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import SKIP, no_default

__all__ = ["Example", "accumulated_example"]

Checks: TypeAlias = "weakref.WeakKeyDictionary[Stream[Any], list[Callable[[Any], Any]]]"


class Example:
    """An element as small as you like, known at once or inferred from other examples on demand.

    Parameters
    ----------
    value : object, optional
        The example, if it is known.
    infer : callable, optional
        Returns the example, given those of *sources*.
    sources : sequence of Example
        The examples that this one is inferred from; it is unknown as long as one of them is.
    kind : str, optional
        The library that elements are of, if that is not pandas.
    """

    def __init__(
        self,
        value: Any = None,
        infer: Callable[..., Any] | None = None,
        sources: Sequence[Example] = (),
        kind: str | None = None,
    ) -> None:
        self.value: Any = value
        self._infer, self._sources = infer, list(sources)
        self.kind: str | None = kind or next((one.kind for one in sources if one.kind), None)
        self._checks: Checks | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_checks": None}  # nodes are not pickled

    def add_check(self, check: Callable[[Any], Any], node: Stream[Any]) -> None:
        """Let *check* refuse an example that *node* could not take, while none is known."""
        if self.value is None:
            self._checks = weakref.WeakKeyDictionary() if self._checks is None else self._checks
            self._checks.setdefault(node, []).append(check)

    def check(self, value: Any) -> None:
        """Refuse an example that a node could not take which still exists."""
        for checks in list((self._checks or {}).values()):
            for check in checks:
                check(value)

    def set(self, value: Any) -> None:
        """Take *value* for the example from now on."""
        self.value, self._checks = value, None

    def get(self) -> Any:
        """Return the example; None as long as it is unknown."""
        if self.value is None and (infer := self._infer) is not None:
            known = [one.get() for one in self._sources]
            if all(value is not None for value in known):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)  # an example may be empty
                    inferred = infer(*(copy.copy(value) for value in known))  # it may change them
                self.value = None if inferred is SKIP else inferred
                self._infer, self._sources, self._checks = None, [], None
        return self.value


def accumulated_example(
    fold: Callable[[Any, Any], Any],
    start: Any,
    example: Any,
    *,
    returns_state: bool,
    with_state: bool,
) -> Any:
    """Return what an accumulation by *fold* emits first, for an element like *example*."""
    if start is no_default:
        state = result = example
    else:
        result = fold(_copied(start), example)
        state, result = result if returns_state else (result, result)
    return (state, result) if with_state else result


def _copied(start: Any) -> Any:
    """Return a copy of *start*, which the function may change; itself if it cannot be copied."""
    try:
        return copy.deepcopy(start)
    except Exception:
        return start
