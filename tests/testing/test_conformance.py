"""`check_operator` accepts every operator of the library, and notices what each check is for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.conformance.table import CASES, Case
from tests.support import Boom, fail_on, same

from rapidz import Sink, Stream, TimedNode
from rapidz.testing import check_operator


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_operator_of_the_library_passes(case: Case) -> None:
    # What is in which batch depends on time, which the ways to run it do not share.
    by_time = case.loose or case.name in ("latest", "debounce", "throttle", "sample")
    if by_time or case.name == "slice":  # a slice has left the graph when it is edited
        return
    options: dict[str, Any] = {} if case.ends else {"outputs": case.model(list(case.feed))}
    check_operator(lambda stream: case.build(stream, same, 1.0), case.feed, **options)


class Own(Stream[Any]):
    """Base of the nodes that break the contract, one rule each."""

    def __init__(self, upstream: Stream[Any]) -> None:
        self.state: list[Any] = []
        super().__init__(upstream)


class returns_a_list(Own):
    def compile(self, push: Any, port: int = 0) -> Any:
        return lambda x: [push(x)]


class closes_over_itself(Own):
    def compile(self, push: Any, port: int = 0) -> Any:
        def step(x: Any) -> Any:
            self.state.append(x)
            return push(x)

        return step


class loses_its_state(Own):
    def compile(self, push: Any, port: int = 0) -> Any:
        total = 0

        def step(x: Any) -> Any:
            nonlocal total
            total += x
            return push(total)

        return step


class drops_back_pressure(Own):
    def compile(self, push: Any, port: int = 0) -> Any:
        def step(x: Any) -> None:
            push(x)

        return step


class keeps_counters(Own):
    _keeps_elements = False

    def compile(self, push: Any, port: int = 0) -> Any:
        state = self.state

        def step(x: Any) -> Any:
            state.append(x)
            return push(tuple(state)) if len(state) % 2 == 0 else None

        return step


class emits_after_the_end(Own):
    def compile(self, push: Any, port: int = 0) -> Any:
        pipeline, outlet = self._pipeline, self._outlet

        def step(x: Any) -> Any:
            pipeline.require_loop()
            asyncio.get_running_loop().call_later(5, outlet.send, x)

        return step


class depends_on_the_mode(Own):
    def compile(self, push: Any, port: int = 0) -> Any:
        asynchronous = self._pipeline.asynchronous
        return lambda x: push((x, asynchronous))


BROKEN: dict[type[Own], str] = {
    returns_a_list: "the step returns None or an awaitable: .*returned .None",
    closes_over_itself: "collected without references: .*close over `self`",
    loses_its_state: "an edit of the graph loses nothing: .*with edits",
    drops_back_pressure: "back pressure: .*does not wait for the sink",
    emits_after_the_end: "it emits .* after the end",
    depends_on_the_mode: "the same however it runs: .*in a synchronous pipeline",
}


@pytest.mark.parametrize("node", BROKEN, ids=lambda node: node.__name__)
def test_a_broken_rule_is_named(node: type[Own]) -> None:
    with pytest.raises(AssertionError, match=BROKEN[node]):
        check_operator(node)


def test_outputs_that_differ_are_shown() -> None:
    with pytest.raises(AssertionError, match=r"it emits \[1, 2\], not \[1, 3\]"):
        check_operator(lambda s: s.map(same), [1, 2], outputs=[1, 3])


def test_a_node_that_swallows_a_failure_is_found() -> None:
    check_operator(lambda s: s.map(fail_on(7)), range(4), fails_on=7)
    with pytest.raises(AssertionError, match="7 raises nothing"):
        check_operator(lambda s: s.map(same), range(4), fails_on=7)


def test_a_node_that_counts_an_element_on_which_it_failed_is_found() -> None:
    class counting(Own):
        def compile(self, push: Any, port: int = 0) -> Any:
            state = self.state

            def step(x: Any) -> Any:
                state.append(x)
                if x == 7:
                    raise Boom(x)
                return push(len(state))

            return step

    with pytest.raises(AssertionError, match="when 7 was skipped it emits"):
        check_operator(counting, range(4), fails_on=7)


def test_custom_timed_nodes_and_sinks_are_checked_too() -> None:
    class delayed(TimedNode[Any]):
        def on_element(self, x: Any) -> None:
            self.set_timer(x + 1, name=x)

        def on_timer(self, name: Any) -> Any:
            return self.push(name)

        def on_flush(self) -> Any:
            return [self.push(name) for name in range(5) if self.cancel_timer(name)]

    check_operator(delayed, range(5), outputs=list(range(5)))

    class printing(Sink[Any]):
        def update(self, x: Any, who: Any = None) -> None: ...

    check_operator(printing)


@pytest.mark.parametrize("fails_on", [None, 3])
def test_every_sink_that_a_check_has_built_is_closed(fails_on: int | None) -> None:
    opened: list[int] = []

    class writing(Sink[Any]):
        def __init__(self, upstream: Stream[Any]) -> None:
            opened.append(1)
            super().__init__(upstream)

        def update(self, x: Any, who: Any = None) -> None:
            if x == fails_on:
                raise Boom(x)

        def _on_end(self) -> None:
            opened.pop()

    if fails_on is None:
        check_operator(writing)
    else:
        with pytest.raises(AssertionError, match="checks failed"):
            check_operator(writing)
    assert opened == []


def test_a_factory_must_build_a_node() -> None:
    not_callable: Any = 3
    with pytest.raises(TypeError, match="check_operator: factory must be callable, got 3"):
        check_operator(not_callable)
    with pytest.raises(AssertionError, match="factory must return a Stream, got None"):
        check_operator(lambda _: None)  # type: ignore[arg-type, return-value]


def test_a_composition_that_ends_in_a_batching_node_passes() -> None:
    check_operator(lambda s: s.scatter("thread").map(str).gather(), [1, 2, 3], outputs=list("123"))
