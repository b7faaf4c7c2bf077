"""Pending failures: raised by the next call, or logged in time, once.

Rulings 1 and 28.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import Boom, bounded, printed_by

import rapidz
from rapidz import Source, Stream
from rapidz.kernel.runtime.pending_failures import LATE, LOGGED, MAX_PENDING
from rapidz.testing import run
from rapidz.testing.background import virtual_background


def boom(x: Any) -> Any:
    raise Boom(x)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was logged to `rapidz`, at ERROR."""
    caplog.set_level(logging.DEBUG, "rapidz")

    def messages() -> list[str]:
        records = [record for record in caplog.records if record.name == "rapidz"]
        assert all(record.levelno == logging.ERROR for record in records)
        assert all(record.exc_info for record in records)
        return [record.getMessage() for record in records]

    return messages


def failing(**how: Any) -> Stream[int]:
    source = Stream[int](**how)
    source.buffer(1000).map(boom, stream_name="node").sink(print)
    return source


def test_a_failure_that_nothing_takes_is_logged_after_two_seconds(
    logged: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    async def go() -> None:
        source = failing(asynchronous=True)
        await source.emit(1)
        await asyncio.sleep(1.99)
        assert logged() == []
        await asyncio.sleep(0.02)
        assert logged() == [
            "<node; map: boom> failed for element 1, and nothing has taken this for 2 s:"
        ]
        assert "in boom\n    raise Boom(x)" in caplog.text, "with its traceback"
        await asyncio.sleep(100)
        with pytest.raises(Boom) as caught:
            await source.emit(2)
        assert caught.value.__notes__[-2:] == [LOGGED, LATE]
        await source.close()
        assert len(logged()) == 1

    run(go())


def test_a_failure_that_is_taken_in_time_is_not_logged(logged: Callable[[], list[str]]) -> None:
    async def go() -> None:
        source = failing(asynchronous=True)
        await source.emit(1)
        await asyncio.sleep(1)
        with pytest.raises(Boom) as caught:
            await source.join()
        assert LOGGED not in caught.value.__notes__
        await asyncio.sleep(100)
        await source.close()
        assert logged() == []

    run(go())


def test_failures_that_come_one_after_the_other_are_each_logged_in_time(
    logged: Callable[[], list[str]],
) -> None:
    async def go() -> None:
        source = failing(asynchronous=True)
        counts = []
        for x in range(4):
            source.emit(x)
            await asyncio.sleep(0.75)
            counts.append(len(logged()))
        await asyncio.sleep(10)
        assert counts == [0, 0, 1, 2], "at 0.75, 1.5, 2.25 and 3"
        assert len(logged()) == 4
        with pytest.raises(ExceptionGroup) as caught:
            await source.close()
        assert all(LOGGED in error.__notes__ for error in caught.value.exceptions)

    run(go())


@pytest.mark.parametrize(("wait", "at"), [("10s", 10.0), (0.5, 0.5), (0, 0.0)])
def test_how_long_it_may_wait_is_an_option(
    logged: Callable[[], list[str]], wait: Any, at: float
) -> None:
    async def go() -> None:
        source = failing(asynchronous=True)
        await source.emit(1)
        await asyncio.sleep(max(0.0, at - 0.1))
        assert (len(logged()) == 0) or at == 0
        await asyncio.sleep(0.2)
        assert len(logged()) == 1
        with pytest.raises(Boom):
            await source.close()

    with rapidz.options(pending_failure_log=wait):
        run(go())


def test_with_none_it_is_not_logged_while_the_program_runs(
    logged: Callable[[], list[str]],
) -> None:
    async def go() -> None:
        source = failing(asynchronous=True)
        await source.emit(1)
        await asyncio.sleep(1e6)
        assert logged() == []
        with pytest.raises(Boom):
            await source.close()

    with rapidz.options(pending_failure_log=None):
        run(go())


def test_in_the_background_too(logged: Callable[[], list[str]]) -> None:
    with virtual_background() as clock:
        source = failing(asynchronous=False)
        source.emit(1)
        clock.let_pass(2.1)
        assert len(logged()) == 1
        with pytest.raises(Boom) as caught:
            source.join()
        assert LOGGED in caught.value.__notes__
        source.close()


def test_merged_pipelines_still_report_pending_failures(logged: Callable[[], list[str]]) -> None:
    async def go() -> None:
        source, other = failing(asynchronous=True), Stream[int](asynchronous=True)
        await source.emit(1)
        await asyncio.sleep(1)
        nodes = [other.map(str) for _ in range(20)]
        other.connect(source)
        await asyncio.sleep(1.5)
        assert len(logged()) == 1
        with pytest.raises(Boom):
            await other.join()
        del nodes

    run(go())


def test_a_source_that_fails_says_so_at_once(logged: Callable[[], list[str]]) -> None:
    class Failing(Source[int]):
        async def run(self) -> None:
            raise Boom("source")

    async def go() -> None:
        source = Failing(asynchronous=True, stream_name="s")
        source.start()
        await asyncio.sleep(0.01)
        assert source.state == "failed"
        assert logged() == ["<s; Failing> failed:"]
        with pytest.raises(Boom) as caught:
            await source.join()
        assert caught.value.__notes__ == ["raised in <s; Failing>", LOGGED]
        await asyncio.sleep(10)
        assert len(logged()) == 1

    run(go())


def test_a_source_ended_by_a_downstream_node_names_it(logged: Callable[[], list[str]]) -> None:
    async def go() -> None:
        source = Stream.from_iterable([7], asynchronous=True)
        source.map(boom, stream_name="below").sink(print)
        source.start()
        await asyncio.sleep(0.01)
        assert logged() == ["<below; map: boom> failed for element 7:"]
        with pytest.raises(Boom):
            await source.close()

    run(go())


# --- one cause ----------------------------------------------------------------------------------


class Gone(RuntimeError):
    pass


CAUSE = ConnectionError("the cluster has gone")


def gone(x: Any) -> Any:
    raise Gone(f"{x} was not done") from CAUSE


SAME = Boom("constant")


def same(x: Any) -> Any:
    raise SAME


@pytest.mark.parametrize(("func", "kind"), [(gone, Gone), (same, Boom)])
def test_a_cause_that_many_elements_share_is_raised_once(
    func: Callable[[Any], Any], kind: type[Exception]
) -> None:
    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.buffer(1000).map(func).sink(print)
        for x in range(300):
            source.emit(x)
        with pytest.raises(kind) as caught:
            await source.join()
        assert "300 elements failed for this cause: 0, 1, 2, 3, 4, ..." in caught.value.__notes__
        await source.close()

    run(go())


def test_a_cause_that_many_elements_share_is_raised_once_to_emitters() -> None:
    async def go() -> None:
        source = Stream[int](asynchronous=True)
        seen: list[int] = []
        source.buffer(1000).map(lambda x: gone(x) if x < 50 else x).sink(seen.append)
        for x in range(50):
            source.emit(x)
        await asyncio.sleep(0.1)
        with pytest.raises(Gone) as caught:
            await source.emit(50)
        assert "50 elements failed for this cause: 0, 1, 2, 3, 4, ..." in caught.value.__notes__
        await source.emit(51)
        await source.close()
        assert seen == [51]

    run(go())


def test_a_cause_that_many_elements_share_is_logged_once(logged: Callable[[], list[str]]) -> None:
    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.buffer(1000).map(gone, stream_name="n").sink(print)
        for x in range(300):
            source.emit(x)
        await asyncio.sleep(5)
        (message,) = logged()
        assert message.startswith(
            "<n; map: gone> failed (300 elements failed for this cause: 0, 1, 2, 3, 4, ...)"
        )
        with pytest.raises(Gone):
            await source.close()

    run(go())


def test_two_causes_are_two_failures_with_the_count_of_all() -> None:
    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.buffer(1000).map(lambda x: gone(x) if x % 2 else same(x)).sink(print)
        for x in range(10):
            source.emit(x)
        with pytest.raises(ExceptionGroup, match="10 elements failed") as caught:
            await source.join()
        assert [type(error) for error in caught.value.exceptions] == [Boom, Gone]
        await source.close()

    run(go())


def test_failures_that_there_are_too_many_of_are_logged_in_one_message(
    logged: Callable[[], list[str]],
) -> None:
    async def go() -> None:
        source = failing(asynchronous=True)
        count = MAX_PENDING + 50
        for x in range(count):
            source.emit(x)
        await asyncio.sleep(1)
        assert logged() == []
        with pytest.raises(ExceptionGroup) as caught:
            await source.join()
        assert len(caught.value.exceptions) == MAX_PENDING
        assert logged() == [
            "50 more failed, besides 100 that nothing has taken, "
            "for 100, 101, 102, 103, 104, ...; the first:"
        ]
        await source.close()

    run(go())


def test_a_constant_that_fails_again_later_is_another_failure(
    logged: Callable[[], list[str]],
) -> None:
    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.buffer(1000).map(same).sink(print)
        for x in range(3):
            await source.emit(x)
            await asyncio.sleep(3)
            with pytest.raises(Boom) as caught:
                await source.join()
            assert caught.value.__notes__ == [f"raised in <map: same> for element {x}", LOGGED]
        assert len(logged()) == 3
        await source.close()

    run(go())


# --- at exit ------------------------------------------------------------------------------------

PROGRAM = """
import logging, sys, time
import rapidz
from rapidz import Stream
logging.basicConfig(format="%(message)s", stream=sys.stdout)
logging.raiseExceptions = False
rapidz.options(pending_failure_log={wait!r})
source = Stream(asynchronous=False)
def inverse(x):
    return 1 / x
source.buffer(10).map(inverse).sink(print)
source.emit(0)
time.sleep({sleep})
print("end")
"""


@pytest.mark.parametrize(
    ("wait", "sleep", "first"),
    [("2s", 0.0, "end"), (0.01, 0.3, "<map: inverse>"), (None, 0, "end")],
)
def test_at_exit_what_was_not_logged_before_is_logged(wait: Any, sleep: float, first: str) -> None:
    lines = printed_by(PROGRAM.format(wait=wait, sleep=sleep))
    assert lines[0].startswith(first)
    failed = [line for line in lines if line.startswith("<map: inverse> failed for element 0")]
    assert len(failed) == 1
    assert sum("ZeroDivisionError" in line for line in lines) == 1


def call_cancelled_on_another_loop(source: Stream[int]) -> asyncio.CancelledError:
    """Emit from a loop that is not the pipeline's, and cancel what awaits that."""

    async def go() -> asyncio.CancelledError:
        waiting = asyncio.ensure_future(source.emit(1, asynchronous=True))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await waiting
        return cancelled.value

    return asyncio.run(go())


def test_a_failure_is_pending_although_a_traceback_refers_to_the_call() -> None:
    source = Stream[int](asynchronous=False)
    cancelled = threading.Event()
    source.map(lambda x: cancelled.wait(10)).sink(boom)
    error = call_cancelled_on_another_loop(source)
    cancelled.set()
    with pytest.raises(Boom):
        bounded(source.close)
    assert error.__traceback__ is not None


def test_a_failure_that_is_retrieved_after_all_is_pending_no_longer() -> None:
    source = Stream[int](asynchronous=False)
    source.sink(boom)
    call = source.emit(1, asynchronous=True)
    assert call.wait(10)
    call.detach()
    assert len(source._pipeline.pending_failures) == 1
    with pytest.raises(Boom):
        call.result()
    bounded(source.close)
