"""Resolution of handles: which elements exist once outcomes are known; policies and retries.

An element in flight may turn out to be filtered out, to have failed, or to be flattened into
several.  `resolve_element` waits for the outcome, applies the policy of the node that failed, and
returns the handles of the elements that result.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from rapidz.kernel.compile.loss_alignment import LOST
from rapidz.kernel.protocol.context import RuntimeContext
from rapidz.kernel.protocol.push import Pending, Push, exception_group, when_all
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.failures import PolicyHandler, Raise, Retry
from rapidz.kernel.runtime.futures import resolve, wait_for
from rapidz.kernel.runtime.serial_queue import SerialQueue
from rapidz.parallel.nodes.credits import Credits
from rapidz.parallel.nodes.queues import enqueue_each
from rapidz.parallel.scheduling.batch import ElementBatch
from rapidz.parallel.scheduling.dependencies import futures_in
from rapidz.parallel.scheduling.dispatcher import Dispatcher
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

OnLoss: TypeAlias = Callable[[], None]
"""Called, in order with the elements, for one that has failed."""
Find: TypeAlias = Callable[[Any, list[Exception]], Awaitable[list[Any]]]
"""Returns what an element results in; `LOST` in the place of an item that failed."""


def ignore_loss() -> None:
    """Ignore the loss of an element, where it has no partners."""


# --- one element -------------------------------------------------------------------------------


async def resolve_element(x: Any, errors: list[Exception]) -> list[Any]:
    """Return the handles of the elements that *x* results in; `LOST` for an item that failed.

    What a policy raises is added to *errors*: the other items of *x* continue.
    """
    if type(x) is not RemoteHandle and type(x) is not ItemHandle:
        return [x]
    await wait_resolved(x)
    if type(x.outcome()) is FailedElement:
        await resolve_failure(x, errors)
    outcome = x.outcome()
    if outcome is DROPPED:
        return []
    if outcome is FAILURE_HANDLED:
        return [LOST]
    if type(outcome) is Expanded:
        found = []
        for at in range(len(outcome.outcomes)):
            found += await resolve_element(ItemHandle(x, at), errors)
        return found
    return [x]


async def wait_resolved(x: Any) -> None:
    """Wait until the outcome of every handle in *x* is known."""
    for handle in iter_handles(x):
        while type(handle) is not LocalHandle and handle.outcome() is PENDING:
            root = handle.root()
            await root.batch.wait_known(root.index)


async def push_resolved(
    x: Any,
    find: Find,
    push: Push[Any],
    on_loss: OnLoss = ignore_loss,
    queue: SerialQueue | None = None,
) -> None:
    """Push all that *find* makes of *x*, one after the other; call *on_loss* for what failed.

    All of it is tried; then the failures are raised.  *queue* counts what waits for downstream.
    """
    errors: list[Exception] = []
    try:
        resolved = await find(x, errors)
    except BaseException:
        on_loss()
        raise
    for found in resolved:
        if found is LOST:
            on_loss()
            continue
        try:
            if (wait := push(found)) is not None:
                await _count_emitted(wait, queue)
        except Exception as error:
            errors.append(error)
    if errors:
        raise exception_group(errors, "elements")


async def _count_emitted(wait: Awaitable[object], queue: SerialQueue | None) -> None:
    if queue is None:
        await wait
        return
    queue.emitted += 1
    try:
        await wait
    finally:
        queue.emitted -= 1


# --- failures ----------------------------------------------------------------------------------


async def resolve_failure(x: RemoteHandle | ItemHandle, errors: list[Exception]) -> None:
    """Replace the outcome of *x*, which failed, by what the policy makes of it.

    That is done once, however many nodes wait for it.  The first of them has what the policy
    raises added to its *errors*.
    """
    root = x.root()
    batch, place = root.batch, (root.index, *x.path())
    in_flight = batch.resolving.get(place)
    if in_flight is not None:
        await asyncio.shield(in_flight)
        return
    batch.resolving[place] = future = asyncio.get_running_loop().create_future()
    outcome: Any = FAILURE_HANDLED
    try:
        failure = x.outcome()
        if failure.chain == batch.chain.uid:
            outcome = await handle_failure(batch, failure)
        else:
            outcome = await _resolve_inherited(x, failure, errors)
    except Exception as error:
        errors.append(error)
    finally:
        x.amend(outcome)
        del batch.resolving[place]
        resolve(future)


async def handle_failure(batch: ElementBatch, failure: FailedElement) -> Any:
    """Apply the policy of the node that failed: retry, skip, send or raise; return the outcome."""
    attempts = failure.attempts
    while True:
        node, error = batch.nodes[failure.at](), failure.restore_error()
        if node is None:
            raise error
        attribute_to(error, node, failure.element)
        policy = node._effective_policy
        in_task = batch.chain.stateful and failure.at == 0  # an accumulation retries in its task
        if not isinstance(policy, Retry) or in_task or attempts > policy.times:
            handler = PolicyHandler(node, policy or Raise())
            await wait_for(handler.apply_policy(failure.element, error, attempts))
            return FAILURE_HANDLED
        await asyncio.sleep(policy.pause(attempts))
        outcome = await batch.owner.rerun(batch.chain, failure.at, failure.element, raw=True)
        expanded = type(outcome) is Expanded and outcome.outcomes
        last = outcome.outcomes[-1] if expanded else outcome
        if type(last) is not FailedElement:
            return outcome
        attempts = attempts + 1 if last.at == failure.at else 1
        failure = last


async def _resolve_inherited(
    x: RemoteHandle | ItemHandle, failure: FailedElement, errors: list[Exception]
) -> Any:
    """Resolve the failure of a chain upstream, then send what results through that of *x*."""
    root = x.root()
    batch, source = root.batch, root.source()
    if type(source) is not RemoteHandle and type(source) is not ItemHandle:
        # It failed on the way to the worker.
        own = FailedElement(batch.chain.uid, 0, failure.element, failure.restore_error())
        return await handle_failure(batch, own)
    for at in x.path():
        source = ItemHandle(source, at)
    outcomes = [
        FAILURE_HANDLED
        if handle is LOST
        else await batch.owner.rerun(batch.chain, 0, handle, raw=False)
        for handle in await resolve_element(source, errors)
    ]
    if not outcomes:
        return DROPPED
    return outcomes[0] if len(outcomes) == 1 else Expanded(outcomes)


# --- values ------------------------------------------------------------------------------------


async def fetch_values(x: Any, dispatcher: Dispatcher) -> list[Any]:
    """Return the values of the elements that *x* results in; raise if any has failed."""
    errors: list[Exception] = []
    values = await find_values(x, errors, dispatcher)
    if errors:
        raise exception_group(errors, "elements")
    return [value for value in values if value is not LOST]


async def find_values(x: Any, errors: list[Exception], dispatcher: Dispatcher) -> list[Any]:
    """Return the values that *x* results in; `LOST` and *errors* are as for `resolve_element`."""
    values: list[Any] = []
    for handle in await resolve_element(x, errors):
        if handle is LOST:
            values.append(LOST)
            continue
        local = handle if type(handle) in HANDLES else await _await_futures(handle, dispatcher)
        for part in iter_handles(local):
            if not is_local(part):
                await dispatcher.fetch(part.root())
        outcome = outcome_of(local)
        if type(outcome) in SPECIAL:  # it ran again, and its outcome is another one
            values += await find_values(handle, errors, dispatcher)
        else:
            values.append(outcome)
    return values


async def _await_futures(x: Any, dispatcher: Dispatcher) -> Any:
    """Replace the futures in *x*, which a user's node has emitted, by handles of their values."""
    futures = futures_in(x, dispatcher.backend)
    if not futures:
        return x
    waits = await wait_all([dispatcher.backend.value_future(future) for future in futures])
    errors = [_exception_of(wait) for wait in waits]  # of all: asyncio logs one that is not read
    for error in errors:
        if error is not None:
            raise error
    known = {id(f): LocalHandle(wait.result()) for f, wait in zip(futures, waits, strict=True)}
    return map_leaves(x, lambda leaf: known.get(id(leaf), leaf))


