"""The contract of a node: one table of hooks, and none of them needs `super()`."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rapidz
from rapidz import Sink, Source, Stream
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.node import Node
from rapidz.sinks import _global_sinks

#: What code of the old libraries overrides, and what is drawn: see the docs of either.
OLD = re.compile(r"_emit|_(add|remove)_(up|down)stream|_init_\w+|_graphviz_\w+|_abc_impl")
#: What the engine does besides the hooks; refined where a layer above has more to do.
ENGINE = {"_end", "_run_in_order", "_loop_changed"}


def classes() -> Iterator[type[Stream[Any]]]:
    """Every node class of the library."""
    for info in pkgutil.walk_packages(rapidz.__path__, "rapidz."):
        if not info.name.endswith("__main__"):
            importlib.import_module(info.name)
    ahead: list[type[Stream[Any]]] = [Stream]
    while ahead:
        for cls in ahead.pop().__subclasses__():
            ahead.append(cls)
            if cls.__module__.partition(".")[0] == "rapidz":
                yield cls


def hooks() -> set[str]:
    return {name for name in vars(Node) if not name.startswith("__")}


def test_the_hooks_that_the_library_overrides_are_those_of_the_table() -> None:
    base = {name for cls in Stream.__mro__[:-1] for name in vars(cls)}
    overridden = {
        name
        for cls in classes()
        for name in vars(cls)
        if name in base and (name.startswith("_") or name in hooks())
        if not name.startswith("__") and not OLD.fullmatch(name)
    }
    set_on_nodes = {"_side_ports"}
    assert (overridden - ENGINE) | set_on_nodes == hooks()


def test_every_hook_says_when_it_is_called() -> None:
    for name in hooks():
        value = vars(Node)[name]
        if inspect.isfunction(value):
            text = value.__doc__ or ""
            assert re.search(r"Called|Compile time", text), name


def test_the_page_for_those_who_write_nodes_names_hooks_that_exist() -> None:
    page = Path("docs/writing-nodes.md").read_text()
    table = page[page.index("| name | purpose |") :]
    named = set(re.findall(r"^\| `(\w+)", table, re.M))
    assert named
    assert named <= hooks()


@pytest.mark.parametrize("flag", ["_side_ports"])
def test_an_input_that_steers_need_not_end(flag: str) -> None:
    class gated(Stream[Any]):
        def update(self, x: Any, who: Any = None) -> Any:
            return self._emit(x)

    setattr(gated, flag, frozenset({1}))
    data, steering = Stream[int](), Stream[int]()
    node = gated(upstreams=[data, steering])
    ended: list[str] = []

    class last(Sink[Any]):
        def update(self, x: Any, who: Any = None) -> None: ...

        def _on_end(self) -> None:
            ended.append("end")

    last(node)
    data.close()
    assert ended == ["end"]


def test_lines_that_are_no_python_name_their_node() -> None:
    class broken(Stream[int]):
        def inline(self, code: Any, port: int = 0) -> None:
            code.line("x = = 2")

    source = Stream[int]()
    source.map(str).sink_to_list()
    node = broken(source, stream_name="wrong")
    node.map(str).sink_to_list()
    with pytest.raises(SyntaxError) as caught:
        source.emit(1)
    assert any("<wrong; broken>" in note for note in caught.value.__notes__)


def test_a_failure_in_a_custom_step_names_the_node() -> None:
    class inverse(Stream[int]):
        def compile(self, push: Any, port: int = 0) -> Any:
            return lambda x: push(1 / x)

    source = Stream[int]()
    node = inverse(source)
    seen = node.map(lambda x: 1 / (x - 1)).sink_to_list()
    with pytest.raises(ZeroDivisionError) as caught:
        source.emit(0)
    assert any("<inverse>" in note for note in caught.value.__notes__)
    with pytest.raises(ZeroDivisionError) as caught:
        source.emit(1)
    assert not any("<inverse>" in note for note in caught.value.__notes__)
    assert seen == []


# --- hooks without `super()` ---------------------------------------------------------------------


def test_a_sink_with_its_own_finish_is_released_at_the_end() -> None:
    finished: list[str] = []

    class closing(Sink[int]):
        def update(self, x: int, who: Any = None) -> None: ...

        def _on_end(self) -> None:
            finished.append("finished")

    source = Stream[int]()
    node = closing(source)
    assert node in _global_sinks
    source.close()
    assert finished == ["finished"]
    assert node not in _global_sinks


async def test_a_source_with_a_finish_of_its_own_is_stopped_at_the_end() -> None:
    finished: list[str] = []

    class forever(Source[int]):
        async def run(self) -> None:
            await asyncio.Event().wait()

        def _on_end(self) -> None:
            finished.append("finished")

    source = forever(asynchronous=True, start=True)
    source.sink_to_list()
    await asyncio.sleep(0)
    source.stop()
    await source.close()
    assert (finished, source.stopped) == (["finished"], True)


def test_an_assignment_is_checked_and_applies_without_super() -> None:
    class offset(Stream[int]):
        by: LiveAttribute[int] = LiveAttribute()

        def __init__(self, upstream: Stream[int], by: int) -> None:
            self.by = by
            super().__init__(upstream)

        def _on_attribute_set(self, name: str, value: Any) -> None:
            if value < 0:
                raise ValueError("offset: by must be >= 0")

        def compile(self, push: Any, port: int = 0) -> Any:
            by = self.by
            return lambda x: push(x + by)

    source = Stream[int]()
    node = offset(source, 1)
    seen = node.sink_to_list()
    source.emit(0)
    node.by = 2
    source.emit(0)
    with pytest.raises(ValueError, match="must be >= 0"):
        node.by = -1
    source.emit(0)
    assert seen == [1, 2, 2]


def test_a_custom_node_follows_its_pipeline_to_another_loop() -> None:
    moved: list[str] = []

    class noting(Stream[int]):
        def _on_loop_changed(self) -> None:
            moved.append("moved")

        async def update(self, x: int, who: Any = None) -> None:
            await asyncio.sleep(0)
            for wait in self._emit(x):
                await wait

    source = Stream[int](asynchronous=True)
    seen = noting(source).sink_to_list()

    async def feed(x: int) -> None:
        await source.emit(x)

    asyncio.run(feed(1))
    asyncio.run(feed(2))
    assert (seen, moved) == ([1, 2], ["moved"])
