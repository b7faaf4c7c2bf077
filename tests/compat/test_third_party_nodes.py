"""Node classes from outside: the signatures that the library calls, and those that it offers."""

from __future__ import annotations

import asyncio
import inspect
import operator
import threading
from typing import Any

import pytest
from tests.compat.helpers import (
    core,
    emit_all,
    eventually,
    inc,
    instants,
    near,
    rapidz,
    sinks,
    stream,
    third,
)
from tornado import gen

from rapidz import Stream
from rapidz.sinks import Sink
from rapidz.sources import Source

# ------------------------------------------------------------------------- update


def test_update_without_metadata_gets_the_element() -> None:
    s = stream()
    seen = third.add_offset(s, offset=10).sink_to_list()
    s.emit(1)
    s.emit(2)
    assert seen == [11, 12]


def test_update_without_metadata_runs_though_metadata_is_emitted() -> None:
    s = stream()
    seen = third.add_offset(s).sink_to_list()
    s.emit(1, metadata=[{"from": "here"}])
    assert seen == [2]


def test_update_whose_who_has_no_default_gets_it() -> None:
    s = stream()
    seen = third.who_must_come(s).sink_to_list()
    s.emit("x")
    assert seen == [(0, "x")]


def test_update_distinguishes_two_inputs_by_who() -> None:
    a, b = stream(), stream()
    seen = third.tagged_inputs(a, b).sink_to_list()
    a.emit(1)
    b.emit(2)
    a.emit(3)
    assert seen == [("left", 1), ("right", 2), ("left", 3)]


def test_who_is_the_direct_upstream_and_not_the_root() -> None:
    s = stream()
    a, b = s.map(inc), s.map(abs)
    seen = third.tagged_inputs(a, b).sink_to_list()
    s.emit(1)
    assert seen == [("left", 2), ("right", 1)]


def test_update_with_metadata_gets_a_list_though_none_was_emitted() -> None:
    s = stream()
    node = third.double_it(s)
    s.emit(1)
    assert node.metadata_seen == []


def test_update_with_metadata_gets_the_list_that_was_emitted() -> None:
    s = stream()
    node = third.double_it(s.map(inc))
    metadata = [{"from": "here"}]
    s.emit(1, metadata=metadata)
    assert node.metadata_seen == metadata


def test_update_is_called_by_keyword_so_that_metadata_may_come_before_who() -> None:
    s = stream()
    seen = third.swapped_arguments(s).sink_to_list()
    s.emit(1)
    s.emit(2, metadata=[{"k": 1}])
    assert seen == [1, 2]


def test_update_that_takes_any_keywords_gets_who_and_metadata() -> None:
    s = stream()
    node = third.any_keywords(s)
    s.emit(1, metadata=[{"k": 1}])
    assert node.keywords == {"who": s, "metadata": [{"k": 1}]}


def test_update_may_return_nothing() -> None:
    s = stream()
    seen = third.drops_odd(s).sink_to_list()
    also = third.forgets_to_return(s).sink_to_list()
    emit_all(s, range(5))
    assert seen == [0, 2, 4]
    assert also == [0, 1, 2, 3, 4]


def test_update_may_return_lists_of_lists() -> None:
    s = stream()
    seen = third.expand(s).sink_to_list()
    s.emit([1, 2, 3])
    s.emit([])
    assert seen == [1, 2, 3]


def test_update_may_emit_on_its_own_node() -> None:
    s = stream()
    seen = third.loops_inward(s).map(inc).sink_to_list()
    s.emit([1, 2, 3])
    assert seen == [2, 3, 4]


async def test_update_may_emit_on_its_own_node_inside_a_loop() -> None:
    async with stream(asynchronous=True) as s:
        seen = third.loops_inward(s).map(inc).sink_to_list()
        await s.emit([1, 2, 3])
        await s.join()
    assert seen == [2, 3, 4]


def test_update_set_on_the_instance_counts() -> None:
    s = stream()
    seen = third.picks_its_update(s).sink_to_list()
    emit_all(s, [1, 2, 3])
    assert seen == [("first", 1), ("later", 2), ("later", 3)]


