"""What code of the two old libraries tripped over: names, mixins, return values, a queue set."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compat.helpers import core, rapidz, sinks, sources
from tornado.queues import Queue

from rapidz import Stream, from_iterable, link, move_to_first
from rapidz._old_names import OLD_MODULES, OLD_NAMES
from rapidz.kernel.graph.mixin_names import NAMES_OF_0_2

BOTH = """
    create_graph visualize readable_graph to_graphviz build_node_set get_io_loop sync identity apply
    convert_interval sink_to_file logger DaskStream scatter APIRegisterMixin load_plugins
"""
STREAMZ = "OrderedWeakrefSet thread_state get_thread_identity get_message_batch_cudf"
NOT_NAMES = ["Any", "deque", "gen", "toolz", "os", "glob", "streamz"]


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", f"{BOTH} {STREAMZ}".split())
def test_an_old_top_level_name_is_that_of_its_module(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"from rapidz import {name} as top", namespace)
    module = __import__(f"rapidz.{OLD_NAMES[name]}", fromlist=[name])
    assert namespace["top"] is getattr(module, name)


@pytest.mark.parametrize("name", sorted(OLD_MODULES))
def test_an_old_module_is_an_attribute_after_a_plain_import(name: str) -> None:
    script = f"import rapidz; assert rapidz.{name}.__name__ == 'rapidz.{name}'"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)


@pytest.mark.parametrize("name", NOT_NAMES)
def test_what_the_old_modules_merely_imported_is_no_name(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'rapidz' has no attribute '{name}'"):
        getattr(rapidz, name)


def test_old_names_import_no_third_party_library_and_do_not_show() -> None:
    script = """
import sys, rapidz
before = set(dir(rapidz))
assert not before & {"create_graph", "DaskStream", "sync", "apply"}
rapidz.create_graph, rapidz.sync, rapidz.identity, rapidz.sink_to_file
assert not {"dask", "distributed", "pandas", "numpy", "networkx", "graphviz"} & set(sys.modules)
assert not set(dir(rapidz)) & {"create_graph", "DaskStream", "sync", "apply"}
namespace = {}
exec("from rapidz import *", namespace)
assert set(namespace) - {"__builtins__"} == set(rapidz.__all__)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)


def test_a_batch_for_a_gpu_is_refused_by_an_error_that_names_cudf() -> None:
    with pytest.raises(ImportError, match="cudf") as caught:
        rapidz.get_message_batch_cudf({}, "topic", 0, False, 0, 1)
    assert caught.value.name == "cudf"


def test_a_consumer_is_closed() -> None:
    closed: list[bool] = []

    class Consumer:
        def close(self) -> None:
            closed.append(True)

    sources._close_consumer(Consumer())
    assert closed == [True]
    assert sources.RefCounter is core.RefCounter


# --- mixins ------------------------------------------------------------------------------------


class Documents:
    """Mixin of an old program, with method names that `Stream` did not have then."""

    def stop(self, x: Any) -> tuple[str, Any]:
        return "stop", x

    def close(self, x: Any = None) -> tuple[str, Any]:
        return "close", x

    def join(self, *parts: str) -> str:
        return "/".join(parts)

    def start_doc(self, x: Any) -> tuple[str, Any]:
        return "start", x


class node(Stream[Any], Documents):  # type: ignore[misc]
    def update(self, x: Any, who: Any = None) -> Any:
        documents: Any = self
        return self._emit(documents.stop(x))


class mapped(core.map, Documents):  # type: ignore[misc]
    pass


def test_a_mixin_keeps_the_names_that_stream_did_not_have() -> None:
    source = Stream[Any]()
    made: Any = node(source)
    seen = made.sink_to_list()
    source.emit(1)
    assert seen == [("stop", 1)]
    assert made.join("a", "b") == "a/b"
    assert mapped(source, str).close(2) == ("close", 2)


def test_the_engine_closes_and_stops_in_spite_of_a_mixin() -> None:
    with from_iterable([1, 2]) as source:
        made = node(source)
        below = made.map(lambda x: x)
        seen = below.sink_to_list()
        source.start()
        source.join()
        below.stop()
    assert seen == [("stop", 1), ("stop", 2)]
    with node(Stream()) as another:
        held = another.partition(2).sink_to_list()
        another._emit("a")
    assert held == [("a",)]


NEW = sorted({name for name in dir(Stream) if not name.startswith("_")} - NAMES_OF_0_2)


@given(st.sampled_from(NEW), st.booleans())
def test_no_new_name_of_the_base_class_hides_one_of_a_mixin(name: str, deep: bool) -> None:
    mixin = type("Mixin", (), {name: "mine"})
    bases = (Stream, type("Between", (mixin,), {})) if deep else (Stream, mixin)
    made = type("made", bases, {"update": lambda self, x: self._emit(x)})
    assert getattr(made, name) == "mine"
    assert getattr(type("below", (made,), {}), name) == "mine"
    source = Stream[Any]()
    seen = made(source).sink_to_list()
    source.emit(1)
    assert seen == [1]


@given(st.sampled_from(sorted(NAMES_OF_0_2 & set(dir(Stream)))))
def test_a_name_that_0_2_had_still_wins_over_a_mixin(name: str) -> None:
    made = type("made", (Stream, type("Mixin", (), {name: "theirs"})), {})
    assert getattr(made, name) != "theirs"


def test_a_compiled_node_keeps_the_hooks_of_the_engine() -> None:
    made = type("made", (core.map, type("Mixin", (), {"compile": 1, "inline": 2})), {})
    source = Stream[Any]()
    seen = made(source, str).sink_to_list()
    source.emit(1)
    assert seen == ["1"]


