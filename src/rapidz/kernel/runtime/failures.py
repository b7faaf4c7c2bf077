"""Failure policies: raise, skip, retry or send an element whose node failed.

A failure belongs to the node whose own function raised it (`attribution`).
`guard` is the compilation of a node that has a policy: it handles what the node
itself has raised and lets pass what comes from downstream, where another policy, or
none, has spoken already.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from rapidz.kernel.protocol.checks import check_count, check_number
from rapidz.kernel.protocol.intervals import seconds
from rapidz.kernel.protocol.node import Node
from rapidz.kernel.protocol.push import Pending, Push, when_all, withdraw
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.attribution import is_attributed_to, mark_handled
from rapidz.kernel.runtime.futures import wait_for
from rapidz.kernel.runtime.serial_queue import SerialQueue
from rapidz.kernel.runtime.tracked_element import (
    TrackedElement,
    current_metadata,
    mark_failed,
    unbox,
)


class BackPressureError(RuntimeError):
    """The pipeline is at capacity, and only the caller itself could free some.

    Raised instead of waiting for ever.  The element was not taken.
    """


class LoopEnded(RuntimeError):
    """The event loop of the pipeline ended before the element was through."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "the event loop of the pipeline ended before the element was through; the next use "
            "binds the pipeline to another loop, and elements in queues continue there"
        )


class StreamClosed(RuntimeError):
    """An element came after the end.  It was not taken."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An element that a node could not handle."""

    element: Any
    """What arrived at the node."""
    exception: Exception
    """What the node raised, the last time if it tried several times."""
    node: Node
    """The node that failed."""
    attempts: int = 1
    """How often the node tried."""


class Policy(Protocol):
    """What to do about a failure: None to continue, an awaitable to wait for, or raise."""

    def settle(self, failure: Failure) -> Pending: ...


@dataclass(frozen=True, slots=True)
class Raise:
    """Let the exception reach the emitter, or be kept for the next one."""

    def settle(self, failure: Failure) -> Pending:
        raise failure.exception


@dataclass(frozen=True, slots=True)
class Skip:
    """Go on without the element; `Stream.skipped` counts them."""

    def settle(self, failure: Failure) -> Pending:
        failure.node._skipped += 1
        return None


@dataclass(frozen=True, slots=True)
class Send:
    """Send the `Failure` down a stream."""

    stream: Node

    def settle(self, failure: Failure) -> Pending:
        return self.stream._outlet.push(failure)


@dataclass(frozen=True)
class Retry:
    """Try again, a little later each time.

    Parameters
    ----------
    times : int
        How often to try again, at least once.
    wait : float or str
        Seconds, or a string such as ``"100ms"``, before the first new try.
    factor : float
        Each further wait is this many times the one before, at least 1.
    limit : float or str
        The longest wait.
    then : "raise", "skip", "send" or Stream
        What to do when the last try failed.

    >>> from rapidz import Stream
    >>> calls = []
    >>> def flaky(x):
    ...     calls.append(x)
    ...     return 1 / (len(calls) - 1)
    >>> source = Stream()
    >>> flaky_map = source.map(flaky).on_error(Retry(times=2, wait=0))
    >>> shown = flaky_map.sink(print)
    >>> source.emit("x")
    1.0
    """

    times: int = 3
    wait: float | str = 0.1
    factor: float = 2.0
    limit: float | str = 60.0
    then: PolicyLike = "raise"
    _wait: float = field(init=False, repr=False, default=0.0)
    _limit: float = field(init=False, repr=False, default=0.0)

    def __post_init__(self) -> None:
        check_count("Retry", "times", self.times)
        check_number("Retry", "factor", self.factor, 1)
        if isinstance(self.then, Retry):
            raise TypeError(f"Retry: then must be a policy that ends, got {short_repr(self.then)}")
        for name in ("wait", "limit"):
            length = seconds(getattr(self, name), operator="Retry", argument=name, allow_zero=True)
            object.__setattr__(self, f"_{name}", length)

    def pause(self, attempt: int) -> float:
        """Seconds to wait after *attempt* (1, 2, ...) failed."""
        return min(self._wait * self.factor ** (attempt - 1), self._limit)


PolicyLike: TypeAlias = Literal["raise", "skip", "send"] | Node | Policy | Retry


def make_policy(node: Node, policy: Any) -> Policy | Retry:
    """Return what the user named as a policy of *node*."""
    if isinstance(policy, str):
        if policy == "raise":
            return Raise()
        if policy == "skip":
            return Skip()
        if policy == "send":
            return Send(node._errors_stream())
    elif isinstance(policy, Node):
        node._pipeline.absorb(policy._pipeline)
        return Send(policy)
    elif isinstance(policy, Retry):
        make_policy(node, policy.then)
        return policy
    elif isinstance(policy, (Raise, Skip, Send)):
        return policy
    rule = "'raise', 'skip', 'send', a Stream or a Retry"
    kind = ValueError if isinstance(policy, str) else TypeError
    raise kind(f"on_error: policy must be {rule}, got {short_repr(policy)}")


