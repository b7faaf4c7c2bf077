"""Wheel: a timing wheel gives what is due, exactly, in order of time and of adding."""

from __future__ import annotations

from operator import itemgetter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from rapidz.eventtime.wheel import NEVER, Wheel

END = 1 << 80
S = 1_000_000_000

near = st.integers(-40, 40)
instants = near | near.map(lambda t: t * 10) | st.integers(-(1 << 70), 1 << 70)


class WheelModel(RuleBasedStateMachine):
    """A wheel and a list that is sorted at each step."""

    @initialize(tick=st.sampled_from([1, 7, 10, 50, 50, 1000, S]))
    def start(self, tick: int) -> None:
        self.tick = tick
        self.wheel: Wheel[str] = Wheel(tick)
        self.entries: list[tuple[int, str]] = []
        self.numbers = iter(range(1_000_000))
        self.taken_up_to = -NEVER

    @rule(t=instants)
    def add(self, t: int) -> None:
        entry = f"entry {next(self.numbers)}"
        over = self.wheel.add(t, entry)
        self.entries.append((t, entry))
        self.taken_up_to = min(self.taken_up_to, t - 1)
        assert t <= over < t + self.tick
        assert over % self.tick == 0

    @rule(ts=st.lists(instants, max_size=8))
    def add_all(self, ts: list[int]) -> None:
        timed = [(t, f"entry {next(self.numbers)}") for t in ts]
        self.wheel.add_all(timed)
        self.entries += timed
        self.taken_up_to = min([self.taken_up_to, *(t - 1 for t in ts)])

    @rule(t=instants, n=st.integers(2, 30))
    def add_many_at_one_instant(self, t: int, n: int) -> None:
        for _ in range(n):
            self.add(t)

    @rule(data=st.data())
    def add_again(self, data: st.DataObject) -> None:
        """The same object twice, for one instant or for two."""
        if self.entries:
            t, entry = data.draw(st.sampled_from(self.entries))
            t += data.draw(st.integers(0, 3))
            self.wheel.add(t, entry)
            self.entries.append((t, entry))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.entries:
            timed = data.draw(st.sampled_from(self.entries))
            self.wheel.cancel(*timed)
            self.entries.remove(timed)

    @rule(watermark=instants)
    def take(self, watermark: int) -> None:
        due = [timed for timed in self.entries if timed[0] <= watermark]
        assert self.wheel.take(watermark) == sorted(due, key=itemgetter(0))
        self.entries = [timed for timed in self.entries if timed[0] > watermark]
        self.taken_up_to = watermark

    @rule()
    def take_all(self) -> None:
        self.take(END)
        assert self.wheel.next() == self.wheel.next_tick() == NEVER

    @rule()
    def clear(self) -> None:
        self.wheel.clear()
        self.entries.clear()

    @invariant()
    def has_the_entries_of_the_model(self) -> None:
        if not hasattr(self, "wheel"):
            return
        assert len(self.wheel) == len(self.entries)
        assert list(self.wheel) == sorted(self.entries, key=itemgetter(0))

    @invariant()
    def knows_when_to_look_again(self) -> None:
        if not hasattr(self, "wheel"):
            return
        earliest = min((t for t, _ in self.entries), default=NEVER)
        assert self.taken_up_to < self.wheel.next() <= earliest
        assert self.wheel.next_tick() <= -(-earliest // self.tick) * self.tick


def test_wheel_is_a_sorted_list() -> None:
    run_state_machine_as_test(
        WheelModel, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )


@pytest.mark.soak
def test_wheel_is_a_sorted_list_in_ten_thousand_cases() -> None:
    run_state_machine_as_test(
        WheelModel, settings=settings(max_examples=10_000, stateful_step_count=40, deadline=None)
    )


def test_an_entry_is_due_at_its_instant_and_not_before() -> None:
    wheel: Wheel[str] = Wheel(10)
    wheel.add(15, "x")
    assert wheel.take(14) == []
    assert wheel.take(15) == [(15, "x")]


def test_an_instant_on_the_tick_ends_its_bucket() -> None:
    """Pitfall KAFKA-8289: off by one at the ends of sessions."""
    wheel: Wheel[str] = Wheel(10)
    assert [wheel.add(t, "") for t in (-10, -9, 0, 1, 10, 11)] == [-10, 0, 0, 10, 10, 20]


def test_equal_instants_come_in_the_order_of_adding() -> None:
    wheel: Wheel[int] = Wheel(10)
    for entry in range(5):
        wheel.add(7, entry)
    wheel.add(3, -1)
    assert wheel.take(3) == [(3, -1)]  # the bucket is sorted from now on
    wheel.add(7, 5)
    assert [entry for _, entry in wheel.take(7)] == [0, 1, 2, 3, 4, 5]


def test_an_entry_may_be_added_to_the_bucket_that_is_being_taken() -> None:
    wheel: Wheel[str] = Wheel(50)
    for t in (-25, -10):
        wheel.add(t, "")
    assert [t for t, _ in wheel.take(-20)] == [-25]
    for t in (-3, -12, -30):
        wheel.add(t, "")
    assert [[t for t, _ in wheel.take(w)] for w in (-11, -5, 0)] == [[-30, -12], [-10], [-3]]


def test_entries_need_neither_order_nor_hash() -> None:
    wheel: Wheel[dict[str, int]] = Wheel(10)
    first, second = {"a": 1}, {"a": 1}
    wheel.add(5, first)
    wheel.add(5, second)
    wheel.cancel(5, second)
    ((_, left),) = wheel.take(5)
    assert left is first


def test_instants_far_from_the_epoch_are_exact() -> None:
    """Pitfall bytewax#413: alignment far from the epoch loses data."""
    wheel: Wheel[str] = Wheel(1000 * S)
    year_9999 = 253_402_300_799 * S + 999_999_999
    for t in (year_9999, year_9999 - 1, -year_9999):
        wheel.add(t, str(t))
    assert wheel.take(-year_9999 - 1) == []
    assert wheel.take(year_9999 - 2) == [(-year_9999, str(-year_9999))]
    assert wheel.take(year_9999 - 1) == [(year_9999 - 1, str(year_9999 - 1))]
    assert wheel.take(END) == [(year_9999, str(year_9999))]


def test_a_jump_over_empty_buckets_costs_the_same_as_a_step() -> None:
    """Pitfall beam#12551: a jump of the watermark; 10 ** 21 empty buckets would never end."""
    wheel: Wheel[str] = Wheel(1)
    wheel.add(0, "a")
    wheel.add(10**21, "b")
    assert wheel.take(10**22) == [(0, "a"), (10**21, "b")]


def test_cancelled_entries_do_not_pile_up() -> None:
    """Pitfall FLINK-4207: cancelling is no walk through the list, nor a leak."""
    wheel: Wheel[object] = Wheel(10)
    entry = object()
    wheel.add(5, entry)
    for t in range(20_000):
        wheel.add(1_000_000 + t // 3, entry)
        wheel.cancel(1_000_000 + t // 3, entry)
    assert len(wheel) == 1
    assert wheel._count() <= 4096
    assert wheel.take(END) == [(5, entry)]


def test_a_tick_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Wheel: tick must be an int >= 1, got 0$"):
        Wheel(0)
