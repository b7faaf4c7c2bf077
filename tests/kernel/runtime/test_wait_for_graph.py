"""Deadlock detection: threads that wait for capacity enter or raise."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from rapidz import BackPressureError, Stream
from rapidz.kernel.runtime.pipeline_lock import PipelineLock

modes = pytest.mark.parametrize(
    "asynchronous", [pytest.param(None, id="plain"), pytest.param(False, id="threaded")]
)


@modes
def test_threads_that_all_wait_for_each_other_are_refused(asynchronous: bool | None) -> None:
    a, b = Stream[int](asynchronous=asynchronous), Stream[int](asynchronous=asynchronous)
    pairs = a.zip(b, maxsize=1).sink_to_list()
    both_known = threading.Barrier(3)
    outcomes: Counter[str] = Counter()

    def emit() -> None:
        a.emit(0)
        both_known.wait(20)
        try:
            while True:
                a.emit(1)
        except BackPressureError:
            outcomes["refused"] += 1

    a.emit(0)
    threads = [threading.Thread(target=emit, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        b.emit(0)
    both_known.wait(20)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert outcomes == {"refused": 2}
    assert pairs == [(0, 0)] * 3


def test_the_turn_is_lent_until_something_changes() -> None:
    turn = PipelineLock()
    woken: list[bool] = []
    lent = threading.Event()

    def lend() -> None:
        with turn:
            lent.set()
            woken.append(turn.wait(0.01))
            woken.append(turn.wait(20))

    thread = threading.Thread(target=lend)
    thread.start()
    lent.wait(20)
    while not woken:
        with turn:
            pass  # that others have had the turn is no change
    while thread.is_alive():
        turn.notify()
        thread.join(0.01)
    assert woken == [False, True]
