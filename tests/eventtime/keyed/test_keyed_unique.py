"""unique of a keyed stream: elements whose key has not occurred lately."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support import Way, emitted, numbers, send, ways

from rapidz import Stream
from rapidz.testing import record, run

Row = tuple[str, int]


@given(numbers, st.none() | st.integers(1, 3), ways)
def test_keyed_unique_is_the_plain_one_by_key(xs: list[int], most: int | None, way: Way) -> None:
    for argument in ("history", "maxsize"):
        bound: dict[str, Any] = {argument: most}
        plain = emitted(lambda s, b=bound: s.unique(key=abs, **b), xs, way)  # type: ignore[misc]
        assert emitted(lambda s, b=bound: s.key_by(abs).unique(**b), xs, way) == plain  # type: ignore[misc]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=20), ways)
def test_unique_within_goes_by_event_time(xs: list[Row], way: Way) -> None:
    expected, last = [], dict[str, int]()
    for key, ts in xs:
        if key not in last or ts - last[key] >= 7:
            expected.append((key, ts))
            last[key] = ts
    build: Any = lambda s: s.event_time(1, lag=30).key_by(0).unique(within=7)  # noqa: E731
    assert emitted(build, xs, way) == expected


def test_unique_within_goes_by_the_clock_without_event_time() -> None:
    async def main() -> list[Any]:
        async with Stream[str](asynchronous=True) as alarms:
            log: list[Any] = record(alarms.key_by(None).unique(within="1h"))
            for alarm in ("hot", "wet", "hot", "hot"):
                await send(alarms, alarm)
                await asyncio.sleep(1800)
        return log

    assert run(main()) == [(0.0, "hot"), (1800.0, "wet"), (3600.0, "hot")]


def test_keys_that_unique_forgets_are_evicted() -> None:
    source = Stream[Row]()
    node = source.event_time(1).key_by(0).unique(within=5)
    seen, evicted = node.sink_to_list(), node.evicted.sink_to_list()
    source.emit_many([("a", 0), ("a", 4), ("b", 5), ("a", 6)])
    assert seen == [("a", 0), ("b", 5), ("a", 6)]
    assert evicted == [("a", None)]
    assert dict(node.state) == {"b": None, "a": None}