def test_update_set_on_an_instance_from_outside_counts() -> None:
    s = stream()
    node = s.map(inc)
    seen = node.sink_to_list()
    s.emit(1)
    node.update = lambda x, who=None: node._emit(("mine", x))
    s.emit(1)
    assert seen == [2, ("mine", 1)]


@pytest.mark.parametrize("manner", ["sleeps_first", "yields_first", "waits_a_moment"])
async def test_update_may_be_a_coroutine_of_either_kind(manner: str) -> None:
    async with stream(asynchronous=True) as s:
        seen = getattr(third, manner)(s).sink_to_list()
        over = await instants(s, [1, 2])
    assert seen == [1, 2]
    assert over == near([1.0, 2.0])


async def test_emit_waits_for_the_future_that_update_returned() -> None:
    async with stream(asynchronous=True) as s:
        seen = third.returns_a_future(s).sink_to_list()
        assert await instants(s, [1, 2]) == [1.0, 2.0]
    assert seen == [1, 2]


async def test_emit_waits_for_all_awaitables_in_nested_lists() -> None:
    async with stream(asynchronous=True) as s:
        seen = third.nested_waits(s).sink_to_list()
        assert await instants(s, ["x"]) == near([2.0])
    assert seen == ["x"]


async def test_back_pressure_goes_through_old_nodes_of_both_manners() -> None:
    async with stream(asynchronous=True) as s:
        node = third.double_it(third.add_offset(s)).map(inc)
        node.sink(lambda x: gen.sleep(1.0))
        assert await instants(s, [1, 2]) == near([1.0, 2.0])


async def test_old_coroutine_nodes_keep_the_order_of_unawaited_emits() -> None:
    async with stream(asynchronous=True) as s:
        seen = third.sleeps_first(s).sink_to_list()
        for x in range(5):
            s.emit(x)
        await s.join()
    assert sorted(seen) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("manner", ["sleeps_first", "waits_a_moment"])
def test_coroutine_update_runs_on_a_plain_stream(manner: str, virtual_background: Any) -> None:
    s = stream(asynchronous=False)
    seen = getattr(third, manner)(s, seconds=0.5).sink_to_list()
    s.emit(1)
    s.emit(2)
    assert seen == [1, 2]
    s.close()


def test_built_in_update_may_be_called_by_hand_without_who_and_metadata() -> None:
    nodes: dict[str, Any] = {
        "map": lambda s: s.map(inc),
        "filter": lambda s: s.filter(None),
        "accumulate": lambda s: s.accumulate(operator.add),
        "sliding_window": lambda s: s.sliding_window(1),
        "partition": lambda s: s.partition(1),
        "partition_unique": lambda s: s.partition_unique(1),
        "unique": lambda s: s.unique(),
        "union": lambda s: s.union(),
        "slice": lambda s: s.slice(0, 1),
    }
    expected = {
        "map": 2, "filter": 1, "accumulate": 1, "sliding_window": (1,), "partition": (1,),
        "partition_unique": (1,), "unique": 1, "union": 1, "slice": 1,
    }  # fmt: skip
    got = {}
    for name, build in nodes.items():
        node = build(stream())
        seen = node.sink_to_list()
        node.update(1)
        (got[name],) = seen
    assert got == expected


def test_built_in_update_may_be_called_by_hand_with_metadata_none() -> None:
    s = stream()
    node = s.sliding_window(2)
    seen = node.sink_to_list()
    node.update(1, None, None)
    node.update(2, who=s, metadata=None)
    assert seen == [(1, 2)]


def test_several_inputs_may_be_updated_by_hand_with_who() -> None:
    a, b = stream(), stream()
    for build in (a.zip, a.combine_latest, a.zip_latest):
        node = build(b)
        seen = node.sink_to_list()
        node.update(1, who=a)
        node.update(2, who=b)
        assert seen == [(1, 2)], build
        node.destroy()


# -------------------------------------------------------------------------- _emit


