"""Before a node can count, pair or order elements, it must be known which of them are there.

An element whose result is not there yet may have been filtered out, may have failed, or may have
been flattened into several.  `conclude` waits until that is known, lets the policies speak that
are in force where it failed, and returns handles of what is there.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from rapidz.kernel.compile.alignment import LOST
from rapidz.kernel.protocol.push import Pending, Push, exception_group, when_all
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.failures import Handler, Raise, Retry
from rapidz.kernel.runtime.tasks import EagerTask, SerialQueue, resolve, wait_done, wait_for
from rapidz.parallel.scheduling.batch import ElementBatch
from rapidz.parallel.scheduling.dependencies import futures_in
from rapidz.parallel.scheduling.handles import (
    HANDLES,
    ItemHandle,
    LocalHandle,
    RemoteHandle,
    is_local,
    iter_handles,
    outcome_of,
    wait_all,
)
from rapidz.parallel.wire.containers import map_leaves
from rapidz.parallel.wire.outcomes import (
    DROPPED,
    FAILURE_HANDLED,
    PENDING,
    REMOTE,
    SPECIAL,
    Expanded,
    FailedElement,
)

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.parallel.scheduling.dispatcher import Dispatcher


Lost: TypeAlias = Callable[[], None]


def nothing_lost() -> None:
    """Called for a loss where no partners can be."""


async def conclude(x: Any, errors: list[Exception]) -> list[Any]:
    """The handles of what came of *x*, and LOST in the place of each item that failed.

    What a policy raises is added to *errors*: the other items of *x* go on.
    """
    if type(x) is not RemoteHandle and type(x) is not ItemHandle:
        return [x]
    await there(x)
    if type(x.outcome()) is FailedElement:
        await settle(x, errors)
    outcome = x.outcome()
    if outcome is DROPPED:
        return []
    if outcome is FAILURE_HANDLED:
        return [LOST]
    if type(outcome) is Expanded:
        found = []
        for at in range(len(outcome.outcomes)):
            found += await conclude(ItemHandle(x, at), errors)
        return found
    return [x]


def without_losses(found: list[Any]) -> list[Any]:
    return [x for x in found if x is not LOST]


Find: TypeAlias = Callable[[Any, list[Exception]], Awaitable[list[Any]]]


async def each_of(
    x: Any, find: Find, send: Push[Any], lost: Lost = nothing_lost, line: SerialQueue | None = None
) -> None:
    """*send* all that *find* makes of *x*, one after the other; call *lost* for what failed.

    All of it is tried; then the failures are raised.  *line* is told what waits for downstream.
    """
    errors: list[Exception] = []
    for found in await reporting(x, find, errors, lost):
        if found is LOST:
            lost()
            continue
        try:
            if (wait := send(found)) is not None:
                await _emitted(wait, line)
        except Exception as error:
            errors.append(error)
    if errors:
        raise exception_group(errors, "elements")


async def _emitted(wait: Awaitable[object], line: SerialQueue | None) -> None:
    if line is None:
        await wait
        return
    line.emitted += 1
    try:
        await wait
    finally:
        line.emitted -= 1


async def reporting(x: Any, find: Find, errors: list[Exception], lost: Lost) -> list[Any]:
    """Return what *find* makes of *x*; call *lost* if that fails as a whole."""
    try:
        return await find(x, errors)
    except BaseException:
        lost()
        raise


async def there(x: Any) -> None:
    """Wait until it is known what became of *x*."""
    for part in iter_handles(x):
        while type(part) is not LocalHandle and part.outcome() is PENDING:
            remote = part.root()
            await remote.batch.wait_known(remote.index)


async def settle(x: RemoteHandle | ItemHandle, errors: list[Exception]) -> None:
    """See to the failure of *x*, once for all who have to do with it.

    The first of them has what the policy raises added to its *errors*.
    """
    root = x.root()
    batch, place = root.batch, (root.index, *x.path())
    under_way = batch.resolving.get(place)
    if under_way is not None:
        await asyncio.shield(under_way)
        return
    batch.resolving[place] = future = asyncio.get_running_loop().create_future()
    outcome: Any = FAILURE_HANDLED
    try:
        bad = x.outcome()
        if bad.chain == batch.chain.uid:
            outcome = await _as_the_policy_says(batch, bad)
        else:
            outcome = await _inherited(x, bad, errors)
    except Exception as error:
        errors.append(error)
    finally:
        x.amend(outcome)
        del batch.resolving[place]
        resolve(future)


async def _as_the_policy_says(batch: ElementBatch, bad: FailedElement) -> Any:
    """Try again, skip or send on: what the policy of the node that failed says."""
    attempts = bad.attempts
    while True:
        node, error = batch.nodes[bad.at](), bad.restore_error()
        if node is None:
            raise error
        attribute_to(error, node, bad.element)
        policy = node._effective_policy
        keeps_state = batch.chain.stateful and bad.at == 0  # such a one is tried again in its task
        if isinstance(policy, Retry) and not keeps_state and attempts <= policy.times:
            await asyncio.sleep(policy.pause(attempts))
            outcome = await batch.owner.rerun(batch.chain, bad.at, bad.element, raw=True)
            again = (
                outcome.outcomes[-1] if type(outcome) is Expanded and outcome.outcomes else outcome
            )
            if type(again) is not FailedElement:
                return outcome
            attempts = attempts + 1 if again.at == bad.at else 1
            bad = again
        else:
            await wait_for(
                Handler(node, policy or Raise()).apply_policy(bad.element, error, attempts)
            )
            return FAILURE_HANDLED


async def _inherited(
    x: RemoteHandle | ItemHandle, bad: FailedElement, errors: list[Exception]
) -> Any:
    """An element failed further up: see to it there, and go on with what comes of that."""
    root = x.root()
    source: Any = root.source()
    if type(source) is not RemoteHandle and type(source) is not ItemHandle:
        own = FailedElement(
            root.batch.chain.uid, 0, bad.element, bad.restore_error()
        )  # it got lost on its way
        return await _as_the_policy_says(root.batch, own)
    for at in x.path():
        source = ItemHandle(source, at)
    outcomes = [
        FAILURE_HANDLED
        if handle is LOST
        else await root.batch.owner.rerun(root.batch.chain, 0, handle, raw=False)
        for handle in await conclude(source, errors)
    ]
    if not outcomes:
        return DROPPED
    return outcomes[0] if len(outcomes) == 1 else Expanded(outcomes)


async def brought(x: Any, dispatcher: Dispatcher) -> list[Any]:
    """The values that came of *x*, fetched from wherever they are."""
    errors: list[Exception] = []
    values = await bring(x, errors, dispatcher)
    if errors:
        raise exception_group(errors, "elements")
    return without_losses(values)


async def bring(x: Any, errors: list[Exception], dispatcher: Dispatcher) -> list[Any]:
    """The values that came of *x*; LOST and *errors* are as for `conclude`."""
    values: list[Any] = []
    for handle in await conclude(x, errors):
        if handle is LOST:
            values.append(LOST)
            continue
        whole = handle if type(handle) in HANDLES else await resolved(handle, dispatcher)
        for part in iter_handles(whole):
            if not is_local(part):
                await dispatcher.fetch(part.root())
        outcome = outcome_of(whole)
        if type(outcome) in SPECIAL:  # it was made again, and came out otherwise
            values += await bring(handle, errors, dispatcher)
        else:
            values.append(outcome)
    return values


async def resolved(x: Any, dispatcher: Dispatcher) -> Any:
    """Put handles of values in the place of the futures that a node of the user's has emitted."""
    futures = futures_in(x, dispatcher.backend)
    if not futures:
        return x
    waits = await wait_all([dispatcher.backend.value_future(future) for future in futures])
    errors = [_error_of(wait) for wait in waits]  # each is asked, so that none goes unnoticed
    for error in errors:
        if error is not None:
            raise error
    known = {id(f): LocalHandle(wait.result()) for f, wait in zip(futures, waits, strict=True)}
    return map_leaves(x, lambda leaf: known.get(id(leaf), leaf))


