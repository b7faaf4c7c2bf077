"""Push protocol of all nodes: push one element, maybe wait.

A push takes one element and returns ``None`` when it is done with, or an
awaitable that is *already in flight* and resolves once there is capacity for the
next element.  Dropping that awaitable loses the back pressure, never the
element.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

Pending: TypeAlias = Awaitable[object] | None
Push: TypeAlias = Callable[[T], Pending]
Start: TypeAlias = Callable[[Awaitable[object]], Pending]


class _Skip:
    """Says that a function has nothing to emit."""

    def __repr__(self) -> str:
        return "SKIP"

    def __reduce__(self) -> str:
        return "SKIP"


#: Returned by the function of `map` or `accumulate`: emit nothing.
SKIP: Final[Any] = _Skip()

#: Marks an argument that was not given, where ``None`` is a value.
no_default: Final[Any] = "--no-default--"


class BulkSlice:
    """Elements that go along an edge together, and how far they have come.

    `Step.push_many` takes elements from here on, moves `at`, and returns None when
    all are taken, or what to wait for before more can be.
    """

    __slots__ = ("at", "items", "stop")

    def __init__(self, items: Any, start: int, stop: int) -> None:
        self.items, self.at, self.stop = items, start, stop


class Step(NamedTuple):
    """What `compile` may return in place of a push: a step that also takes elements together.

    Whatever wraps the step, a policy for one, does without `push_many` and `capacity`.
    """

    push: Push[Any]
    push_many: Callable[[Any], Pending] | None = None
    """Takes a `BulkSlice`."""
    capacity: Callable[[], int] | None = None
    """Returns how many elements `push_many` takes without a wait; None: any number."""


def step_of(compiled: Push[Any] | Step) -> Step:
    """Return what `compile` returned as a `Step`."""
    return compiled if isinstance(compiled, Step) else Step(compiled)


class Done:
    """An awaitable that is finished already and needs no event loop.

    At the end of a cell of a notebook it shows nothing.
    """

    __slots__ = ()

    def _ipython_display_(self) -> None:
        pass

    def _mime_(self) -> tuple[str, str]:
        return "text/plain", ""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield  # a generator that never yields

    def done(self) -> bool:
        return True

    def result(self) -> None:
        return None


DONE: Final = Done()


class Failed:
    """An awaitable that has failed already and needs no event loop."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __await__(self) -> Generator[Any, None, None]:
        raise self._error
        yield  # a generator that never yields

    def done(self) -> bool:
        return True

    def result(self) -> None:
        raise self._error


def discard(_: object) -> None:
    """Do nothing: the push of a node without edges."""


def exception_group(errors: Sequence[Exception], what: str) -> Exception:
    """Return the one failure, or an ExceptionGroup of several."""
    return errors[0] if len(errors) == 1 else ExceptionGroup(f"{len(errors)} {what} failed", errors)


async def when_all(
    waits: Sequence[Awaitable[object]], errors: list[Exception], what: str = "branches"
) -> None:
    """Wait for every one of *waits*, then raise what failed, *errors* included."""
    stop: BaseException | None = None
    task = asyncio.current_task()
    for at, wait in enumerate(waits, 1):
        try:
            await wait
        except Exception as error:
            errors.append(error)
        except BaseException as error:
            stop = stop or error
            if being_ended(error, task):
                withdraw(waits[at:])
                break
    if stop is not None:
        raise beside(stop, errors, what)
    if errors:
        raise exception_group(errors, what)


def being_ended(error: BaseException, task: asyncio.Task[Any] | None) -> bool:
    """Return whether *error* ends the calling coroutine, and was not raised by what it awaits.

    *task*: the one that the coroutine runs in, as it was when that began.
    """
    if isinstance(error, asyncio.CancelledError):
        return task is None or task.cancelling() > 0
    if isinstance(error, GeneratorExit):  # a coroutine is closed from outside of its task
        return asyncio._get_running_loop() is None or asyncio.current_task() is not task
    return False


