"""Offsets of the Kafka sources: what may be committed, and where a partition goes on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rapidz.connectors.kafka.offsets import Commit, Offsets


def begin(offset: int | None = None, committed: int | None = None) -> Offsets:
    offsets = Offsets()
    offsets.assign("t", 0, offset, committed)
    return offsets


@given(st.permutations(range(8)), st.integers(0, 8))
def test_only_the_prefix_that_is_done_is_committed(order: list[int], n: int) -> None:
    offsets = begin(0)
    at = offsets.find("t", 0, 0)
    assert at is not None
    tickets = [at.advance(x, x) for x in range(8)]
    for x in order[:n]:
        tickets[x]()
    done = next(x for x in range(9) if x not in order[:n])
    assert offsets.due() == ([Commit("t", 0, done)] if done else [])
    assert offsets.pending == 8 - done
    assert offsets.position() == {"t": {0: 8}}


def test_an_offset_is_committed_once_unless_it_is_refused() -> None:
    offsets = begin(0)
    at = offsets.find("t", 0, 0)
    assert at is not None
    at.advance(0, 4)()
    due = offsets.due()
    offsets.note_asked(due)
    assert (due, offsets.due()) == ([Commit("t", 0, 5)], [])
    offsets.note_refused([("t", 0)])
    assert offsets.due() == due
    offsets.note_asked(due)
    offsets.note_committed(due)
    assert (offsets.due(), at.committed) == ([], 5)


def test_a_partition_that_returns_goes_on_where_it_was() -> None:
    offsets = begin(10, committed=10)
    at = offsets.find("t", 0, 0)
    assert at is not None
    ticket = at.advance(10, 14)
    offsets.revoke([("t", 0)])
    ticket()
    assert offsets.find("t", 0, offsets.epoch) is None
    assert (offsets.due(), offsets.position(), offsets.pending) == ([], {}, 0)
    assert offsets.resume("t", 0, committed=12) is None
    assert offsets.resume("t", 0, committed=10) == 15
    assert offsets.due() == [Commit("t", 0, 15)]
    assert offsets.find("t", 0, 0) is None  # what was read before it was revoked
    assert offsets.find("t", 0, offsets.epoch) is at


def test_a_log_that_begins_anew_is_committed_anew() -> None:
    offsets = begin(50, committed=50)
    at = offsets.find("t", 0, 0)
    assert at is not None
    lost = at.advance(50, 59)
    at.advance(0, 4)()
    assert offsets.due() == [Commit("t", 0, 5)]
    lost()
    assert offsets.due() == [Commit("t", 0, 5)]


def test_a_run_after_a_failure_forgets_what_was_in_flight() -> None:
    for fresh, expected in ((False, 5), (True, None)):
        offsets = begin(0)
        at = offsets.find("t", 0, 0)
        assert at is not None
        at.advance(0, 4)
        offsets.begin_run(fresh)
        assert offsets.resume("t", 0, None) == expected
