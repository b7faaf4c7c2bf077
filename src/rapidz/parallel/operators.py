"""The operators on scattered streams.

Those that look at one element at a time are sent to where the elements are:
neighbours make one chain, whose first node, the head, sends it.  Those that
count, pair, order or time elements stay here and handle what stands for them;
before these it must be known which elements there are.  Both kinds are the
operators of plain streams, whose configuration and checks they share.
"""

from __future__ import annotations

import operator
import types
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from rapidz import operators as plain
from rapidz.kernel.compiler import edges
from rapidz.kernel.failures import Retry
from rapidz.kernel.push import Pending, Push, no_default
from rapidz.kernel.running import over, wait_for
from rapidz.kernel.stream import Stream, T, described
from rapidz.kernel.tuning import Cell
from rapidz.operators.pace import no_room
from rapidz.parallel.backends import find_backend
from rapidz.parallel.batch import HANDLES, Span
from rapidz.parallel.crew import Crew
from rapidz.parallel.outcomes import NOTHING, Restart
from rapidz.parallel.settling import brought, concluded, in_order, keyed, settled, there
from rapidz.parallel.stage import Pace, Stage
from rapidz.parallel.stream import ParallelStream
from rapidz.parallel.work import Chain, Spec


class Head(ParallelStream[T]):
    """A node that may send elements, through a chain of operators, to the workers."""

    _stage: Stage | None = None
    _pace: Pace | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(ParallelStream, self).__init__(*args, **kwargs)
        self._join_crew(self._new_crew)

    def _new_crew(self) -> Crew:
        return Crew(find_backend("dask"))

    def _stage_of(self, ops: list[Operator[Any]], *, raw: bool = False) -> Stage:
        """The stage of this node, from now on for the chain *ops*."""
        crew = self._here()
        chain = Chain([op._spec() for op in ops], label_of(ops))
        if self._stage is None:
            self._pace = self._pace or Pace(crew.batch)
            self._stage = Stage(crew, chain, self._pace)
        stage = self._stage
        stage.retune(chain, [weakref.ref(op) for op in ops])
        stage.raw = raw
        stage.values, stage.feeds = wanted(ops[-1])
        return stage

    def _rebound(self) -> None:
        super()._rebound()
        self._stage = None


