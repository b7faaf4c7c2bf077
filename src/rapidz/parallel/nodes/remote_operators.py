"""Remote operators: those that look at one element at a time, and run where it is.

Neighbours form one chain, whose first node, the head, sends it.  They inherit
from the operators of plain streams, whose configuration and checks they share.
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
from rapidz.parallel.nodes.stream import ParallelStream
from rapidz.parallel.scheduling.batch_sizer import BatchSizer
from rapidz.parallel.scheduling.batcher import Batcher
from rapidz.parallel.scheduling.dispatcher import Dispatcher
from rapidz.parallel.wire.chain import Chain, OperatorSpec
from rapidz.parallel.wire.outcomes import DROPPED, SetState


class ChainHead(ParallelStream[T]):
    """Node that may send elements, through a chain of operators, to the workers."""

    _batcher: Batcher | None = None
    _sizer: BatchSizer | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(ParallelStream, self).__init__(*args, **kwargs)
        self._join_dispatcher(self._make_dispatcher)

    def _make_dispatcher(self) -> Dispatcher:
        return Dispatcher(find_backend("dask"))

    def _batcher_of(self, ops: list[RemoteOperator[Any]], *, raw: bool = False) -> Batcher:
        """Return the batcher of this node, from now on for the chain *ops*."""
        dispatcher = self._bound_dispatcher()
        chain = Chain([op._spec() for op in ops], label_of(ops))
        if self._batcher is None:
            self._sizer = self._sizer or BatchSizer(dispatcher.batch)
            self._batcher = Batcher(dispatcher, chain, self._sizer)
        batcher = self._batcher
        batcher.set_chain(chain, [weakref.ref(op) for op in ops])
        batcher.raw = raw
        batcher.values, batcher.has_dependents = find_consumers(ops[-1])
        return batcher

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._batcher = None


class RemoteOperator(ChainHead[T]):
    """Node whose function is sent to where the elements are."""

    _handles_carry_failures: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            self._dispatcher.backend.check_operator(self._spec())
        except Exception:
            self.destroy()  # what is refused stays out of the graph
            raise

    def _spec(self) -> OperatorSpec:
        """Return the description by which a worker builds the operator."""
        raise NotImplementedError

    def compile(self, push: Push[Any], port: int = 0) -> Any:
        if is_follower(self):  # the head of the chain sends it
            return Step(push, self._outlet.push_many, self._outlet.capacity)
        add = self._batcher_of([self, *followers(self)]).add
        return lambda x: push(add(x))


def is_follower(node: Stream[Any]) -> bool:
    """Return whether *node* is part of the chain of the node upstream."""
    if not isinstance(node, RemoteOperator) or isinstance(node, accumulate):
        return False
    if len(node.upstreams) != 1:
        return False
    above = node.upstreams[0]
    fused = isinstance(above, ChainHead) and len(edges(above)) == 1 and above._record is None
    return fused and not above._is_entry


def followers(node: Stream[Any]) -> list[RemoteOperator[Any]]:
    """Return the nodes downstream of *node* that are part of its chain."""
    found: list[RemoteOperator[Any]] = []
    while len(below := edges(node)) == 1 and is_follower(below[0][0]) and below[0][0] not in found:
        node = below[0][0]
        found.append(node)  # type: ignore[arg-type]
    return found


def label_of(ops: list[RemoteOperator[Any]]) -> str:
    """Return the name of the tasks of a chain, such as ``map-inc``, for Dask's dashboard."""
    words: list[str] = []
    for op in ops[:4]:
        func = vars(op).get("func") or vars(op).get("predicate")
        name = "" if func is None else short_name(func)
        words += [type(op).__name__, *name.replace("<", "").replace(">", "").split("_")]
    return "-".join(word for word in words if word)


def find_consumers(last: Stream[Any]) -> tuple[bool, bool]:
    """Return whether results of *last* are fetched, and whether other tasks depend on them."""
    fetched = needed = False
    seen: set[Stream[Any]] = set()
    ahead = [last]
    while ahead:
        for node, _ in edges(ahead.pop()):
            if node in seen:
                continue
            seen.add(node)
            if not isinstance(node, ParallelStream):
                fetched |= node._accepts_handles
                needed |= not node._accepts_handles
            elif isinstance(node, RemoteOperator):
                needed = True
            else:
                needed |= node._computes_keys
                ahead.append(node)
    return fetched, needed


# --- operators ---------------------------------------------------------------------------------


@ParallelStream.register_api()
class map(RemoteOperator[T], plain.map[T]):
    """`rapidz.map`, applied where the elements are."""

    _emits_one_for_one: ClassVar[bool] = True

    def _spec(self) -> OperatorSpec:
        return OperatorSpec(type(self).__name__, (self.func, *self.args), dict(self.kwargs))


@ParallelStream.register_api()
class starmap(map[T], plain.starmap[T]):
    """`rapidz.starmap`, applied where the elements are."""


@ParallelStream.register_api()
class filter(RemoteOperator[T], plain.filter[T]):
    """`rapidz.filter`, applied where the elements are."""

    def _spec(self) -> OperatorSpec:
        return OperatorSpec("filter", (self.predicate, *self.args), dict(self.kwargs))


@ParallelStream.register_api()
class pluck(RemoteOperator[Any], plain.pluck):
    """`rapidz.pluck`, applied where the elements are."""

    _emits_one_for_one: ClassVar[bool] = True

    def _spec(self) -> OperatorSpec:
        return OperatorSpec("pluck", (self.pick,), {})


@ParallelStream.register_api()
@ParallelStream.register_api(attribute_name="concat")
class flatten(RemoteOperator[T], plain.flatten[T]):
    """`rapidz.flatten`, applied where the elements are."""

    def _spec(self) -> OperatorSpec:
        return OperatorSpec("flatten", (), {})

    def _may_expand(self) -> bool:
        return True


@ParallelStream.register_api()
class map_async(RemoteOperator[T], plain.map_async[T]):
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
class accumulate(RemoteOperator[T], plain.accumulate[T]):
    """`rapidz.accumulate`, applied where the elements are, one task after the other.

    The state stays there; this process fetches a small one after each task, a
    large one now and then, so that it can be rebuilt when a worker is lost.
    """

    _emits_one_for_one: ClassVar[bool] = True

    def _spec(self) -> OperatorSpec:
        options = {"returns_state": self.returns_state, "with_state": self.with_state}
        return OperatorSpec("accumulate", (self.func,), {**options, **self.kwargs})

    @property
    def state(self) -> Any:
        """Newest state that is known in this process; `no_default` before the first."""
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

    def _may_queue(self) -> bool:
        # An element that failed upstream may succeed in a retry, and has its place in the order;
        # whether one puts the start back must be known.
        return bool(self._pipeline.policies or self._side_ports)

    def _wrap_input(self, step: Push[Any], port: int) -> Push[Any]:
        if self._may_queue():
            return self._resolve_before(step, port, -1, not self._side_ports)
        return super()._wrap_input(step, port)

    def _on_loop_changed(self) -> None:
        self._state.value = self.state
        super()._on_loop_changed()


def _sendable(state: Any) -> Any:
    return DROPPED if state is no_default else state
