"""Helpers for futures and awaitables."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rapidz.kernel.protocol.push import Pending


def resolve(future: asyncio.Future[None]) -> None:
    """Set the result of *future*, unless it is done."""
    if not future.done():
        future.set_result(None)


async def run_async(action: Callable[[], Pending]) -> None:
    """Run *action*, and await what it returns."""
    await wait_for(action())


async def wait_for(wait: Pending) -> None:
    """Await what a push returned."""
    if wait is not None:
        await wait


def child_future(future: asyncio.Future[None]) -> asyncio.Future[None]:
    """Return a future that is done with *future*, and may be cancelled without effect on it."""
    child: asyncio.Future[None] = future.get_loop().create_future()
    future.add_done_callback(lambda _: resolve(child))
    return child


async def as_coroutine(awaitable: Awaitable[object]) -> object:
    """Await *awaitable*."""
    return await awaitable
