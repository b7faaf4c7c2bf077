"""Sources that start again after transient failures: when, how often, after what wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from tests.support import Boom, fail_on

from rapidz import Restart, Source


class flaky(Source[int]):
    """Emits 0, 1, ...; fails before the numbers in *fails*, once each."""

    default_restart: ClassVar[Restart | None] = Restart(wait=1, jitter=0)

    def __init__(self, fails: dict[int, Exception], n: int = 5, **kwargs: Any) -> None:
        self.fails, self.n, self.next = fails, n, 0
        self.states: list[tuple[float, str]] = []
        super().__init__(**kwargs)

    async def run(self) -> AsyncIterator[int]:
        self.states.append((asyncio.get_running_loop().time(), self.state))
        while self.next < self.n:
            if (error := self.fails.pop(self.next, None)) is not None:
                raise error
            self.next += 1
            yield self.next - 1


async def finish(source: Source[Any]) -> list[Any]:
    seen = source.sink_to_list()
    source.start()
    await source.join()
    return seen


async def test_a_source_goes_on_after_a_transient_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = flaky({2: ConnectionError("gone")}, asynchronous=True)
    with caplog.at_level(logging.WARNING, "rapidz.sources"):
        assert await finish(source) == [0, 1, 2, 3, 4]
    assert "ConnectionError: gone; starts again in 1 s" in caplog.text
    first, second = source.states
    assert second[0] - first[0] == 1
    assert (first[1], second[1]) == ("running", "restarting")
    assert (source.state, source.exception) == ("done", None)


async def test_the_first_attempt_that_fails_is_final() -> None:
    source = flaky({0: ConnectionError("no host")}, asynchronous=True)
    with pytest.raises(ConnectionError, match="no host"):
        await finish(source)
    assert source.state == "failed"


async def test_at_start_also_the_first_attempt_is_repeated() -> None:
    rule = Restart(wait=1, jitter=0, at_start=True)
    source = flaky({0: ConnectionError("no host")}, restart=rule, asynchronous=True)
    assert await finish(source) == [0, 1, 2, 3, 4]


async def test_other_exceptions_are_final_unless_the_rule_names_them() -> None:
    source = flaky({2: ValueError("bad")}, asynchronous=True)
    with pytest.raises(ValueError, match="bad"):
        await finish(source)
    rule = Restart(wait=1, on=(ValueError,))
    source = flaky({2: ValueError("bad")}, restart=rule, asynchronous=True)
    assert await finish(source) == [0, 1, 2, 3, 4]


async def test_without_restart_a_failure_is_final() -> None:
    source = flaky({2: ConnectionError("gone")}, restart=False, asynchronous=True)
    with pytest.raises(ConnectionError):
        await finish(source)


async def test_a_failure_downstream_does_not_restart_the_source() -> None:
    class Downstream(ConnectionError):
        pass

    def fail(x: int) -> None:
        if x == 2:
            raise Downstream

    source = flaky({}, asynchronous=True)
    source.sink(fail)
    with pytest.raises(Downstream):
        await finish(source)
    assert len(source.states) == 1


async def test_waits_grow_until_the_source_is_connected_again() -> None:
    class unreachable(Source[int]):
        default_restart = Restart(wait=1, factor=2, limit=4, jitter=0)

        def __init__(self, **kwargs: Any) -> None:
            self.at: list[float] = []
            super().__init__(**kwargs)

        async def run(self) -> None:
            self.at.append(asyncio.get_running_loop().time())
            if len(self.at) in (1, 6):
                self.connected()
                assert self.exception is None
            if len(self.at) < 8:
                raise ConnectionError

    source = unreachable(asynchronous=True)
    await finish(source)
    waits = [b - a for a, b in zip(source.at, source.at[1:], strict=False)]
    assert waits == [1, 2, 4, 4, 4, 1, 2]


async def test_after_times_attempts_the_failure_is_final() -> None:
    class gone(Source[int]):
        default_restart = Restart(wait=1, times=3)
        attempts = 0

        async def run(self) -> None:
            self.attempts += 1
            if self.attempts == 1:
                self.connected()
            raise ConnectionError

    source = gone(asynchronous=True)
    with pytest.raises(ConnectionError):
        await finish(source)
    assert source.attempts == 4


async def test_stop_ends_the_wait_for_a_restart() -> None:
    source = flaky({2: ConnectionError("gone")}, asynchronous=True)
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(0.5)
    state: str = source.state
    assert state == "restarting"
    source.stop()
    await source.join()
    assert (source.state, seen) == ("stopped", [0, 1])
    source.start()
    await source.join()
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("infinite", [False, True])
async def test_close_in_the_wait_for_a_restart_ends_the_source(infinite: bool) -> None:
    source = flaky({2: ConnectionError("gone")}, asynchronous=True)
    source.infinite = infinite  # type: ignore[misc]
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(0.5)
    assert source.state == "restarting"
    await source.close()
    assert seen == ([0, 1] if infinite else [0, 1, 2, 3, 4])
    state: str = source.state
    assert state == ("stopped" if infinite else "done")


async def test_an_asynchronous_generator_waits_for_capacity() -> None:
    log: list[Any] = []

    class counting(Source[int]):
        async def run(self) -> AsyncIterator[int]:
            try:
                for x in range(3):
                    log.append(x)
                    yield x
            finally:
                log.append("closed")

    async def slow(x: int) -> None:
        await asyncio.sleep(1)
        log.append(-x)

    source = counting(asynchronous=True)
    source.sink(slow)
    await finish(source)
    assert log == [0, 0, 1, -1, 2, -2, "closed"]


@pytest.mark.parametrize(
    ("restart", "error"),
    [("yes", TypeError), (3, TypeError)],
)
def test_a_restart_that_is_no_rule_is_refused(restart: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="flaky: restart must be True, False or a Restart, got"):
        flaky({}, restart=restart)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"times": 0}, "Restart: times must"),
        ({"wait": -1}, "Restart: wait must"),
        ({"factor": 0.5}, "Restart: factor must"),
        ({"jitter": 2}, "Restart: jitter must be a number from 0 to 1, got 2"),
        ({"on": ValueError}, "Restart: on must be a tuple of exception classes, got"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(options: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Restart(**options)


# --- acknowledgement ------------------------------------------------------------------------


class tracked(Source[int]):
    def __init__(self, n: int, raw: list[bytes] | None = None, **kwargs: Any) -> None:
        self.n, self.log, self.raw = n, list[Any](), raw
        super().__init__(**kwargs)

    async def run(self) -> None:
        for x in range(self.n):
            done, failed = self._told("done", x), self._told("failed", x)
            if self.raw is None:
                await self.emit_tracked(x, done, failed)
            else:
                await self.emit_decoded(self.raw[x], int, done, failed)

    def _told(self, what: str, x: int) -> Any:
        return lambda *_: self.log.append((what, x))


async def test_an_element_is_acknowledged_when_its_batch_is_written() -> None:
    source = tracked(5, asynchronous=True)
    source.partition(2).sink(lambda pair: source.log.append(pair))
    source.start()
    await source.join()
    await asyncio.sleep(0)
    for x in range(5):
        batch = next(entry for entry in source.log if entry[0] != "done" and x in entry)
        assert source.log.index(batch) < source.log.index(("done", x))


@pytest.mark.parametrize("policy", ["skip", "send"])
async def test_a_failure_that_a_policy_handles_is_acknowledged(policy: Any) -> None:
    source = tracked(3, asynchronous=True)
    node = source.map(fail_on(1))
    node.on_error(policy)
    node.sink_to_list()
    source.start()
    await source.join()
    await asyncio.sleep(0)
    assert source.log == [("done", 0), ("done", 1), ("done", 2)]


@pytest.mark.parametrize("queued", [False, True])
async def test_an_unhandled_failure_is_never_acknowledged_and_fails_the_source(
    queued: bool,
) -> None:
    source = tracked(100, asynchronous=True)
    node: Any = source.buffer(2) if queued else source
    node.sink(fail_on(1))
    source.start()
    with pytest.raises(Boom):
        await source.join()
    await asyncio.sleep(0)
    assert source.state == "failed"
    assert isinstance(source.exception, Boom)
    assert ("failed", 1) in source.log
    assert ("done", 1) not in source.log
    assert len(source.log) < 10


async def test_a_failure_is_raised_also_if_the_source_takes_time_to_disconnect() -> None:
    class slow_to_close(tracked):
        async def run(self) -> None:
            try:
                await super().run()
            finally:
                await asyncio.create_task(asyncio.sleep(1))
                closed.append(True)

    closed: list[bool] = []
    source = slow_to_close(3, asynchronous=True)
    source.sink(fail_on(1))
    source.start()
    with pytest.raises(Boom):
        await source.join()
    assert (source.state, closed) == ("failed", [True])


@pytest.mark.parametrize("policy", ["skip", "send"])
async def test_what_cannot_be_decoded_goes_to_the_policy_with_its_raw_bytes(policy: Any) -> None:
    source = tracked(3, [b"0", b"one", b"2"], asynchronous=True)
    source.on_error(policy)
    failures = source.errors.sink_to_list() if policy == "send" else []
    seen = source.sink_to_list()
    source.start()
    await source.join()
    await asyncio.sleep(0)
    assert seen == [0, 2]
    assert source.log == [("done", 0), ("done", 1), ("done", 2)]
    if policy == "send":
        assert [failure.element for failure in failures] == [b"one"]
    else:
        assert source.skipped == 1


async def test_what_cannot_be_decoded_fails_a_source_without_a_policy() -> None:
    source = tracked(3, [b"0", b"one", b"2"], asynchronous=True)
    seen = source.sink_to_list()
    source.start()
    with pytest.raises(ValueError, match="invalid literal"):
        await source.join()
    assert (seen, source.state) == ([0], "failed")


def test_a_source_without_positions_says_so() -> None:
    source = tracked(3)
    with pytest.raises(OSError, match="it cannot seek"):
        source.position()
    with pytest.raises(OSError, match="it cannot seek"):
        source.seek(3)