def test__emit_gives_an_empty_list_when_nothing_is_pending() -> None:
    s = stream()
    assert s._emit(1) == []
    s.map(inc).sink(lambda x: "no awaitable")
    assert s._emit(1) == []
    assert type(s._emit(1)) is list


async def test__emit_gives_a_list_of_awaitables() -> None:
    async with stream(asynchronous=True) as s:
        s.sink(lambda x: gen.sleep(1.0))
        s.sink(lambda x: None)
        s.sink(lambda x: gen.sleep(2.0))
        waits = s._emit(1)
        assert type(waits) is list
        assert waits
        assert None not in waits
        assert all(inspect.isawaitable(wait) for wait in waits)
        await asyncio.gather(*waits)
        assert asyncio.get_running_loop().time() == near(2.0)


async def test_what__emit_gives_can_be_yielded_in_a_tornado_coroutine() -> None:
    async with stream(asynchronous=True) as s:
        s.sink(lambda x: gen.sleep(1.0))
        s.sink(lambda x: gen.sleep(2.0))

        def emitting() -> Any:
            yield s._emit(1)

        await gen.coroutine(emitting)()
        assert asyncio.get_running_loop().time() == near(2.0)


def test__emit_takes_metadata_by_position_and_by_keyword() -> None:
    s = stream()
    node = third.double_it(s)
    s._emit(1, [{"k": 1}])
    assert node.metadata_seen == [{"k": 1}]
    s._emit(1, metadata=[{"k": 2}])
    assert node.metadata_seen == [{"k": 2}]


def test__emit_may_be_overridden_without_metadata() -> None:
    s = stream()
    seen = third.loud(s).sink_to_list()
    s.emit(1)
    s.emit(2, metadata=[{"k": 1}])
    assert seen == [(1, "!"), (2, "!")]


def test__emit_may_be_overridden_with_metadata() -> None:
    s = stream()
    node = third.sees_all_that_leaves(s.map(inc))
    seen = node.sink_to_list()
    s.emit(1)
    s.emit(2, metadata=[{"k": 1}])
    assert seen == [2, 3]
    assert node.left == [(2, []), (3, [{"k": 1}])]


def test__emit_overridden_on_a_root_sees_what_is_emitted() -> None:
    root = third.sees_all_that_leaves()
    seen = root.map(inc).sink_to_list()
    root.emit(1)
    assert seen == [2]
    assert [x for x, _ in root.left] == [1]


def test__emit_overridden_in_a_subclass_of_zip_sees_each_tuple() -> None:
    a, b = stream(), stream()
    seen = third.zip_to_list(a, b).sink_to_list()
    a.emit(1, metadata=[{"k": 1}])
    b.emit(2)
    assert seen == [[1, 2]]


def test__emit_overridden_in_a_subclass_of_map_may_emit_twice() -> None:
    s = stream()
    seen = third.map_emits_twice(s, inc).sink_to_list()
    s.emit(1)
    assert seen == [2, 2]


# --------------------------------------------------------------------------- emit


def test_emit_without_a_loop_gives_none() -> None:
    s = stream()
    assert s.emit(1) is None
    s.map(inc).sink(lambda x: "something")
    assert s.emit(1) is None


async def test_emit_in_asynchronous_mode_gives_an_awaitable() -> None:
    async with stream(asynchronous=True) as s:
        s.map(inc).sink(lambda x: None)
        wait = s.emit(1)
        assert inspect.isawaitable(wait)
        await wait


async def test_emit_with_asynchronous_true_gives_an_awaitable() -> None:
    async with stream() as s:
        seen = s.map(inc).sink_to_list()
        wait = s.emit(1, asynchronous=True)
        assert inspect.isawaitable(wait)
        await wait
        assert seen == [2]


async def test_emit_can_be_yielded_in_a_tornado_coroutine() -> None:
    async with stream(asynchronous=True) as s:
        seen = s.map(inc).rate_limit(1.0).sink_to_list()

        def emitting() -> Any:
            for x in range(3):
                yield s.emit(x)

        await gen.coroutine(emitting)()
        assert seen == [1, 2, 3]
        assert asyncio.get_running_loop().time() == 2.0


