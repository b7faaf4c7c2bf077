"""Fold: the aggregators of one window node, as lines of a generated function and as calls.

The states of a window are a dict by key.  With one aggregator a state is the state of
that; with several it is a tuple of theirs: no state is ever changed in place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rapidz.eventtime.aggregators import Aggregator, SharedBindings
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.windows.merging import compile_merging
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
        self._merge = [each.merger() for each in self.aggregators]
        self.merge = self._merge[0] if len(self._merge) == 1 else self._merge_each
        """Returns the state of both; neither is changed."""
        self._add = [each.adder() for each in self.aggregators]
        self._result = [_result_of(each) for each in self.aggregators]
        self.merge_all = compile_merging(self.aggregators)
        """Merges dicts of states by key, in the order of the dicts."""
        self._places = (
            ["a"] if len(aggregators) == 1 else [f"a{at}" for at in range(len(self.names))]
        )

    def write(self, code: Code, states: str, key: str, ts: str) -> None:
        """Write that the element ``x`` goes into the dict *states* at *key*."""
        lines = self._lines(code, ts)
        code.line(f"a = {states}.get({key}, MISSING)")
        if len(lines) == 1:
            first, next_ = lines[0]
            code.line(f"{states}[{key}] = ({first}) if a is MISSING else ({next_})")
            return
        firsts, nexts = zip(*lines, strict=True)
        code.line(f"if a is MISSING: {states}[{key}] = ({', '.join(firsts)})")
        code.line("else:")
        code.line(f"    {', '.join(self._places)} = a")
        code.line(f"    {states}[{key}] = ({', '.join(nexts)})")

    def write_next(self, code: Code, state: str, ts: str) -> None:
        """Write that the element ``x`` goes into the state at *state*."""
        nexts = [next_ for _, next_ in self._lines(code, ts)]
        code.line(f"{', '.join(self._places)} = {state}")
        code.line(f"{state} = {', '.join(nexts)}")  # all or nothing, if one fails

    def write_first(self, code: Code, state: str, ts: str) -> None:
        """Write that *state* is that of the element ``x`` alone."""
        code.line(f"{state} = {', '.join(first for first, _ in self._lines(code, ts))}")

    def _lines(self, code: Code, ts: str) -> list[tuple[str, str]]:
        """Write what is read of ``x``; return the sources of first states, and of next ones."""
        values = dict.fromkeys(self.getters, "x")
        for at, getter in enumerate(values):
            if (value := getter.write(code)) != "x":
                values[getter] = f"v{at}"
                code.line(f"v{at} = {value}")
        names = SharedBindings(code)
        users = Counter(
            values[getter]
            for each, getter in zip(self.aggregators, self.getters, strict=True)
            if each.uses_fixed_point
        )
        for at, (value, n) in enumerate(users.items()):
            if n > 1:
                code.line(names.share_fixed_point(value, f"fixed{at}"))
        return [
            each.lines(names, place, values[getter], ts)
            for each, place, getter in zip(
                self.aggregators, self._places, self.getters, strict=True
            )
        ]

    def add(self, states: dict[Any, Any], key: Any, x: Any, ts: Any) -> None:
        """Put *x* into *states* at *key*."""
        values = [getter(x) for getter in self.getters]
        old = states.get(key, MISSING)
        if len(values) == 1:
            before = self.aggregators[0].start() if old is MISSING else old
            states[key] = self._add[0](before, values[0], ts)
            return
        before = [each.start() for each in self.aggregators] if old is MISSING else old
        states[key] = tuple(
            add(state, value, ts)
            for add, state, value in zip(self._add, before, values, strict=True)
        )

    def check(self, x: Any) -> None:
        """Refuse *x* if it lacks what an aggregator reads."""
        for getter in self.getters:
            if getter.mode != "call":  # what a callable raises is its own error
                getter(x)

    def _merge_each(self, a: Any, b: Any) -> Any:
        return tuple(merge(s, t) for merge, s, t in zip(self._merge, a, b, strict=True))

    def results(self, states: Iterable[Any]) -> Iterable[Any]:
        """Return the value of each of *states*; where one fails, the next is that of the next."""
        results, names = self._result, self.names
        if len(names) > 1:

            def by_name(row: Any) -> dict[str, Any]:
                return {name: result(state) for name, result, state in zip(names, results, row)}  # noqa: B905 - one each

            return map(by_name, states)
        result, name = results[0], names[0]
        if result is _same:
            return states if self.bare else ({name: state} for state in states)
        if self.bare:
            return map(result, states)

        def named(state: Any) -> dict[str, Any]:
            return {name: result(state)}

        return map(named, states)

    def result(self, state: Any) -> Any:
        """Return the value of *state*."""
        return next(iter(self.results([state])))


def _same(state: Any) -> Any:
    """Return *state*: the result of an aggregator that does not define one."""
    return state


def _result_of(aggregator: Aggregator) -> Callable[[Any], Any]:
    own = type(aggregator).result is not Aggregator.result
    return aggregator.result if own else _same
