"""What keeps the watermark back, in words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rapidz import Count, Stream


def test_the_slowest_input_is_named() -> None:
    first, second = Stream[Any](), Stream[Any]()
    fast = first.event_time(0, stream_name="fast")
    slow = second.event_time(0, lag=3, stream_name="slow")
    node = fast.union(slow).tumbling(10).aggregate(n=Count())
    node.sink(print)
    first.emit((100,))
    second.emit((5,))
    assert node.upstreams[0].held_by() == (
        "the watermark is 2: <slow; event_time> has 5 as its newest timestamp, and a lag of 3"
    )
    second.close()
    assert node.upstreams[0].held_by() == (
        "the watermark is 100: <fast; event_time> has 100 as its newest timestamp"
    )
    first.close()
    assert "has ended" in node.upstreams[0].held_by()


def test_an_open_window_says_what_it_waits_for() -> None:
    source = Stream[Any]()
    node = source.event_time(0, lag=10).tumbling(60).aggregate(n=Count())
    seen = node.sink_to_list()
    assert node.why_open() == "<tumbling> has no open window"
    source.emit_many([(55,), (62,)])
    source.flush()
    assert node.why_open(seen[1]).startswith("the window from 60 to 120 closes when")
    assert node.why_open((0, 60)) == (
        "the window from 0 to 60 closes when the watermark is 60; "
        "the watermark is 52: <event_time> has 62 as its newest timestamp, and a lag of 10"
    )
    source.emit((70,))
    assert node.why_open((0, 60)) == "the window from 0 to 60 is closed"
    assert node.why_open((240, 300)) == "the window from 240 to 300 has no elements yet"
    assert repr(node) == "<tumbling: 1 open, 0 late>"
    source.close()


async def test_a_node_with_elements_in_flight_is_named() -> None:
    source = Stream[Any](asynchronous=True)
    go = asyncio.Event()

    async def wait(x: Any) -> Any:
        await go.wait()
        return x

    node = source.event_time(0).map(wait).tumbling(10).aggregate(n=Count())
    node.sink(lambda r: None)
    source.emit((1,))
    source.emit((50,))
    await asyncio.sleep(0)
    text = node.why_open((0, 10))
    assert text == "the window from 0 to 10 has no elements yet"
    assert "<map: wait> has 2 elements in flight" in node.upstreams[0].held_by()
    go.set()
    await source.close()


async def test_it_says_for_how_long_no_later_element_has_come() -> None:
    source = Stream[Any](asynchronous=True)
    node = source.event_time(0, idle="1 h").tumbling(10).aggregate(n=Count())
    node.sink(lambda r: None)
    await source.emit((1,))
    await asyncio.sleep(250)
    assert node.why_open().endswith("no later one has come for 4 min")
    await source.close()


def test_only_windows_can_be_asked_why_they_are_open() -> None:
    with pytest.raises(TypeError, match="why_open: stream must be a node of windows"):
        Stream[Any]().why_open()
    assert "no `event_time` upstream" in Stream[Any]().held_by()


def test_windows_without_an_upstream_say_so() -> None:
    source = Stream[Any]()
    timed = source.event_time(0)
    node = timed.tumbling(10).aggregate(n=Count())
    node.sink(lambda result: None)
    source.emit((1,))
    timed.disconnect(node)
    assert "<tumbling> has no upstream" in node.why_open()
    timed.connect(node)
    source.close()
