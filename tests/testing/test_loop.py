from __future__ import annotations

import asyncio
import concurrent.futures
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado import gen
from tornado.ioloop import IOLoop

from rapidz.kernel.protocol.clock import Clock
from rapidz.testing import Deadlock, LeftBehindWarning, VirtualLoop, run

T = TypeVar("T")


def now() -> float:
    return asyncio.get_running_loop().time()


def after_a_while(result: T) -> T:
    time.sleep(0.05)
    return result


def test_time_jumps_to_the_next_timer() -> None:
    async def main() -> list[float]:
        log = []
        for pause in (1, 0.5, 3600 * 24 * 365):
            await asyncio.sleep(pause)
            log.append(now())
        return log

    began = time.monotonic()
    assert run(main()) == [1.0, 1.5, 1.5 + 3600 * 24 * 365]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("wall_start", [0, 0.25, -2.5, 1_700_000_000.75, 1e11])
def test_the_wall_clock_of_a_pipeline_is_virtual_too(wall_start: float) -> None:
    async def main() -> list[float]:
        clock = Clock(asyncio.get_running_loop())
        walls = [clock.wall_ns()]
        await asyncio.sleep(0.5)
        return [*walls, clock.wall_ns()]

    first = int(wall_start * 4) * 250_000_000
    assert run(main(), wall_start=wall_start) == [first, first + 500_000_000]


def test_a_loop_without_a_wall_clock_of_its_own_has_that_of_the_system() -> None:
    loop = asyncio.new_event_loop()
    wall = Clock(loop).wall_ns()
    loop.close()
    assert 0 <= time.time_ns() - wall < 10_000_000_000


@given(st.lists(st.floats(min_value=0, max_value=1e9), max_size=8))
def test_timers_fire_in_order_at_their_instants(instants: list[float]) -> None:
    async def main() -> list[float]:
        loop, log = asyncio.get_running_loop(), list[float]()
        for when in instants:
            loop.call_at(when, lambda: log.append(now()))
        await asyncio.sleep(max(instants, default=0) + 1)
        return log

    assert run(main()) == pytest.approx(sorted(instants), abs=1e-6)


def test_tornado_timers_keep_virtual_time() -> None:
    @gen.coroutine
    def waits():  # type: ignore[no-untyped-def]  # pyright: ignore[reportMissingParameterType]
        yield gen.sleep(0.1)
        yield gen.sleep(0.2)
        return IOLoop.current().time()

    async def main() -> tuple[object, float]:
        return await waits(), now()

    told, instant = run(main())
    assert told == instant == pytest.approx(0.3, abs=1e-12)


def test_time_limits_work_in_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 60)
        return now()

    assert run(main()) == 60.0


def test_a_wait_that_nothing_ends_is_a_deadlock() -> None:
    async def waits_in_vain(gate: asyncio.Event) -> None:
        await gate.wait()

    async def main() -> None:
        await asyncio.sleep(2)
        await waits_in_vain(asyncio.Event())

    with pytest.raises(Deadlock) as caught:
        run(main())
    text = str(caught.value)
    assert "at 2 s" in text
    assert "Event.wait" in text
    assert "awaits <Future pending" in text


def test_a_deadlock_lets_clean_up_run() -> None:
    log = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            log.append(now())

    with pytest.raises(Deadlock):
        run(main())
    assert log == [1.0]


def test_time_beyond_the_limit_is_refused() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError, match=r"virtual time would pass its limit; at 5 s: .*main"):
        run(main(), limit=5)


def test_tasks_left_behind_are_cancelled_and_reported() -> None:
    ended = []

    async def forgotten() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.append(now())

    async def main() -> str:
        main.task = asyncio.create_task(forgotten(), name="lost")  # type: ignore[attr-defined]
        return "result"

    with pytest.warns(LeftBehindWarning, match=r"lost in .*forgotten > sleep"):
        assert run(main()) == "result"
    assert ended == [0.0]


def test_a_task_that_is_about_to_end_is_not_left_behind() -> None:
    async def main() -> None:
        asyncio.create_task(asyncio.sleep(1e9)).cancel()

    run(main())


def test_work_in_an_executor_takes_no_virtual_time() -> None:
    async def main() -> tuple[int, float]:
        tick = asyncio.create_task(asyncio.sleep(1))
        result = await asyncio.to_thread(lambda: after_a_while(7))
        instant = now()
        await tick
        return result, instant

    assert run(main()) == (7, 0.0)


