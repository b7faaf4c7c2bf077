"""Task payloads: a batch of elements with their chain, and how a worker runs them."""

from __future__ import annotations

import contextlib
import copy
import functools
import pickle
import sys
import time
from collections.abc import Sequence
from typing import Any

from rapidz.kernel.protocol.push import no_default
from rapidz.kernel.runtime.failures import Retry
from rapidz.parallel.wire.chain import Program
from rapidz.parallel.wire.containers import rebuild
from rapidz.parallel.wire.outcomes import (
    DROPPED,
    SPECIAL,
    UNKNOWN_ELEMENT,
    Expanded,
    FailedElement,
    SetState,
    TaskResult,
    iter_values,
    map_values,
    strip_values,
)
from rapidz.parallel.wire.pickling import dumps


class ResultRef:
    """Reference to an outcome of another task, whose result comes as a dependency."""

    __slots__ = ("at", "index", "path")

    def __init__(self, at: int, index: int = 0, path: tuple[int, ...] = ()) -> None:
        self.at, self.index = at, index
        """Which dependency, and which of its outcomes."""
        self.path = path
        """Which item of which item, of an element that was flattened."""

    def __reduce__(self) -> Any:
        return ResultRef, (self.at, self.index, self.path)


class PackedContainer:
    """Container some of whose items are references."""

    __slots__ = ("items", "shape")

    def __init__(self, like: Any, items: list[Any]) -> None:
        self.shape = dict.fromkeys(like) if type(like) is dict else type(like)()
        """An empty container, or a dict that has the keys."""
        self.items = items

    def __reduce__(self) -> Any:
        return PackedContainer, (self.shape, self.items)


class TaskPayload:
    """Payload of a task: elements and their chain, in a wrapping that Dask does not look into."""

    __slots__ = (
        "bare",
        "chain",
        "chain_at",
        "crosses_process",
        "inputs",
        "retry",
        "special",
        "state",
        "state_at",
    )

    def __init__(self, chain: Any, inputs: list[Any]) -> None:
        self.chain, self.inputs = chain, inputs
        self.chain_at: int | None = None
        """Which dependency is the chain, if it is too large to be sent with every task."""
        self.bare = True
        """Whether *inputs* are the values themselves, with no references among them."""
        self.special = False
        """Whether some of the inputs may not be values."""
        self.crosses_process = True
        """Whether the result leaves the process."""
        self.state: Any = DROPPED
        """The state to begin with; `DROPPED` for none."""
        self.state_at: int | None = None
        """Which dependency has the state, if *state* has not."""
        self.retry: Retry | None = None

    def replace_unpicklable(self) -> bool:
        """Put failures in the place of inputs that cannot be pickled; return whether any was."""
        found = False
        for at, x in enumerate(self.inputs):
            try:
                dumps(x)
            except Exception as error:
                if not found:
                    self.inputs, found = list(self.inputs), True
                cause = TypeError(f"the element cannot be sent: {error}")
                self.inputs[at] = FailedElement(self.chain.uid, 0, UNKNOWN_ELEMENT, cause)
        self.special |= found
        return found


def _dereference(x: Any, results: Sequence[Any]) -> Any:
    """Return the outcome that *x* refers to."""
    kind = type(x)
    if kind is ResultRef:
        result = results[x.at]
        if not isinstance(result, TaskResult):
            return result  # the value of a future that a user's node has emitted
        outcome = result.outcomes[x.index]
        for at in x.path:
            outcome = outcome.outcomes[at]
        return outcome
    if kind is PackedContainer:
        items = [_dereference(item, results) for item in x.items]
        failure = next((item for item in items if type(item) is FailedElement), None)
        return rebuild(x.shape, items) if failure is None else failure
    return x


def run(payload: TaskPayload, *results: Any) -> TaskResult:
    """Run a task, with the *results* of its dependencies."""
    if payload.chain_at is not None:
        at, payload = payload.chain_at, copy.copy(payload)
        payload.chain = results[at]
    values = payload.inputs
    special = payload.special
    if not payload.bare:
        values = [_dereference(x, results) for x in values]
        special = any(type(x) in SPECIAL for x in values)
    if payload.chain.stateful:
        result = _run_accumulation(payload, values, results, special)
    else:
        program = payload.chain.program
        began = time.perf_counter()
        outcomes, odd = map_values(program, values) if special else program(values)
        result = TaskResult(outcomes, odd or special, time.perf_counter() - began)
    result.chain = payload.chain.uid, len(payload.chain.specs) - 1
    if result.special and payload.crosses_process:
        for outcome in result.outcomes:
            _make_picklable(outcome, payload.chain.uid)
    return result


