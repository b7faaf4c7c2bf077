"""What runs on a worker: a chain of operators, over a batch of elements.

A worker runs the very operators that a plain pipeline runs, written as one
function (see `rapidz.kernel.compile.fusion`), so what they do to an element is the same
everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import inspect
import pickle
import sys
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from rapidz import operators
from rapidz.kernel.compile.fusion import FusedRun, fuse, line_of
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import SKIP, no_default
from rapidz.kernel.runtime.failures import Retry, interrupted
from rapidz.parallel.wire.containers import rebuilt
from rapidz.parallel.wire.outcomes import (
    NOTHING,
    SPECIAL,
    UNTOLD,
    Bad,
    Many,
    Restart,
    Result,
    each_value,
    stripped,
    through,
)
from rapidz.parallel.wire.pickling import by_value, pickled

Outcomes: TypeAlias = tuple[list[Any], bool]
Segment: TypeAlias = Callable[[list[Any]], Outcomes]


class Spec:
    """An operator as it travels: its name, and what it is configured with."""

    __slots__ = ("args", "kwargs", "name")

    def __init__(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs

    def parts(self) -> Iterator[tuple[str, Any]]:
        """What it is configured with, and under which name."""
        first = {"filter": "predicate", "pluck": "pick"}.get(self.name, "func")
        for at, arg in enumerate(self.args):
            yield (first if at == 0 else f"args[{at - 1}]"), arg
        yield from self.kwargs.items()

    def node(self) -> Any:
        return getattr(operators, self.name)(Stream(), *self.args, **self.kwargs)


#: Functions whose pickle is longer, such as by a large argument, do not go with every task.
HEAVY_CHAIN = 1 << 16


class Chain:
    """Operators in a row."""

    def __init__(self, specs: Sequence[Spec], label: str, uid: str = "") -> None:
        self.specs = tuple(specs)
        self.label = label
        """How tasks are called, such as ``map-inc``."""
        self.uid = uid or uuid.uuid4().hex
        self.path: str | None = None
        """The file in which other processes of this machine find it, if it is large."""
        self.stateful = bool(specs) and specs[0].name == "accumulate"

    @functools.cached_property
    def pickled(self) -> bytes:
        return by_value((self.specs, self.label, self.uid))

    def travels(self) -> bool:
        """Whether the chain can be sent to another process."""
        try:
            return bool(self.pickled)
        except Exception:
            return False

    def __reduce__(self) -> Any:
        if self.path is not None:
            return read, (self.path,)
        return unpickled, (self.pickled,)

    @functools.cached_property
    def shared(self) -> Program:
        """The program, compiled once; not for chains that keep a state."""
        return Program(self)

    def after(self, at: int) -> Chain:
        """The part of the chain that begins with the operator *at*, to try an element again."""
        rest = Chain(self.specs[at:], self.label, self.uid)
        rest.pickled  # noqa: B018  # what is tuned later is not for this one
        return rest


@functools.lru_cache(maxsize=256)
def unpickled(data: bytes) -> Chain:
    return Chain(*pickle.loads(data))


@functools.lru_cache(maxsize=64)
def read(path: str) -> Chain:
    with open(path, "rb") as file:
        return unpickled(file.read())


class Program:
    """A chain, compiled: from values to outcomes."""

    def __init__(self, chain: Chain) -> None:
        self._uid = chain.uid
        self.nodes = [spec.node() for spec in chain.specs]
        self.segments: list[Segment] = []
        row: list[int] = []
        for at, node in enumerate(self.nodes):
            if chain.specs[at].name == "flatten":
                self._close(row)
                self.segments.append(functools.partial(self._flatten, at))
            elif node._can_inline():
                row.append(at)
            else:
                self._close(row)
                self.segments.append(functools.partial(self._await, at))
        self._close(row)

    def __call__(self, values: list[Any]) -> Outcomes:
        outcomes, special = values, False
        for segment in self.segments:
            outcomes, special = through(segment, outcomes) if special else segment(outcomes)
        return outcomes, special

    def _close(self, row: list[int]) -> None:
        """Write the operators of *row* as one function."""
        if not row:
            return
        run = FusedRun()
        run.nodes = [(weakref.ref(self.nodes[at]), 0) for at in row]
        places = {self.nodes[at]: at for at in row}
        first = row[0]

        def failed(table: Any, error: BaseException) -> Bad:
            node, x = line_of(table, error)
            return Bad(self._uid, places.get(node, first), x, _as_failure(error))

        self.segments.append(fuse(run, "batch", failed=failed, nothing=NOTHING))
        row.clear()

    def _flatten(self, at: int, values: list[Any]) -> Outcomes:
        return [self._items(at, x) for x in values], True

    def _items(self, at: int, x: Any) -> Any:
        items: list[Any] = []
        try:
            for item in x:
                items.append(item)  # what came before it failed is to be kept
        except BaseException as error:
            bad = Bad(self._uid, at, x, _as_failure(error))
            return Many([*items, bad]) if items else bad
        return Many(items)

    def _await(self, at: int, values: list[Any]) -> Outcomes:
        """Apply an operator whose function is asynchronous, in a loop of its own."""
        node = self.nodes[at]
        turn, together = _async_turn(node)

        async def guarded(x: Any) -> Any:
            try:
                return await turn(x)
            except GeneratorExit:
                raise
            except BaseException as error:
                return Bad(self._uid, at, x, _as_failure(error))

        async def everything() -> list[Any]:
            if together == 1:
                return [await guarded(x) for x in values]
            room = asyncio.Semaphore(together)

            async def in_room(x: Any) -> Any:
                async with room:
                    return await guarded(x)

            return list(await asyncio.gather(*(in_room(x) for x in values)))

        return asyncio.run(everything()), True


def _as_failure(error: BaseException) -> Exception:
    """The failure of an element; what asks a program to end does not end a worker."""
    return error if isinstance(error, Exception) else interrupted(error)


def _async_turn(node: Any) -> tuple[Callable[[Any], Any], int]:
    """What an asynchronous operator does to an element, and to how many at once."""
    if isinstance(node, operators.filter):

        async def passes(x: Any) -> Any:
            return x if await node.predicate(x, *node.args, **node.kwargs) else NOTHING

        return passes, 1
    if isinstance(node, operators.accumulate):
        return functools.partial(_fold, node), 1

    async def call(x: Any) -> Any:
        args = x if isinstance(node, operators.starmap) else (x,)
        result = node.func(*args, *node.args, **node.kwargs)
        result = await result if inspect.isawaitable(result) else result
        return NOTHING if result is SKIP else result

    return call, getattr(node, "parallelism", 1)


async def _fold(node: Any, x: Any) -> Any:
    """One step of an accumulation whose function is asynchronous."""
    if node.state is no_default:
        result = (x, x) if node.returns_state else x
    else:
        result = await node.func(node.state, x, **node.kwargs)
    new, y = result if node.returns_state else (result, result)
    if new is not SKIP:
        node.state = new
    if y is SKIP:
        return NOTHING
    return (new, y) if node.with_state else y


# --- one task ------------------------------------------------------------------------------


class Ref:
    """Stands for an outcome of a task that this one needs."""

    __slots__ = ("at", "index", "path")

    def __init__(self, at: int, index: int = 0, path: tuple[int, ...] = ()) -> None:
        self.at, self.index = at, index
        self.path = path
        """Which item of which item, of an element that was flattened."""

    def __reduce__(self) -> Any:
        return Ref, (self.at, self.index, self.path)


class Packed:
    """A container some of whose items are elsewhere."""

    __slots__ = ("parts", "shape")

    def __init__(self, like: Any, parts: list[Any]) -> None:
        self.shape = dict.fromkeys(like) if type(like) is dict else type(like)()
        """An empty container, or a dict that has the keys."""
        self.parts = parts

    def __reduce__(self) -> Any:
        return Packed, (self.shape, self.parts)


class Work:
    """A batch of elements and what to do with them, in a wrapping that Dask does not look into."""

    __slots__ = (
        "bare",
        "chain",
        "chain_at",
        "inputs",
        "retry",
        "special",
        "state",
        "state_at",
        "travels",
    )

    def __init__(self, chain: Any, inputs: list[Any]) -> None:
        self.chain, self.inputs = chain, inputs
        self.chain_at: int | None = None
        """In which of the results needed the chain is, if it is too large to go with every task."""
        self.bare = True
        """Whether *inputs* are the values themselves, none of them to be looked up."""
        self.special = False
        """Whether some of the inputs may not be values."""
        self.travels = True
        """Whether the result leaves the process."""
        self.state: Any = NOTHING
        self.state_at: int | None = None
        """In which of the results needed the state is, if it is not given."""
        self.retry: Retry | None = None

    def leave_out_what_cannot_travel(self) -> bool:
        """Put failures in the place of inputs that cannot be sent; whether there was one."""
        found = False
        for at, x in enumerate(self.inputs):
            try:
                pickled(x)
            except Exception as error:
                if not found:
                    self.inputs, found = list(self.inputs), True
                lost = TypeError(f"the element cannot be sent: {error}")
                self.inputs[at] = Bad(self.chain.uid, 0, UNTOLD, lost)
        self.special |= found
        return found


def looked_up(x: Any, results: Sequence[Any]) -> Any:
    """The value that *x* stands for."""
    kind = type(x)
    if kind is Ref:
        result = results[x.at]
        if not isinstance(result, Result):
            return result  # what a future of the user's own stands for
        outcome = result.outcomes[x.index]
        for at in x.path:
            outcome = outcome.outcomes[at]
        return outcome
    if kind is Packed:
        parts = [looked_up(part, results) for part in x.parts]
        lost = next((part for part in parts if type(part) is Bad), None)  # on its way to here
        return rebuilt(x.shape, parts) if lost is None else lost
    return x


def run(work: Work, *results: Any) -> Result:
    """Do *work*, with the *results* of the tasks that it needs."""
    if work.chain_at is not None:
        at, work = work.chain_at, copy.copy(work)
        work.chain = results[at]
    values = work.inputs
    special = work.special
    if not work.bare:
        values = [looked_up(x, results) for x in values]
        special = any(type(x) in SPECIAL for x in values)
    if work.chain.stateful:
        result = _run_fold(work, values, results, special)
    else:
        program = work.chain.shared
        began = time.perf_counter()
        outcomes, odd = through(program, values) if special else program(values)
        result = Result(outcomes, odd or special, time.perf_counter() - began)
    result.chain = work.chain.uid, len(work.chain.specs) - 1
    if result.special and work.travels:
        for outcome in result.outcomes:
            _prepare(outcome, work.chain.uid)
    return result


def run_pickled(data: bytes) -> bytes:
    """Do the work in *data*; what cannot be unpickled, here or there, is nobody's end."""
    return pickled(run(pickle.loads(data)))


