from __future__ import annotations

import asyncio

import pytest

from rapidz.testing import VirtualLoop

pytest_plugins = ["pytester"]


async def test_async_tests_run_in_virtual_time() -> None:
    await asyncio.sleep(1e6)
    assert asyncio.get_running_loop().time() == 1e6


async def test_async_tests_run_on_the_fixture(virtual_loop: VirtualLoop) -> None:
    await asyncio.sleep(2)
    assert virtual_loop.time() == 2.0
    assert asyncio.get_running_loop() is virtual_loop


def test_plain_tests_drive_the_fixture(virtual_loop: VirtualLoop) -> None:
    virtual_loop.run_until_complete(asyncio.sleep(3))
    assert virtual_loop.time() == 3.0


@pytest.mark.parametrize("pause", [1, 2])
async def test_async_tests_get_their_arguments(pause: int, tmp_path: object) -> None:
    await asyncio.sleep(pause)
    assert asyncio.get_running_loop().time() == pause
    assert tmp_path is not None


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider\n")
    return pytester


def test_the_marker_opts_in_and_sets_a_limit(inner: pytest.Pytester) -> None:
    inner.makepyfile(
        """
        import asyncio, pytest

        @pytest.mark.virtual_time
        async def test_one():
            await asyncio.sleep(1e6)

        @pytest.mark.virtual_time(limit=5)
        async def test_two():
            await asyncio.sleep(6)
        """
    )
    result = inner.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*TimeoutError: virtual time would pass its limit*"])


def test_without_opting_in_nothing_changes(inner: pytest.Pytester) -> None:
    inner.makepyfile("async def test_one(): pass")
    outcome = inner.runpytest_inprocess().parseoutcomes()
    assert "passed" not in outcome


def test_a_deadlock_fails_the_test(inner: pytest.Pytester) -> None:
    inner.makepyfile(
        """
        import asyncio, pytest

        @pytest.mark.virtual_time
        async def test_one():
            await asyncio.Event().wait()
        """
    )
    result = inner.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Deadlock: nothing can happen any more*"])


def test_threads_and_tasks_left_behind_fail_the_test(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rapidz.testing.plugin._GRACE", 0.05)
    inner.makepyfile(
        """
        import asyncio, threading

        gate = threading.Event()
        loop = asyncio.new_event_loop()

        def test_thread(no_leaks):
            threading.Thread(target=gate.wait, name="straggler").start()

        def test_task(no_leaks):
            async def main():
                global task
                task = asyncio.create_task(asyncio.sleep(100), name="sleeper")
            loop.run_until_complete(main())

        def test_clean(no_leaks):
            asyncio.run(asyncio.sleep(0))
            thread = threading.Thread(target=gate.wait)
            thread.start()
            gate.set()

        def test_end():
            task.cancel()
            loop.run_until_complete(asyncio.wait([task]))
            loop.close()
        """
    )
    result = inner.runpytest_inprocess()
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(
        ["*left behind: <Thread(straggler*", "*left behind: <Task pending*"]
    )
