"""Operator chains: what a worker applies to the elements of a task.

A worker runs the very operators that a plain pipeline runs, fused into one
function (see `rapidz.kernel.compile.fusion`), so they treat an element the
same way on every backend.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, TypeAlias

from rapidz import operators
from rapidz.kernel.compile.fusion import fuse, line_of
from rapidz.kernel.compile.intermediate import FusedRun
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import SKIP, no_default
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.failures import interrupted
from rapidz.parallel.wire.outcomes import DROPPED, Expanded, FailedElement, map_values
from rapidz.parallel.wire.pickling import dumps_by_value

Outcomes: TypeAlias = tuple[list[Any], bool]
"""One outcome an element, and whether any of them is not a value."""
Segment: TypeAlias = Callable[[list[Any]], Outcomes]

#: A chain whose pickle has more bytes, as by a large argument, is not sent with every task.
LARGE_CHAIN_BYTES = 1 << 16


class OperatorSpec:
    """Description of an operator as it travels: its name and its configuration."""

    __slots__ = ("args", "kwargs", "name")

    def __init__(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs

    def build(self) -> Any:
        """Return a node of the plain operator, with this configuration."""
        return getattr(operators, self.name)(Stream(), *self.args, **self.kwargs)

    def check_picklable(self) -> None:
        """Raise TypeError if the function, or another argument, cannot be sent to a process."""
        for name, argument in self._arguments():
            try:
                dumps_by_value(argument)
            except Exception as error:
                found = find_spec("cloudpickle") is not None
                remedy = "" if found else "; define it in a module, or install cloudpickle"
                raise TypeError(
                    f"{self.name}: {name} must be something that can be sent to another process, "
                    f"got {short_repr(argument)} ({error}){remedy}"
                ) from error

    def _arguments(self) -> Iterator[tuple[str, Any]]:
        first = {"filter": "predicate", "pluck": "pick"}.get(self.name, "func")
        for at, arg in enumerate(self.args):
            yield (first if at == 0 else f"args[{at - 1}]"), arg
        yield from self.kwargs.items()


class Chain:
    """Chain of operators: neighbours in the graph that run as one task."""

    def __init__(self, specs: Sequence[OperatorSpec], label: str, uid: str = "") -> None:
        self.specs = tuple(specs)
        self.label = label
        """The name of its tasks, such as ``map-inc``."""
        self.uid = uid or uuid.uuid4().hex
        self.path: str | None = None
        """The file from which other processes of this machine read it, if it is large."""
        self.stateful = bool(specs) and specs[0].name == "accumulate"

    @functools.cached_property
    def data(self) -> bytes:
        """The pickled chain."""
        return dumps_by_value((self.specs, self.label, self.uid))

    def is_picklable(self) -> bool:
        """Return whether the chain can be sent to another process."""
        try:
            return bool(self.data)
        except Exception:
            return False

    def __reduce__(self) -> Any:
        if self.path is not None:
            return read_chain, (self.path,)
        return load_chain, (self.data,)

    @functools.cached_property
    def program(self) -> Program:
        """The chain, compiled once; not for chains that keep a state."""
        return Program(self)

    def tail(self, at: int) -> Chain:
        """Return the part of the chain that begins with the operator *at*, to retry an element."""
        rest = Chain(self.specs[at:], self.label, self.uid)
        rest.data  # noqa: B018  # pickled now: a later change of an argument must not reach it
        return rest


@functools.lru_cache(maxsize=256)
def load_chain(data: bytes) -> Chain:
    """Unpickle a chain; equal bytes give the same object, and so compile once."""
    return Chain(*pickle.loads(data))


@functools.lru_cache(maxsize=64)
def read_chain(path: str) -> Chain:
    """Read the chain in the file at *path*, once a process."""
    with open(path, "rb") as file:
        return load_chain(file.read())


class Program:
    """Compiled chain: a function from a list of values to outcomes."""

    def __init__(self, chain: Chain) -> None:
        self.uid = chain.uid
        self.nodes = [spec.build() for spec in chain.specs]
        self.segments: list[Segment] = []
        row: list[int] = []
        for at, node in enumerate(self.nodes):
            if chain.specs[at].name == "flatten":
                self._fuse_row(row)
                self.segments.append(functools.partial(self._flatten, at))
            elif node._can_inline():
                row.append(at)
            else:
                self._fuse_row(row)
                self.segments.append(functools.partial(self._run_async, at))
        self._fuse_row(row)

    def __call__(self, values: list[Any]) -> Outcomes:
        outcomes, special = values, False
        for segment in self.segments:
            outcomes, special = map_values(segment, outcomes) if special else segment(outcomes)
        return outcomes, special

    def _fuse_row(self, row: list[int]) -> None:
        """Fuse the operators of *row* into one segment, and clear it."""
        if not row:
            return
        run = FusedRun()
        run.nodes = [(weakref.ref(self.nodes[at]), 0) for at in row]
        places = {self.nodes[at]: at for at in row}
        first = row[0]

        def failed(table: Any, error: BaseException) -> FailedElement:
            node, x = line_of(table, error)
            return self._failure(places.get(node, first), x, error)

        self.segments.append(fuse(run, "batch", failed=failed, nothing=DROPPED))
        row.clear()

    def _failure(self, at: int, x: Any, error: BaseException) -> FailedElement:
        """Return the outcome of an element that failed; an interrupt does not end a worker."""
        cause = error if isinstance(error, Exception) else interrupted(error)
        return FailedElement(self.uid, at, x, cause)

    def _flatten(self, at: int, values: list[Any]) -> Outcomes:
        return [self._iterate(at, x) for x in values], True

    def _iterate(self, at: int, x: Any) -> Any:
        items: list[Any] = []
        try:
            for item in x:
                items.append(item)  # not extend: the items before a failure are kept
        except BaseException as error:
            failure = self._failure(at, x, error)
            return Expanded([*items, failure]) if items else failure
        return Expanded(items)

    def _run_async(self, at: int, values: list[Any]) -> Outcomes:
        """Apply an operator whose function is asynchronous, on an event loop of its own."""
        call, parallelism = _async_function(self.nodes[at])

        async def guarded(x: Any) -> Any:
            try:
                return await call(x)
            except GeneratorExit:
                raise
            except BaseException as error:
                return self._failure(at, x, error)

        async def run_all() -> list[Any]:
            if parallelism == 1:
                return [await guarded(x) for x in values]
            slots = asyncio.Semaphore(parallelism)

            async def in_slot(x: Any) -> Any:
                async with slots:
                    return await guarded(x)

            return list(await asyncio.gather(*(in_slot(x) for x in values)))

        return asyncio.run(run_all()), True


def _async_function(node: Any) -> tuple[Callable[[Any], Any], int]:
    """Return the coroutine function of an asynchronous operator, and its parallelism."""
    if isinstance(node, operators.filter):
        return functools.partial(_filter_async, node), 1
    if isinstance(node, operators.accumulate):
        return functools.partial(_accumulate_async, node), 1
    return functools.partial(_map_async, node), getattr(node, "parallelism", 1)


async def _filter_async(node: Any, x: Any) -> Any:
    return x if await node.predicate(x, *node.args, **node.kwargs) else DROPPED


async def _map_async(node: Any, x: Any) -> Any:
    args = x if isinstance(node, operators.starmap) else (x,)
    result = node.func(*args, *node.args, **node.kwargs)
    result = await result if inspect.isawaitable(result) else result
    return DROPPED if result is SKIP else result


async def _accumulate_async(node: Any, x: Any) -> Any:
    if node.state is no_default:
        result = (x, x) if node.returns_state else x
    else:
        result = await node.func(node.state, x, **node.kwargs)
    new, y = result if node.returns_state else (result, result)
    if new is not SKIP:
        node.state = new
    if y is SKIP:
        return DROPPED
    return (new, y) if node.with_state else y
