"""Merging of the slices of a window: one generated function for the aggregators of a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from rapidz.eventtime.aggregators import Aggregator
from rapidz.kernel.compile.intermediate import MISSING

States: TypeAlias = dict[Any, Any]

_SOURCE = """
def merge_all(parts):
    states = dict(parts[0])
    get = states.get
    for part in parts[1:]:
        for key, b in part.items():
            a = get(key, MISSING)
            states[key] = b if a is MISSING else {merged}
    return states
"""


class Names:
    """Names of the values that the lines of a function use."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"MISSING": MISSING}

    def bind(self, hint: str, value: Any) -> str:
        """Return the name under which the lines find *value*."""
        name = f"{hint}_{len(self.values)}"
        self.values[name] = value
        return name


def compile_merging(aggregators: Sequence[Aggregator]) -> Callable[[Sequence[States]], States]:
    """Return the function that merges dicts of states by key, in the order of the dicts.

    With several aggregators a state is a tuple of theirs.  No dict is changed.

    >>> from rapidz import Count, Sum
    >>> compile_merging([Count()])([{"a": 1, "b": 2}, {"c": 1, "a": 4}])
    {'a': 5, 'b': 2, 'c': 1}
    >>> compile_merging([Count(), Sum()])([{"a": (1, 7)}, {"a": (2, 5)}])
    {'a': (3, 12)}
    """
    names = Names()
    if len(aggregators) == 1:
        merged = aggregators[0].merge_line(names, "a", "b")
    else:
        each = [
            f"({aggregator.merge_line(names, f'a[{at}]', f'b[{at}]')})"
            for at, aggregator in enumerate(aggregators)
        ]
        merged = f"({', '.join(each)})"
    exec(compile(_SOURCE.format(merged=merged), "<rapidz merge of slices>", "exec"), names.values)
    merge_all: Callable[[Sequence[States]], States] = names.values["merge_all"]
    return merge_all
