"""Both compiled forms of an operator, inlined source text and a closure, do the same.

The operators are found in the registry.  The closure of an operator with a function of its own is
that for an ``async def`` function; others are built with their inlined form switched off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.table import operators

from rapidz import SKIP, Stream
from rapidz.testing import run

Own = Callable[[Any], Any]
Build = Callable[[list[Any], Own], Any]

FLUSH, BAD, SKIPPED = "flush", 13, 7


def own(x: int) -> Any:
    if x == BAD:
        raise ValueError(x)
    return SKIP if x == SKIPPED else 10 * x


@dataclass(frozen=True)
class Forms:
    """How to build an operator whose function is synchronous or not."""

    build: Build
    inputs: int = 1
    awaits: bool = True
    """The closure is for an ``async def`` function."""


def accumulate(sources: list[Any], function: Own) -> Any:
    if not asyncio.iscoroutinefunction(function):
        return sources[0].accumulate(lambda state, x: state if x == 1 else function(x), start=0)

    async def awaited(state: Any, x: Any) -> Any:
        return state if x == 1 else await function(x)

    return sources[0].accumulate(awaited, start=0)


def zip_branches(sources: list[Any], function: Own) -> Any:
    first, second = sources[0].map(own), sources[0].map(lambda x: x)
    first.on_error("skip")
    return first.zip(second)


FORMS: dict[str, Forms] = {
    "map": Forms(lambda s, f: s[0].map(f)),
    "starmap": Forms(lambda s, f: s[0].map(lambda x: (x,)).starmap(f)),
    "filter": Forms(lambda s, f: s[0].filter(f)),
    "accumulate": Forms(accumulate),
    "sink": Forms(lambda s, f: s[0].sink(f)),
    "starsink": Forms(lambda s, f: s[0].map(lambda x: (x,)).starsink(f)),
    "throttle": Forms(lambda s, f: s[0].throttle(2), awaits=False),
    "partition": Forms(lambda s, f: s[0].partition(2), awaits=False),
    "zip": Forms(lambda s, f: s[0].zip(s[1], maxsize=2), inputs=2, awaits=False),
    "zip of branches": Forms(zip_branches, awaits=False),
}


def with_both_forms() -> set[str]:
    """The operators that have an inlined form and a closure."""
    return {
        name
        for name, node in operators().items()
        if node.inline is not Stream.inline and node.compile is not Stream.compile
    }


def test_every_operator_with_two_forms_is_compared() -> None:
    assert with_both_forms() <= set(FORMS)


async def outcome(forms: Forms, events: list[Any], closure: bool) -> tuple[Any, ...]:
    """What a pipeline emits, which emits wait in the end, and how each one fails."""
    sources: list[Any] = [Stream(asynchronous=True) for _ in range(forms.inputs)]
    called: list[Any] = []

    def function(x: Any) -> Any:
        called.append(x)
        return own(x)

    async def awaited(x: Any) -> Any:
        await asyncio.sleep(0)
        return function(x)

    node = forms.build(sources, awaited if closure and forms.awaits else function)
    if closure and not forms.awaits:
        node._can_inline = bool  # False
    seen = [] if node._is_end else node.sink_to_list()
    waits = []
    for event in events:
        port, x = (0, FLUSH) if event == FLUSH else event
        source = sources[port % forms.inputs]
        waits.append(asyncio.ensure_future(attempt(source.flush if x == FLUSH else source.emit, x)))
        await asyncio.sleep(1)
    results = [wait.result() if wait.done() else "waits" for wait in waits]
    before_the_end = list(seen)
    ends = [asyncio.ensure_future(attempt(source.close, FLUSH)) for source in sources]
    await asyncio.sleep(1)
    for wait in (*waits, *ends):
        wait.cancel()
    await asyncio.wait([*waits, *ends])
    return called, results, before_the_end, seen


async def attempt(call: Callable[..., Awaitable[Any]], x: Any) -> str:
    try:
        await (call() if x == FLUSH else call(x))
    except Exception as error:
        return type(error).__name__
    return "done"


elements = st.sampled_from([0, 1, 2, 3, SKIPPED, BAD])
events = st.lists(st.just(FLUSH) | st.tuples(st.integers(0, 1), elements), max_size=12)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=30, deadline=None)
@given(events=events)
def test_the_inlined_form_and_the_closure_do_the_same(name: str, events: list[Any]) -> None:
    forms = FORMS[name]
    inlined = run(outcome(forms, events, closure=False))
    assert run(outcome(forms, events, closure=True)) == inlined