def test_emit_may_be_overridden_without_metadata() -> None:
    root = third.counted_entrance()
    seen = root.map(inc).sink_to_list()
    root.emit(1)
    root.emit(2, asynchronous=False)
    assert seen == [2, 3]
    assert root.entered == 2


def test_an_overridden_emit_is_not_called_for_elements_from_upstream() -> None:
    s = stream()
    node = third.counted_entrance(s)
    seen = node.sink_to_list()
    s.emit(1)
    node.emit(2)
    assert seen == [1, 2]
    assert node.entered == 1


def test_emit_comes_from_any_thread() -> None:
    s = stream()
    seen = s.map(inc).sink_to_list()
    thread = threading.Thread(target=s.emit, args=(1,))
    thread.start()
    thread.join()
    assert seen == [2]


def test_emit_is_re_entrant() -> None:
    s = stream()
    seen: list[int] = []

    def down(x: int) -> None:
        seen.append(x)
        if x:
            s.emit(x - 1)

    s.sink(down)
    s.emit(3)
    assert seen == [3, 2, 1, 0]


def test_emit_in_the_middle_of_a_pipeline_reaches_downstream() -> None:
    s = stream()
    node = s.map(inc)
    seen = node.sink_to_list()
    node.emit(10)
    assert seen == [10]


# ------------------------------------------------------------------- constructors


def test_stream_takes_its_upstream_in_every_old_way() -> None:
    a, b = stream(), stream()
    assert Stream(a).upstreams == [a]
    assert Stream(upstream=a).upstreams == [a]
    assert Stream(upstreams=[a, b]).upstreams == [a, b]
    assert Stream(None).upstream is None
    assert Stream(upstream=None, stream_name="n").name == "n"


def test_stream_names_its_parameters_as_ever() -> None:
    parameters = inspect.signature(Stream.__init__).parameters
    assert list(parameters) == [
        "self", "upstream", "upstreams", "stream_name", "loop", "asynchronous", "ensure_io_loop",
    ]  # fmt: skip
    defaults = [parameter.default for parameter in parameters.values()][1:]
    assert defaults == [None, None, None, None, None, False]


def test_unknown_keywords_are_a_type_error() -> None:
    with pytest.raises(TypeError):
        stream(nonsense=1)
    with pytest.raises(TypeError):
        third.add_offset(stream(), nonsense=1)
    with pytest.raises(TypeError):
        stream().filter(None, stream_name="x").partition(2, nonsense=1)


def test_several_upstreams_have_no_upstream() -> None:
    a, b = stream(), stream()
    with pytest.raises(ValueError, match="upstream"):
        _ = a.zip(b).upstream


# --------------------------------------------------------------- built-in, inherited


def test_subclass_of_zip_calls_update_of_zip_with_who() -> None:
    a, b = stream(), stream()
    node = third.labelled_zip(a, b)
    seen = node.sink_to_list()
    a.emit(1)
    b.emit(2)
    b.emit(3)
    a.emit(4)
    assert seen == [(1, 2), (4, 3)]
    assert node.arrived == [(0, 1), (1, 2), (1, 3), (0, 4)]


def test_zip_called_by_hand_gives_none_on_buffering_and_a_list_on_emission() -> None:
    a, b = stream(), stream()
    node = a.zip(b)
    seen = node.sink_to_list()
    assert node.update(1, who=a) is None
    assert node.update(2, who=b) == []
    assert seen == [(1, 2)]


def test_subclass_of_zip_swaps_buffers_and_literals() -> None:
    a, b = stream(), stream()
    seen = third.zip_that_starts_over(a, b, "old").sink_to_list()
    a.emit(1)
    b.emit("start")
    a.emit(2)
    b.emit(3)
    assert seen == [(2, 3, "new")]


@pytest.mark.parametrize("manner", ["counting_map", "counting_map_with_metadata"])
def test_subclass_of_map_counts_and_calls_super(manner: str) -> None:
    s = stream()
    node = getattr(third, manner)(s, operator.add, 10)
    seen = node.sink_to_list()
    emit_all(s, [1, 2])
    assert seen == [11, 12]
    assert node.calls == 2


