"""What type checkers make of a pipeline: mypy and pyright check this file, pytest runs it.

A line that must be refused carries both ignores: were it accepted, mypy would report the one that
is not needed, and `test_checkers.py` the other.
"""

from __future__ import annotations

import operator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple, TypeGuard, assert_type

import pytest

import rapidz
import rapidz.runner
from rapidz import Failure, Stream
from rapidz.parallel import ParallelStream


class Row(NamedTuple):
    name: str
    size: int


def length(x: str) -> int:
    return len(x)


def scaled(x: int, factor: float, *, digits: int = 1) -> float:
    return round(x * factor, digits)


async def fetched(x: int) -> bytes:
    return bytes(x)


def described(name: str, size: int) -> str:
    return f"{name}: {size}"


def counted(counts: dict[str, int], x: str) -> dict[str, int]:
    return {**counts, x: counts.get(x, 0) + 1}


async def counted_later(counts: dict[str, int], x: str) -> dict[str, int]:
    return counted(counts, x)


def numbered(n: int, x: str) -> tuple[int, bytes]:
    return n + 1, x.encode()


def is_row(x: object) -> TypeGuard[Row]:
    return isinstance(x, Row)


def test_a_stream_without_a_word_carries_anything() -> None:
    source = Stream()
    assert_type(source, Stream[Any])
    assert_type(source.map(length), Stream[int])
    assert_type(source.accumulate(operator.add), Stream[Any])
    assert_type(source.starmap(described), Stream[str])
    assert_type(source.flatten(), Stream[Any])