def test_a_pool_made_before_the_loop_is_waited_for() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()

        async def main() -> tuple[int, int, float]:
            loop = asyncio.get_running_loop()
            first = await loop.run_in_executor(pool, lambda: after_a_while(1))
            second = await asyncio.wrap_future(pool.submit(lambda: after_a_while(2)))
            return first, second, now()

        assert run(main()) == (1, 2, 0.0)


def test_a_job_just_given_to_a_worker_that_waited_for_one_is_waited_for() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()

        async def main() -> int:
            return await asyncio.wrap_future(pool.submit(int))

        # The worker may be slow or quick to begin: nearly always quick, hence so many runs.
        assert [run(main()) for _ in range(200)] == [0] * 200


def test_an_idle_pool_does_not_hide_a_deadlock() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()

        async def main() -> None:
            await asyncio.wrap_future(pool.submit(int))
            await asyncio.get_running_loop().create_future()

        with pytest.raises(Deadlock):
            run(main())


def test_a_thread_that_waits_for_the_loop_lets_time_pass() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()

        async def later() -> float:
            await asyncio.sleep(10)
            return now()

        def ask() -> float:
            return asyncio.run_coroutine_threadsafe(later(), loop).result()

        return await asyncio.to_thread(ask)

    assert run(main()) == 10.0


def test_more_blocked_jobs_than_workers_let_time_pass() -> None:
    async def main() -> float:
        gate = threading.Event()
        asyncio.get_running_loop().call_later(5, gate.set)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(pool, gate.wait) for _ in range(3)))
        return now()

    assert run(main()) == 5.0


def test_a_working_thread_stops_the_clock() -> None:
    async def main() -> list[float]:
        loop, done, log = asyncio.get_running_loop(), asyncio.Event(), list[float]()

        def worked() -> None:
            log.append(now())
            done.set()

        def work() -> None:
            end = time.thread_time() + 0.4
            while time.thread_time() < end:
                pass
            loop.call_soon_threadsafe(worked)

        tick = asyncio.create_task(asyncio.sleep(1))
        thread = threading.Thread(target=work)
        thread.start()
        await done.wait()
        await tick
        thread.join()
        return log

    assert run(main()) == [0.0]


def test_a_thread_may_wake_the_loop_later() -> None:
    async def main() -> str:
        loop, answer = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        def late() -> None:
            threading.Event().wait(0.1)
            loop.call_soon_threadsafe(answer.set_result, "late")

        thread = threading.Thread(target=late)
        thread.start()
        result: str = await answer
        thread.join()
        return result

    assert run(main()) == "late"


def test_threads_that_wait_for_each_other_are_a_deadlock() -> None:
    gate = threading.Event()

    async def main() -> None:
        thread = threading.Thread(target=gate.wait)
        thread.start()
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run(main())
    gate.set()


def test_sockets_wake_the_loop() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            reading = asyncio.create_task(loop.sock_recv(ours, 10))
            await asyncio.sleep(0)
            thread = threading.Thread(target=lambda: theirs.send(after_a_while(b"hello")))
            thread.start()
            result = await reading
            thread.join()
            return result

    assert run(main()) == b"hello"


def test_work_in_another_process_is_waited_for() -> None:
    async def main() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        tick = asyncio.create_task(asyncio.sleep(1))
        process = await asyncio.create_subprocess_exec("true")
        instant = now()
        code = await process.wait()
        await tick
        assert loop.time() >= instant
        return code, instant

    assert run(main()) == (0, 0.0)


def test_a_background_loop_raises_deadlocks_in_the_thread_that_waits() -> None:
    loop = VirtualLoop(background=True)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    loop.watch(threading.current_thread())
    waits: Callable[[], Awaitable[object]] = asyncio.Event().wait
    task: list[asyncio.Task[object]] = []

    async def in_vain() -> None:
        task.append(asyncio.ensure_future(waits()))
        await task[0]

    with pytest.raises(Deadlock, match=r"in_vain|Event\.wait"):
        asyncio.run_coroutine_threadsafe(in_vain(), loop).result()
    loop.call_soon_threadsafe(task[0].cancel)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_nothing_stays_open(recwarn: pytest.WarningsRecorder) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        run(asyncio.sleep(1))
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
    assert not recwarn.list
