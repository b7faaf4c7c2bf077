"""Behaviour that the test suites of the old libraries cover."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import operator
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.compat.helpers import emit_all, eventually, inc, instants, rapidz, sources, stream, third
from tornado import gen
from tornado.ioloop import IOLoop
from tornado.queues import Queue

from rapidz import Stream
from rapidz.utils_test import gen_test

# ---------------------------------------------------------------------------- str


def add(x: int = 0, y: int = 0) -> int:
    return x + y


STRINGS: list[tuple[Callable[[], Any], str]] = [
    (lambda: stream(), "<Stream>"),
    (lambda: stream(stream_name="this is a stream"), "<this is a stream; Stream>"),
    (lambda: stream().map(add, y=10), "<map: add>"),
    (lambda: stream().map(add, stream_name="adds"), "<adds; map: add>"),
    (lambda: stream().map(lambda x: x), "<map: <lambda>>"),
    (lambda: stream().map(len), "<map: len>"),
    (lambda: stream().starmap(operator.add), "<starmap: add>"),
    (lambda: stream().filter(add), "<filter: add>"),
    (lambda: stream().filter(None), "<filter: _truthy>"),
    (lambda: stream().accumulate(operator.add), "<accumulate: add>"),
    (lambda: stream().scan(operator.add, start=0), "<accumulate: add>"),
    (lambda: stream().frequencies(), "<accumulate: update_frequencies>"),
    (lambda: stream().map_async(add), "<map_async: add>"),
    (lambda: stream().flatten(), "<flatten>"),
    (lambda: stream().concat(), "<flatten>"),
    (lambda: stream().pluck(0), "<pluck>"),
    (lambda: stream().unique(key=add), "<unique>"),
    (lambda: stream().slice(1, 5, 2), "<slice>"),
    (lambda: stream().partition(2), "<partition: 2>"),
    (lambda: stream().partition_unique(2), "<partition_unique: 2>"),
    (lambda: stream().sliding_window(3), "<sliding_window: 3>"),
    (lambda: stream().timed_window(0.05), "<timed_window: 0.05>"),
    (lambda: stream().timed_window("500ms"), "<timed_window: 0.5>"),
    (lambda: stream().timed_window_unique(5), "<timed_window_unique: 5>"),
    (lambda: stream().collect(), "<collect>"),
    (lambda: stream().buffer(3), "<buffer>"),
    (lambda: stream().delay(2), "<delay: 2>"),
    (lambda: stream().rate_limit(2), "<rate_limit: 2>"),
    (lambda: stream().latest(), "<latest>"),
    (lambda: stream().union(stream()), "<union>"),
    (lambda: stream().zip(stream()), "<zip>"),
    (lambda: stream().zip_latest(stream()), "<zip_latest>"),
    (lambda: stream().combine_latest(stream()), "<combine_latest>"),
    (lambda: stream().sink(print), "<sink: print>"),
    (lambda: stream().sink(print, stream_name="end"), "<end; sink: print>"),
    (lambda: stream().starsink(print), "<starsink: print>"),
    (lambda: rapidz.from_iterable([1]), "<from_iterable>"),
    (lambda: rapidz.from_periodic(add), "<from_periodic>"),
    (lambda: rapidz.filenames("*"), "<filenames>"),
    (lambda: rapidz.from_q(queue.Queue()), "<from_q>"),
    (lambda: third.double_it(stream()), "<double_it>"),
    (lambda: third.add_offset(stream(), stream_name="n"), "<n; add_offset>"),
]


@pytest.mark.parametrize(("build", "text"), STRINGS, ids=[text for _, text in STRINGS])
def test_nodes_read_well(build: Callable[[], Any], text: str) -> None:
    node = build()
    assert str(node) == repr(node) == text
    node.destroy()


def test_str_list_of_a_subclass_counts() -> None:
    class shown(Stream[Any]):
        str_list: ClassVar[list[str]] = ["colour"]

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.colour = "blue"
            super().__init__(*args, **kwargs)

    assert str(shown()) == "<shown: blue>"


# ------------------------------------------------------------------- documentation


@pytest.mark.parametrize("subject", [Stream, Stream()], ids=["class", "instance"])
def test_methods_show_the_docstring_of_their_operator(subject: Any) -> None:
    assert "every element" in subject.map.__doc__
    assert subject.map.__name__ == "map"
    assert "predicate" in subject.filter.__doc__
    assert subject.filter.__name__ == "filter"


# ------------------------------------------------------------------ small pipelines


def test_no_output_without_a_sink() -> None:
    assert stream().emit(1) is None


def test_arguments_after_the_function_come_after_the_element() -> None:
    s = stream()
    by_position = s.map(operator.sub, 10).sink_to_list()
    by_keyword = s.map(add, y=10).sink_to_list()
    both = s.map(lambda x, y, z=0: (x, y, z), 1, z=2).sink_to_list()
    s.emit(1)
    assert (by_position, by_keyword, both) == ([-9], [11], [(1, 1, 2)])


def test_filter_takes_arguments_and_none() -> None:
    s = stream()
    multiples = s.filter(lambda x, n, k=0: x % n == k, 3, k=1).sink_to_list()
    truthy = s.filter(None).sink_to_list()
    rest = s.remove(lambda x: x % 2).sink_to_list()
    emit_all(s, range(5))
    assert (multiples, truthy, rest) == ([1, 4], [1, 2, 3, 4], [0, 2, 4])


def test_starmap_and_starsink_take_arguments() -> None:
    s = stream()
    seen: list[Any] = []
    mapped = s.starmap(lambda a, b, c, d=0: (a, b, c, d), 3, d=4).sink_to_list()
    s.starsink(lambda *args, **kwargs: seen.append((args, kwargs)), 3, d=4)
    s.emit((1, 2))
    assert mapped == [(1, 2, 3, 4)]
    assert seen == [((1, 2, 3), {"d": 4})]


def test_sink_takes_arguments() -> None:
    s = stream()
    seen: dict[str, Any] = {}

    def keep(x: int, key: str, other: Any = None) -> None:
        seen[key] = (x, other)

    sink = s.sink(keep, "k", other="o", stream_name="keeper")
    s.emit(1)
    assert seen == {"k": (1, "o")}
    assert sink.kwargs == {"other": "o"}


def test_accumulate_in_all_its_ways() -> None:
    s = stream()
    plain = s.accumulate(operator.add).sink_to_list()
    started = s.accumulate(operator.add, start=10).sink_to_list()
    results = s.accumulate(lambda t, x: (t + x, x * 10), start=0, returns_state=True)
    seen = results.sink_to_list()
    with_state = s.accumulate(operator.add, start=5, with_state=True).sink_to_list()
    keyword = s.accumulate(lambda t, x, by=1: t + by * x, start=0, by=2).sink_to_list()
    emit_all(s, [1, 2])
    assert (plain, started, seen) == ([1, 3], [11, 13], [10, 20])
    assert with_state == [(6, 6), (8, 8)]
    assert keyword == [2, 6]


def test_accumulate_without_start_passes_the_first_element_on() -> None:
    s = stream()
    results = s.accumulate(lambda t, x: (t + x, x * 10), returns_state=True).sink_to_list()
    states = s.accumulate(operator.add, with_state=True).sink_to_list()
    emit_all(s, [1, 2])
    assert results == [1, 20]
    assert states == [(1, 1), (3, 3)]


def test_accumulate_starts_over_at_the_word_of_another_stream() -> None:
    s, reset = stream(), stream()
    node = s.accumulate(operator.add, start=0, reset_stream=reset)
    seen = node.sink_to_list()
    emit_all(s, [1, 2])
    reset.emit("now")
    emit_all(s, [1, 2])
    assert seen == [1, 3, 1, 3]


def test_frequencies_counts() -> None:
    s = stream()
    seen = s.frequencies().map(dict).sink_to_list()
    emit_all(s, "aba")
    assert seen[-1] == {"a": 2, "b": 1}


def test_flatten_pluck_unique_union() -> None:
    s, other = stream(), stream()
    flat = s.flatten().sink_to_list()
    one, several = s.pluck(0).sink_to_list(), s.pluck([0, 1]).sink_to_list()
    both = s.union(other).sink_to_list()
    s.emit("ab")
    other.emit("x")
    assert flat == ["a", "b"]
    assert (one, several, both) == (["a"], [("a", "b")], ["ab", "x"])


def test_pluck_of_what_is_not_there_raises() -> None:
    s = stream()
    s.pluck([0, 3]).sink(print)
    with pytest.raises(IndexError):
        s.emit([1])
    s = stream()
    s.pluck("k").sink(print)
    with pytest.raises(KeyError):
        s.emit({"other": 1})


def test_partition_by_key_and_of_size_one() -> None:
    s = stream()
    by_pick = s.partition(2, key=0).sink_to_list()
    by_call = s.partition(2, key=lambda x: x[0]).sink_to_list()
    single = s.partition(1).sink_to_list()
    emit_all(s, ["a1", "b1", "a2", "b2"])
    assert by_pick == by_call == [("a1", "a2"), ("b1", "b2")]
    assert single == [("a1",), ("b1",), ("a2",), ("b2",)]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [("first", [("a1", "b1"), ("c1", "d1")]), ("last", [("a2", "b1"), ("c2", "d1")])],
)
def test_partition_unique_keeps_the_first_or_the_last(keep: str, expected: list[Any]) -> None:
    s = stream()
    seen = s.partition_unique(2, key=lambda x: x[0], keep=keep).sink_to_list()
    emit_all(s, ["a1", "a2", "b1", "c1", "c2", "d1"])
    assert seen == expected


def test_zip_with_itself_literals_and_diamonds() -> None:
    s = stream()
    same = s.zip(s).sink_to_list()
    literal = s.zip(123).sink_to_list()
    joined = s.map(inc).zip(s.map(operator.neg)).sink_to_list()
    emit_all(s, [1, 2])
    assert same == [(1, 1), (2, 2)]
    assert literal == [(1, 123), (2, 123)]
    assert joined == [(2, -1), (3, -2)]


def test_combine_latest_and_emit_on() -> None:
    a, b, c = stream(), stream(), stream()
    every = a.combine_latest(b).sink_to_list()
    on_a = a.combine_latest(b, emit_on=a).sink_to_list()
    on_two = a.combine_latest(b, c, emit_on=[0, c]).sink_to_list()
    a.emit(1)
    b.emit(2)
    c.emit(3)
    a.emit(4)
    b.emit(5)
    assert every == [(1, 2), (4, 2), (4, 5)]
    assert on_a == [(4, 2)]
    assert on_two == [(1, 2, 3), (4, 2, 3)]


def test_zip_latest_keeps_every_lossless_element() -> None:
    a, b = stream(), stream()
    seen = a.zip_latest(b).sink_to_list()
    emit_all(a, [1, 2])
    b.emit("b")
    a.emit(3)
    b.emit("c")
    a.emit(4)
    assert seen == [(1, "b"), (2, "b"), (3, "b"), (4, "c")]


def test_the_order_of_building_is_the_order_of_running() -> None:
    """Five times alike, and otherwise when the branches are built the other way round."""

    def run_once(first: int, second: int) -> list[Any]:
        s = stream()
        branches = {first: s.pluck(first)}
        branches[second] = s.pluck(second)
        seen: list[Any] = branches[0].combine_latest(branches[1], emit_on=0).sink_to_list()
        emit_all(s, [(1, "red"), (2, "blue"), (3, "green")])
        return seen

    runs = [run_once(1, 0) for _ in range(5)]
    assert runs == [[(1, "red"), (2, "blue"), (3, "green")]] * 5
    assert [run_once(0, 1) for _ in range(5)] == [[(2, "red"), (3, "blue")]] * 5


# -------------------------------------------------------------------- graph edits


def test_connect_and_disconnect_give_nothing_and_take_effect() -> None:
    a, b = stream(), stream()
    seen = b.sink_to_list()
    assert a.connect(b) is None
    a.emit(1)
    assert a.disconnect(b) is None
    a.emit(2)
    assert seen == [1]


@pytest.mark.parametrize("kind", ["zip", "combine_latest"])
def test_connect_adds_an_input_to_nodes_with_several(kind: str) -> None:
    a, b, c = stream(), stream(), stream()
    node = getattr(a, kind)(b)
    seen = node.sink_to_list()
    c.connect(node)
    assert list(node.upstreams) == [a, b, c]
    for x, root in enumerate([a, b, c]):
        root.emit(x)
    assert seen == [(0, 1, 2)]


def test_union_takes_more_inputs() -> None:
    a, b, c = stream(), stream(), stream()
    node = a.union(b)
    seen = node.sink_to_list()
    c.connect(node)
    b.disconnect(node)
    for x, root in enumerate([a, b, c]):
        root.emit(x)
    assert seen == [0, 2]


def test_destroy_takes_a_node_out() -> None:
    s = stream()
    node = s.map(inc)
    seen = node.sink_to_list()
    assert node.destroy() is None
    s.emit(1)
    assert (seen, list(s.downstreams), node.upstreams) == ([], [], [])
    node.destroy()


def test_slice_leaves_at_its_end() -> None:
    s = stream()
    node = s.slice(0, 2)
    seen = node.sink_to_list()
    emit_all(s, range(5))
    assert seen == [0, 1]


def test_a_stream_cannot_be_iterated_over() -> None:
    with pytest.raises(TypeError):
        list(stream())
    with pytest.raises(AttributeError):
        stream().no_such_operator


def test_dropped_nodes_leave_the_graph() -> None:
    s = stream()
    seen: list[int] = []
    node = s.map(seen.append)
    s.emit(1)
    del node
    gc.collect()
    assert not s.downstreams
    s.emit(2)
    assert seen == [1]


# --------------------------------------------------------------------------- time


async def test_back_pressure_of_a_queue_reaches_the_emitter() -> None:
    q: Queue[int] = Queue(maxsize=2)
    async with stream(asynchronous=True) as s:
        s.map(inc).scan(operator.add, start=0).sink(q.put)
        read: list[int] = []

        async def reads() -> None:
            for _ in range(5):
                await asyncio.sleep(1)
                read.append(await q.get())

        reader = asyncio.ensure_future(reads())
        over = await instants(s, range(5))
        await reader
    assert over[:2] == [0, 0]
    assert over[2:] == [1, 2, 3]
    assert read == [1, 3, 6, 10, 15]


async def test_a_buffer_of_ten_takes_ten_before_the_loop_turns() -> None:
    async with stream(asynchronous=True) as s:
        seen = s.map(inc).buffer(10).map(inc).rate_limit(0.5).sink_to_list()
        over = await instants(s, range(10))
        assert over == [0] * 10
        assert seen == []
        over = await instants(s, range(5))
        assert seen
        assert over[-1] > 0
        await s.join()
        assert seen == [x + 2 for x in [*range(10), *range(5)]]


async def test_delay_and_rate_limit_take_their_time() -> None:
    async with stream(asynchronous=True) as s:
        late = s.delay(2).sink_to_list()
        paced = s.rate_limit(1).sink_to_list()
        for x in range(3):
            s.emit(x)
        await asyncio.sleep(0.5)
        assert (late, paced) == ([], [0])
        await asyncio.sleep(1)
        assert (late, paced) == ([], [0, 1])
        await s.join()
        assert (late, paced) == ([0, 1, 2], [0, 1, 2])


async def test_timed_windows_come_as_lists_and_empty_ones_too() -> None:
    async with stream(asynchronous=True) as s:
        node = s.timed_window(1)
        seen = node.sink_to_list()
        assert node.loop is IOLoop.current()
        for x in range(4):
            await s.emit(x)
            await asyncio.sleep(0.4)
        await asyncio.sleep(2)
    assert list(itertools.chain.from_iterable(seen)) == [0, 1, 2, 3]
    assert all(isinstance(window, list) for window in seen)
    assert [] in seen


async def test_partition_gives_what_it_has_at_its_timeout() -> None:
    async with stream(asynchronous=True) as s:
        seen = s.partition(10, timeout=1).sink_to_list()
        for x in range(3):
            await s.emit(x)
        assert seen == []
        await asyncio.sleep(1.5)
        assert seen == [(0, 1, 2)]


async def test_latest_drops_what_a_slow_sink_cannot_take() -> None:
    async with stream(asynchronous=True) as s:
        seen: list[int] = []

        async def slow(x: int) -> None:
            await asyncio.sleep(1)
            seen.append(x)

        s.map(inc).latest().sink(slow)
        for x in range(5):
            await s.emit(x)
            await asyncio.sleep(0.3)
        await s.join()
    assert seen[-1] == 5
    assert len(seen) < 5


@gen_test(timeout=5)  # type: ignore[misc,unused-ignore]  # pyright: ignore[reportUntypedFunctionDecorator]
def test_gen_test_runs_a_tornado_coroutine_in_a_loop() -> Any:
    s = stream(asynchronous=True)
    assert s.loop is IOLoop.current()
    seen = s.map(inc).sink_to_list()
    yield s.emit(1)
    yield gen.sleep(0.001)
    assert seen == [2]


# ------------------------------------------------------------------ another thread


def test_a_slow_sink_on_the_background_loop_blocks_the_emitter() -> None:
    seen: list[int] = []

    def slow(x: int) -> Any:
        yield gen.sleep(0.1)
        seen.append(x)

    s = stream(asynchronous=False)
    s.map(inc).sink(gen.coroutine(slow))
    start = time.monotonic()
    s.emit(1)
    assert time.monotonic() - start > 0.09
    assert seen == [2]
    s.emit(2)
    assert seen == [2, 3]
    s.close()


def test_timed_nodes_share_the_background_loop(virtual_background: Any) -> None:
    a, b = stream().timed_window(0.1), stream().timed_window(0.1)
    assert a.loop is b.loop


def test_timed_node_without_a_word_makes_emit_block(virtual_background: Any) -> None:
    s = stream()
    seen = s.rate_limit(1).sink_to_list()
    emit_all(s, range(3))
    assert seen == [0, 1, 2]
    assert virtual_background.time() == 2
    assert s.asynchronous is False
    s.close()


# ------------------------------------------------------------------------- sources


async def test_from_textfile_follows_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text('{"x": 0}\n{"x": 1}\n')
    source: Any = Stream.from_textfile(str(path), poll_interval=1, asynchronous=True)
    seen = source.map(json.loads).pluck("x").sink_to_list()
    assert seen == []
    await asyncio.sleep(3)
    assert seen == []
    source.start()
    await asyncio.sleep(3)
    assert seen == [0, 1]
    with path.open("a") as more:
        more.write('{"x": 2')
        more.flush()
        await asyncio.sleep(3)
        assert seen == [0, 1]
        more.write("}\n")
    await asyncio.sleep(3)
    source.stop()
    assert seen == [0, 1, 2]


async def test_from_textfile_may_begin_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("old\n")
    source: Any = Stream.from_textfile(
        str(path), poll_interval=1, asynchronous=True, from_end=True, start=True
    )
    seen = source.sink_to_list()
    await asyncio.sleep(3)
    with path.open("a") as more:
        more.write("new\n")
    await asyncio.sleep(3)
    source.stop()
    assert seen == ["new\n"]


async def test_filenames_gives_each_path_once(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    source: Any = Stream.filenames(str(tmp_path), poll_interval=1, asynchronous=True)
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(3)
    (tmp_path / "b").touch()
    await asyncio.sleep(3)
    source.stop()
    assert seen == [str(tmp_path / "a"), str(tmp_path / "b")]


async def test_from_iterable_ends_the_stream() -> None:
    source: Any = Stream.from_iterable([1, 2, 3], asynchronous=True)
    seen = source.partition(2).sink_to_list()
    source.start()
    await asyncio.sleep(1)
    assert seen == [(1, 2), (3,)]
    assert source.stopped


def test_from_q_reads_a_queue(virtual_background: Any) -> None:
    import queue

    q: queue.Queue[int] = queue.Queue()
    source: Any = Stream.from_q(q)
    seen = source.map(inc).sink_to_list()
    source.start()
    q.put(1)
    q.put(2)
    eventually(lambda: seen == [2, 3] or virtual_background.let_pass(0.1))
    source.stop()


def test_sink_to_file_writes_lines(tmp_path: Path) -> None:
    s = stream()
    path = tmp_path / "out"
    with sources.sink_to_file(str(path), s):
        s.emit("a")
        s.emit("b")
    assert path.read_text() == "a\nb\n"


def test_sink_to_textfile_appends_lines(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("before\n")
    s = stream()
    sink = s.sink_to_textfile(str(path))
    assert not sink._fp.closed
    s.emit("a")
    s.emit("b")
    sink.destroy()
    assert sink._fp.closed
    assert path.read_text() == "before\na\nb\n"
