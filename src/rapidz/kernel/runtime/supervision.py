"""Supervision of nodes that run by themselves: they survive every exception of an element.

Queues, tickers, timers and the runs of sources have no emitter that could take
an exception.  An `Exception` is kept as it is.  Anything else, a cancellation
that a function raised by itself, `SystemExit`, `KeyboardInterrupt`, is kept as
the cause of a RuntimeError.  The last two also end the program, if the loop is
the user's own; the background loop serves others too.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.push import being_ended
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.failures import interrupted
from rapidz.kernel.runtime.futures import resolve
from rapidz.kernel.runtime.tasks import EagerTask, exception_of

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.protocol.push import Push

__all__ = ["being_ended", "record_outcome", "push_supervised", "supervised"]


def supervised(error: BaseException) -> Exception:
    """Return what an element failed with that *error* ended; the loop ends too if it is to."""
    if isinstance(error, Exception):
        return error
    if isinstance(error, (KeyboardInterrupt, SystemExit)) and not loops.in_background():
        asyncio.get_running_loop().call_soon(_raise, error)
    return interrupted(error)


def record_outcome(pipeline: RuntimeContext, error: BaseException) -> None:
    """Keep *error*, which ended an element that no caller waits for."""
    pipeline.record_failure(supervised(error))


def _raise(error: BaseException) -> None:
    raise error


class SupervisedPush(asyncio.Future[None]):
    """Is done when what was *carried* is through."""

    carried: EagerTask | None = None


def push_supervised(pipeline: RuntimeContext, push: Push[Any], x: Any) -> SupervisedPush | None:
    """Push what no emitter waits for; return what is done when it is through."""
    try:
        wait: Any = pipeline.reentry.within(functools.partial(push, x))
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)) and loops.running_loop() is None:
            raise  # without a loop there is a caller, and nothing else to end
        record_outcome(pipeline, error)
        return None
    if wait is None:
        return None
    through = SupervisedPush(loop=pipeline.running_on)
    through.carried = wait if isinstance(wait, EagerTask) else None

    def over(wait: Any) -> None:
        error = None if isinstance(wait, EagerTask) and wait.withdrawn else exception_of(wait)
        if error is not None:
            if isinstance(wait, EagerTask) or not wait.cancelled():
                wait.exception()  # it is taken
            # If the loop is to end, the task that ran it has said so.
            pipeline.record_failure(error if isinstance(error, Exception) else interrupted(error))
        resolve(through)

    wait.add_done_callback(over)
    return through
