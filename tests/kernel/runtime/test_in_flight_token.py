"""InFlightToken: `join` waits for what a node will emit by itself, while the node exists."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support import bounded, send, settle

from rapidz import Stream, TimedNode
from rapidz.kernel.runtime.in_flight_token import InFlightToken


class timer(TimedNode[Any]):
    """Emits each element ten seconds later."""

    def on_element(self, x: Any) -> None:
        self.set_timer(10, x)

    def on_timer(self, name: Any) -> Any:
        return self.push(name)


builds: dict[str, Callable[[Any], Any]] = {
    "timed_window": lambda s: s.timed_window(10),
    "timed_window_unique": lambda s: s.timed_window_unique(10),
    "partition": lambda s: s.partition(3, timeout=10),
    "timer": timer,
    "debounce": lambda s: s.debounce(10),
    "sample": lambda s: s.sample(10),
    "throttle": lambda s: s.throttle(10, "both"),
}
every_name = pytest.mark.parametrize("name", builds)


@every_name
@pytest.mark.parametrize("way", ["join", "close"])
async def test_nothing_waits_for_a_node_that_was_dropped(name: str, way: str) -> None:
    source = Stream[int](asynchronous=True)
    node = builds[name](source)
    await send(source, 1)
    await send(source, 2)
    del node
    gc.collect()
    async with asyncio.timeout(15):
        await settle(getattr(source, way)())
    await settle(source.close())


@every_name
def test_nothing_waits_for_a_node_that_another_thread_has_dropped(name: str) -> None:
    def go() -> None:
        source = Stream[int](asynchronous=False)
        nodes = [builds[name](source)]
        source.emit(1)
        thread = threading.Thread(target=nodes.clear)
        thread.start()
        thread.join()
        gc.collect()
        source.close()

    bounded(go)


async def test_a_node_may_be_collected_when_its_loop_is_closed() -> None:
    class Owner:
        pass

    owner: Any = Owner()
    token = InFlightToken(owner)
    loop = asyncio.new_event_loop()

    pipeline: Any = SimpleNamespace(running_on=loop, active=set())
    token.begin(pipeline)
    loop.close()
    del owner
    gc.collect()