def _error_of(wait: asyncio.Future[Any]) -> BaseException | None:
    return RuntimeError("the future was cancelled") if wait.cancelled() else wait.exception()


class Crowd(SerialQueue):
    """A line without order: what comes in need not wait, and what follows waits for all."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        super().__init__()
        self._members: set[EagerTask] = set()

    def busy(self) -> bool:
        return bool(self._members)

    def count(self) -> int:
        return max(0, len(self._members) - self.emitted)

    def enter(self, coroutine: Coroutine[Any, Any, object], pipeline: RuntimeContext) -> Pending:
        running = EagerTask(coroutine, pipeline)
        self._members.add(running)
        running.add_done_callback(self._members.discard)
        return running

    def enqueue(
        self,
        coroutine: Coroutine[Any, Any, object],
        pipeline: RuntimeContext,
        loses: Callable[[], None] | None = None,
    ) -> Pending:
        return self.enter(self._after_all(list(self._members), coroutine), pipeline)

    async def _after_all(
        self, members: list[EagerTask], coroutine: Coroutine[Any, Any, object]
    ) -> None:
        for running in members:
            await wait_done(running)
        await coroutine


def new_line(dispatcher: Dispatcher) -> SerialQueue:
    """Where elements wait: in a line, or in a crowd if order does not matter."""
    return SerialQueue() if dispatcher.ordered else Crowd()


def in_order(line: SerialQueue, pipeline: RuntimeContext, begin: Callable[[Any], Any]) -> Push[Any]:
    """Make the step that does the coroutine ``begin(x)`` for every element in *line*."""
    if isinstance(line, Crowd):
        return lambda x: line.enter(begin(x), pipeline)
    return lambda x: line.enqueue(begin(x), pipeline)


class Allowance:
    """How many elements may wait in front of nodes because a buffer below has room for them.

    Nobody need wait for these to come in, as nobody waits for what is in the buffer: so they are
    under way together.
    """

    __slots__ = ("room", "waiting")

    def __init__(self, room: Callable[[], int]) -> None:
        self.room = room
        """How much room there is in the buffer itself."""
        self.waiting = 0

    def take_over(self, wait: Any) -> Pending:
        """Let *wait* go on by itself if there is room, else return it."""
        if wait is None or self.room() <= self.waiting:
            return wait  # type: ignore[no-any-return]
        self.waiting += 1
        wait.add_done_callback(self._over)
        return None

    def _over(self, _: object) -> None:
        self.waiting -= 1


class Entrance:
    """Lets a step have only what is known to be there, in the order in which it came."""

    __slots__ = ("_line", "_lost", "_pipeline", "_step")

    def __init__(
        self, line: SerialQueue, pipeline: RuntimeContext, step: Push[Any], lost: Lost
    ) -> None:
        self._line, self._pipeline, self._step, self._lost = line, pipeline, step, lost

    async def arrive(self, x: Any) -> None:
        """Let *x* enter; wait until it is through."""
        await each_of(x, conclude, self._step, self._lost, self._line)

    def arrive_by_one_of_several(self, x: Any) -> Pending:
        """Let *x* enter in its turn; the line is free again before it is through."""
        waits: list[Awaitable[object]] = []

        def enter(handle: Any) -> None:
            if (wait := self._step(handle)) is not None:
                waits.append(wait)

        async def through(entered: Pending) -> None:
            errors: list[Exception] = []
            try:
                await wait_for(entered)
            except Exception as error:
                errors.append(error)
            await when_all(waits, errors, "elements")

        entered = self._line.enqueue(each_of(x, conclude, enter, self._lost), self._pipeline)
        return self._pipeline.start(through(entered))


def settled(
    dispatcher: Dispatcher,
    line: SerialQueue,
    pipeline: RuntimeContext,
    step: Push[Any],
    allowance: Allowance | None = None,
    *,
    lost: Lost = nothing_lost,
    one_input: bool = True,
) -> Push[Any]:
    """Compile *step* anew such that it gets only what is known to be there.

    Inputs of one node share a *line*, so that what came first enters first. It is free again
    as soon as the element has entered: one input may wait there for what comes by another.
    *lost* is called for an element that failed, in its turn.
    """
    entrance = Entrance(line, pipeline, step, lost)
    if one_input or not dispatcher.ordered:
        later = in_order(line, pipeline, entrance.arrive)
    else:
        later = entrance.arrive_by_one_of_several

    def enter(x: Any) -> Pending:
        if line.last is None:
            kind = type(x)
            if kind is RemoteHandle:
                outcome = x.batch.outcomes[x.index]
                if outcome is REMOTE or type(outcome) not in SPECIAL:
                    return step(x)
            elif kind is not ItemHandle:
                return step(x)
        wait = later(x)
        return wait if allowance is None else allowance.take_over(wait)

    return enter


def keyed(x: Any, key: Any) -> Any:
    """A handle like *x* that knows its key."""
    handle = copy.copy(x)
    handle.key = key
    return handle
