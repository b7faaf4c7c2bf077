"""Tree traversal of nested containers, whose leaves may be handles or futures."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

#: The containers that are traversed; a subclass of one is a leaf.
CONTAINERS: Final = frozenset({tuple, list, dict, set, frozenset})


def iter_leaves(x: Any) -> Iterator[Any]:
    """Yield the leaves of *x*; the values of a dict, not its keys."""
    kind = type(x)
    if kind not in CONTAINERS:
        yield x
    else:
        for item in x.values() if kind is dict else x:
            yield from iter_leaves(item)


def rebuild(x: Any, items: list[Any]) -> Any:
    """Return a container like *x* with other *items*; a dict keeps its keys."""
    return dict(zip(x, items, strict=True)) if type(x) is dict else type(x)(items)


def map_leaves(x: Any, function: Callable[[Any], Any]) -> Any:
    """Apply *function* to every leaf of *x*; a container whose leaves all stay the same is kept."""
    if type(x) not in CONTAINERS:
        return function(x)
    items = list(x.values() if type(x) is dict else x)
    new = [map_leaves(item, function) for item in items]
    return x if all(map(operator.is_, new, items)) else rebuild(x, new)
