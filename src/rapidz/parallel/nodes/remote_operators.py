"""Operators that are sent to where the elements are: those that look at one at a time.

Neighbours make one chain, whose first node, the head, sends it.  They are the
operators of plain streams, whose configuration and checks they share.
"""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from rapidz import operators as plain
from rapidz.kernel.graph.engine_node import short_name
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.node import edges
from rapidz.kernel.protocol.push import Push, Step, no_default
from rapidz.kernel.runtime.failures import Retry
from rapidz.parallel.backends.registry import find_backend
from rapidz.parallel.nodes.reconvergence import allowance_below
from rapidz.parallel.nodes.resolution import settled
from rapidz.parallel.nodes.stream import ParallelStream
from rapidz.parallel.scheduling.batch_sizer import BatchSizer
from rapidz.parallel.scheduling.batcher import Batcher
from rapidz.parallel.scheduling.dispatcher import Dispatcher
from rapidz.parallel.wire.outcomes import DROPPED, SetState
from rapidz.parallel.wire.program import Chain, OperatorSpec


class Head(ParallelStream[T]):
    """A node that may send elements, through a chain of operators, to the workers."""

    _batcher: Batcher | None = None
    _sizer: BatchSizer | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(ParallelStream, self).__init__(*args, **kwargs)
        self._join_dispatcher(self._new_dispatcher)

    def _new_dispatcher(self) -> Dispatcher:
        return Dispatcher(find_backend("dask"))

    def _batcher_of(self, ops: list[Operator[Any]], *, raw: bool = False) -> Batcher:
        """The batcher of this node, from now on for the chain *ops*."""
        dispatcher = self._here()
        chain = Chain([op._spec() for op in ops], label_of(ops))
        if self._batcher is None:
            self._sizer = self._sizer or BatchSizer(dispatcher.batch)
            self._batcher = Batcher(dispatcher, chain, self._sizer)
        batcher = self._batcher
        batcher.set_chain(chain, [weakref.ref(op) for op in ops])
        batcher.raw = raw
        batcher.values, batcher.has_dependents = wanted(ops[-1])
        return batcher

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._batcher = None


class Operator(Head[T]):
    """A node whose function is sent to where the elements are."""

    _handles_carry_failures: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            self._dispatcher.backend.check_operator(self._spec())
        except Exception:
            self.destroy()  # what is refused stays out of the graph
            raise

    def _spec(self) -> OperatorSpec:
        """What a worker needs to know of the node."""
        raise NotImplementedError

    def compile(self, push: Push[Any], port: int = 0) -> Any:
        if follows(self):  # the head of the chain does it all
            return Step(push, self._outlet.push_many, self._outlet.capacity)
        add = self._batcher_of([self, *followers(self)]).add
        return lambda x: push(add(x))


def follows(node: Stream[Any]) -> bool:
    """Whether *node* is part of the chain of the node above it."""
    if not isinstance(node, Operator) or isinstance(node, accumulate) or len(node.upstreams) != 1:
        return False
    above = node.upstreams[0]
    whole = isinstance(above, Head) and len(edges(above)) == 1 and above._record is None
    return whole and not above._is_entry


def followers(node: Stream[Any]) -> list[Operator[Any]]:
    """The nodes below *node* that are part of its chain."""
    found: list[Operator[Any]] = []
    while len(below := edges(node)) == 1 and follows(below[0][0]) and below[0][0] not in found:
        node = below[0][0]
        found.append(node)  # type: ignore[arg-type]
    return found


def label_of(ops: list[Operator[Any]]) -> str:
    """How the tasks of a chain are called, such as ``map-inc``; Dask's dashboard shows it."""
    words: list[str] = []
    for op in ops[:4]:
        func = vars(op).get("func") or vars(op).get("predicate")
        name = "" if func is None else short_name(func)
        words += [type(op).__name__, *name.replace("<", "").replace(">", "").split("_")]
    return "-".join(word for word in words if word)


def wanted(last: Stream[Any]) -> tuple[bool, bool]:
    """What is to become of what *last* makes: whether it is fetched, whether others take it."""
    fetched = taken = False
    seen: set[Stream[Any]] = set()
    ahead = [last]
    while ahead:
        for node, _ in edges(ahead.pop()):
            if node in seen:
                continue
            seen.add(node)
            if not isinstance(node, ParallelStream):
                fetched |= node._accepts_handles
                taken |= not node._accepts_handles
            elif isinstance(node, Operator):
                taken = True
            else:
                taken |= node._asks
                ahead.append(node)
    return fetched, taken


