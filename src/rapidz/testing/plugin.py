"""Pytest plug-in: async tests in virtual time, and a check for leaked tasks and threads.

* Ini option `rapidz_virtual_time` (default false): every `async def` test runs on a `VirtualLoop`,
  unless another async plug-in's marker claims it.
* Marker `virtual_time(limit=None)`: so does this one; it fails when virtual time would pass `limit`
  seconds.
* Fixture `virtual_loop`: a `VirtualLoop` for plain tests; an async test that asks for it runs on
  it.
* Fixture `virtual_background`: the library's background loop runs in virtual time.
* Fixture `no_leaks`: the test fails if it leaves tasks pending or threads alive.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any, Final

import pytest

from rapidz.testing import background
from rapidz.testing.loop import LeftBehindWarning, VirtualLoop, left_behind, run

__all__: list[str] = []

_OTHERS: Final = ("asyncio", "anyio", "trio", "tornado", "gen_test")
_LIBRARY_THREADS: Final = "rapidz-"  # its threads, named so, are kept for the next pipeline
_GRACE: Final = 1.0
"""Real seconds that a thread has to end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "rapidz_virtual_time",
        "run async tests on an event loop in virtual time",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "virtual_time(limit=None): run this async test on an event loop in virtual time",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or not _is_ours(pyfuncitem):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    funcargs = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
    coroutine = pyfuncitem.obj(**funcargs)
    loop = pyfuncitem.funcargs.get("virtual_loop")
    if isinstance(loop, VirtualLoop):
        loop.run_until_complete(coroutine)
    else:
        run(coroutine, limit=_limit(pyfuncitem))
    return True


def _is_ours(item: pytest.Function) -> bool:
    if item.get_closest_marker("virtual_time") or "virtual_loop" in item.funcargs:
        return True
    claimed = any(item.get_closest_marker(name) for name in _OTHERS)
    return bool(item.config.getini("rapidz_virtual_time")) and not claimed


def _limit(item: pytest.Function) -> float | None:
    marker = item.get_closest_marker("virtual_time")
    limit: float | None = marker.kwargs.get("limit") if marker else None
    return limit


@pytest.fixture
def virtual_loop(request: pytest.FixtureRequest) -> Iterator[VirtualLoop]:
    """Yield an event loop in virtual time; cancel and report tasks left on it at the end."""
    marker = request.node.get_closest_marker("virtual_time")
    limit = marker.kwargs.get("limit") if marker else None
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit=limit)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        yield loop
        report = left_behind(runner)
    if report:
        warnings.warn(report, LeftBehindWarning, stacklevel=1)


@pytest.fixture
def virtual_background() -> Iterator[background.VirtualBackground]:
    """Run the background event loop of the library in virtual time; yield its clock."""
    with background.virtual_background() as clock:
        yield clock


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail the test if it leaves tasks pending or threads alive."""
    threads, tasks = set(threading.enumerate()), _pending_tasks()
    yield
    left = [repr(task) for task in _still_pending(tasks)]
    left += [repr(thread) for thread in _still_alive(set(threading.enumerate()) - threads)]
    if left:
        pytest.fail("left behind: " + "; ".join(sorted(left)))


def _still_pending(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Return new tasks that do not end on a loop in another thread and are no garbage."""
    end = time.monotonic() + _GRACE
    while left := _pending_tasks() - before:
        if time.monotonic() > end or not any(task.get_loop().is_running() for task in left):
            break
        del left
        time.sleep(0.005)
    if left:
        del left
        gc.collect()
    return _pending_tasks() - before


def _still_alive(threads: set[threading.Thread]) -> list[threading.Thread]:
    end = time.monotonic() + _GRACE
    others = [thread for thread in threads if not thread.name.startswith(_LIBRARY_THREADS)]
    for thread in others:
        thread.join(max(0.0, end - time.monotonic()))
    return [thread for thread in others if thread.is_alive()]


def _pending_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks that are not done, of all open loops."""
    known = getattr(asyncio.tasks, "_scheduled_tasks", None)  # from Python 3.12 on
    if known is None:
        known = getattr(asyncio.tasks, "_all_tasks")  # noqa: B009
    for _ in range(100):
        try:  # another thread may add one meanwhile
            tasks = list(known)
            break
        except RuntimeError:
            continue
    else:
        tasks = []
    return {task for task in tasks if not task.done() and not task.get_loop().is_closed()}
