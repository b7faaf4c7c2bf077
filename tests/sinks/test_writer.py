"""Sinks that write to a Writer: batches, order, failures, restarts, the end."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import printed_by, settle

from rapidz import RefCounter, Restart, Retry, Stream, Writer, WriterSink, write_to
from rapidz.testing import check_operator, run


class Recorder(Writer[Any]):
    """Records what it is asked to do; fails as often as `fails` says."""

    transient: ClassVar[tuple[type[Exception], ...]] = (ConnectionError,)

    def __init__(self, fails: Sequence[Exception] = ()) -> None:
        self.log: list[Any] = []
        self.fails = list(fails)
        self.threads: set[threading.Thread] = set()

    def open(self) -> None:
        self.log.append("open")

    def write_many(self, payloads: Sequence[Any]) -> None:
        self.threads.add(threading.current_thread())
        if self.fails:
            raise self.fails.pop(0)
        self.log.append(list(payloads))

    def flush(self) -> None:
        self.log.append("flush")

    def close(self) -> None:
        self.log.append("close")

    @property
    def written(self) -> list[Any]:
        return [x for entry in self.log if isinstance(entry, list) for x in entry]


class AsyncRecorder(Recorder):
    """The same, asynchronous."""

    async def open(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().open()

    async def write_many(self, payloads: Sequence[Any]) -> None:  # type: ignore[override]
        await asyncio.sleep(1)
        super().write_many(payloads)

    async def flush(self) -> None:  # type: ignore[override]
        super().flush()

    async def close(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().close()


class Encoder(Recorder):
    """Encodes integers."""

    def encode(self, x: Any) -> bytes:
        return b"%d" % x


kinds = pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])


@pytest.mark.parametrize("asynchronous", [None, False])
def test_batches_are_written_in_order_and_the_rest_at_the_end(asynchronous: Any) -> None:
    writer = Recorder()
    with Stream(asynchronous=asynchronous) as source:
        source.write_to(writer, batch=2)
        source.emit_many([1, 2, 3])
    assert writer.log == ["open", [1, 2], [3], "flush", "flush", "close"]


@kinds
async def test_on_a_loop_batches_are_written_in_order(kind: type[Recorder]) -> None:
    writer = kind()
    async with Stream(asynchronous=True) as source:
        source.write_to(writer, batch=2)
        for x in range(5):
            await source.emit(x)
    assert [entry for entry in writer.log if entry != "flush"] == [
        "open", [0, 1], [2, 3], [4], "close",
    ]  # fmt: skip


@kinds
async def test_nothing_is_opened_before_the_first_element(kind: type[Recorder]) -> None:
    writer = kind()
    async with Stream(asynchronous=True) as source:
        source.write_to(writer)
    assert writer.log == []


async def test_a_plain_writer_runs_in_one_thread_of_its_own_on_a_loop() -> None:
    writer = Recorder()
    async with Stream(asynchronous=True) as source:
        source.write_to(writer)
        await source.emit(1)
        await source.emit(2)
    (thread,) = writer.threads
    assert thread is not threading.current_thread()
    thread.join(5)
    assert not thread.is_alive()


async def test_a_writer_that_does_not_block_needs_no_thread() -> None:
    class Quick(Recorder):
        blocking = False

    writer = Quick()
    async with Stream(asynchronous=True) as source:
        source.write_to(writer)
        await source.emit(1)
    assert writer.threads == {threading.current_thread()}


async def test_a_batch_is_written_when_its_time_is_over() -> None:
    writer = Recorder()
    source = Stream[int](asynchronous=True)
    source.write_to(writer, batch=10, max_wait="2s")
    await source.emit(1)
    await asyncio.sleep(1)
    assert writer.written == []
    await asyncio.sleep(2)
    await source.join()
    assert writer.written == [1]
    await source.close()


def test_a_batch_is_written_in_parts_of_at_most_so_many_bytes() -> None:
    writer = Encoder()
    with Stream[int]() as source:
        source.write_to(writer, batch=5, max_bytes=4)
        source.emit_many([1, 22, 33, 44444, 5])
    assert [entry for entry in writer.log if isinstance(entry, list)] == [
        [b"1", b"22"], [b"33"], [b"44444"], [b"5"],
    ]  # fmt: skip


@kinds
async def test_a_flush_writes_the_batch_and_flushes_the_writer(kind: type[Recorder]) -> None:
    writer = kind()
    source = Stream[int](asynchronous=True)
    source.write_to(writer, batch=10)
    await source.emit(1)
    await source.flush()
    await source.join()
    assert writer.log == ["open", [1], "flush"]
    await source.close()


@kinds
async def test_a_transient_failure_opens_the_writer_again_and_writes_again(
    kind: type[Recorder],
) -> None:
    writer = kind([ConnectionError("gone"), ConnectionError("gone")])
    async with Stream(asynchronous=True) as source:
        source.write_to(writer, batch=2, restart=Restart(wait=1, jitter=0))
        for x in range(4):
            await source.emit(x)
    assert [entry for entry in writer.log if entry != "flush"] == [
        "open", "close", "open", "close", "open", [0, 1], [2, 3], "close",
    ]  # fmt: skip


async def test_a_writer_that_was_never_open_fails_at_once() -> None:
    class Unreachable(Recorder):
        default_restart = Restart()

        def open(self) -> None:
            raise ConnectionRefusedError

    source = Stream[int](asynchronous=True)
    source.write_to(Unreachable())
    with pytest.raises(ConnectionRefusedError):
        await source.emit(1)
    await source.close()


def test_without_a_loop_a_restart_waits_in_the_caller() -> None:
    writer = Recorder([ConnectionError("gone")])
    with Stream[int]() as source:
        source.write_to(writer, restart=Restart(wait=0))
        source.emit(1)
    assert writer.written == [1]


@pytest.mark.parametrize("asynchronous", [None, False])
@pytest.mark.parametrize("batch", [1, 3])
def test_an_element_that_cannot_be_encoded_fails_alone(asynchronous: Any, batch: int) -> None:
    writer = Encoder()
    with Stream[Any](asynchronous=asynchronous) as source:
        node = source.write_to(writer, batch=batch)
        failures = node.errors.sink_to_list()
        source.emit_many([1, "x", 2, 3])
    assert writer.written == [b"1", b"2", b"3"]
    assert [failure.element for failure in failures] == ["x"]


@pytest.mark.parametrize("kind", [Recorder, Encoder])
@pytest.mark.parametrize("policy", ["skip", "send"])
def test_each_element_of_a_batch_that_fails_goes_to_the_policy(
    kind: type[Recorder], policy: Any
) -> None:
    writer = kind([ValueError("full")])
    with Stream[Any]() as source:
        node = source.write_to(writer, batch=2).on_error(policy)
        failures = node.errors.sink_to_list() if policy == "send" else []
        source.emit_many([1, 2, 3, 4])
    assert len(writer.written) == 2
    if policy == "send":
        assert [(f.element, f.node) for f in failures] == [(1, node), (2, node)]
    else:
        assert node.skipped == 2


def test_a_retry_writes_the_whole_batch_again() -> None:
    writer = Recorder([ValueError("full"), ValueError("full")])
    with Stream[Any]() as source:
        source.write_to(writer, batch=2).on_error(Retry(times=2, wait=0))
        source.emit_many([1, 2, 3])
    assert writer.written == [1, 2, 3]


@pytest.mark.parametrize("batch", [1, 2])
def test_a_writer_with_an_encoder_conforms_to_the_rules_of_operators(batch: int) -> None:
    class to_numbers(WriterSink[Any]):
        """Writes numbers."""

    check_operator(
        lambda stream: to_numbers(stream, Encoder(), batch=batch), [1, 2, 3], fails_on=("x",)
    )


def test_destroy_writes_the_rest_and_closes_the_writer() -> None:
    writer = Encoder()
    source = Stream[Any]()
    node = source.write_to(writer, batch=10)
    source.emit(1)
    node.destroy()
    source.emit(2)
    assert writer.log == ["open", [b"1"], "flush", "flush", "close"]
    source.close()


@kinds
async def test_elements_are_acknowledged_when_they_are_written(kind: type[Recorder]) -> None:
    writer = kind()
    source = Stream[Any](asynchronous=True)
    source.write_to(writer, batch=2)
    for x in range(3):
        done = RefCounter(cb=functools.partial(writer.log.append, f"{x} done"))
        await source.emit(x, metadata=[{"ref": done}])
    await asyncio.sleep(0)
    assert writer.log == ["open", [0, 1], "0 done", "1 done"]
    await source.close()
    await asyncio.sleep(0)
    assert "2 done" in writer.log


async def test_a_write_that_was_cancelled_opens_the_writer_again() -> None:
    writer = AsyncRecorder()
    source = Stream[Any](asynchronous=True)
    source.write_to(writer)
    task = asyncio.ensure_future(source.emit(1))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await source.emit(2)
    await source.close()
    assert writer.written[-1] == 2
    assert writer.log.count("open") == writer.log.count("close")


def test_a_writer_is_closed_when_the_program_ends_without_a_close() -> None:
    program = """
