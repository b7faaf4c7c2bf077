"""Fold: the aggregators of one window node, as lines of a generated function and as calls.

The states of a window are a dict by key.  With one aggregator a state is the state of
that; with several it is a list of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rapidz.eventtime.aggregators import Aggregator
from rapidz.eventtime.getter import Getter
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.compile.intermediate import MISSING


class Fold:
    """What a window makes of its elements.

    Parameters
    ----------
    aggregators : mapping of str to Aggregator
        By the names that the values have in a result.
    operator : str
        Who folds, for errors.
    bare : bool
        Whether a value stands for itself, and not in a dict by name.
    """

    def __init__(
        self, aggregators: Mapping[str, Aggregator], operator: str, *, bare: bool = False
    ) -> None:
        self.names = list(aggregators)
        self.aggregators = list(aggregators.values())
        self.getters = [Getter(each.of, operator, "of") for each in self.aggregators]
        self.bare = bare
        self.mergeable = all(each.mergeable for each in self.aggregators)

    def write(self, code: Code, states: str, key: str, ts: str) -> None:
        """Write that the element ``x`` goes into the dict *states* at *key*."""
        if len(self.aggregators) == 1:
            first, next_ = self._lines(code, 0, "a", ts)
            code.line(f"a = {states}.get({key}, MISSING)")
            code.line(f"{states}[{key}] = ({first}) if a is MISSING else ({next_})")
            return
        firsts, nexts = zip(
            *(self._lines(code, at, f"a[{at}]", ts) for at in range(len(self.aggregators))),
            strict=True,
        )
        places = ", ".join(f"a[{at}]" for at in range(len(self.aggregators)))
        code.line(f"a = {states}.get({key})")
        code.line(f"if a is None: {states}[{key}] = [{', '.join(firsts)}]")
        code.line(f"else: {places} = {', '.join(nexts)}")  # all or nothing, if one fails

    def write_next(self, code: Code, state: str, ts: str) -> None:
        """Write that the element ``x`` goes into the state in the variable *state*."""
        if len(self.aggregators) == 1:
            _, next_ = self._lines(code, 0, state, ts)
            code.line(f"{state} = {next_}")
            return
        nexts = [
            self._lines(code, at, f"{state}[{at}]", ts)[1] for at in range(len(self.aggregators))
        ]
        code.line(f"{state} = [{', '.join(nexts)}]")

    def _lines(self, code: Code, at: int, state: str, ts: str) -> tuple[str, str]:
        """Return the sources of a first state, and of the next one after *state*."""
        aggregator, getter = self.aggregators[at], self.getters[at]
        value = getter.write(code)
        if value.count("(") or value.count("["):
            code.line(f"v{at} = {value}")
            value = f"v{at}"
        return aggregator.lines(code, state, value, ts)

    def add(self, states: dict[Any, Any], key: Any, x: Any, ts: Any) -> None:
        """Put *x* into *states* at *key*."""
        values = [getter(x) for getter in self.getters]
        old = states.get(key, MISSING)
        if len(values) == 1:
            only = self.aggregators[0]
            states[key] = only.add(only.start() if old is MISSING else old, values[0], ts)
            return
        before = [each.start() for each in self.aggregators] if old is MISSING else old
        states[key] = [
            each.add(state, value, ts)
            for each, state, value in zip(self.aggregators, before, values, strict=True)
        ]

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of both; neither is changed."""
        if len(self.aggregators) == 1:
            return self.aggregators[0].merge(a, b)
        return [each.merge(s, t) for each, s, t in zip(self.aggregators, a, b, strict=True)]

    def results(self, states: Iterable[Any]) -> Iterable[Any]:
        """Return the value of each of *states*."""
        if len(self.aggregators) == 1:
            result = self.aggregators[0].result
            if self.bare:
                return map(result, states)
            name = self.names[0]
            return ({name: result(state)} for state in states)
        pairs = list(zip(self.names, self.aggregators, strict=True))
        return (
            {name: each.result(state) for (name, each), state in zip(pairs, row, strict=True)}
            for row in states
        )

    def result(self, state: Any) -> Any:
        """Return the value of *state*."""
        return next(iter(self.results([state])))
