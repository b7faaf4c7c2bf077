"""Attributes that code outside reads or writes."""

from __future__ import annotations

import gc
import importlib
import operator
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import pytest
from tests.compat.helpers import emit_all, inc, rapidz, sinks, stream, third
from tornado.ioloop import IOLoop

from rapidz import Stream

# --------------------------------------------------------------------- every node


MAKE: dict[str, Callable[[], Any]] = {
    "Stream": stream,
    "map": lambda: stream().map(inc),
    "starmap": lambda: stream().starmap(operator.add),
    "filter": lambda: stream().filter(None),
    "accumulate": lambda: stream().accumulate(operator.add),
    "frequencies": lambda: stream().frequencies(),
    "map_async": lambda: stream().map_async(inc),
    "flatten": lambda: stream().flatten(),
    "pluck": lambda: stream().pluck(0),
    "unique": lambda: stream().unique(),
    "slice": lambda: stream().slice(),
    "partition": lambda: stream().partition(2),
    "partition_unique": lambda: stream().partition_unique(2),
    "sliding_window": lambda: stream().sliding_window(2),
    "timed_window": lambda: stream().timed_window(1),
    "timed_window_unique": lambda: stream().timed_window_unique(1),
    "collect": lambda: stream().collect(),
    "buffer": lambda: stream().buffer(2),
    "delay": lambda: stream().delay(1),
    "rate_limit": lambda: stream().rate_limit(1),
    "latest": lambda: stream().latest(),
    "union": lambda: stream().union(stream()),
    "zip": lambda: stream().zip(stream()),
    "zip_latest": lambda: stream().zip_latest(stream()),
    "combine_latest": lambda: stream().combine_latest(stream()),
    "sink": lambda: stream().sink(print),
    "starsink": lambda: stream().starsink(print),
    "Sink": lambda: sinks.Sink(stream()),
    "Source": lambda: rapidz.Source(),
}


@pytest.fixture(params=MAKE)
def node(request: pytest.FixtureRequest) -> Any:
    """A node of each kind, on a root of its own, before it has begun to run."""
    made = MAKE[request.param]()
    yield made
    made.destroy()


def test_name_lives_in_the_dict_of_the_instance(node: Any) -> None:
    assert "name" in vars(node)
    node.name = "other"
    assert node.name == "other"
    assert str(node).startswith("<other; ")


def test_any_attribute_may_be_set(node: Any) -> None:
    node.something_of_mine = 1
    assert vars(node)["something_of_mine"] == 1


def test_hash_is_by_identity_and_weak_references_work(node: Any) -> None:
    assert hash(node) == object.__hash__(node)
    assert node == node
    assert node != stream()
    assert weakref.ref(node)() is node


def test_upstreams_is_a_list_and_downstreams_are_iterable(node: Any) -> None:
    assert isinstance(node.upstreams, list)
    assert len(node.downstreams) == len(list(node.downstreams)) == 0
    assert not node.downstreams


def test_every_node_has_loop_and_asynchronous_and_its_last_element(node: Any) -> None:
    assert node.loop is None or isinstance(node.loop, IOLoop)
    assert node.asynchronous in (None, True, False)
    assert node.current_value is None
    assert node.current_metadata is None


def test_str_list_and_graphviz_attributes(node: Any) -> None:
    assert list(node.str_list) == ["func", "predicate", "n", "interval"]
    assert isinstance(node._graphviz_shape, str)
    assert node._graphviz_style == "rounded,filled"
    assert node._graphviz_fillcolor == "white"
    assert node._graphviz_orientation in (0, 270)


def test_graphviz_attributes_may_be_set_on_class_and_instance() -> None:
    class red(Stream[Any]):
        _graphviz_fillcolor = "red"
        _graphviz_shape = "box"

    one = red()
    one._graphviz_shape = "circle"
    assert (one._graphviz_fillcolor, one._graphviz_shape) == ("red", "circle")


@pytest.mark.parametrize(
    ("kinds", "shape", "orientation"),
    [
        ("Stream map starmap filter flatten unique union pluck collect zip_latest", "ellipse", 0),
        ("accumulate frequencies", "box", 0),
        ("partition partition_unique sliding_window buffer", "diamond", 0),
        ("timed_window timed_window_unique delay rate_limit latest", "octagon", 0),
        ("zip combine_latest", "triangle", 270),
        ("sink starsink Sink", "trapezium", 0),
        ("Source", "doubleoctagon", 0),
    ],
)
def test_shapes_of_the_old_pictures(kinds: str, shape: str, orientation: int) -> None:
    for kind in kinds.split():
        made = MAKE[kind]()
        assert (made._graphviz_shape, made._graphviz_orientation) == (shape, orientation), kind
        made.destroy()


def test_edge_types_show_what_combine_latest_emits_on() -> None:
    a, b = stream(), stream()
    node = a.combine_latest(b, emit_on=a)
    types = node._graphviz_edge_types
    assert set(types) <= {a, b}
    assert types.get(a) != types.get(b)


