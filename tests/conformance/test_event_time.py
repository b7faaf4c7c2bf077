"""Contract of the operators of event time, found by their registry; see `test_registry`."""

from __future__ import annotations

import doctest
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.table import TABLE
from tests.conformance.test_threads import THREADS, emitter, in_threads, numbered
from tests.support import fail_on, noted

from rapidz import Collect, Stream
from rapidz._menu.fluent import Fluent
from rapidz.eventtime import OPERATORS

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = {"held_by", "why_open"}
"""They make no node."""

NAMES = sorted(set(OPERATORS) - QUESTIONS)

every_name = pytest.mark.parametrize("name", NAMES)


def operator(name: str) -> Any:
    return getattr(importlib.import_module(f"rapidz.eventtime.{OPERATORS[name]}"), name)


@every_name
def test_every_operator_has_an_entry_in_the_table(name: str) -> None:
    assert name in TABLE, f"add {name} to tests/conformance/table.py"


@every_name
def test_every_operator_is_tested_beside_the_others(name: str) -> None:
    tests = (ROOT / "tests" / "eventtime").rglob("test_*.py")
    assert any(f".{name}(" in path.read_text() for path in tests)


@every_name
def test_every_operator_has_a_docs_page(name: str) -> None:
    assert (ROOT / "docs" / "operators" / f"{name}.md").is_file()


@every_name
def test_every_operator_has_a_line_in_the_menu(name: str) -> None:
    assert inspect.getattr_static(Fluent, name, None) is not None
    assert callable(getattr(Stream(), name))


@every_name
def test_every_operator_has_a_docstring_with_an_example(name: str) -> None:
    doc = operator(name).__doc__ or ""
    assert len(doc.strip().splitlines()[0]) > 10, "a summary line"
    assert any(example.want for example in doctest.DocTestParser().get_examples(doc))


@every_name
def test_every_operator_names_what_it_does_not_know(name: str) -> None:
    timed = Stream[Any]().event_time(0)
    arguments: dict[str, tuple[Any, ...]] = {
        "sliding": (2, 1),
        "process": (Silent,),
        "asof_join": (timed,),
        "interval_join": (timed,),
        "lookup": (timed, 0),
    }
    options = {"within": 1} if name == "interval_join" else {}

    def build() -> None:
        made = getattr(timed, name)(*arguments.get(name, (1,)), nonsense=True, **options)
        if name in ("tumbling", "sliding", "session"):
            made.collect()

    with pytest.raises(TypeError, match="nonsense"):
        build()


class Silent:
    def on_element(self, key: Any, x: Any, ctx: Any) -> None:
        """Emit nothing."""


READERS: dict[str, Callable[[Any, Any], Any]] = {
    "event_time": lambda s, own: s.event_time(own),
    "tumbling": lambda s, own: s.event_time(int).tumbling(1, timestamp=own).collect(),
    "tumbling by key": lambda s, own: s.event_time(int).key_by(own).tumbling(1).collect(),
    "tumbling with updates": lambda s, own: (
        s.event_time(int).key_by(own).tumbling(1, emit="update").collect()
    ),
    "session": lambda s, own: s.event_time(int).session(1, timestamp=own).collect(),
    "session by key": lambda s, own: s.event_time(int).key_by(own).session(1).collect(),
    "interval_join": lambda s, own: s.event_time(int).interval_join(
        Stream[Any]().event_time(int), key=own, within=1
    ),
    "asof_join": lambda s, own: s.event_time(int).asof_join(
        Stream[Any]().event_time(int), timestamp=(own, int)
    ),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("before", [(), (1, 2)], ids=["first", "later"])
def test_a_timestamp_or_key_that_fails_names_its_operator(
    name: str, before: tuple[int, ...]
) -> None:
    source = Stream[int]()
    node = READERS[name](source, fail_on(103))
    for x in before:
        source.emit(x)
    with pytest.raises(Exception, match="103") as caught:
        source.emit(103)
    assert noted(caught.value, name.split()[0]), caught.value.__notes__
    node.destroy()
    source.close()


@pytest.mark.parametrize("bulk", [False, True], ids=["plain", "bulk"])
@pytest.mark.parametrize("windows", ["tumbling", "sliding", "session"])
def test_windows_have_every_emit_of_four_threads_once(windows: str, bulk: bool) -> None:
    emits = 2_000
    with Stream[Any]() as source:
        keyed = source.event_time(1, lag=emits).key_by(0)
        defined = {
            "tumbling": lambda: keyed.tumbling(10),
            "sliding": lambda: keyed.sliding(10, 5),
            "session": lambda: keyed.session(2),
        }[windows]()
        node = defined.aggregate(all=Collect(1))
        results = node.sink_to_list()
        in_threads(*[emitter(source, elements, bulk) for elements in numbered(emits)])
    assert node.late_count == 0
    for thread in range(THREADS):
        seen = [n for r in results if r.key == thread for n in r.value["all"]]
        assert sorted(seen) == sorted(list(range(emits)) * (2 if windows == "sliding" else 1))
