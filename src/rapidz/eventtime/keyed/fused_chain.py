"""Fused chain: map, filter and accumulate of all keys as the lines of one node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

from rapidz.eventtime.keyed.build_analysis import is_same_for_all_keys
from rapidz.eventtime.keyed.state import is_immutable
from rapidz.kernel.compile.intermediate import MISSING
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import SKIP, no_default
from rapidz.kernel.runtime.awaitables import check_verdict, look_at_first, may_return_coroutine
from rapidz.kernel.runtime.loop import is_async

if TYPE_CHECKING:
    from rapidz.kernel.compile.fusion import Code

Kind: TypeAlias = Literal["map", "filter", "accumulate"]


class ChainStep(NamedTuple):
    """One operator of a chain."""

    kind: Kind
    func: Callable[..., Any]
    start: Any = no_default


class FusedChain:
    """A chain of operators with the same functions for all keys.

    The state of a key is that of its one `accumulate`, or a list if there are several.

    Parameters
    ----------
    steps : list of ChainStep
        From the first operator to the last.
    """

    def __init__(self, steps: list[ChainStep]) -> None:
        self.steps = steps
        starts = [_start(step) for step in steps if step.kind == "accumulate"]
        self.count = len(starts)
        self.start = starts[0] if self.count == 1 else MISSING
        self._starts = starts

    def write(self, code: Code, commit: Callable[[str], None]) -> None:
        """Write the lines of the chain about ``x``; *commit* writes that a state is the key's.

        The variable ``s`` has the state.
        """
        if self.count > 1:
            code.line(f"if s is MISSING: s = {code.bind('starts', self._starts)}.copy()")
        at = 0
        for step in self.steps:
            func = code.bind("func", step.func)
            checked = may_return_coroutine(step.func)
            if step.kind == "filter":
                verdict = f"{func}(x)"
                if checked:
                    code.line(f"y = {verdict}")
                    verify = code.bind("checked", _verify)
                    verdict = f"y is True or (y is not False and {verify}(y))"
                code.nest(verdict)
                continue
            call = f"{func}(x)"
            if step.kind == "accumulate":
                state = "s" if self.count == 1 else f"s[{at}]"
                call = f"{func}({state}, x)"
                if self._starts[at] is MISSING:
                    call = f"x if {state} is MISSING else {call}"
            code.line(f"x = {call}")
            if checked:
                check = code.bind("check", look_at_first("pipelines", "func"))
                code.line(f"if {check}: {check}[0](x)")
            code.nest("x is not SKIP")
            if step.kind == "accumulate":
                if self.count > 1:
                    code.line(f"s[{at}] = x")
                commit("x" if self.count == 1 else "s")
                at += 1

    def run(self, state: Any, x: Any) -> tuple[Any, Any]:
        """Return the new state and what comes out, or `SKIP`; *state* stays as it is."""
        states = self._starts.copy() if state is MISSING else [state]
        if self.count > 1 and state is not MISSING:
            states = list(state)
        at = 0
        for step in self.steps:
            if step.kind == "filter":
                if not check_verdict("filter", step.func(x)):
                    x = SKIP
            elif step.kind == "map":
                x = step.func(x)
            else:
                before = states[at]
                x = x if before is MISSING else step.func(before, x)
                if x is not SKIP:
                    states[at] = x
                at += 1
            if x is SKIP:
                break
        return (states if self.count > 1 else states[0] if states else None), x


def _start(step: ChainStep) -> Any:
    return MISSING if step.start is no_default else step.start


def _verify(verdict: Any) -> Any:
    return check_verdict("filter", verdict)


def chain_of(build: Callable[..., Any]) -> FusedChain | None:
    """Return the chain that *build* gives for every key; None if it may be anything else."""
    if not is_same_for_all_keys(build):
        return None
    head = Stream[Any]()
    head._warns_if_unused = False
    try:
        node = build(head, None)
        steps = []
        while node is not head:
            step = _step_of(node)
            if step is None:
                return None
            steps.append(step)
            (node,) = node.upstreams
    except Exception:
        return None  # raised again, for the first element
    return FusedChain(steps[::-1])


def _step_of(node: Any) -> ChainStep | None:
    """Return what a node does, if it is one that a chain may have."""
    cls = type(node)
    kinds: tuple[Kind, ...] = ("map", "filter", "accumulate")
    for kind in kinds:
        if cls is getattr(getattr(Stream, kind), "__wrapped__", None):
            break
    else:
        return None
    func = node.predicate if kind == "filter" else node.func
    plain = len(node.upstreams) == 1 and not node.kwargs and not getattr(node, "args", ())
    if not plain or node.name is not None or is_async(func):
        return None
    if kind != "accumulate":
        return ChainStep(kind, func)
    state = cast("Any", node).state
    if node.returns_state or node.with_state or not is_immutable(state):
        return None
    return ChainStep(kind, func, state)