def test_downstreams_are_weak_and_ordered() -> None:
    s = stream()
    first, second, third_node = s.map(inc), s.map(inc), s.map(inc)
    assert list(s.downstreams) == [first, second, third_node]
    assert [s.downstreams.index(n) for n in (first, second, third_node)] == [0, 1, 2]
    assert second in s.downstreams
    assert len(s.downstreams) == 3
    assert s.downstreams
    del second
    gc.collect()
    assert list(s.downstreams) == [first, third_node]


def test_downstreams_data_can_be_reordered_as_old_code_does() -> None:
    """`.data._od` is an ordered dict of weak references with move_to_end."""
    s = stream()
    order: list[str] = []
    first = s.map(lambda x: order.append("first"))
    last = s.map(lambda x: order.append("last"))
    (ref,) = [ref for ref in s.downstreams.data if ref() is last]
    assert isinstance(s.downstreams.data._od, OrderedDict)
    s.downstreams.data._od.move_to_end(ref, last=False)
    assert list(s.downstreams) == [last, first]
    s.emit(1)
    assert order == ["last", "first"]


def test_downstreams_add_and_remove() -> None:
    s, node = stream(), stream()
    seen = node.sink_to_list()
    s.downstreams.add(node)
    s.emit(1)
    s.downstreams.remove(node)
    s.emit(2)
    assert seen == [1]


def test_walking_the_graph_by_upstreams_downstreams_and_hash() -> None:
    s = stream()
    a, b = s.map(inc), s.filter(None)
    end = a.zip(b)
    found: dict[int, Any] = {}

    def walk(node: Any) -> None:
        if node is not None and hash(node) not in found:
            found[hash(node)] = node
            for other in [*node.upstreams, *node.downstreams]:
                walk(other)

    walk(a)
    assert set(found.values()) == {s, a, b, end}


def test_current_value_is_the_last_element_once_it_was_asked_for() -> None:
    """Deliberate: a node keeps an element alive only if somebody looks at it."""
    s = stream()
    node = s.map(inc)
    assert (node.current_value, node.current_metadata) == (None, None)
    s.emit(1, metadata=[{"k": 1}])
    assert node.current_value == 2
    assert node.current_metadata == [{"k": 1}]
    s.emit(2)
    assert node.current_value == 3


async def test_loop_speaks_tornado() -> None:
    s = stream(asynchronous=True)
    assert s.loop is IOLoop.current()
    for name in ("add_callback", "call_later", "run_in_executor", "asyncio_loop"):
        assert hasattr(s.loop, name)


# ------------------------------------------------------------- attributes of nodes


def of_four(x: Any, a: Any, b: Any = None, *, k: Any) -> Any:
    return (x, a, b, k)


@pytest.mark.parametrize("kind", ["map", "starmap", "sink", "starsink"])
def test_func_args_and_kwargs_are_kept(kind: str) -> None:
    node = getattr(stream(), kind)(of_four, 1, 2, k=3)
    assert node.func is of_four
    assert node.args == (1, 2)
    assert node.kwargs == {"k": 3}
    node.destroy()


def test_predicate_args_and_kwargs_of_filter_are_kept() -> None:
    node = stream().filter(of_four, 1, k=2)
    assert (node.predicate, node.args, node.kwargs) == (of_four, (1,), {"k": 2})


def test_accumulate_shows_its_state() -> None:
    s = stream()
    node = s.accumulate(operator.add)
    assert node.state is rapidz.no_default
    s.emit(1)
    s.emit(2)
    assert node.state == 3
    assert (node.returns_state, node.with_state) == (False, False)
    started = s.accumulate(operator.add, start=7, returns_state=True, with_state=True)
    assert (started.state, started.returns_state, started.with_state) == (7, True, True)


def test_combine_latest_shows_last_missing_and_emit_on() -> None:
    a, b = stream(), stream()
    node = a.combine_latest(b)
    assert node.last == [None, None]
    assert node.missing == {a, b}
    a.emit(1)
    assert node.last == [1, None]
    assert node.missing == {b}
    assert list(node.emit_on) == [a, b]


@pytest.mark.parametrize("emit_on", [0, [0]])
def test_emit_on_contains_streams_though_indices_were_given(emit_on: Any) -> None:
    a, b = stream(), stream()
    assert list(a.combine_latest(b, emit_on=emit_on).emit_on) == [a]
    assert list(a.combine_latest(b, emit_on=b).emit_on) == [b]


def test_zip_latest_shows_its_buffer_last_and_missing() -> None:
    a, b = stream(), stream()
    node = a.zip_latest(b)
    assert node.missing == {a, b} or node.missing == {b}
    assert len(node.lossless_buffer) == 0
    a.emit(1)
    a.emit(2)
    assert len(node.lossless_buffer) == 2
    b.emit("b")
    assert len(node.lossless_buffer) == 0
    assert node.last[1] == "b"