def serve() -> None:
    """Do the work that comes by standard input; what functions print goes to standard error."""
    results = sys.stdout.buffer
    with contextlib.redirect_stdout(sys.stderr):
        results.write(run_pickled(sys.stdin.buffer.read()))
    results.flush()


def _prepare(outcome: Any, uid: str) -> None:
    if type(outcome) is Bad and outcome.chain == uid and not outcome.text:
        outcome.prepared()
    elif type(outcome) is Many:
        for item in outcome.outcomes:
            _prepare(item, uid)


def _run_fold(work: Work, values: list[Any], results: Sequence[Any], special: bool) -> Result:
    """Run a chain that begins with an accumulation; the state comes out with the outcomes."""
    program = Program(work.chain)  # of its own: it holds the state
    fold = program.nodes[0]
    _restart(fold, work.state if work.state_at is None else results[work.state_at].state)
    began = time.perf_counter()
    outcomes: list[Any] = []
    odd = special or work.retry is not None
    for part in _between_restarts(values) if special else [values]:
        if type(part) is Restart:
            _restart(fold, copy.deepcopy(part.state))
            outcomes.append(NOTHING)
        elif work.retry is not None:
            for x in part:
                outcomes += _retried(program, x, work.retry)
        else:
            new, new_odd = through(program, part) if special else program(part)
            outcomes += new
            odd = odd or new_odd
    result = Result(outcomes, odd, time.perf_counter() - began)
    result.state = NOTHING if fold.state is no_default else fold.state
    result.state_given = True
    return result


