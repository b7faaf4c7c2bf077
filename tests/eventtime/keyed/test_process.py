"""process: a class with state and timers for each key."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.eventtime.keyed.processes import Scripted, outputs, shown, timed
from tests.support import settle

import rapidz
from rapidz import Stream
from rapidz.testing import check_operator, run

# --- what the methods return --------------------------------------------------------------


class Twice:
    def __init__(self, factor: int, *, plus: int = 0) -> None:
        self.factor, self.plus = factor, plus

    def on_element(self, key: Any, x: Any, ctx: Any) -> Iterator[Any]:
        yield x * self.factor
        yield x + self.plus


def test_one_instance_gets_the_arguments() -> None:
    source: Any = Stream()
    node = source.process(Twice, 2, plus=7)
    seen = node.sink_to_list()
    source.emit_many([1, 5])
    assert seen == [2, 8, 10, 12]
    assert isinstance(node.instance, Twice)


def test_the_type_of_the_context_is_a_public_name() -> None:
    kinds = []

    class Typed:
        def on_element(self, key: None, x: int, ctx: rapidz.KeyContext) -> None:
            kinds.append(type(ctx))

    source: Any = Stream()
    source.process(Typed).sink(print)
    source.emit(1)
    assert kinds == [rapidz.KeyContext]


@pytest.mark.parametrize(
    "nothing", [None, [], (), iter(())], ids=["None", "list", "tuple", "iterator"]
)
def test_nothing_is_emitted_for_nothing(nothing: Any) -> None:
    assert outputs(lambda *_: nothing, shown, [(0, "a")]) == []


@pytest.mark.parametrize("one", ["abc", b"abc", {"a": 1}, 5, datetime(2024, 1, 1, tzinfo=UTC)])
def test_one_element_in_place_of_an_iterable_is_refused(one: Any) -> None:
    source, keyed = timed()
    keyed.process(Scripted, lambda *_: one, shown).sink(print)
    with pytest.raises(TypeError, match="process: on_element must return None or an iterable"):
        source.emit((0, "a"))


def test_a_named_tuple_is_one_element_and_refused() -> None:
    from rapidz.eventtime.keyed.process_state import KeyTimer

    source, keyed = timed()
    keyed.process(Scripted, lambda *_: KeyTimer(1, 2, 3), shown).sink(print)
    with pytest.raises(TypeError, match=r"or an iterable of what to emit, got KeyTimer\(key=1"):
        source.emit((0, "a"))


def test_process_keeps_the_contract_of_operators() -> None:
    check_operator(lambda stream: stream.process(Twice, 2), [1, 5], outputs=[2, 1, 10, 5])
    check_operator(
        lambda stream: stream.event_time(lambda x: x).process(Echo), [0, 3, 20], outputs=ECHOES
    )


class Echo:
    """Emit each element, and again when the watermark is five later."""

    def on_element(self, key: Any, x: Any, ctx: Any) -> list[Any]:
        ctx.at(x + 5, x)
        return [x]

    def on_timer(self, key: Any, t: Any, ctx: Any) -> list[Any]:
        return [ctx.name]


ECHOES = [0, 3, 0, 3, 20, 20]


# --- arguments ----------------------------------------------------------------------------


class Nothing:
    pass


class Async:
    async def on_element(self, key: Any, x: Any, ctx: Any) -> None: ...


class AsyncTimer:
    def on_element(self, key: Any, x: Any, ctx: Any) -> None: ...

    async def on_timer(self, key: Any, t: Any, ctx: Any) -> Any:
        yield 1


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (5, "process: cls must be callable, got 5"),
        (Nothing, r"process: cls must have a method on_element\(key, x, ctx\), got .*Nothing"),
        (Async, "process: on_element must not be async def, .*: await in `map_async`"),
        (AsyncTimer, "process: on_timer must not be async def"),
        (Twice, "factor"),
    ],
)
def test_a_class_that_does_not_fit_is_refused(cls: Any, message: str) -> None:
    _, keyed = timed()
    with pytest.raises(TypeError, match=message):
        keyed.process(cls)
    assert not len(keyed.downstreams)


def test_a_scattered_stream_is_refused() -> None:
    with Stream[Any]() as source:
        scattered = source.scatter("thread")
        with pytest.raises(TypeError, match="process does not support scattered streams"):
            scattered.process(Twice, 2)


def test_a_misspelled_option_is_refused() -> None:
    _, keyed = timed()
    with pytest.raises(TypeError, match=r"process: keywords must be among those of cls Twice"):
        keyed.process(Twice, 3, plsu=1)


@pytest.mark.parametrize("hold", ["x", -1, None])
def test_a_bad_hold_is_refused(hold: Any) -> None:
    _, keyed = timed()
    with pytest.raises((TypeError, ValueError), match="process: hold must be"):
        keyed.process(Twice, 3, hold=hold)


def test_a_timer_needs_a_method_to_call() -> None:
    class NoTimer:
        def on_element(self, key: Any, x: Any, ctx: Any) -> None:
            ctx.at(5)

    source, keyed = timed()
    keyed.process(NoTimer).sink(print)
    with pytest.raises(TypeError, match=r"process: ctx\.at needs a method on_timer"):
        source.emit((0, "a"))


# --- the graph ----------------------------------------------------------------------------


def test_an_edit_of_the_graph_keeps_state_and_timers() -> None:
    source, keyed = timed()
    node = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), shown)
    source.emit((0, "a"))
    seen = node.map(str).sink_to_list()
    source.emit((9, "b"))
    assert seen == ["('a', 5, None)"]


def test_a_process_is_collected_with_its_timers() -> None:
    source, keyed = timed()
    node = keyed.process(Scripted, lambda k, x, ctx: ctx.at(x[0] + 5), shown)
    source.emit((0, "a"))
    ref = weakref.ref(node)
    del node
    gc.collect()
    assert ref() is None
    source.emit((9, "b"))


def test_a_method_that_emits_into_its_own_stream_is_served() -> None:
    """Ruling 24 (docs/rulings.md): feedback by `emit`."""
    source, keyed = timed()

    def on_element(key: Any, x: Any, ctx: Any) -> list[Any]:
        if x[0] < 3:
            source.emit((x[0] + 1, key))
        ctx.state = (ctx.state or ()) + (x[0],)
        return [(x[0], ctx.key, ctx.state)]

    seen = keyed.process(Scripted, on_element, shown).sink_to_list()
    source.emit((1, "a"))
    assert sorted(t for t, _, _ in seen) == [1, 2, 3]


@pytest.mark.parametrize("way", ["emit", "emit_many"])
def test_a_process_gives_the_same_however_it_is_fed(way: str) -> None:
    elements = [(t, "ab"[t % 2]) for t in range(20)]
    source, keyed = timed()
    seen = keyed.process(
        Scripted, lambda k, x, ctx: (ctx.at(x[0] + 5), [x])[1], shown
    ).sink_to_list()
    if way == "emit":
        for x in elements:
            source.emit(x)
    else:
        source.emit_many(elements)
    source.close()
    assert len(seen) == 22
    assert run(_through_a_loop(elements)) == seen


async def _through_a_loop(elements: list[Any]) -> list[Any]:
    async with Stream[Any](asynchronous=True) as source:
        _, keyed = timed(source)
        seen = keyed.process(
            Scripted, lambda k, x, ctx: (ctx.at(x[0] + 5), [x])[1], shown
        ).sink_to_list()
        for x in elements:
            await settle(source.emit(x))
    return list(seen)