def test_emit_takes_the_elements_of_the_stream_only() -> None:
    source = Stream[int]()
    source.emit(1)
    source.emit("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.emit_many([1, 2])
    source.emit_many("ab")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_map_gives_what_the_function_returns() -> None:
    source = Stream[int]()
    assert_type(source.map(str), Stream[str])
    assert_type(source.map(lambda x: [x]), Stream[list[int]])
    assert_type(source.map(fetched), Stream[bytes])
    assert_type(source.map_async(fetched), Stream[bytes])
    assert_type(source.map_async(fetched, parallelism=3), Stream[bytes])


def test_map_checks_the_further_arguments_of_its_function() -> None:
    source = Stream[int]()
    assert_type(source.map(scaled, 2.5), Stream[float])
    assert_type(source.map(scaled, 2.5, digits=2), Stream[float])
    assert_type(source.map(scaled, 2.5, stream_name="scaled"), Stream[float])
    source.map(scaled, "2")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_function_of_something_else_is_refused() -> None:
    source = Stream[int]()
    source.filter(length)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    source.sink(length)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    source.remove(length)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source.accumulate(counted, {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_what_passes_a_filter_is_what_came() -> None:
    source = Stream[str]()
    assert_type(source.filter(str.isdigit), Stream[str])
    assert_type(source.filter(str.startswith, "a"), Stream[str])
    assert_type(source.remove(str.isdigit), Stream[str])
    assert_type(source.unique(history=2), Stream[str])
    assert_type(source.slice(1, 3), Stream[str])


def test_a_filter_may_narrow() -> None:
    assert_type(Stream[object]().filter(is_row), Stream[Row])
    assert_type(Stream[int | None]().filter(None), Stream[int])
    assert_type(Stream[int]().filter(None), Stream[int])


def test_accumulate_gives_the_state() -> None:
    source = Stream[str]()
    assert_type(source.accumulate(operator.add), Stream[str])
    assert_type(source.accumulate(lambda longest, x: max(longest, x)), Stream[str])
    assert_type(source.accumulate(lambda total, x: total + len(x), start=0), Stream[int])
    assert_type(source.accumulate(counted, start={}), Stream[dict[str, int]])
    assert_type(source.accumulate(counted_later, start={}), Stream[dict[str, int]])
    assert_type(source.scan(counted, {"a": 1}), Stream[dict[str, int]])


def test_accumulate_gives_the_result_with_the_state() -> None:
    source = Stream[str]()
    assert_type(source.accumulate(numbered, start=0, returns_state=True), Stream[bytes])
    assert_type(
        source.accumulate(numbered, start=0, returns_state=True, with_state=True),
        Stream[tuple[int, bytes]],
    )
    assert_type(
        source.accumulate(counted, start={"a": 1}, with_state=True),
        Stream[tuple[dict[str, int], dict[str, int]]],
    )


def test_elements_are_spread_into_arguments() -> None:
    rows = Stream[Row]()
    assert_type(rows.starmap(described), Stream[str])
    rows.starsink(described)
    assert_type(Stream[tuple[int, float]]().starmap(scaled, digits=2), Stream[float])
    assert_type(Stream[tuple[int, ...]]().starmap(lambda a, b: str(a + b)), Stream[str])
    assert_type(Stream[list[int]]().starmap(lambda a, b: (b, a)), Stream[tuple[int, int]])
    Stream[tuple[int, str, int, int]]().starsink(print)
    swapped = Stream[tuple[int, str]]()
    swapped.starmap(described)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    swapped.starsink(described)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_items_are_picked_by_place_and_by_key() -> None:
    rows = Stream[tuple[str, int]]()
    assert_type(rows.pluck(0), Stream[str])
    assert_type(rows.pluck(1), Stream[int])
    assert_type(rows.pluck([0, 1]), Stream[tuple[Any, ...]])
    assert_type(Stream[dict[str, float]]().pluck("x"), Stream[float])
    assert_type(Stream[list[str]]().pluck(3), Stream[str])


def test_flatten_gives_the_items() -> None:
    assert_type(Stream[list[int]]().flatten(), Stream[int])
    assert_type(Stream[dict[str, int]]().concat(), Stream[str])
    Stream[int]().flatten()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_windows_are_tuples_and_lists() -> None:
    source = Stream[int]()
    assert_type(source.partition(2, timeout="1s"), Stream[tuple[int, ...]])
    assert_type(source.partition_unique(2, keep="last"), Stream[tuple[int, ...]])
    assert_type(source.sliding_window(2), Stream[tuple[int, ...]])
    assert_type(source.sliding_window(time="5m"), Stream[tuple[int, ...]])
    assert_type(source.sliding_window(3, time=5).map(len), Stream[int])
    assert_type(source.unique(within="1h"), Stream[int])
    assert_type(source.timed_window(1, align=True), Stream[list[int]])
    assert_type(source.timed_window_unique("1s"), Stream[tuple[int, ...]])
    assert_type(source.collect().map(len), Stream[int])
    assert_type(source.collect().flatten(), Stream[int])
    assert_type(source.frequencies(), Stream[dict[int, int]])
    source.collect().flush()


def test_pace_changes_no_types() -> None:
    source = Stream[int]()
    assert_type(source.buffer(3), Stream[int])
    assert_type(source.delay("10ms", spaced=False), Stream[int])
    assert_type(source.rate_limit(0.1), Stream[int])
    assert_type(source.latest(), Stream[int])
    assert_type(source.debounce("1s").map(str), Stream[str])
    assert_type(source.throttle(1, edge="both").map(abs), Stream[int])
    assert_type(source.sample(1).dropped, int)


def test_several_streams_give_tuples() -> None:
    a, b, c = Stream[int](), Stream[str](), Stream[bytes]()
    assert_type(a.zip(b), Stream[tuple[int, str]])
    assert_type(a.zip(b, c, maxsize=3), Stream[tuple[int, str, bytes]])
    assert_type(a.zip(b, c, b, a), Stream[tuple[int, str, bytes, str, int]])
    assert_type(a.zip_latest(b, c), Stream[tuple[int, str, bytes]])
    assert_type(a.combine_latest(b, c, emit_on=[0, b]), Stream[tuple[int, str, bytes]])


def test_literals_have_a_place_in_a_zip() -> None:
    a, b = Stream[int](), Stream[str]()
    assert_type(a.zip("x"), Stream[tuple[int, str]])
    assert_type(a.zip(b, 1.5), Stream[tuple[int, str, float]])
    assert_type(a.zip(1.5, b), Stream[tuple[int, float, str]])


def test_a_union_is_one_of_all() -> None:
    a, b = Stream[int](), Stream[str]()
    assert_type(a.union(a), Stream[int])
    assert_type(a.union(b), Stream[int | str])
    assert_type(a.union(b, a, stream_name="both"), Stream[int | str])


def test_scattered_streams_are_typed_like_plain_ones() -> None:
    with ThreadPoolExecutor(1) as pool:
        source = Stream[int]()
        assert_type(source.scatter("thread").map(str).gather(), Stream[str])
        assert_type(source.scatter(pool, batch=10, ordered=False), ParallelStream[int])
        assert_type(source.scatter(pool).backend, str)
        assert_type(source.scatter(lambda: pool).zip(source).gather(), Stream[tuple[int, int]])
        with pytest.raises(ValueError, match="backend must be"):
            source.scatter("threads")  # type: ignore[call-overload]  # pyright: ignore
        with pytest.raises(ValueError, match="batch must be"):
            source.scatter("thread", batch="all")  # type: ignore[call-overload]  # pyright: ignore


def test_a_chain_can_be_built_in_one_variable() -> None:
    node = Stream[int]()
    for _ in range(2):
        node = node.map(abs).filter(None).buffer(2)
    assert_type(node, Stream[int])


def test_a_list_holds_the_elements() -> None:
    source = Stream[int]()
    assert_type(source.map(str).sink_to_list(), list[str])
    source.sink(print, sep="")


def test_failures_are_a_stream() -> None:
    source = Stream[int]()
    assert_type(source.errors, Stream[Failure])
    assert_type(source.on_error("skip"), Stream[int])


def test_misspelled_options_are_refused() -> None:
    source = Stream[int]()
    with pytest.raises(TypeError, match="streamname"):
        source.buffer(1, streamname="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="n must be"):
        source.buffer("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_sources_declare_what_they_emit(tmp_path: Path) -> None:
    assert_type(Stream.from_iterable("ab").map(length), Stream[int])
    assert_type(Stream.from_periodic(lambda: 1).map(str), Stream[str])
    assert_type(Stream.from_q(Queue[int]()).map(fetched), Stream[bytes])
    assert_type(Stream.filenames(tmp_path).sink_to_list(), list[str])
    assert_type(Stream.from_iterable([1]).stopped, bool)


def test_runs_say_what_has_ended_them() -> None:
    source = Stream.from_iterable([1])
    streams = {"source": source, "more": [source]}
    assert_type(rapidz.run(source, streams, for_="1s"), rapidz.runner.EndReason)
    with pytest.raises(TypeError, match="run: streams must be streams"):
        rapidz.run(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
