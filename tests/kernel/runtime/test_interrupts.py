"""Signal handlers and finalizers that emit: they never wait, and nothing waits for them."""

from __future__ import annotations

import functools
import gc
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import Boom, bounded, fail_on, printed_by

from rapidz import Stream
from rapidz.kernel.runtime import pipeline_lock as turns

needs_timers = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="there are no such timers here"
)


@pytest.fixture
def with_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an interpreter without a global lock, or one that was not tested."""
    monkeypatch.setattr(turns, "ATOMIC", False)
    monkeypatch.setattr("rapidz.kernel.compile.emit.ATOMIC", False)


class Finalized:
    """Emits when it is collected."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action

    def __del__(self) -> None:
        self.action()


def by_finalizer(action: Callable[[], object]) -> None:
    Finalized(action)


def by_weak_reference(action: Callable[[], object]) -> None:
    watched = Finalized(lambda: None)
    weakref.finalize(watched, action)
    del watched


def by_callback(action: Callable[[], object]) -> None:
    watched = Finalized(lambda: None)
    ref = weakref.ref(watched, lambda _: action())
    del watched
    assert ref() is None


def by_garbage(action: Callable[[], object]) -> None:
    watched: Any = Finalized(action)
    watched.me = watched
    del watched
    gc.collect()


def by_signal(action: Callable[[], object]) -> None:
    before = signal.signal(signal.SIGUSR1, lambda signum, frame: action())
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


interrupts = [by_finalizer, by_weak_reference, by_callback, by_garbage, by_signal]
every_interrupt = pytest.mark.parametrize("interrupt", interrupts)


@every_interrupt
@pytest.mark.parametrize("way", ["emit", "emit_many", "metadata", "iterator"])
def test_an_emit_that_interrupts_a_step_comes_behind_it(
    interrupt: Callable[[Callable[[], object]], None], way: str
) -> None:
    log: list[Any] = []
    source = Stream[Any]()

    def step(x: Any) -> Any:
        if x == 1:
            interrupt(lambda: log.append(source.emit("late")))
            log.append("goes on")
        return x

    source.map(step).sink(log.append)
    if way == "emit":
        source.emit(1)
    elif way == "metadata":
        source.emit(1, metadata=[{}])
    else:
        source.emit_many([1] if way == "emit_many" else iter([1]))
    assert log == [None, "goes on", 1, "late"]


@every_interrupt
def test_an_interrupting_emit_comes_behind_the_step_when_not_compiled(
    interrupt: Callable[[Callable[[], object]], None], with_a_lock: None
) -> None:
    test_an_emit_that_interrupts_a_step_comes_behind_it(interrupt, "emit")


@every_interrupt
async def test_an_emit_that_interrupts_a_step_on_a_loop_comes_behind_it(
    interrupt: Callable[[Callable[[], object]], None],
) -> None:
    log: list[Any] = []
    source = Stream[Any](asynchronous=True)

    def step(x: Any) -> Any:
        if x == 1:
            interrupt(lambda: source.emit("late"))
            log.append("goes on")
        return x

    source.map(step).sink(log.append)
    await source.emit(1)
    await source.close()
    assert log == ["goes on", 1, "late"]


def test_an_ordinary_emit_from_within_a_step_is_not_put_off() -> None:
    log: list[Any] = []
    source = Stream[int]()
    source.sink(log.append)
    source.filter(bool).map(lambda x: x - 1).sink(source.emit)
    source.emit(3)
    assert log == [3, 2, 1, 0]


def test_an_emit_from_within_a_handler_feeds_back_as_ever() -> None:
    log: list[Any] = []
    source = Stream[int]()
    source.sink(log.append)
    source.filter(bool).map(lambda x: x - 1).sink(source.emit)
    by_signal(lambda: source.emit(3))
    assert log == [3, 2, 1, 0]


@every_interrupt
def test_what_fails_in_an_interrupting_emit_is_kept(
    interrupt: Callable[[Callable[[], object]], None],
) -> None:
    source = Stream[Any]()

    def step(x: Any) -> Any:
        if x == 1:
            interrupt(lambda: source.emit("bad"))
        return x

    source.map(step).sink(fail_on("bad"))
    source.emit(1)
    with pytest.raises(Boom):
        source.join()


def test_a_partition_whose_elements_emit_as_they_are_collected_stays_whole() -> None:
    """The finalizer comes in while the batch becomes a tuple, or is dropped."""

    def go() -> int:
        source = Stream[Any]()
        sizes: list[int] = []
        source.partition(2).sink(lambda batch: sizes.append(len(batch)))
        left = [2_000]

        def again() -> None:
            if left[0]:
                left[0] -= 1
                source.emit(Finalized(again) if left[0] % 2 else object())

        gc.set_threshold(1)
        for _ in range(500):
            source.emit(Finalized(again))
        gc.set_threshold(*threshold)
        assert set(sizes) == {2}
        left[0] = 0
        source.close()
        return sum(sizes)

    threshold = gc.get_threshold()
    try:
        assert bounded(go) > 1_000
    finally:
        gc.set_threshold(*threshold)