def test_zip_shows_buffers_literals_maxsize_and_condition() -> None:
    a, b = stream(), stream()
    node = a.zip("x", b, maxsize=5)
    assert set(node.buffers) == {a, b}
    assert all(isinstance(buffer, deque) for buffer in node.buffers.values())
    assert node.literals == [(1, "x")]
    assert node.maxsize == 5
    a.emit(1)
    assert len(node.buffers[a]) == 1
    assert len(node.buffers[b]) == 0


async def test_zip_has_a_condition() -> None:
    node = stream(asynchronous=True).zip(stream(asynchronous=True))
    assert hasattr(node.condition, "notify_all")


def test_literals_of_the_module_level_zip_keep_their_places() -> None:
    a, b = stream(), stream()
    node = rapidz.zip(0, a, 2, b)
    seen = node.sink_to_list()
    emit_all(a, "a")
    emit_all(b, "b")
    assert seen == [(0, "a", 2, "b")]
    assert [list(pair) for pair in node.literals] == [[0, 0], [2, 2]]


def test_collect_shows_its_cache_and_flush_takes_an_argument() -> None:
    s = stream()
    node = s.collect()
    seen = node.sink_to_list()
    emit_all(s, [1, 2])
    assert list(node.cache) == [1, 2]
    node.flush()
    assert list(node.cache) == []
    s.emit(3)
    node.flush("ignored")
    assert seen == [(1, 2), (3,)]


def test_collect_takes_a_cache() -> None:
    cache: deque[int] = deque(maxlen=2)
    s = stream()
    node = s.collect(cache=cache)
    seen = node.sink_to_list()
    emit_all(s, [1, 2, 3])
    node.flush()
    assert seen == [(2, 3)]


def test_flush_of_collect_can_be_a_sink() -> None:
    """The way that beamline code triggers it: `other.sink(collector.flush)`."""
    s, trigger = stream(), stream()
    node = s.collect()
    seen = node.sink_to_list()
    trigger.sink(node.flush)
    emit_all(s, [1, 2])
    trigger.emit("now")
    assert seen == [(1, 2)]


def test_unique_shows_what_it_has_seen_and_its_key() -> None:
    s = stream()
    node = s.unique(key=operator.neg)
    emit_all(s, [1, 2, 1])
    assert node.key is operator.neg
    assert sorted(node.seen) == [-2, -1]


@pytest.mark.parametrize(
    ("build", "attribute", "value"),
    [
        (lambda s: s.partition(3), "n", 3),
        (lambda s: s.partition_unique(3), "n", 3),
        (lambda s: s.sliding_window(3), "n", 3),
        (lambda s: s.timed_window("500ms"), "interval", 0.5),
        (lambda s: s.timed_window_unique(2), "interval", 2),
        (lambda s: s.delay("2 min"), "interval", 120),
        (lambda s: s.rate_limit(0.25), "interval", 0.25),
        (lambda s: s.pluck("k"), "pick", "k"),
    ],
)
def test_numbers_and_intervals_can_be_read(
    build: Callable[[Any], Any], attribute: str, value: object
) -> None:
    assert getattr(build(stream()), attribute) == value


@pytest.mark.parametrize("build", [lambda s: s.buffer(3), lambda s: s.delay(1)])
async def test_queue_of_buffer_and_delay_can_be_looked_at(build: Callable[[Any], Any]) -> None:
    async with stream(asynchronous=True) as s:
        node = build(s)
        assert node.queue.qsize() == 0


def test_sources_show_what_they_read(tmp_path: Any) -> None:
    path = tmp_path / "lines"
    path.write_text("a\n")
    queue: deque[int] = deque()
    with path.open() as opened:
        lines = rapidz.from_textfile(opened, poll_interval=0.25)
        assert lines.file is opened
        assert lines.poll_interval == 0.25
        named: Any = rapidz.filenames(str(tmp_path), poll_interval=0.5)
        assert str(tmp_path) in named.path
        assert named.poll_interval == 0.5
        asked: Any = rapidz.from_q(queue)
        assert asked.q is queue
        for source in (lines, named, asked):
            assert (source.stopped, source.started) == (True, False)


# ------------------------------------------------------------------------ modules


@pytest.mark.parametrize("kind", sorted(set(MAKE) - {"frequencies"}))
def test_node_classes_carry_their_public_name_and_are_importable_under_it(kind: str) -> None:
    node = MAKE[kind]()
    cls = type(node)
    node.destroy()
    assert cls.__name__ == kind
    assert getattr(importlib.import_module(cls.__module__), kind) is cls


def test_third_party_nodes_have_all_that_native_ones_have() -> None:
    s = stream()
    node = third.double_it(s, stream_name="mine")
    assert str(node) == "<mine; double_it>"
    assert node.upstream is s
    assert vars(node)["name"] == "mine"
    assert list(s.downstreams) == [node]
