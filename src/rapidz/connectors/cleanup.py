"""Clean-up that a cancellation does not interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def finish(work: Coroutine[Any, Any, object]) -> None:
    """Await *work* to its end, also if the source that does it is stopped meanwhile.

    `stop` in another thread may cancel a source that is already freeing its resources.  The
    cancellation is raised when *work* is done; a second one interrupts it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # the cancellation is raised in its place
        finally:
            task.cancel()
        raise
    task.result()