def run_pickled(data: bytes) -> bytes:
    """Run the task in *data*; errors of pickling raise here and do not end the worker."""
    return dumps(run(pickle.loads(data)))


def serve() -> None:
    """Run the task on standard input; what functions print goes to standard error."""
    results = sys.stdout.buffer
    with contextlib.redirect_stdout(sys.stderr):
        results.write(run_pickled(sys.stdin.buffer.read()))
    results.flush()


def _make_picklable(outcome: Any, uid: str) -> None:
    if type(outcome) is FailedElement and outcome.chain == uid and not outcome.text:
        outcome.make_picklable()
    elif type(outcome) is Expanded:
        for item in outcome.outcomes:
            _make_picklable(item, uid)


def _run_accumulation(
    payload: TaskPayload, values: list[Any], results: Sequence[Any], special: bool
) -> TaskResult:
    """Run a chain that begins with an accumulation; the result has its state."""
    program = Program(payload.chain)  # not the shared one: this one has the state
    node, retry = program.nodes[0], payload.retry
    fold = program if retry is None else functools.partial(_fold_with_retry, program, retry)
    at = payload.state_at
    _set_state(node, payload.state if at is None else results[at].state)
    began = time.perf_counter()
    outcomes: list[Any] = []
    odd = special or retry is not None
    for part in _split_at_set_state(values) if special else [values]:
        if type(part) is SetState:
            _set_state(node, copy.deepcopy(part.state))
            outcomes.append(DROPPED)
        else:
            new, new_odd = map_values(fold, part) if special and retry is None else fold(part)
            outcomes += new
            odd = odd or new_odd
    result = TaskResult(outcomes, odd, time.perf_counter() - began)
    result.state = DROPPED if node.state is no_default else node.state
    result.has_state = True
    return result


def _set_state(node: Any, state: Any) -> None:
    """Set the state of an accumulation; `DROPPED`, which pickles to itself, is `no_default`."""
    node.state = no_default if state is DROPPED else state


def _split_at_set_state(values: list[Any]) -> list[Any]:
    parts: list[Any] = [[]]
    for x in values:
        if type(x) is SetState:
            parts += [x, []]
        else:
            parts[-1].append(x)
    return [part for part in parts if type(part) is SetState or part]


def _fold_with_retry(program: Program, retry: Retry, xs: list[Any]) -> tuple[list[Any], bool]:
    """Fold *xs* one by one, retrying each before the next: the elements behind it must wait."""
    outcomes: list[Any] = []
    for x in xs:
        attempts = 1
        while True:
            new = program([x])[0] if type(x) not in SPECIAL else map_values(program, [x])[0]
            failure = new[0]
            if type(failure) is not FailedElement or failure.at or failure.chain != program.uid:
                break
            failure.attempts = attempts
            if attempts > retry.times:
                break
            time.sleep(retry.pause(attempts))
            attempts += 1
        outcomes += new
    return outcomes, True


def summarize(result: TaskResult, values: bool, state_limit: float) -> TaskResult:
    """Return what the pipeline is to know of a *result* that stays on a worker.

    Its values only if asked for, and its state if that has at most *state_limit* bytes.
    """
    outcomes = result.outcomes if values else [strip_values(x) for x in result.outcomes]
    known = TaskResult(outcomes, result.special or not values, result.seconds)
    known.chain = result.chain
    if result.has_state and (
        state_limit == float("inf") or len(dumps(result.state)) <= state_limit
    ):
        known.state, known.has_state = result.state, True
    return known


def pick(result: TaskResult, index: int) -> Any:
    """Return one value of a *result*, for a future of its own."""
    outcome = result.outcomes[index]
    if type(outcome) is FailedElement:
        raise outcome.restore_error()
    return list(iter_values(outcome)) if type(outcome) is Expanded else outcome