def _restart(fold: Any, state: Any) -> None:
    """Put the state in; `NOTHING` travels better than `no_default`."""
    fold.state = no_default if state is NOTHING else state


def _between_restarts(values: list[Any]) -> list[Any]:
    parts: list[Any] = [[]]
    for x in values:
        if type(x) is Restart:
            parts += [x, []]
        else:
            parts[-1].append(x)
    return [part for part in parts if type(part) is Restart or part]


def _retried(program: Program, x: Any, retry: Retry) -> list[Any]:
    """Fold *x* in, again and again if need be: what comes after it must wait."""
    attempts = 1
    while True:
        outcomes = program([x])[0] if type(x) not in SPECIAL else through(program, [x])[0]
        bad = outcomes[0]
        if type(bad) is not Bad or bad.at != 0 or bad.chain != program._uid:
            return outcomes
        bad.attempts = attempts
        if attempts > retry.times:
            return outcomes
        time.sleep(retry.pause(attempts))
        attempts += 1


def report(result: Result, values: bool, state_limit: float) -> Result:
    """What the pipeline is to know of a result that stays where it is."""
    outcomes = result.outcomes if values else [stripped(x) for x in result.outcomes]
    known = Result(outcomes, result.special or not values, result.seconds)
    known.chain = result.chain
    if result.state_given and (state_limit == float("inf") or _size(result.state) <= state_limit):
        known.state, known.state_given = result.state, True
    return known


def _size(x: Any) -> int:
    return len(pickled(x))


def pick(result: Result, index: int) -> Any:
    """One value out of a result, for a future of its own."""
    outcome = result.outcomes[index]
    if type(outcome) is Bad:
        raise outcome.arrived()
    return list(each_value(outcome)) if type(outcome) is Many else outcome
