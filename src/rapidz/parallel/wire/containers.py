"""Traversal of nested containers that may hold handles, or futures of the backend's own."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

#: What may hold handles, or futures of the backend's own.
CONTAINERS: Final = frozenset({tuple, list, dict, set, frozenset})


def leaves(x: Any) -> Iterator[Any]:
    """What is in *x*, a structure of containers, and is no container itself."""
    kind = type(x)
    if kind not in CONTAINERS:
        yield x
    else:
        for item in x.values() if kind is dict else x:
            yield from leaves(item)


def rebuilt(x: Any, items: list[Any]) -> Any:
    """Make a container like *x* of *items*: a dict keeps its keys."""
    return dict(zip(x, items, strict=True)) if type(x) is dict else type(x)(items)


def replaced(x: Any, replace: Callable[[Any], Any]) -> Any:
    """Apply *replace* to every leaf of *x*; what is left as it was is not built anew."""
    if type(x) not in CONTAINERS:
        return replace(x)
    items = list(x.values() if type(x) is dict else x)
    new = [replaced(item, replace) for item in items]
    return x if all(map(operator.is_, new, items)) else rebuilt(x, new)