PLAIN = """
import os, signal, sys, threading, time
from rapidz import Stream
from rapidz.kernel.runtime import pipeline_lock
from rapidz.kernel.compile import emit
if {locked}:
    pipeline_lock.ATOMIC = emit.ATOMIC = False
sys.setswitchinterval(1e-5)
source, seen, handled = Stream(), [], [0]
total = source.partition(1).pluck(0).sink(seen.append)
def handler(*_):
    handled[0] += 1
    source.emit(-handled[0])
    if time.monotonic() < end:
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
{setup}
signal.signal(signal.SIGALRM, handler)
count = [0] * 3
end = time.monotonic() + 1
def feed(me):
    while time.monotonic() < end:
        count[me] += 1
        {emit}
threads = [threading.Thread(target=feed, args=(me,), daemon=True) for me in (1, 2)]
for thread in threads: thread.start()
signal.setitimer(signal.ITIMER_REAL, 0.0003)
feed(0)
time.sleep(0.01)
signal.setitimer(signal.ITIMER_REAL, 0)
for thread in threads: thread.join(10)
source.join()
hung = any(thread.is_alive() for thread in threads)
from_handler = [-x for x in seen if x < 0]
print(hung, handled[0] > 20, sorted(from_handler) == list(range(1, handled[0] + 1)))
print([sum(x == me for x in seen) for me in (10, 11, 12)] == count)
os._exit(0)
"""

BACKGROUND = "source = Stream(asynchronous=False); source.partition(1).pluck(0).sink(seen.append)"
QUEUED = "source = Stream(); source.buffer(5).partition(1).pluck(0).sink(seen.append)"


@needs_timers
@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize(
    ("setup", "emit"),
    [
        ("", "source.emit(10 + me)"),
        ("", "source.emit(10 + me, metadata=[{}])"),
        ("", "source.emit_many([10 + me])"),
        ("", "source.emit_many(iter([10 + me])); source.map(str)"),
        (BACKGROUND, "source.emit(10 + me)"),
        (QUEUED, "source.emit(10 + me)"),
        (QUEUED, "source.emit(10 + me); source.join()"),
    ],
)
def test_a_signal_handler_that_emits_never_deadlocks(setup: str, emit: str, locked: bool) -> None:
    if locked and setup:
        pytest.skip("the loop does the work there")
    program = PLAIN.format(locked=locked, setup=setup, emit=emit.replace("{}", "{{}}"))
    assert printed_by(program.replace("{{}}", "{}")) == ["False True True", "True"]


FINALIZERS = """
import gc, os, sys, threading, time
from rapidz import Stream
sys.setswitchinterval(1e-5)
gc.set_threshold(5)
seen, made = [], []
{setup}
class Element:
    def __init__(self):
        self.me = self
    def __del__(self):
        made.append(1)
        source.emit("collected")
end = time.monotonic() + 1
count = [0] * 3
def feed(me):
    while time.monotonic() < end:
        count[me] += 1
        Element()
        source.emit(me)
threads = [threading.Thread(target=feed, args=(me,), daemon=True) for me in (1, 2)]
for thread in threads: thread.start()
feed(0)
for thread in threads: thread.join(10)
print(any(thread.is_alive() for thread in threads))
gc.collect()
source.join()
print(len(made) > 20, seen.count("collected") == len(made))
print([seen.count(me) for me in range(3)] == count)
os._exit(0)
"""


@pytest.mark.parametrize(
    "setup",
    [
        "source = Stream(); source.partition(1).pluck(0).sink(seen.append)",
        "source = Stream(asynchronous=False); source.partition(1).pluck(0).sink(seen.append)",
        "source = Stream(); source.buffer(5).sink(seen.append)",
    ],
)
def test_a_finalizer_that_emits_never_deadlocks(setup: str) -> None:
    assert printed_by(FINALIZERS.format(setup=setup)) == ["False", "True True", "True"]


def test_the_flag_is_trusted_on_tested_versions_only() -> None:
    program = """
import sys
sys.version_info = (3, 99, 0, "final", 0)
from rapidz.kernel.runtime import pipeline_lock
from rapidz import Stream
source = Stream()
seen = source.map(str).sink_to_list()
source.emit(1)
print(pipeline_lock.ATOMIC, seen, "emit" in vars(source))
"""
    assert printed_by(program) == ["False ['1'] False"]