def test_subclass_of_accumulate_resets_the_state_before_super() -> None:
    s = stream()
    seen = third.capped_total(s, operator.add, start=0).sink_to_list()
    emit_all(s, [5, 6, 1, 2])
    assert seen == [5, 11, 1, 3]


def test_subclass_of_filter_uses_predicate_args_and_kwargs() -> None:
    s = stream()
    seen = third.filter_or_fallback(s, lambda x, low, high=9: low < x < high, 1).sink_to_list()
    emit_all(s, [1, 2, 9, 8])
    assert seen == [None, 2, None, 8]


def test_subclass_of_combine_latest_forgets_an_input() -> None:
    a, b = stream(), stream()
    seen = third.newest_of_all(a, b).sink_to_list()
    a.emit(1)
    b.emit(2)
    a.emit(None)
    b.emit(3)
    a.emit(4)
    assert seen == [(1, 2), (4, 3)]


def test_module_level_operators_construct() -> None:
    a, b = stream(), stream()
    assert list(core.union(a, b).upstreams) == [a, b]
    seen = core.zip(a, b).sink_to_list()
    sums = core.starmap(core.zip(a, b), operator.add).sink_to_list()
    a.emit(1)
    b.emit(2)
    assert seen == [(1, 2)]
    assert sums == [3]


def test_old_and_native_nodes_live_in_one_graph() -> None:
    s = stream()
    left = third.add_offset(s).map(inc)
    right = third.double_it(s.filter(lambda x: x > 0))
    joined = third.labelled_zip(left, right)
    seen = joined.starmap(operator.sub).accumulate(operator.add, start=0).sink_to_list()
    emit_all(s, [1, 2, 3])
    assert seen == [1, 1, 0]


def test_old_nodes_fit_between_native_ones_with_queues(virtual_background: Any) -> None:
    s = stream(asynchronous=False)
    seen = third.double_it(third.add_offset(s).buffer(2)).map(inc).sink_to_list()
    emit_all(s, range(5))
    s.join()
    assert seen == [3, 5, 7, 9, 11]
    s.close()


# -------------------------------------------------------------------------- hooks


def test_upstream_hooks_are_what_connect_and_disconnect_go_through() -> None:
    a, b = stream(), stream()
    node = third.grows(a)
    seen = node.sink_to_list()
    b.connect(node)
    assert node.inputs == [a, b]
    a.emit(1)
    b.emit(2)
    a.disconnect(node)
    assert node.inputs == [b]
    a.emit(3)
    b.emit(4)
    assert seen == [(0, 1), (1, 2), (0, 4)]


def test_upstream_hooks_are_what_destroy_goes_through() -> None:
    a, b = stream(), stream()
    node = third.grows(a, b)
    node.destroy()
    assert node.inputs == []
    assert node.upstreams == []


def test_downstream_hooks_are_what_connect_and_disconnect_go_through() -> None:
    s = third.keeps_book_of_outputs(stream())
    node = stream()
    seen = node.sink_to_list()
    s.connect(node)
    assert s.outputs == [node]
    s.emit(1)
    s.disconnect(node)
    assert s.outputs == []
    s.emit(2)
    assert seen == [1]


def test_methods_may_be_shadowed_by_attributes_and_own_methods() -> None:
    s = stream()
    node = third.document_router(s)
    seen = node.sink_to_list()
    emit_all(s, [("start", {"n": 1}), ("descriptor", {"k": 2}), ("event", {}), ("stop", {})])
    assert seen == [
        ("start", {"n": 1}),
        ("descriptor", {"start": {"n": 1}, "k": 2}),
        ("event", {}),
        ("stop", {"exit": {}}),
    ]
    assert node.start == {"n": 1}


def test_shadowed_methods_do_not_disturb_the_end() -> None:
    s = stream()
    seen = third.document_router(s).pluck(0).partition(2).sink_to_list()
    s.emit(("start", {}))
    s.close()
    assert seen == [("start",)]