from rapidz import Stream, Writer, WriterSink, write_to
class W(Writer):
    def write(self, x): print("write", x)
    def flush(self): print("flush", flush=True)
    def close(self): print("close", flush=True)
class A(W):
    async def write(self, x): print("write", x)
source, other, background = Stream(), Stream(), Stream(asynchronous=False)
source.write_to(W())
source.emit(1)
background.write_to(A())
background.emit(2)
other.write_to(W())
"""
    assert printed_by(program) == ["write 1", "write 2", *["flush", "close"] * 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_opens_the_writer_anew_and_closes_its_own() -> None:
    program = """
import os
from rapidz import Stream, Writer, WriterSink, write_to
class W(Writer):
    def open(self): print(me, "open", flush=True)
    def write(self, x): print(me, x, flush=True)
    def close(self): print(me, "close", flush=True)
me = "parent"
source = Stream()
source.write_to(W())
source.emit(1)
if os.fork() == 0:
    me = "child"
    source.emit(2)
    source.close()
    os._exit(0)
os.wait()
source.close()
"""
    assert printed_by(program) == [
        "parent open", "parent 1", "child open", "child 2", "child close", "parent close",
    ]  # fmt: skip


def test_a_writer_is_opened_again_on_the_next_loop() -> None:
    writer = AsyncRecorder()
    source = Stream[Any](asynchronous=True)
    source.write_to(writer)

    async def send(x: int) -> None:
        await source.emit(x)

    run(send(1))
    run(send(2))
    assert writer.written == [1, 2]
    assert writer.log.count("open") == 2


@given(
    st.lists(st.integers(0, 9), max_size=30),
    st.integers(1, 5),
    st.none() | st.integers(1, 6),
    st.sampled_from([None, True, False]),
    st.integers(0, 3),
)
def test_every_element_is_written_once_and_in_order(
    elements: list[int], batch: int, max_bytes: Any, asynchronous: Any, fails: int
) -> None:
    writer = (AsyncRecorder if asynchronous else Encoder)([ConnectionError()] * fails)
    rule = Restart(wait=0)

    async def main() -> None:
        source = Stream[Any](asynchronous=asynchronous)
        source.write_to(
            writer, batch=batch, max_bytes=max_bytes if not asynchronous else None, restart=rule
        )
        for x in elements:
            await settle(source.emit(x))
        await settle(source.close())

    if asynchronous:
        run(main())
    else:
        with Stream[Any](asynchronous=asynchronous) as source:
            source.write_to(writer, batch=batch, max_bytes=max_bytes, restart=rule)
            source.emit_many(elements)
    expected = elements if asynchronous else [b"%d" % x for x in elements]
    assert writer.written == expected
    assert writer.log.count("open") == writer.log.count("close")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "write_to: batch must"),
        ({"max_bytes": 0}, "write_to: max_bytes must"),
        ({"max_wait": 0}, "partition: timeout must"),
        ({"restart": "yes"}, "write_to: restart must"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Stream[Any]().write_to(Recorder(), **options)


def test_a_writer_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="write_to: writer must be a Writer, got"):
        Stream[Any]().write_to(print)  # type: ignore[arg-type]


def test_a_scattered_stream_is_refused_when_the_sink_is_built() -> None:
    with Stream[Any]() as source:
        scattered: Any = source.scatter("thread")
        with pytest.raises(
            TypeError, match=r"write_to: upstream must not be .* call gather\(\) first"
        ):
            write_to(scattered, Recorder())


class Broken(Recorder):
    """Fails in each of its methods, with an error of its own."""

    def write_many(self, payloads: Sequence[Any]) -> None:
        raise OSError("write")

    def flush(self) -> None:
        super().flush()
        raise OSError("flush")

    def close(self) -> None:
        super().close()
        raise OSError("close")


def test_the_first_failure_is_the_one_that_is_raised() -> None:
    writer = Broken()
    source = Stream[int]()
    source.write_to(writer)
    with pytest.raises(OSError, match="write") as failure, source:
        source.emit(1)
    assert writer.log == ["open", "flush", "flush", "close"]
    assert failure.value.__notes__[1:] == [f"{source}: at its close: OSError: flush"]


def test_a_writer_whose_flush_fails_is_closed_and_its_failure_raised() -> None:
    class BrokenAtTheEnd(Broken):
        def write_many(self, payloads: Sequence[Any]) -> None:
            self.log.append(list(payloads))

    writer = BrokenAtTheEnd()
    source = Stream[int]()
    source.write_to(writer)
    source.emit(1)
    with pytest.raises(OSError, match="flush"):
        source.close()
    assert writer.log == ["open", [1], "flush", "flush", "close"]