class Operator(Head[T]):
    """A node whose function is sent to where the elements are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("func", "predicate"):
            if (func := vars(self).get(name)) is not None:
                try:
                    self._crew.backend.check(type(self).__name__, name, func)
                except Exception:
                    self.destroy()  # what is refused stays out of the graph
                    raise

    def _spec(self) -> Spec:
        """What a worker needs to know of the node."""
        raise NotImplementedError

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if follows(self):
            return push  # the head of the chain does it all
        add = self._stage_of([self, *followers(self)]).add
        return lambda x: push(add(x))


def follows(node: Stream[Any]) -> bool:
    """Whether *node* is part of the chain of the node above it."""
    if not isinstance(node, Operator) or isinstance(node, accumulate) or len(node.upstreams) != 1:
        return False
    above = node.upstreams[0]
    return isinstance(above, Head) and len(edges(above)) == 1 and above._record is None


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
        name = "" if func is None else described(func)
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
                fetched |= bool(getattr(node, "_takes_handles", False))
                taken |= not getattr(node, "_takes_handles", False)
            elif isinstance(node, Operator):
                taken = True
            else:
                taken |= isinstance(node, Keyed)
                ahead.append(node)
    return fetched, taken


# --- operators that go to the elements ---------------------------------------------------------


@ParallelStream.register_api()
class map(Operator[T], plain.map[T]):
    """`rapidz.map`, applied where the elements are."""

    def _spec(self) -> Spec:
        return Spec(type(self).__name__, (self.func, *self.args), dict(self.kwargs))


@ParallelStream.register_api()
class starmap(map[T], plain.starmap[T]):
    """`rapidz.starmap`, applied where the elements are."""


@ParallelStream.register_api()
class filter(Operator[T], plain.filter[T]):
    """`rapidz.filter`, applied where the elements are; the others leave no trace."""

    def _spec(self) -> Spec:
        return Spec("filter", (self.predicate, *self.args), dict(self.kwargs))


@ParallelStream.register_api()
class pluck(Operator[Any], plain.pluck):
    """`rapidz.pluck`, applied where the elements are."""

    def _spec(self) -> Spec:
        return Spec("pluck", (self.pick,), {})


@ParallelStream.register_api()
@ParallelStream.register_api(attribute_name="concat")
class flatten(Operator[T], plain.flatten[T]):
    """`rapidz.flatten`, applied where the elements are."""

    def _spec(self) -> Spec:
        return Spec("flatten", (), {})


@ParallelStream.register_api()
class map_async(Operator[T], plain.map_async[T]):
    """`rapidz.map_async`, applied where the elements are: *parallelism* at once in a task."""

    def _spec(self) -> Spec:
        options = {"parallelism": self.parallelism, **self.kwargs}
        return Spec("map_async", (self.func, *self.args), options)


@ParallelStream.register_api()
@ParallelStream.register_api(attribute_name="scan")
class accumulate(Operator[T], plain.accumulate[T]):
    """`rapidz.accumulate`, applied where the elements are, one task after the other.

    The state stays there; a small one is known here too, after each task, so
    that nothing is lost with a worker.
    """

    def _spec(self) -> Spec:
        options = {"returns_state": self.returns_state, "with_state": self.with_state}
        return Spec("accumulate", (self.func,), {**options, **self.kwargs})

    @property
    def state(self) -> Any:
        """The newest state that is known here; `no_default` before the first."""
        if self._stage is not None:
            known = self._stage.known_state()
            self._state.value = no_default if known is NOTHING else known
        return self._state.value

    @state.setter
    def state(self, value: Any) -> None:
        self._state.value = value
        if self._stage is not None:
            self._stage.add(Restart(_sendable(value)))

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if port in self._side_ports:
            return self._resetting()
        fresh = self._stage is None
        stage = self._stage_of([self, *followers(self)])
        stage.retry = self._in_force if isinstance(self._in_force, Retry) else None
        if fresh:
            stage.state = _sendable(self._state.value)
        add = stage.add
        return lambda x: push(add(x))

    def _received(self, step: Push[Any], port: int) -> Push[Any]:
        # What failed above may come out well after all, and has its place in the order; and what
        # puts the start back must be known to be there.
        if self._pipeline.policies or self._side_ports:
            one = not self._side_ports
            return settled(self._here(), self._front(-1), self._pipeline, step, one_input=one)
        return super()._received(step, port)

    def _rebound(self) -> None:
        self._state.value = self.state
        super()._rebound()


def _sendable(state: Any) -> Any:
    return NOTHING if state is no_default else state


# --- operators that handle what stands for elements --------------------------------------------


class Settled(ParallelStream[T]):
    """A node that counts, pairs, orders or times elements, wherever they are."""

    _settles: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(ParallelStream, self).__init__(*args, **kwargs)
        self._join_crew(_no_crew)


def _no_crew() -> Crew:
    raise TypeError("upstream must be scattered")


class Keyed(Settled[T]):
    """One that looks at a key of each element: computed there, and fetched."""

    key: Any

    def _received(self, step: Push[Any], port: int) -> Push[Any]:
        if self.key is None:
            return super()._received(step, port)
        crew, front, pipeline = self._here(), self._front(port), self._pipeline
        add = self._keys().add
        pack = Stage(crew, Chain([], "pack"), Pace(crew.batch)).add

        async def arrive(pair: tuple[Any, Any]) -> None:
            x, handle = pair
            for found in await concluded(x):
                whole = found if type(found) in HANDLES else pack(found)
                for key in await brought(handle if found is x else add(found), crew):
                    if (wait := step(keyed(whole, key))) is not None:
                        await wait

        later = in_order(crew, front, pipeline, arrive)
        return lambda x: later((x, add(x)))

    def _keys(self) -> Stage:
        """The stage that computes keys."""
        spec = (
            Spec("map", (self.key,), {}) if callable(self.key) else Spec("pluck", (self.key,), {})
        )
        stage = Stage(
            self._crew, Chain([spec], f"key-{type(self).__name__}"), Pace(self._crew.batch)
        )
        stage.nodes = [weakref.ref(self)]
        return stage

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self.key is None:
            return super().compile(push, port)
        key = self.key
        vars(self)["key"] = operator.attrgetter("key")
        try:
            return super().compile(push, port)
        finally:
            vars(self)["key"] = key


def on_handles(plain_operator: type[Stream[Any]], kind: type[ParallelStream[Any]] = Settled) -> Any:
    """The *plain_operator* for scattered streams: it handles what stands for the elements."""
    name = plain_operator.__name__
    doc = f"`rapidz.{name}`, on scattered elements."
    made = types.new_class(
        name,
        (kind, plain_operator),
        exec_body=lambda body: body.update(__module__=__name__, __doc__=doc),
    )
    return ParallelStream.register_api()(made)


slice = on_handles(plain.slice)
sliding_window = on_handles(plain.sliding_window)
collect = on_handles(plain.collect)
timed_window = on_handles(plain.timed_window)
delay = on_handles(plain.delay)
rate_limit = on_handles(plain.rate_limit)
latest = on_handles(plain.latest)
zip = on_handles(plain.zip)
zip_latest = on_handles(plain.zip_latest)
combine_latest = on_handles(plain.combine_latest)
partition = on_handles(plain.partition, Keyed)
partition_unique = on_handles(plain.partition_unique, Keyed)
timed_window_unique = on_handles(plain.timed_window_unique, Keyed)
unique = on_handles(plain.unique, Keyed)


class Passing(Settled[T]):
    """A node that lets elements pass without a look at them."""

    _settles: ClassVar[bool] = False


union = on_handles(plain.union, Passing)


@ParallelStream.register_api()
class buffer(Passing[T], plain.buffer[T]):
    """`rapidz.buffer`: how many elements may be under way, or done and not yet taken.

    If order does not matter, those go on first that are there first.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._held = Cell(0)
        self._coming: set[Any] = set()
        """What is not there yet, and takes its place in the queue then."""
        super().__init__(*args, **kwargs)

    def _rebound(self) -> None:
        self._conveyor.entries.clear()  # what was under way in the old loop was lost with it
        self._held.value = 0
        self._coming.clear()
        super()._rebound()

    def _busy(self) -> bool:
        return bool(self._coming) or super()._busy()

    def _in_own_turn(self, action: Callable[[], Pending]) -> Pending:
        if not self._coming:
            return super()._in_own_turn(action)

        async def when_all_are_there() -> None:
            for running in list(self._coming):
                await over(running)
            await wait_for(self._in_own_turn(action))

        return self._pipeline.start(when_all_are_there())

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        conveyor, gate, maxsize, held = self._conveyor, self._gate, self.maxsize, self._held
        conveyor.gate = gate
        pipeline, outlet, line = self._pipeline, self._outlet, self._gate.line

        def freed(count: int) -> None:
            held.value -= count
            while line and held.value < maxsize:
                gate.open(pipeline)

        async def carry(x: Any) -> None:
            if type(x) is Span:
                return await carry_span(x)
            freed(1)
            if (wait := outlet.send(x)) is not None:
                await wait

        async def carry_span(span: Span) -> None:
            while (at := span.at) < span.stop:
                try:
                    try:
                        many = outlet.many
                        wait = outlet.send(span.next()) if many is None else many(span)
                    finally:
                        freed(span.at - at)
                    if wait is not None:
                        await wait
                except Exception as error:
                    pipeline.keep(error)

        conveyor.resume(carry, pipeline)

        def put(x: Any) -> Pending:
            return conveyor.put(x, carry, pipeline)

        enter = put if self._crew.ordered else self._when_there(put)

        def admit(x: Any) -> Pending:
            held.value += 1
            return enter(x)

        def step(x: Any) -> Pending:
            if held.value < maxsize and not line:
                return admit(x)
            return gate.enter(pipeline, lambda: held.value >= maxsize, lambda: admit(x), no_room)

        if self._crew.ordered:

            def many(span: Span) -> Pending:
                held.value += span.stop - span.at
                return put(span)

            step.many = many  # type: ignore[attr-defined]
            step.room = lambda: 0 if line else maxsize - held.value  # type: ignore[attr-defined]
        return step

    def _when_there(self, put: Callable[[Any], Pending]) -> Callable[[Any], Pending]:
        """Put elements into the queue as they are there, whatever their order."""
        pipeline, coming = self._pipeline, self._coming

        async def later(x: Any) -> None:
            await there(x)
            put(x)

        def enter(x: Any) -> Pending:
            running: Any = pipeline.start(later(x))
            coming.add(running)
            running.add_done_callback(coming.discard)
            return None

        return enter
