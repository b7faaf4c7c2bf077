"""Element tracking: metadata, reference counters and their release.

A pipeline whose elements carry metadata is compiled for it.  The metadata of
the element in flight is ambient (`metadata_of_element`), so nodes that pass an
element on at once need not know of it.  A node that keeps elements gets
each in a `TrackedElement`; what it pushes is taken out of its entries again, and with
the last reference to an entry its counters are released.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable
from typing import Any

from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.tasks import exception_of
from rapidz.kernel.runtime.tracked_element import (
    Metadata,
    TrackedElement,
    mark_failed,
    metadata_of_element,
    release,
    retain,
    unbox,
)


class RefCounter:
    """Counts the references to an element, and reports when none is left.

    Give it with the element, ``emit(x, metadata=[{"ref": RefCounter(cb=done)}])``.
    It reports once: when all that resulted from the element is done, sinks included.

    Parameters
    ----------
    initial : int
        The count to begin with.
    cb : callable, optional
        Called without arguments, on *loop*, when the count comes down to zero
        and nothing failed.  It may be a coroutine function.
    loop : IOLoop or asyncio loop, optional
        Where to call; the running loop, else the library's own.
    on_failure : callable, optional
        Called instead of *cb*, with the exception, if something that resulted from
        the element failed.

    >>> import threading
    >>> from rapidz import Stream
    >>> done = threading.Event()
    >>> source = Stream()
    >>> shown = source.sink(print)
    >>> source.emit("x", metadata=[{"ref": RefCounter(cb=done.set)}])
    x
    >>> done.wait(5)
    True
    """

    def __init__(
        self,
        initial: int = 0,
        cb: Callable[[], object] | None = None,
        loop: Any = None,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        self.loop = loop
        self.count = initial
        self.cb = cb
        self.on_failure = on_failure
        self.failure: BaseException | None = None
        self.handled = True
        """Whether a policy has handled every failure so far."""
        self.told = False

    def retain(self, n: int = 1) -> None:
        """Count another reference to the element, or *n* of them."""
        self.count += n

    def release(self, n: int = 1) -> None:
        """Release a reference, or *n*; with the last one, report."""
        self.count -= n
        if self.count <= 0 and not self.told:
            self.told = True
            self._tell()

    def fail(self, error: BaseException, handled: bool = False) -> None:
        """Note a failure of something that resulted from the element: report that at the end.

        *handled*: a policy has handled it, by skipping or sending the element.
        """
        if self.failure is None or (self.handled and not handled):
            self.failure = without_traceback(error)
        self.handled = self.handled and handled

    def _callback(self) -> Callable[[], object] | None:
        """Return what to call in the end."""
        if self.failure is None:
            return self.cb
        failure, on_failure = self.failure, self.on_failure
        return None if on_failure is None else lambda: on_failure(failure)

    def _tell(self) -> None:
        tell = self._callback()
        if tell is None:
            return
        if sys.is_finalizing():  # no loop would run the callback
            return
        if self.loop is not None:
            loop = loops.asyncio_loop(self.loop)
        else:
            loop = loops.running_loop() or loops.background_loop()
        if loop.is_closed():
            return

        def call() -> None:
            result = tell()
            if inspect.isawaitable(result):
                loops.keep_running(loop, result)

        if loop is loops.running_loop():
            loop.call_soon(call)
        else:
            loop.call_soon_threadsafe(call)

    def __repr__(self) -> str:
        return f"<RefCounter count={self.count}>"


def without_traceback(error: BaseException) -> BaseException:
    """*error* as a counter keeps it: its frames would keep the element that it counts."""
    try:
        kept = copy.copy(error)
    except Exception:
        return error
    return kept.with_traceback(None) if type(kept) is type(error) else error


def tracked_push(push: Callable[[], Pending], metadata: Metadata) -> Pending:
    """Push with *metadata* ambient and retained until all that results is done."""
    token = metadata_of_element.set(metadata)
    retain(metadata)
    try:
        wait = push()
    except BaseException as error:
        mark_failed(metadata, error)
        release(metadata)
        raise
    finally:
        metadata_of_element.reset(token)
    if wait is None:
        release(metadata)
    else:
        over: Any = wait
        over.add_done_callback(lambda wait: _over(wait, metadata))
    return wait


def _over(wait: Any, metadata: Metadata) -> None:
    if (error := exception_of(wait)) is not None:
        mark_failed(metadata, error)
    release(metadata)


def boxing(step: Push[Any], failed_here: Callable[[BaseException, int], bool]) -> Push[Any]:
    """Compile *step* of a node that keeps elements: it gets entries."""

    def boxed(x: Any) -> Pending:
        entry, since = TrackedElement(x), attribution.last_serial
        try:
            return step(entry)
        except Exception as error:
            if failed_here(error, since):  # so the node has not taken it
                entry.release()
            raise

    return boxed


def unboxing(push: Push[Any], still_kept: Callable[[Any], bool]) -> Push[Any]:
    """Compile the *push* that such a node calls: out of entries come elements.

    *still_kept* returns whether the node keeps one that it has pushed.
    """

    def send(kept: Any) -> Pending:
        entries: list[TrackedElement]
        if type(kept) is TrackedElement:
            entries, x = [kept], kept.x
        elif isinstance(kept, (tuple, list)):
            entries = [item for item in kept if type(item) is TrackedElement]
            x = type(kept)(unbox(item) for item in kept) if entries else kept
        else:
            entries, x = [], kept
        if not entries:
            return push(x)
        metadata = [item for entry in entries for item in entry.metadata]
        try:
            return tracked_push(lambda: push(x), metadata)
        finally:
            for entry in entries:  # a traceback may keep them alive: do not wait for that
                if not still_kept(entry):
                    entry.release()

    return send
