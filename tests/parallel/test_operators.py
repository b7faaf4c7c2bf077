"""Operators on scattered streams give what they give on plain ones; all of them are tested."""

from __future__ import annotations

from typing import Any

import pytest
from tests.parallel.cases import CASES, ELSEWHERE, REFUSED, Case, operators, own_operators

from rapidz import Stream
from rapidz.parallel import ParallelStream
from rapidz.testing import assert_equivalent

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_steady = pytest.mark.parametrize("case", [case for case in CASES if not case.timed], ids=str)


def test_operators_are_found() -> None:
    assert {"map", "scan", "zip", "gather", "unique", "sink"} <= operators()
    assert {"map", "scan", "zip", "gather", "unique"} <= own_operators()


@pytest.mark.parametrize("name", sorted(operators() - ELSEWHERE - REFUSED))
def test_every_operator_has_a_case(name: str) -> None:
    assert name in {case.name for case in CASES}, f"add {name} to tests/parallel/cases.py"


@pytest.mark.parametrize(
    "add",
    [
        lambda s: s.event_time(0),
        lambda s: s.key_by(0),
        lambda s: s.process(object),
        lambda s: s.asof_join(s, 0),
        lambda s: s.interval_join(s, 0, within=1),
        lambda s: s.lookup(s, 0),
        lambda s: s.timestamps(0),
        lambda s: s.tumbling(1).collect(),
        lambda s: s.session(1).collect(),
    ],
)
def test_operators_that_read_timestamps_refuse_a_scattered_stream(add: Any) -> None:
    source = Stream[Any]()
    scattered = source.event_time(0).scatter("thread")
    with pytest.raises((TypeError, ValueError), match=r"scattered|on_element"):
        add(scattered)
    assert not list(scattered.downstreams)
    source.close()


@pytest.mark.parametrize("name", sorted(own_operators() - {"gather"}))
def test_every_operator_of_a_scattered_stream_is_scattered_too(name: str) -> None:
    source: Any = Stream()
    case = next(case for case in CASES if case.name == name)
    node = case.build(source.scatter("thread"))
    assert isinstance(node, ParallelStream) or case.title.startswith("then")
    source.close()


@every_steady
def test_every_operator_gives_the_same_as_inline(case: Case, backend: Any) -> None:
    """Ruling 16 (docs/rulings.md)."""
    assert_equivalent(case.build, case.elements, on=["inline", backend])


@every_steady
@pytest.mark.parametrize("batch", [1, 3, "auto"])
@pytest.mark.parametrize("buffer", [None, 2])
def test_every_operator_gives_the_same_however_elements_travel(
    case: Case, batch: Any, buffer: int | None
) -> None:
    ways = ["inline", "thread"]
    assert_equivalent(case.build, case.elements, on=ways, batch=batch, buffer=buffer)


def numbers(outputs: list[Any]) -> list[int]:
    return [x for part in outputs for x in (part if isinstance(part, (list, tuple)) else [part])]


@pytest.mark.parametrize("case", [case for case in CASES if case.timed], ids=str)
def test_every_timed_operator_loses_nothing_that_it_should_keep(case: Case, backend: Any) -> None:
    source: Any = Stream()
    seen = case.build(source.scatter(backend)).buffer(100).gather().sink_to_list()
    source.emit_many(case.elements)
    source.close()
    if case.name in ("latest", "debounce", "sample") or case.title == "both":
        assert seen[-1] == case.elements[-1]
    elif case.name == "throttle":
        assert seen == [case.elements[0]]
    elif case.name == "timed_window_unique":
        assert {x % 3 for x in numbers(seen)} == {x % 3 for x in case.elements}
    else:
        assert numbers(seen) == list(case.elements)


@every_case
def test_every_operator_ends_without_elements(case: Case) -> None:
    source: Any = Stream()
    seen = case.build(source.scatter("thread")).gather().sink_to_list()
    source.close()
    assert numbers(seen) == []
