"""Chain records: map, filter and accumulate of one key, run by a function that many keys share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import BuiltinFunctionType, CoroutineType, FunctionType
from typing import Any

from rapidz.eventtime.keyed.fused_chain import ChainStep
from rapidz.kernel.compile.intermediate import MISSING
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import SKIP, no_default
from rapidz.kernel.runtime.awaitables import check_verdict, may_return_coroutine, refuse


class ChainRecord(list[Any]):
    """Functions and states of one key; the first item is the `ChainShape`."""

    __slots__ = ()

    @property
    def shown(self) -> Any:
        """The state of its `accumulate`; a list if there are several, None if there is none."""
        states = [None if self[at] is MISSING else self[at] for at in self[0].states]
        return states[0] if len(states) == 1 else states or None


class ChainShape:
    """What the chains of many keys have in common: a function ``run(record, x)``.

    It returns what comes out of the chain, or `SKIP`.

    Parameters
    ----------
    steps : list of ChainStep
        The chain of a first key.
    """

    def __init__(self, steps: list[ChainStep]) -> None:
        self.states: list[int] = []
        """Where in a record the states are."""
        self.layout: list[tuple[int, bool]] = []
        """The step, and whether its state is meant, of each item of a record."""
        lines, values = [], dict[str, Any]()
        for at, step in enumerate(steps):
            _check(step)
            lines += self._lines(at, step, values)
        values |= {
            "SKIP": SKIP,
            "MISSING": MISSING,
            "coroutine": CoroutineType,
            "check_verdict": check_verdict,
            "refuse": refuse,
        }
        source = [f"def make({', '.join(values)}):", "    def run(p, x):"]
        source += [f"        {line}" for line in [*lines, "return x"]]
        namespace: dict[str, Any] = {"__name__": __name__}
        exec("\n".join([*source, "    return run"]), namespace)
        self.run: Callable[[list[Any], Any], Any] = namespace["make"](**values)

    def _lines(self, at: int, step: ChainStep, values: dict[str, Any]) -> list[str]:
        shared = _token(step.func) is not None
        func = f"f{at}"
        if shared:
            values[func] = step.func
        else:
            self.layout.append((at, False))
            func = f"p[{len(self.layout)}]"
        if step.kind == "filter":
            return [f"if not check_verdict('filter', {func}(x)): return SKIP"]
        lines = [f"x = {func}(x)"]
        commit = []
        if step.kind == "accumulate":
            self.layout.append((at, True))
            place = len(self.layout)
            self.states.append(place)
            first = f"x if p[{place}] is MISSING else " if step.start is no_default else ""
            lines, commit = [f"x = {first}{func}(p[{place}], x)"], [f"p[{place}] = x"]
        if not shared or may_return_coroutine(step.func):
            lines.append(f"if x.__class__ is coroutine: refuse({step.kind!a}, 'func', x)")
        return [*lines, "if x is SKIP: return SKIP", *commit]

    def record(self, steps: list[ChainStep]) -> ChainRecord:
        """Return the record of a key with *steps*."""
        record = ChainRecord((self,))
        for at, is_state in self.layout:
            _, func, start = steps[at]
            if not is_state:
                record.append(func)
            else:
                record.append(MISSING if start is no_default else start)
        return record


def _check(step: ChainStep) -> None:
    """Refuse what the operator would refuse."""
    head = Stream[Any]()
    head._warns_if_unused = False
    getattr(head, step.kind)(step.func)


def _token(func: Callable[..., Any]) -> Hashable:
    """Return what is equal for functions that do the same; None if only *func* itself does it."""
    if func.__class__ is FunctionType:
        own = func.__closure__ or func.__defaults__ or func.__kwdefaults__
        return None if own else (id(func.__code__), id(func.__globals__))
    if isinstance(func, (BuiltinFunctionType, type)):
        return id(func)
    return None


class ChainShapes:
    """The shapes of the chains of one node, each made for the first key that has it."""

    def __init__(self) -> None:
        self._shapes: dict[Hashable, ChainShape] = {}

    def record(self, steps: list[ChainStep]) -> ChainRecord:
        """Return a record of *steps*."""
        kind = tuple([(step.kind, _token(step.func), step.start is no_default) for step in steps])
        shape = self._shapes.get(kind)
        if shape is None:
            shape = self._shapes[kind] = ChainShape(steps)
        return shape.record(steps)