def interrupted(error: BaseException) -> Exception:
    """Return the failure of an element whose function was cancelled, or ended the program."""
    failure = RuntimeError(f"{type(error).__name__} stopped an element on its way")
    failure.__cause__ = error
    return failure


# --- the guarded compilation of a node ----------------------------------------------------


def guard(node: Node, step: Push[Any], policy: Policy | Retry) -> Push[Any]:
    """Compile *step* of *node* anew so that *policy* takes its failures."""
    handler = PolicyHandler(node, policy)
    line = handler.line

    def guarded(x: Any) -> Pending:
        if line.busy():
            return handler.enqueue(step, x)
        since = attribution.last_serial
        try:
            wait = step(x)
        except Exception as error:
            return handler.recover(step, x, error, since)
        return None if wait is None else handler.watch(step, x, wait, since)

    return guarded


class PolicyHandler:
    """Carries out the policy of one node.

    *since* is the number of the latest attribution when an attempt began.
    """

    def __init__(self, node: Node, policy: Policy | Retry) -> None:
        self._ref = weakref.ref(node)
        self.line: SerialQueue = node._policy_queue
        self._pipeline = node._pipeline
        self._retry = policy if isinstance(policy, Retry) else None
        last = policy.then if isinstance(policy, Retry) else policy
        self._last = make_policy(node, last)
        self._loses = node._loss_reporter()
        self._loses_outside = node._loss_reporter(behind_all=True)

    def raised_here(self, error: Exception, x: Any, since: int) -> bool:
        """Return whether this node raised *error* itself."""
        return is_attributed_to(error, self._ref(), unbox(x), since)

    def apply_policy(self, x: Any, error: Exception, attempts: int) -> Pending:
        node = self._ref()
        if node is None or isinstance(self._last, Retry):
            raise error
        node._report_loss()
        handled = not isinstance(self._last, Raise)
        metadata = x.metadata if type(x) is TrackedElement else current_metadata()
        mark_failed(metadata, error, handled)
        if handled:
            mark_handled(error)
        return self._settle(node._each_failure(Failure(unbox(x), error, node, attempts)))

    def _settle(self, failures: Sequence[Failure]) -> Pending:
        assert not isinstance(self._last, Retry)
        waits = [wait for failure in failures if (wait := self._last.settle(failure)) is not None]
        if len(waits) < 2:
            return waits[0] if waits else None
        return self._pipeline.start(when_all(waits, []))

    def enqueue(self, step: Push[Any], x: Any) -> Pending:
        return self.line.enqueue(self._process(step, x), self._pipeline, self._loses_outside)

    def recover(self, step: Push[Any], x: Any, error: Exception, since: int) -> Pending:
        """Try again, or apply the policy: *step* raised at once."""
        if not self.raised_here(error, x, since):
            raise error
        if self._retry is None:
            return self.apply_policy(x, error, 1)
        if loops.running_loop() is None:
            return self._retry_here(step, x, error)
        trying = self.retry_async(step, x, error, since)
        return self.line.enqueue(trying, self._pipeline, self._loses)

    def watch(self, step: Push[Any], x: Any, wait: Awaitable[object], since: int) -> Pending:
        """Wait for the end of *step*, which is in flight."""
        settling = self._settled(step, x, wait, since)
        if self._loses is None:
            return self.line.enqueue(settling, self._pipeline)
        return self.line.enqueue(settling, self._pipeline, lambda: withdraw([wait]))

    async def _process(self, step: Push[Any], x: Any) -> None:
        since = attribution.last_serial
        try:
            wait = step(x)
        except Exception as error:
            await self.retry_async(step, x, error, since)
        else:
            if wait is not None:
                await self._settled(step, x, wait, since)

    async def _settled(self, step: Push[Any], x: Any, wait: Awaitable[object], since: int) -> None:
        try:
            await wait
        except Exception as error:
            await self.retry_async(step, x, error, since)

    async def retry_async(self, step: Push[Any], x: Any, error: Exception, since: int) -> None:
        attempts = 1
        while True:
            if not self.raised_here(error, x, since):
                raise error
            if self._retry is None or attempts > self._retry.times:
                return await wait_for(self.apply_policy(x, error, attempts))
            await self._pause(self._retry.pause(attempts))
            attempts += 1
            since = attribution.last_serial
            try:
                return await wait_for(step(x))
            except Exception as again:
                error = again

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except BaseException:
            if self._loses is not None:
                self._loses()
            raise

    def _retry_here(self, step: Push[Any], x: Any, error: Exception) -> Pending:
        assert self._retry is not None
        for attempt in range(1, self._retry.times + 1):
            time.sleep(self._retry.pause(attempt))
            since = attribution.last_serial
            try:
                return step(x)
            except Exception as again:
                error = again
                if not self.raised_here(error, x, since):
                    raise
        return self.apply_policy(x, error, self._retry.times + 1)
