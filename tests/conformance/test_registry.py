"""Contract of operators, checked for every one that the package has."""

from __future__ import annotations

import asyncio
import doctest
import gc
import inspect
import weakref
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.table import CASES, TABLE, Case, flat, operators
from tests.support import Boom, begin, fail_on, noted, same, send, settle, turns

from rapidz import Stream
from rapidz._menu.fluent import Fluent
from rapidz.kernel.compile.loss_alignment import emits_one_for_one
from rapidz.testing import run

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(operators())

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_node = pytest.mark.parametrize(
    "case", [case for case in CASES if not case.ends], ids=lambda case: case.name
)
every_own = pytest.mark.parametrize(
    "case", [case for case in CASES if case.own and not case.loose], ids=lambda case: case.name
)
every_class = pytest.mark.parametrize("name", NAMES)


def test_every_operator_class_is_found() -> None:
    public = {
        *("map", "starmap", "filter", "accumulate", "map_async", "flatten", "pluck", "unique"),
        *("slice", "partition", "partition_unique", "sliding_window", "timed_window"),
        *("timed_window_unique", "collect", "buffer", "delay", "rate_limit", "latest", "union"),
        *("zip", "zip_latest", "combine_latest", "sink", "starsink"),
    }
    assert public <= set(NAMES)


@every_class
def test_every_operator_has_an_entry_in_the_table(name: str) -> None:
    assert name in TABLE, f"add {name} to tests/conformance/table.py"


@every_class
def test_every_operator_has_a_test_file(name: str) -> None:
    assert (ROOT / "tests" / "operators" / f"test_{name}.py").is_file()


@every_class
def test_every_operator_has_a_docs_page(name: str) -> None:
    assert (ROOT / "docs" / "operators" / f"{name}.md").is_file()


@every_class
def test_every_operator_has_a_line_in_the_menu(name: str) -> None:
    assert inspect.getattr_static(Fluent, name, None) is not None
    assert callable(getattr(Stream(), name))


@every_class
def test_every_operator_has_a_docstring_with_an_example(name: str) -> None:
    doc = operators()[name].__doc__ or ""
    assert len(doc.strip().splitlines()[0]) > 10, "a summary line"
    assert any(example.want for example in doctest.DocTestParser().get_examples(doc))


@every_class
def test_every_operator_carries_its_public_name(name: str) -> None:
    """Ruling 21 (docs/rulings.md): importable again from `node.__module__` under it."""
    node = operators()[name]
    module = __import__(node.__module__, fromlist=[name])
    assert getattr(module, name) is node


@every_case
def test_every_operator_names_what_it_does_not_know(case: Case) -> None:
    """Ruling 21: unknown keywords are a TypeError, where they cannot be the function's."""
    if case.name not in NAMES or case.awaits:
        return
    build = getattr(Stream(), case.name)
    with pytest.raises(TypeError):
        build(*_arguments(case.name), nonsense=True)


def _arguments(name: str) -> tuple[Any, ...]:
    if name in ("union", "zip", "zip_latest", "combine_latest"):
        return (Stream(),)
    known: dict[str, tuple[Any, ...]] = {"latest": (), "collect": (), "flatten": ()}
    return known.get(name, (2,))


def compared(case: Case, outputs: list[Any]) -> list[Any]:
    """Return what a check compares: the outputs, or the elements in them if batches vary."""
    return flat(outputs) if case.loose else outputs


async def _deliver(case: Case, source: Stream[int], xs: tuple[int, ...]) -> None:
    for x in xs:
        await send(source, x)
        await settle(source.join())


@every_node
def test_every_operator_is_its_model_and_flushes_at_the_end(case: Case) -> None:
    """Ruling 4 (docs/rulings.md)."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            seen: list[Any] = case.build(source, same, 1.0).sink_to_list()
            await _deliver(case, source, case.feed)
        return seen

    seen, wanted = run(go()), case.model(list(case.feed))
    assert compared(case, seen) == compared(case, wanted)


@every_node
def test_every_operator_is_its_model_in_plain_calls(case: Case) -> None:
    """Promise 4 (docs/rulings.md): one pipeline, several ways to run it."""
    with Stream[int]() as source:
        seen: list[Any] = case.build(source, same, 0.001).sink_to_list()
        for x in case.feed:
            source.emit(x)
            source.join()
    wanted = case.model(list(case.feed))
    assert compared(case, seen) == compared(case, wanted)


@every_node
def test_every_operator_survives_edits_of_the_graph(case: Case) -> None:
    """Engine rule 1 (docs/rulings.md): an edit recompiles and loses no window or total."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            top: Any = source.map(same)
            node = case.build(top, same, 1.0)
            seen: list[Any] = node.sink_to_list()
            for x in case.feed:
                beside: list[int] = []
                branches = [top.sink(beside.append), node.map(same), node.sink(same)]
                if list(node.upstreams) == [top]:
                    top.disconnect(node)
                    top.connect(node)
                await send(source, x)
                await settle(source.join())
                assert beside == [x]
                for branch in branches:
                    branch.destroy()
        return seen

    seen, wanted = run(go()), case.model(list(case.feed))
    assert compared(case, seen) == compared(case, wanted)