# --------------------------------------------------------------- sources and sinks


async def test_source_of_the_first_manner_polls_on_its_loop() -> None:
    source = third.polled_device([1, 2, 3], asynchronous=True)
    seen = source.sink_to_list()
    source.start()
    await asyncio.sleep(2.0)
    assert seen == [1, 2, 3]


def test_source_tolerates_ensure_io_loop_given_again() -> None:
    class asks_too(Source[Any]):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(ensure_io_loop=True, **kwargs)

    assert asks_too().loop is not None
    assert third.polled_device([]).loop is not None


async def test_source_runs_turn_after_turn_until_it_stops_itself() -> None:
    source = third.counts_up(3, asynchronous=True)
    seen = source.sink_to_list()
    assert (source.stopped, source.started) == (True, False)
    source.start()
    assert (source.stopped, source.started) == (False, True)
    await asyncio.sleep(10.0)
    assert seen == [1, 2, 3]
    assert source.stopped


@pytest.mark.parametrize("manner", ["all_at_once", "all_at_once_in_tornado"])
async def test_source_may_override_run(manner: str) -> None:
    source = getattr(third, manner)([1, 2, 3], asynchronous=True)
    seen = source.map(inc).sink_to_list()
    source.start()
    await asyncio.sleep(1.0)
    assert seen == [2, 3, 4]


async def test_source_may_start_when_it_is_built() -> None:
    source = third.all_at_once([1, 2], start=True, asynchronous=True)
    seen = source.sink_to_list()
    await asyncio.sleep(1.0)
    assert seen == [1, 2]


async def test_source_pushes_through_an_overridden__emit() -> None:
    source = third.watched_iterable([1, 2, 3], asynchronous=True)
    seen = source.map(inc).sink_to_list()
    source.start()
    await asyncio.sleep(1.0)
    assert seen == [2, 3, 4]
    assert source.left == [1, 2, 3]


def test_start_and_stop_of_any_node_reach_its_sources(virtual_background: Any) -> None:
    source = third.counts_up(2)
    node = source.map(inc)
    seen = node.sink_to_list()
    assert node.start() is None
    assert source.started
    virtual_background.let_pass(5.0)
    assert seen == [2, 3]
    assert node.stop() is None
    assert source.stopped


def test_start_and_stop_of_a_plain_stream_do_nothing() -> None:
    node = stream().map(inc)
    assert node.start() is None
    assert node.stop() is None


def test_sinks_of_both_manners_receive_and_stay_until_destroyed() -> None:
    s = stream()
    for manner in (third.list_sink, third.old_list_sink):
        seen: list[int] = []
        sink = manner(s, seen)
        assert sink in sinks._global_sinks
        s.emit(1)
        sink.destroy()
        assert sink not in sinks._global_sinks
        s.emit(2)
        assert seen == [1]


def test_destroy_of_a_sink_may_be_overridden_without_arguments() -> None:
    s = stream()
    sink = third.list_sink(s, [])
    rapidz.destroy_pipeline(s)
    assert sink.closed == 1
    assert sink.upstreams == []


def test_mixins_work_in_front_and_behind() -> None:
    s = stream()
    seen: list[int] = []
    sink = third.labelled_sink(s, seen, label="kept", stream_name="named")
    node = third.labelled_node(s, label="doubled")
    described = third.described_sink(node, [])
    s.emit(2)
    assert (sink.label, sink.name, node.label) == ("kept", "named", "doubled")
    assert seen == [2]
    assert described.into == [4]
    assert described.describe() == "described_sink"


def test_mixin_in_front_of_a_source(virtual_background: Any) -> None:
    source = third.labelled_source([1, 2], label="mine")
    seen = source.sink_to_list()
    source.start()
    eventually(lambda: seen == [1, 2] or virtual_background.let_pass(0.1))
    assert source.label == "mine"


def test_sink_base_class_hands_keywords_on() -> None:
    s = stream()
    sink: Any = Sink(s, stream_name="end")
    assert sink.name == "end"
    assert str(sink) == "<end; Sink>"
