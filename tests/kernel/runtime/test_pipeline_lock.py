"""Mutual exclusion: the lock of a pipeline is released whatever happens."""

from __future__ import annotations

import functools
import itertools
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import pytest
from tests.support import bounded, in_thread, printed_by

from rapidz import Stream
from rapidz.kernel.runtime import pipeline_lock

INTERRUPTED = """
import os, signal, threading, time
from rapidz import Stream
source = Stream()
source.map(str).filter(None).sink(id)
feedback = Stream()
again = feedback.map(lambda x: x - 1).filter(lambda x: x > 0)
again.connect(feedback)
def work():
    {work}
armed = False
def interrupt(*_):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0003)
interrupts, end = 0, time.monotonic() + 1
while time.monotonic() < end:
    try:
        armed = True
        work()
        armed = False
    except KeyboardInterrupt:
        interrupts += 1
signal.setitimer(signal.ITIMER_REAL, 0)
feedback.join()  # takes up what the last interruption has left
seen = []
source.sink(seen.append)
feedback.sink(seen.append)
def other():
    source.emit(3)
    feedback.emit(1)
thread = threading.Thread(target=other, daemon=True)
thread.start()
thread.join(5)
print(interrupts > 0, seen, flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no such timers here")
@pytest.mark.parametrize(
    "work",
    [
        "for _ in range(50): source.emit(1)",
        "source.emit(1, asynchronous=True)",
        "source.emit_many([1, 2, 3])",
        "source.emit_many(iter([1, 2, 3]))",
        "feedback.emit(30)",
        "source.flush()",
        "other = Stream(); source.connect(other); source.disconnect(other)",
        "source.map(str)",
    ],
)
def test_a_keyboard_interrupt_lets_other_threads_in(work: str) -> None:
    assert printed_by(INTERRUPTED.format(work=work)) == ["True [3, 1]"]


class Overlaps:
    """A sink that counts how often an element comes in while another one is inside."""

    def __init__(self) -> None:
        self.inside = self.count = self.seen = 0

    def __call__(self, counted: bool) -> None:
        self.seen += 1
        self.inside += counted
        self.count += self.inside > 1
        time.sleep(0.001)
        self.inside -= counted


@pytest.mark.parametrize("where", [slice(0, 2), slice(2, 4), slice(0, 4)])
def test_pipelines_made_one_while_threads_emit_exclude_each_other(where: slice) -> None:
    def go() -> int:
        a, b = Stream[bool](), Stream[bool]()
        nodes = [a, b, a.map(bool), b.map(bool)]
        overlaps = Overlaps()
        for node in nodes[2:]:
            node.sink(overlaps)
        one = threading.Event()

        def emitting(node: Stream[bool]) -> None:
            while not one.is_set():
                node.emit(False)
            for _ in range(10):
                node.emit(True)

        threads = [in_thread(functools.partial(emitting, node)) for node in nodes[where]]
        while overlaps.seen < 20:
            time.sleep(0.001)
        union = a.union(b)
        union.sink(id)
        one.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        return overlaps.count

    assert bounded(go) == 0


class Old(Stream[Any]):
    """A node as the old libraries had them."""

    def update(self, x: Any, who: Any = None) -> Any:
        return self._emit(x)


def deep(node: Stream[Any], nodes: int) -> Stream[Any]:
    for _ in range(nodes):
        node = Old(node)
    return node


@pytest.mark.parametrize("nodes", [5, 60])
def test_two_threads_meet_in_a_zip_after_many_legacy_nodes(nodes: int) -> None:
    def go() -> list[Any]:
        a, b = Stream[int](), Stream[int]()
        seen: list[Any] = deep(a, nodes).zip(deep(b, nodes), maxsize=1).sink_to_list()
        done = threading.Event()

        def emitting(source: Stream[int], pause: float) -> None:
            time.sleep(pause)
            for x in range(3):
                source.emit(x)

        idle = in_thread(functools.partial(done.wait, 20))
        feeds = [functools.partial(emitting, a, 0), functools.partial(emitting, b, 0.1)]
        threads = [in_thread(feed) for feed in feeds]
        for thread in threads:
            thread.join(5)
        stuck = [thread.is_alive() for thread in threads]
        done.set()
        idle.join(5)
        assert stuck == [False, False]
        return seen

    assert bounded(go) == [(x, x) for x in range(3)]


def emit_with_an_interrupt(after: int) -> int:
    """Emit for the first time in a new thread, and once more from line number *after* of the lock.

    Returns how many elements arrived.
    """
    source, other, seen = Stream[int](), Stream[int](), list[int]()
    sinks = source.sink(seen.append), other.sink(seen.append)
    lines = itertools.count()

    def interrupt(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename == pipeline_lock.__file__ and next(lines) == after:
            other.emit(2)
        return interrupt

    def work() -> None:
        sys.settrace(interrupt)
        try:
            source.emit(1)
        finally:
            sys.settrace(None)

    in_thread(work).join()
    del sinks
    return len(seen)


def test_a_thread_that_takes_its_first_lock_may_be_interrupted_at_any_line() -> None:
    arrived = [*iter(functools.partial(next, map(emit_with_an_interrupt, itertools.count())), 1)]
    assert len(arrived) > 10
    assert set(arrived) == {2}