# --- operators that go to the elements ---------------------------------------------------------


@ParallelStream.register_api()
class map(Operator[T], plain.map[T]):
    """`rapidz.map`, applied where the elements are."""

    _emits_one_for_one: ClassVar[bool] = True

    def _spec(self) -> OperatorSpec:
        return OperatorSpec(type(self).__name__, (self.func, *self.args), dict(self.kwargs))


@ParallelStream.register_api()
class starmap(map[T], plain.starmap[T]):
    """`rapidz.starmap`, applied where the elements are."""


@ParallelStream.register_api()
class filter(Operator[T], plain.filter[T]):
    """`rapidz.filter`, applied where the elements are; the others leave no trace."""

    def _spec(self) -> OperatorSpec:
        return OperatorSpec("filter", (self.predicate, *self.args), dict(self.kwargs))


@ParallelStream.register_api()
class pluck(Operator[Any], plain.pluck):
    """`rapidz.pluck`, applied where the elements are."""

    _emits_one_for_one: ClassVar[bool] = True

    def _spec(self) -> OperatorSpec:
        return OperatorSpec("pluck", (self.pick,), {})


@ParallelStream.register_api()
@ParallelStream.register_api(attribute_name="concat")
class flatten(Operator[T], plain.flatten[T]):
    """`rapidz.flatten`, applied where the elements are."""

    def _spec(self) -> OperatorSpec:
        return OperatorSpec("flatten", (), {})

    def _multiplies(self) -> bool:
        return True


@ParallelStream.register_api()
class map_async(Operator[T], plain.map_async[T]):
    """`rapidz.map_async`, applied where the elements are: *parallelism* at once in a task."""

    _emits_one_for_one: ClassVar[bool] = True

    def __init__(self, *args: Any, stop_on_exception: bool = False, **kwargs: Any) -> None:
        if stop_on_exception:
            raise ValueError(
                "map_async: stop_on_exception must be False on a scattered stream, got True"
            )
        super().__init__(*args, **kwargs)

    def _spec(self) -> OperatorSpec:
        options = {"parallelism": self.parallelism, **self.kwargs}
        return OperatorSpec("map_async", (self.func, *self.args), options)


@ParallelStream.register_api()
@ParallelStream.register_api(attribute_name="scan")
class accumulate(Operator[T], plain.accumulate[T]):
    """`rapidz.accumulate`, applied where the elements are, one task after the other.

    The state stays there; a small one is known here too, after each task, so
    that nothing is lost with a worker.
    """

    _emits_one_for_one: ClassVar[bool] = True

    def _spec(self) -> OperatorSpec:
        options = {"returns_state": self.returns_state, "with_state": self.with_state}
        return OperatorSpec("accumulate", (self.func,), {**options, **self.kwargs})

    @property
    def state(self) -> Any:
        """The newest state that is known here; `no_default` before the first."""
        if self._batcher is not None:
            known = self._batcher.known_state()
            self._state.value = no_default if known is DROPPED else known
        return self._state.value

    @state.setter
    def state(self, value: Any) -> None:
        self._state.value = value
        if self._batcher is not None:
            self._batcher.add(SetState(_sendable(value)))

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if port in self._side_ports:
            return self._resetting()
        fresh = self._batcher is None
        batcher = self._batcher_of([self, *followers(self)])
        batcher.retry = (
            self._effective_policy if isinstance(self._effective_policy, Retry) else None
        )
        if fresh:
            batcher.initial_state = _sendable(self._state.value)
        add = batcher.add
        return lambda x: push(add(x))

    def _waits(self) -> bool:
        # What failed above may come out well after all, and has its place in the order; and what
        # puts the start back must be known to be there.
        return bool(self._pipeline.policies or self._side_ports)

    def _wrap_input(self, step: Push[Any], port: int) -> Push[Any]:
        if self._waits():
            front, one = self._front(-1), not self._side_ports
            allowance = allowance_below(self)
            return settled(
                self._here(),
                front,
                self._pipeline,
                step,
                allowance,
                lost=self._lost_at(port),
                one_input=one,
            )
        return super()._wrap_input(step, port)

    def _on_loop_changed(self) -> None:
        self._state.value = self.state
        super()._on_loop_changed()


def _sendable(state: Any) -> Any:
    return DROPPED if state is no_default else state