def test_a_mixin_before_stream_wins_as_ever() -> None:
    made = type("made", (type("Mixin", (), {"emit_many": "mine", "map": "mine"}), Stream), {})
    assert (made.emit_many, made.map) == ("mine", "mine")  # type: ignore[attr-defined]


# --- return values -----------------------------------------------------------------------------


def test_move_to_first_returns_the_node() -> None:
    source = Stream[int]()
    order: list[str] = []
    source.sink(lambda _: order.append("a"))
    node = source.sink(lambda _: order.append("b"))
    assert move_to_first(node) is node
    assert move_to_first(node, False) is node
    source.emit(1)
    assert order == ["b", "a"]


def test_a_part_that_returns_none_takes_part_in_link() -> None:
    seen: list[str] = []

    def attach(raw: Stream[str], **_: Any) -> None:
        raw.sink(seen.append)

    space = link(attach, lambda **names: {"count": len(names)}, raw=Stream())
    assert set(space) == {"raw", "count"}
    space["raw"].emit("a")
    assert seen == ["a"]


# --- helpers of operators ----------------------------------------------------------------------


def test_the_keys_of_partitions_can_be_asked_for() -> None:
    source = Stream[Any]()
    assert core.partition(source, 2)._get_key(3) is None
    for cls in (core.partition, core.partition_unique, core.timed_window_unique):
        assert cls(source, 2, key=lambda x: x + 1)._get_key(3) == 4
        assert cls(source, 2, key="k")._get_key({"k": 5}) == 5


@pytest.mark.parametrize("key", [None, len])
def test_the_batch_of_one_key_can_be_flushed(key: Any) -> None:
    source = Stream[str]()
    made: Any = source.partition(3, key=key)
    seen = made.sink_to_list()
    source.emit_many(["a", "b"])
    made._flush(made._get_key("a"))
    source.emit_many(["c", "d", "e"])
    assert seen == [("a", "b"), ("c", "d", "e")]


def test_a_slice_that_is_through_leaves_when_it_is_asked() -> None:
    source = Stream[int]()
    made: Any = source.slice(0, 2)
    seen = made.sink_to_list()
    made._check_end()
    source.emit_many(range(4))
    assert seen == [0, 1]
    made._check_end()
    assert not list(source.downstreams)


# --- a queue of one's own ----------------------------------------------------------------------


def test_a_queue_set_on_a_buffer_bounds_it_and_hands_over_its_elements() -> None:
    async def main() -> None:
        source = Stream[int](asynchronous=True)
        made: Any = source.buffer(10)
        gate = asyncio.Event()
        seen: list[int] = []

        async def write(x: int) -> None:
            await gate.wait()
            seen.append(x)

        made.sink(write)
        queue: Queue[int] = Queue(3)
        queue.put_nowait(0)
        made.queue = queue
        assert made.maxsize == 3
        waits = [asyncio.ensure_future(source.emit(x)) for x in range(1, 6)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert [wait.done() for wait in waits] == [True, True, True, False, False]
        gate.set()
        await source.join()
        assert seen == list(range(6))

    asyncio.run(main())


def test_a_class_with_an_update_has_the_queue_that_it_has_set() -> None:
    class stored(core.buffer):  # type: ignore[misc]
        def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            return self.queue.put(x)

    async def main() -> list[Any]:
        source = Stream[int](asynchronous=True)
        made: Any = stored(source, 3)
        made.queue = Queue(3)
        await source.emit(1)
        return [made.queue.maxsize, await made.queue.get()]

    assert asyncio.run(main()) == [3, 1]


def test_what_is_no_queue_is_refused() -> None:
    made: Any = Stream[int]().buffer(2)
    with pytest.raises(TypeError, match=r"buffer: queue must have maxsize, .*, got \[1\]"):
        made.queue = [1]


# --- river -------------------------------------------------------------------------------------


class Model:
    def __init__(self) -> None:
        self.learned: list[Any] = []

    def learn_one(self, *x: Any) -> None:
        self.learned.append(x)

    def predict_one(self, x: Any) -> Any:
        return len(self.learned)

    def transform_one(self, x: Any) -> Any:
        return {"x": x}


class Metric:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def update(self, *args: Any) -> None:
        self.calls.append(args)

    def get(self) -> int:
        return len(self.calls)


def test_nodes_for_river_models_call_them_with_each_element() -> None:
    river, source = rapidz.river, Stream[Any]()
    model, metric = Model(), Metric()
    trained = river.RiverTrain(model, metric=metric, upstream=source).sink_to_list()
    passed = river.RiverTrain(Model(), pass_model=True, upstream=source).sink_to_list()
    silent = river.RiverTrain(Model(), upstream=source).sink_to_list()
    predicted = river.RiverPredict(model, upstream=source).sink_to_list()
    source.emit_many([("a", 1), ("b", 2, 0.5)])
    assert model.learned == [("a", 1), ("b", 2, 0.5)]
    assert metric.calls == [(1, 1), (2, 2, 0.5)]
    assert (trained, silent, predicted) == ([1, 2], [], [1, 2])
    assert [type(each) for each in passed] == [Model, Model]
    ahead = Stream[Any]()
    transformed = river.RiverTransform(model, upstream=ahead).sink_to_list()
    ahead.emit((1,))
    assert transformed == [{"x": 1}]


def test_a_model_without_the_method_is_refused_when_built() -> None:
    with pytest.raises(TypeError, match="RiverPredict: model must have a method 'predict_one'"):
        rapidz.river.RiverPredict(3, upstream=Stream())
    with pytest.raises(TypeError, match="RiverTrain: pass_model must be False with a metric"):
        rapidz.river.RiverTrain(Model(), metric=Metric(), pass_model=True, upstream=Stream())


def test_sinks_are_one_set_in_both_modules() -> None:
    assert core._global_sinks is sinks._global_sinks
