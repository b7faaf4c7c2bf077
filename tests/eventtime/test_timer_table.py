"""TimerTable: one timer per key and name, in order of instants, then of setting."""

from __future__ import annotations

from operator import itemgetter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from rapidz.eventtime.timer_table import TimerTable
from rapidz.eventtime.wheel import NEVER

END = 1 << 80

keys = st.sampled_from(["a", "b", 3])
names = st.sampled_from([None, "x"])
instants = st.integers(-30, 30)


class TableModel(RuleBasedStateMachine):
    """A table and a dict of instants with the number of the call that set them."""

    def __init__(self) -> None:
        super().__init__()
        self.table = TimerTable(tick=10)
        self.timers: dict[tuple[object, object], tuple[int, int]] = {}
        self.calls = 0

    def in_order(self) -> list[tuple[int, object, object]]:
        ordered = sorted(self.timers.items(), key=itemgetter(1))
        return [(t, key, name) for (key, name), (t, _) in ordered]

    @rule(key=keys, name=names, t=instants)
    def set(self, key: str | int, name: str | None, t: int) -> None:
        self.calls += 1
        assert self.table.set(key, name, t) is ((key, name) not in self.timers)
        self.timers[key, name] = t, self.calls

    @rule(key=keys, name=names)
    def cancel(self, key: str | int, name: str | None) -> None:
        was_set = self.timers.pop((key, name), None) is not None
        assert self.table.cancel(key, name) is was_set

    @rule(watermark=instants)
    def pop(self, watermark: int) -> None:
        due = [timer for timer in self.in_order() if timer[0] <= watermark]
        assert self.table.pop(watermark) == (due[0] if due else None)
        if due:
            del self.timers[due[0][1:]]

    @rule(watermark=instants | st.just(END))
    def pop_all(self, watermark: int) -> None:
        due = [timer for timer in self.in_order() if timer[0] <= watermark]
        assert [self.table.pop(watermark) for _ in due] == due
        assert self.table.pop(watermark) is None
        assert self.table.next() > watermark
        for _, key, name in due:
            del self.timers[key, name]

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.timers.clear()

    @invariant()
    def has_the_timers_of_the_model(self) -> None:
        assert len(self.table) == len(self.timers)
        assert list(self.table) == self.in_order()
        for (key, name), (t, _) in self.timers.items():
            assert self.table.get(key, name) == t
        earliest = min((t for t, _ in self.timers.values()), default=NEVER)
        assert self.table.next() <= earliest


def test_timer_table_is_a_dict_of_instants() -> None:
    run_state_machine_as_test(
        TableModel, settings=settings(max_examples=80, stateful_step_count=30, deadline=None)
    )


@pytest.mark.soak
def test_timer_table_is_a_dict_of_instants_in_ten_thousand_cases() -> None:
    run_state_machine_as_test(
        TableModel, settings=settings(max_examples=10_000, stateful_step_count=40, deadline=None)
    )


def test_a_timer_that_is_set_again_counts_as_set_last() -> None:
    table = TimerTable()
    table.set("a", None, 5)
    table.set("b", None, 5)
    table.set("a", None, 5)
    assert [timer.key for timer in table] == ["b", "a"]
    assert [table.pop(5), table.pop(5)] == [(5, "b", None), (5, "a", None)]


def test_a_due_timer_that_is_cancelled_does_not_come() -> None:
    table = TimerTable()
    for key in "abc":
        table.set(key, None, 5)
    assert table.pop(9) == (5, "a", None)
    table.cancel("b", None)
    table.set("c", None, 12)
    table.set("d", None, 7)
    assert [table.pop(9), table.pop(9)] == [(7, "d", None), None]
    assert table.pop(12) == (12, "c", None)


def test_timers_that_are_moved_with_each_element_leave_nothing() -> None:
    """Pitfall FLINK-4207: moving and cancelling timers is neither a walk nor a leak."""
    table = TimerTable(tick=10)
    for t in range(20_000):
        table.set("moved later", None, t + 1_000_000)
        table.set("moved earlier", None, -t)
        table.set("cancelled", None, t)
        table.cancel("cancelled", None)
    assert len(table) == 2
    assert len(table._wheel) <= 1100
    assert [table.pop(END), table.pop(END), table.pop(END)] == [
        (-19_999, "moved earlier", None),
        (1_019_999, "moved later", None),
        None,
    ]


def test_a_long_silence_fires_each_timer_once() -> None:
    """Pitfall beam#12551: many timers are due at once after a jump of the watermark."""
    table = TimerTable()
    for i in range(10_000):
        table.set(i % 5000, None, 10**9 * i)
    fired = iter(lambda: table.pop(10**18), None)
    assert [timer.t for timer in fired] == [10**9 * i for i in range(5000, 10_000)]
