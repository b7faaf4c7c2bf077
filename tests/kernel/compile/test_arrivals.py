"""Counts of arrivals: compiled in where they were asked for, and nowhere else."""

from __future__ import annotations

import asyncio

import pytest

from rapidz import Stream


def test_elements_are_counted_where_they_arrive() -> None:
    source: Stream[int] = Stream()
    even = source.filter(lambda x: x % 2 == 0)
    node = even.sink(lambda x: None)
    arrivals, filtered = even._count_arrivals(), node._count_arrivals()
    source.emit(1)
    source.emit_many(range(10))
    assert (arrivals, filtered) == ({0: [11]}, {0: [5]})


def test_an_element_that_fails_has_arrived() -> None:
    source: Stream[int] = Stream()
    inverse = source.map(lambda x: 1 / x)
    node = inverse.sink(lambda x: None)
    arrivals, inverted = inverse._count_arrivals(), node._count_arrivals()
    with pytest.raises(ZeroDivisionError):
        source.emit(0)
    source.emit(1)
    assert (arrivals, inverted) == ({0: [2]}, {0: [1]})


def test_a_retry_is_no_arrival() -> None:
    source: Stream[int] = Stream()
    inverse = source.map(lambda x: 1 / x).on_error("skip")
    arrivals = inverse.sink(lambda x: None)._count_arrivals()
    failing = inverse._count_arrivals()
    source.emit_many([0, 1])
    assert (failing, arrivals) == ({0: [2]}, {0: [1]})


def test_each_input_of_a_node_has_a_count() -> None:
    left: Stream[int] = Stream()
    right: Stream[int] = Stream()
    both = left.union(right)
    node = both.sink(lambda x: None)
    arrivals = both._count_arrivals()
    left.emit_many(range(3))
    right.emit(1)
    assert arrivals == {0: [3], 1: [1]}
    assert node._count_arrivals() == {0: [0]}
    right.emit(2)
    assert node._count_arrivals() == {0: [1]}


def test_counts_begin_when_they_are_asked_for() -> None:
    source: Stream[int] = Stream()
    node = source.sink(lambda x: None)
    source.emit(1)
    arrivals = node._count_arrivals()
    source.emit(2)
    assert arrivals == {0: [1]}
    assert node._count_arrivals() is arrivals


async def test_branches_and_queues_are_counted() -> None:
    source: Stream[int] = Stream(asynchronous=True)
    queue = source.buffer(5)
    nodes = [queue.sink(lambda x: None), source.sink(asyncio.sleep), queue]
    counts = [node._count_arrivals() for node in nodes]
    async with source:
        await source.emit_many([0, 0, 0])
    assert counts == [{0: [3]}] * 3
