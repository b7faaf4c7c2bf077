from __future__ import annotations

import asyncio
import threading

import pytest

from rapidz.kernel.runtime import loop as door
from rapidz.testing import Deadlock, VirtualBackground, VirtualLoop, virtual_background


async def instant_after(pause: float) -> float:
    await asyncio.sleep(pause)
    return asyncio.get_running_loop().time()


def test_the_background_loop_runs_in_virtual_time() -> None:
    before = door.new_event_loop
    with virtual_background() as clock:
        assert clock.time() == 0.0
        assert door.sync(door.background_loop(), instant_after, 3600) == 3600.0
        assert clock.time() == 3600.0
        assert isinstance(clock.loop, VirtualLoop)
    assert door.new_event_loop is before


def test_time_stands_still_while_the_test_works(virtual_background: VirtualBackground) -> None:
    ticks = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(1)
            ticks.append(virtual_background.time())

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(tick())

    task = door.sync(door.background_loop(), start)
    for _ in range(10_000):
        pass
    assert ticks == []
    virtual_background.let_pass(3.5)
    assert ticks == [1.0, 2.0, 3.0]
    door.background_loop().call_soon_threadsafe(task.cancel)
    virtual_background.let_pass(0)


def test_each_hop_sees_the_same_instant(virtual_background: VirtualBackground) -> None:
    loop = door.background_loop()
    instants = [door.sync(loop, instant_after, 0) for _ in range(200)]
    assert set(instants) == {0.0}


def test_a_blocking_call_that_cannot_return_raises(virtual_background: VirtualBackground) -> None:
    async def in_vain(gate: asyncio.Event) -> None:
        asyncio.get_running_loop().call_later(5, print)
        gates.append(gate)
        await gate.wait()

    gates: list[asyncio.Event] = []
    loop = door.background_loop()
    with pytest.raises(Deadlock, match="at 5 s"):
        asyncio.run_coroutine_threadsafe(in_vain(asyncio.Event()), loop).result()
    with pytest.raises(Deadlock, match="at 10 s"):
        door.sync(loop, in_vain, asyncio.Event())
    for gate in gates:
        loop.call_soon_threadsafe(gate.set)
    virtual_background.let_pass(0)


def test_several_threads_share_the_clock(virtual_background: VirtualBackground) -> None:
    loop, instants = door.background_loop(), dict[float, float]()

    def client(pause: float) -> None:
        instants[pause] = door.sync(loop, instant_after, pause)

    threads = [threading.Thread(target=client, args=(pause,)) for pause in (1.0, 2.0, 3.0)]
    for thread in threads:
        thread.start()
    virtual_background.let_pass(10)
    for thread in threads:
        thread.join()
    assert virtual_background.time() == 10.0
    assert set(instants) == {1.0, 2.0, 3.0}