class InterruptedCell(dict[int, Any]):
    """Runs one of *actions* whenever the lock was taken, or is about to be released."""

    def __init__(self, *, taken: bool, actions: list[Callable[[], object]]) -> None:
        super().__init__()
        self.taken, self.actions = taken, actions

    def setdefault(self, key: int, default: Any = None) -> Any:
        found = super().setdefault(key, default)
        if self.taken and found is default and self.actions:
            self.actions.pop(0)()
        return found

    def pop(self, *args: Any) -> Any:
        if not self.taken and self.actions:
            self.actions.pop(0)()
        return super().pop(*args)


@pytest.mark.parametrize("interrupt", [by_finalizer, by_weak_reference, by_callback, by_garbage])
@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("many", [True, False])
def test_an_interrupt_as_the_lock_changes_hands_is_deferred(
    interrupt: Callable[[Callable[[], object]], None], taken: bool, many: bool, with_a_lock: None
) -> None:
    source = Stream[Any]()
    log: list[Any] = []
    actions: list[Callable[[], object]] = []

    def emit(x: Any) -> object:
        return source.emit_many([x]) if many else source.emit(x)

    def step(x: Any) -> Any:
        if x == 1:
            for late in "ab":
                interrupt(functools.partial(emit, late))
            actions.append(lambda: interrupt(lambda: emit("c")))
            log.append("goes on")
        return x

    source.map(step).sink(log.append)
    source.emit(0)
    source._pipeline.lock._cell = InterruptedCell(taken=taken, actions=actions)
    bounded(lambda: source.emit(1))
    assert log == [0, "goes on", 1, "a", "b", "c"]
    assert not source._pipeline.lock._cell


def test_a_lock_that_an_interruption_has_just_taken_is_abandoned(with_a_lock: None) -> None:
    def leave() -> None:
        raise KeyboardInterrupt

    source = Stream[Any]()
    log = source.sink_to_list()
    source._pipeline.lock._cell = InterruptedCell(taken=True, actions=[leave])
    with pytest.raises(KeyboardInterrupt):
        source.emit(1)
    bounded(lambda: source.emit(2))
    assert log == [2]


@pytest.mark.parametrize("locked", [True, False])
def test_a_lock_that_was_lent_is_not_abandoned(
    monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    monkeypatch.setattr(turns, "ATOMIC", not locked)
    lock, entered = turns.PipelineLock(), threading.Event()

    def enter() -> None:
        with lock:
            entered.set()

    with lock:
        lock.wait(0.01)
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(2.5 * turns.PATIENCE)
        assert lock.is_on_stack()
    thread.join(10)
    assert entered.is_set()


def test_threads_exclude_each_other_without_the_flag(with_a_lock: None) -> None:
    source = Stream[int]()
    inside, most, seen = [0], [0], [0]

    def step(x: int) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        sum(range(50))
        seen[0] += 1
        inside[0] -= 1

    source.sink(step)

    def feed() -> None:
        for x in range(300):
            source.emit(x)

    def go() -> None:
        threads = [threading.Thread(target=feed) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    bounded(go)
    assert (most, seen) == ([1], [1200])


@pytest.mark.parametrize("interrupt", [by_finalizer, by_weak_reference, by_garbage, by_signal])
def test_an_interrupt_does_not_wait_for_a_loop_that_waits_for_it(
    interrupt: Callable[[Callable[[], object]], None],
) -> None:
    """The sink, on the background loop, needs a lock that the interrupted code has."""
    lock, seen = threading.Lock(), list[Any]()

    def write(x: Any) -> None:
        with lock:
            seen.append(x)

    source = Stream[Any](asynchronous=False)
    source.sink(write)
    source.emit("first")

    def interrupted() -> None:
        with lock:
            interrupt(lambda: source.emit("interrupt"))

    if interrupt is by_signal:  # only the main thread handles signals
        interrupted()
    else:
        bounded(interrupted)
    source.emit("last")
    source.close()
    assert seen == ["first", "interrupt", "last"]


@needs_timers
def test_signals_that_come_while_an_emit_blocks_do_not_pile_up() -> None:
    """A handler that interrupts the wait of another emit leaves at once."""
    deepest, depth, sent = printed_by(
        """
import signal, time
from rapidz import Stream
def slow(x):
    if x == "main":
        time.sleep(0.3)
    out.append(x)
source, out, sent = Stream(asynchronous=False), [], []
source.sink(slow)
source.emit("first")
deepest = depth = 0
def handler(number, frame):
    global deepest, depth
    depth += 1
    deepest = max(deepest, depth)
    sent.append(len(sent))
    source.emit(sent[-1])
    depth -= 1
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
source.emit("main")
signal.setitimer(signal.ITIMER_REAL, 0)
source.close()
assert sorted(map(str, out)) == sorted(map(str, ["first", "main", *sent])), out
print(deepest, depth, len(sent))
"""
    )[0].split()
    assert int(deepest) <= 2
    assert int(depth) == 0
    assert int(sent) > 5
