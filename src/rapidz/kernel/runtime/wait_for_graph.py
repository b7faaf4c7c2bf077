"""Wait-for graph: which elements in flight wait for the function that is running.

A function that runs for an element may emit into its own pipeline: directly, in
the tasks of a group, or by way of other nodes.  What it emits may come to a
place that the element itself keeps, a line or a full queue, and would wait there
for its own end.  asyncio does not know what started a task; but code that waits for
a task or a future has left a callback there, and these are followed.

It is looked at only where something would have to wait, and costs the elements
that need not wait nothing.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from asyncio.base_events import _run_until_complete_cb  # type: ignore[attr-defined]
from collections.abc import Iterable, Iterator
from types import FrameType, FunctionType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime import loop as loops

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node


class Driven(Protocol):
    """What is looked into of an `EagerTask`: who waits for it, and what it runs."""

    _callbacks: list[Any] | None
    _driven: Any
    _pipeline: Any

    def done(self) -> bool: ...

    def about(self) -> tuple[Node | None, Any]: ...


Waiting: TypeAlias = Union[Driven, "asyncio.Task[Any]"]

#: How many tasks are followed at most.
MAX_FOLLOWED = 64

#: The code in which the loop calls back: what is further out belongs to no element.
LOOP_CALLBACK_CODE = asyncio.Handle._run.__code__
#: What is no way to wait.
_PLAIN = (int, float, str, list, set, tuple, FunctionType, type(None), asyncio.AbstractEventLoop)

#: The code of what runs a `Driven`, whose `self` that is; by id, for code is hashed by content.
task_code_ids: set[int] = set()


def waits_for_caller(*those: Waiting | None) -> bool:
    """Return whether one of *those* waits, directly or not, for the code that asks."""
    wanted = [one for one in those if one is not None and not one.done()]
    if wanted:
        for one in waiting():
            if one in wanted:
                return True
    return False


def is_top_level() -> bool:
    """Return whether nothing but the loop itself waits for the task that asks."""
    here = loops.running_loop()
    task = None if here is None else asyncio.current_task(here)
    callbacks = None if task is None else getattr(task, "_callbacks", None)
    return not callbacks or (len(callbacks) == 1 and callbacks[0][0] is _run_until_complete_cb)


def waiting() -> Iterator[Waiting]:
    """Yield what is in flight and waits for the code that asks, the innermost first."""
    here = loops.running_loop()
    if here is None:
        return
    links: list[tuple[asyncio.Task[Any], object]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not LOOP_CALLBACK_CODE:
        if id(frame.f_code) in task_code_ids:
            running = frame.f_locals["self"]
            yield running
            _follow_callbacks(running._callbacks, links)
        frame = frame.f_back
    task = asyncio.current_task(here)
    if task is not None:
        yield task
        if not is_top_level():
            _follow_callbacks(getattr(task, "_callbacks", None), links)
    seen: set[int] = set()
    while links and len(seen) < MAX_FOLLOWED:
        task, group = links.pop()
        if id(task) in seen:
            continue
        driven = _driven_by(task, group)
        if driven is None:
            continue
        seen.add(id(task))
        yield task
        for running in driven:
            yield running
            _follow_callbacks(running._callbacks, links)
        _follow_callbacks(getattr(task, "_callbacks", None), links)


def _driven_by(task: asyncio.Task[Any], group: object) -> list[Driven] | None:
    """Return what *task* runs around the place where it waits.

    Or around that where it uses *group*: it will wait for that there.  None if
    it does not.
    """
    driven: list[Driven] = []
    around: list[Driven] | None = driven if group is None else None
    at: Any = task.get_coro()
    while at is not None:
        frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None)
        if frame is not None and id(frame.f_code) in task_code_ids:
            running: Driven = frame.f_locals["self"]
            driven.append(running)
            if running._driven is not None:  # what wraps it cannot be looked into
                at = running._driven
                continue
        if group is not None and any(value is group for value in _locals(frame)):
            around = driven.copy()
        at = awaited_in(at)
    return around


def awaited_in(coroutine: Any) -> Any:
    """Return what a coroutine or generator is suspended on, None while it runs.

    CPython 3.11 may crash when it is asked of one that runs; the frames of that are on the stack.
    """
    if getattr(coroutine, "cr_running", False) or getattr(coroutine, "gi_running", False):
        return None
    return getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _locals(frame: FrameType | None) -> Iterable[object]:
    return () if frame is None else frame.f_locals.values()


def task_of_caller(pipeline: Any) -> Driven | None:
    """Return what is in flight in *pipeline* and waits for the code that asks, if anything."""
    for one in waiting():
        if not isinstance(one, asyncio.Task) and one._pipeline.is_one_with(pipeline):
            return one
    return None


def _follow_callbacks(callbacks: Iterable[Any] | None, links: list[tuple[Any, object]]) -> None:
    """Add to *links* the tasks that have left *callbacks*, and the groups by which they wait."""
    for callback in callbacks or ():
        function = callback[0] if type(callback) is tuple else callback
        owner = getattr(function, "__self__", None)
        if owner is not None:
            _follow(owner, links)
        elif isinstance(function, functools.partial):  # asyncio.wait_for
            for one in function.args:
                _follow(one, links)
        else:  # gather, wait, shield, and ours
            for cell in getattr(function, "__closure__", None) or ():
                try:
                    _follow(cell.cell_contents, links)
                except ValueError:  # it is empty
                    continue


def _follow(one: Any, links: list[tuple[Any, object]]) -> None:
    """Add to *links* who waits by way of *one*, found in a callback."""
    if isinstance(one, _PLAIN):
        return
    if isinstance(one, asyncio.Task):
        links.append((one, None))
    elif isinstance(one, asyncio.Future):
        _follow_callbacks(getattr(one, "_callbacks", None), links)
    else:  # a group of tasks, asyncio's or anyio's
        scope = getattr(one, "cancel_scope", None)
        parent = getattr(one, "_parent_task", None) or getattr(scope, "_host_task", None)
        if isinstance(parent, asyncio.Task):
            links.append((parent, one))


def describe_task(running: Driven) -> str:
    """Return which node and element *running* is about, for a message."""
    node, x = running.about()
    if node is not None:
        return f"{node._describe()} with element {short_repr(x)}"
    coroutine: Any = running._driven
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None:
            break
        x, ref = frame.f_locals.get("x"), frame.f_locals.get("ref")
        if ref is not None and (node := ref()) is not None:
            return f"{node._describe()} with element {short_repr(x)}"
        coroutine = frame.f_locals.get("coroutine")
    return "one of its functions"
