"""Timestamps that lie in the future."""

from __future__ import annotations

from typing import Any

import pytest

from rapidz import Count, Stream


@pytest.mark.parametrize("needs_loop", [False, True])
async def test_an_element_from_the_future_is_late_and_moves_nothing(needs_loop: bool) -> None:
    source = Stream[Any](asynchronous=True)
    timed = source.event_time(0, ahead="1h")
    ahead = timed.late.sink_to_list()
    node = (timed.buffer(5) if needs_loop else timed).tumbling("1 min").aggregate(n=Count())
    results = node.sink_to_list()
    for t in (1, 3602, 2, 3598, 3599):  # the wall clock of virtual time begins at 0
        await source.emit((t,))
    await source.close()
    assert [(late.element, late.reason) for late in ahead] == [((3602,), "future")]
    assert ahead[0].by > 0
    assert timed.late_count == 1
    assert [(r.start, r.value["n"]) for r in results] == [(0, 2), (3540, 2)]