def withdraw(waits: Iterable[Any]) -> None:
    """Cancel what is left to be waited for, as far as it is about the same element alone."""
    for wait in waits:
        cancel = getattr(wait, "withdraw", None) or getattr(wait, "cancel", None)
        if cancel is not None:
            cancel()


def beside(stop: BaseException, errors: Sequence[Exception], what: str) -> BaseException:
    """Return *stop*, to be raised, with what failed in other branches as its context.

    If it is a cancellation, which asyncio swallows, the pipeline keeps these.
    """
    if errors:
        failure = exception_group(errors, what)
        stop.__context__ = failure
        if isinstance(stop, asyncio.CancelledError):
            stop._rapidz_beside = failure  # type: ignore[attr-defined]
    return stop


def fan_out(pushes: Sequence[Push[T]], start: Start) -> Push[T]:
    """Return one push that feeds every one of *pushes*, in order.

    Every sibling gets the element, also when one before it failed; then the
    failure is raised, or an ExceptionGroup if there were several.
    """
    if not pushes:
        return discard
    if len(pushes) == 1:
        return pushes[0]

    def spread(first: int, x: T, left: list[Any]) -> Pending:
        for push in pushes[first:]:
            try:
                if (wait := push(x)) is not None:
                    left.append(wait)
            except BaseException as error:
                left.append(error)
        return together(start, left)

    if len(pushes) == 2:
        return _fan_out_2(pushes[0], pushes[1], spread)
    if len(pushes) == 3:
        return _fan_out_3(pushes[0], pushes[1], pushes[2], spread)

    def step(x: T) -> Pending:
        at = 0
        try:
            for at, push in enumerate(pushes, 1):
                if (wait := push(x)) is not None:
                    return spread(at, x, [wait])
        except BaseException as error:
            return spread(at, x, [error])
        return None

    return step


def together(start: Start, left: list[Any]) -> Pending:
    """Make one of what the branches of a fork have *left*: awaitables and errors.

    What is no `Exception`, and wants the caller to end, is raised at once; what
    remains to be awaited is detached then.
    """
    waits = [item for item in left if not isinstance(item, BaseException)]
    errors = [item for item in left if isinstance(item, Exception)]
    if len(waits) + len(errors) < len(left):
        stops = [item for item in left if isinstance(item, BaseException)]
        raise beside(next(item for item in stops if item not in errors), errors, "branches")
    if not waits:
        raise exception_group(errors, "branches")
    return waits[0] if len(waits) == 1 and not errors else start(when_all(waits, errors))


Spread: TypeAlias = Callable[[int, T, list[Any]], Pending]


def _fan_out_2(first: Push[T], second: Push[T], spread: Spread[T]) -> Push[T]:
    def step(x: T) -> Pending:
        try:
            wait = first(x)
        except BaseException as error:
            return spread(1, x, [error])
        if wait is not None:
            return spread(1, x, [wait])
        return second(x)

    return step


def _fan_out_3(first: Push[T], second: Push[T], third: Push[T], spread: Spread[T]) -> Push[T]:
    def step(x: T) -> Pending:
        at = 1
        try:
            if (wait := first(x)) is not None:
                return spread(1, x, [wait])
            at = 2
            if (wait := second(x)) is not None:
                return spread(2, x, [wait])
        except BaseException as error:
            return spread(at, x, [error])
        return third(x)

    return step


def flat(result: object) -> Iterator[Awaitable[object]]:
    """Walk the awaitables in what an old-style ``update`` returned."""
    if isinstance(result, (list, tuple)):
        for item in result:
            yield from flat(item)
    elif isinstance(result, Awaitable):
        yield result


def await_result(result: object, start: Start) -> Pending:
    """Make one pending of what an old-style ``update`` or ``_emit`` returned."""
    if result is None:
        return None
    waits = [wait for item in flat(result) if (wait := start(item)) is not None]
    if len(waits) <= 1:
        return waits[0] if waits else None
    return start(when_all(waits, []))