def _exception_of(wait: asyncio.Future[Any]) -> BaseException | None:
    return RuntimeError("the future was cancelled") if wait.cancelled() else wait.exception()


# --- in front of a node ------------------------------------------------------------------------


def _resolve_in_turn(
    queue: SerialQueue, pipeline: RuntimeContext, step: Push[Any], on_loss: OnLoss, x: Any
) -> Pending:
    """Resolve *x* and pass it to *step* in order; the queue does not wait for downstream."""
    waits: list[Awaitable[object]] = []

    def push(handle: Any) -> None:
        if (wait := step(handle)) is not None:
            waits.append(wait)

    async def wait_downstream(entered: Pending) -> None:
        errors: list[Exception] = []
        try:
            await wait_for(entered)
        except Exception as error:
            errors.append(error)
        await when_all(waits, errors, "elements")

    entered = queue.enqueue(push_resolved(x, resolve_element, push, on_loss), pipeline)
    return pipeline.start(wait_downstream(entered))


def resolve_before(
    step: Push[Any],
    queue: SerialQueue,
    pipeline: RuntimeContext,
    *,
    ordered: bool,
    credits: Credits | None = None,
    on_loss: OnLoss = ignore_loss,
    one_input: bool = True,
) -> Push[Any]:
    """Make a step that resolves elements before it passes them to *step*.

    The inputs of one node share a *queue*, so that elements enter in the order of arrival.  With
    several inputs it does not wait for downstream: one may wait there for an element of another.
    """
    if one_input or not ordered:
        enter_resolved = functools.partial(
            push_resolved, find=resolve_element, push=step, on_loss=on_loss, queue=queue
        )
        resolve_later = enqueue_each(queue, pipeline, enter_resolved)
    else:
        resolve_later = functools.partial(_resolve_in_turn, queue, pipeline, step, on_loss)

    def enter(x: Any) -> Pending:
        if queue.last is None:
            kind = type(x)
            if kind is RemoteHandle:
                outcome = x.batch.outcomes[x.index]
                if outcome is REMOTE or type(outcome) not in SPECIAL:
                    return step(x)
            elif kind is not ItemHandle:
                return step(x)
        wait = resolve_later(x)
        return wait if credits is None else credits.spend(wait)

    return enter