@every_node
def test_every_operator_passes_back_pressure_through(case: Case) -> None:
    """The sink never finishes: sooner or later an emit must wait."""

    async def go() -> bool:
        async with Stream[int](asynchronous=True) as source:
            gate = asyncio.Event()

            async def stuck(_: object) -> None:
                await gate.wait()

            case.build(source, same, 1.0).sink(stuck)
            held = False
            for x in range(100, 150):
                wait = begin(source, x)
                await asyncio.wait([wait], timeout=5)
                held = not wait.done()
                if held:
                    break
                await asyncio.sleep(1)
            gate.set()
        return held

    assert run(go()) is case.applies_back_pressure


@every_node
def test_every_operator_is_collected_when_dropped(case: Case) -> None:
    """Ruling 8; defect D31 (docs/rulings.md): 20 dropped `timed_window`, 20 nodes still ticking."""

    async def go() -> tuple[bool, list[int]]:
        async with Stream[int](asynchronous=True) as source:
            seen = source.sink_to_list()
            node = case.build(source, same, 1.0)
            dead = weakref.ref(node)
            for x in case.feed:
                await send(source, x)
            await settle(source.join())
            await asyncio.sleep(10)
            del node
            await turns()
            gc.collect()
            gone = dead() is None
            await send(source, 0)
        return gone, seen

    gone, seen = run(go())
    assert gone
    assert seen == [*case.feed, 0]


@every_node
def test_every_operator_is_collected_when_dropped_without_a_loop(case: Case) -> None:
    source: Stream[int] = Stream()
    node = case.build(source, same, 1.0)
    dead = weakref.ref(node)
    if not case.timed:
        for x in case.feed:
            source.emit(x)
    del node
    gc.collect()
    assert dead() is None
    source.close()


@every_case
def test_every_operator_may_be_destroyed_and_disconnected_again(case: Case) -> None:
    """Ruling 8; defect D33 (docs/rulings.md): KeyError."""
    source, stranger = Stream[int](), Stream[int]()
    node = case.build(source, same, 1.0)
    stranger.disconnect(node)
    node.destroy()
    node.destroy()
    source.disconnect(node)
    source.close()
    source.close()


@every_own
def test_every_operator_names_itself_in_errors(case: Case) -> None:
    """Ruling 1 (docs/rulings.md): a note names node, function and element."""

    async def go() -> BaseException | None:
        source = Stream[int](asynchronous=True)
        node = case.build(source, fail_on(103), 1.0)
        failure: BaseException | None = None
        try:
            await _deliver(case, source, (103,))
        except Boom as boom:
            failure = boom
        await settle(source.close())
        del node
        return failure

    failure = run(go())
    assert failure is not None
    others = {
        "remove": "filter",
        "keyed accumulate": "accumulate",
        "timers of process": "process",
        "sliding with much overlap": "sliding",
        "bounded session": "session",
        "keyed tumbling": "tumbling",
        "versioned lookup": "lookup",
    }
    named = others.get(case.name, case.name)
    assert noted(failure, named) or noted(failure, case.name), failure.__notes__


@every_case
def test_every_operator_takes_a_name_and_shows_it(case: Case) -> None:
    if case.name not in NAMES:
        return
    source = Stream[int]()
    build = getattr(source, case.name)
    own = max if case.name == "accumulate" else same  # of two arguments
    arguments = (own,) if case.awaits else _arguments(case.name)
    node = build(*arguments, stream_name="called")
    assert node.name == "called"
    assert "called" in str(node)
    node.destroy()
    source.close()


def test_a_loop_is_started_only_when_a_node_needs_one() -> None:
    """Ruling 6 (docs/rulings.md)."""
    for case in CASES:
        if not case.timed:
            source = Stream[int]()
            node = case.build(source, same, 1.0)
            assert source.emit(100) is None, case.name
            source.close()
            del node


ONE_FOR_ONE = frozenset(
    {
        *("map", "starmap", "accumulate", "frequencies", "pluck", "map_async"),
        *("buffer", "delay", "rate_limit", "zip"),
        *("event_time", "timestamps", "key_by", "keyed accumulate", "map_with_state"),
    }
)


@every_node
def test_every_operator_says_whether_it_emits_one_for_one(case: Case) -> None:
    """Ruling 23: by this a join knows which of its inputs are aligned."""

    async def go() -> tuple[bool, list[Any]]:
        async with Stream[int](asynchronous=True) as source:
            node = case.build(source, fail_on(104), 0.5)
            source.on_error("skip")
            seen = node.sink_to_list()
            for x in case.feed:
                await send(source, x)
        return emits_one_for_one(node) and bool(node._aligned_with()), seen

    says, seen = run(go())
    assert says is (case.name in ONE_FOR_ONE)
    if says:
        failed = {104} if case.own else set()
        assert len(seen) == len([x for x in case.feed if x not in failed])
