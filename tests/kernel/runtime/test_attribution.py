"""Failure attribution: which node raised an exception, whatever the exception has been through."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pytest
from tests.support import Boom, CompiledNode, LegacyNode, send

from rapidz import Failure, Retry, Sink, Source, Stream
from rapidz.kernel.runtime.attribution import MAX_NOTES, add_note, attribution, raised_by
from rapidz.testing import run
from rapidz.testing.background import virtual_background

Way: TypeAlias = Literal["plain", "loop", "background"]
WAYS: tuple[Way, ...] = ("plain", "loop", "background")


def in_every_way(pipeline: Callable[[dict[str, Any]], Any]) -> None:
    """Do what *pipeline* does, an async function that gets the keywords of its streams."""
    run(pipeline({}))
    run(pipeline({"asynchronous": True}))


def fails(error: BaseException) -> Callable[[Any], Any]:
    def raiser(x: Any) -> Any:
        raise error

    return raiser


def fails_for(bad: int) -> Callable[[int], int]:
    def maybe(x: int) -> int:
        if x == bad:
            raise Boom(x)
        return x

    return maybe


# --- what was attributed before -----------------------------------------------------------------


@pytest.mark.parametrize("how", [{}, {"asynchronous": True}])
def test_a_policy_handles_failures_of_the_pipeline_emitted_into(
    how: dict[str, Any],
) -> None:
    async def go() -> None:
        inner, outer = Stream[int](**how), Stream[int](**how)
        seen = inner.map(fails_for(1)).sink_to_list()
        node = outer.sink(inner.emit).on_error("skip")
        for x in (0, 1, 2):
            await send(outer, x)
        assert seen == [0, 2]
        assert node.skipped == 1

    run(go())


def test_a_policy_handles_failures_of_the_blocking_pipeline_emitted_into() -> None:
    with virtual_background():
        inner, outer = Stream[int](asynchronous=False), Stream[int]()
        seen = inner.map(fails_for(1)).sink_to_list()
        node = outer.map(inner.emit).on_error("skip")
        end = node.sink(print)
        outer.emit_many([0, 1, 2])
        assert (seen, node.skipped) == ([0, 2], 1)
        end.destroy()
        inner.close()


def test_a_policy_handles_failures_of_emits_awaited_across_pipelines() -> None:
    async def go() -> None:
        inner, outer = Stream[int](asynchronous=True), Stream[int](asynchronous=True)
        inner.map(fails_for(1)).sink_to_list()

        async def forward(x: int) -> int:
            await inner.emit(x)
            return x

        node = outer.map(forward).on_error("skip")
        seen = node.sink_to_list()
        for x in (0, 1, 2):
            await outer.emit(x)
        assert (seen, node.skipped) == ([0, 2], 1)

    run(go())


@pytest.mark.parametrize("how", [{}, {"asynchronous": True}])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_second_policy_handles_an_exception_handled_by_a_first(
    how: dict[str, Any], asynchronous: bool
) -> None:
    error = Boom(0)

    async def fail_later(x: int) -> int:
        raise error

    func = fail_later if asynchronous else fails(error)

    async def go() -> None:
        source = Stream[int](**how)
        first = source.map(func).on_error("skip")
        second = source.map(func).on_error("skip")
        ends = [first.sink(print), second.sink(print)]
        for x in range(3):
            await send(source, x)
        assert (first.skipped, second.skipped) == (3, 3)
        del ends

    run(go())


def test_an_exception_that_left_the_pipeline_is_handled_on_return() -> None:
    error = Boom(0)
    source = Stream[int]()
    unguarded = source.filter(lambda x: x < 10).map(fails(error))
    guarded = source.filter(lambda x: x >= 10).map(fails(error)).on_error("skip")
    ends = [unguarded.sink(print), guarded.sink(print)]
    for x in (0, 10, 1, 11):
        if x < 10:
            with pytest.raises(Boom):
                source.emit(x)
        else:
            source.emit(x)
    assert guarded.skipped == 2
    del ends


def test_siblings_that_raise_one_object_each_have_their_own_policy() -> None:
    error = Boom(0)
    source = Stream[int]()
    plain = source.map(fails(error)).sink_to_list()
    guarded = source.map(fails(error)).on_error("skip")
    seen = guarded.sink_to_list()
    with pytest.raises(Boom):
        source.emit(1)
    assert (plain, seen, guarded.skipped) == ([], [], 1)


def test_what_a_sink_of_failures_raises_again_is_its_own_failure() -> None:
    source = Stream[int]()
    node = source.map(fails_for(1))
    seen = node.sink_to_list()
    handler = node.errors.sink(lambda failure: fails(failure.exception)(0)).on_error("skip")
    source.emit_many([0, 1, 2])
    assert (seen, handler.skipped) == ([0, 2], 1)


@pytest.mark.parametrize("how", [{}, {"asynchronous": True}])
def test_a_sink_that_feeds_back_by_emit_handles_what_that_raises(how: dict[str, Any]) -> None:
    async def go() -> None:
        source = Stream[int](**how)
        seen = source.map(fails_for(2)).sink_to_list()
        again = source.filter(lambda x: x < 3).map(lambda x: x + 1).sink(source.emit)
        again.on_error("skip")
        await send(source, 1)
        await source.join() if how else source.join()
        assert again.skipped == 1
        assert seen[0] == 1

    run(go())


def test_a_downstream_failure_is_left_to_the_downstream_policy() -> None:
    source = Stream[int]()
    above = source.map(lambda x: x).on_error("skip")
    below = above.map(fails_for(1)).on_error("raise")
    seen = below.sink_to_list()
    source.emit(0)
    with pytest.raises(Boom):
        source.emit(1)
    assert (seen, above.skipped, below.skipped) == ([0], 0, 0)


@pytest.mark.parametrize("kind", [CompiledNode, LegacyNode])
def test_user_nodes_are_distinct_from_their_neighbours(kind: Any) -> None:
    error = Boom(0)

    def fail_for_9(x: int) -> int:
        if x == 9:
            raise error
        return x

    source = Stream[int]()
    above = source.map(fail_for_9).on_error("skip")
    middle = kind(above, fail_for_9).on_error("raise")
    below = middle.map(lambda x: fail_for_9(x + 1)).on_error("skip")
    seen = below.sink_to_list()
    source.emit(9)  # above skips it
    assert above.skipped == 1
    source.emit(8)  # middle lets it pass, below skips it
    assert (above.skipped, below.skipped) == (1, 1)
    middle.func = lambda x: fails(error)(x)
    middle._invalidate()
    with pytest.raises(Boom):
        source.emit(1)
    assert (above.skipped, below.skipped, seen) == (1, 1, [])
    middle.on_error("skip")
    source.emit(1)
    assert (above.skipped, middle.skipped, below.skipped) == (1, 1, 1)


def test_an_old_sink_that_emits_into_another_pipeline_handles_its_failures() -> None:
    inner, outer = Stream[int](), Stream[int]()
    inner.sink(fails_for(1))

    class Forward(Sink[int]):
        def update(self, x: int, who: Any = None) -> Any:
            return inner.emit(x)

    node = Forward(outer).on_error("skip")
    outer.emit_many([0, 1, 2])
    assert node.skipped == 1


def test_retries_of_a_constant_are_counted_one_by_one() -> None:
    error, left = Boom(0), [2]

    def flaky(x: int) -> int:
        if left[0]:
            left[0] -= 1
            raise error
        return x

    source = Stream[int]()
    seen = source.map(flaky).on_error(Retry(times=3, wait=0)).sink_to_list()
    source.emit(1)
    assert seen == [1]


def test_a_source_asks_its_policy_again_for_the_same_exception() -> None:
    error = Boom(0)
    turns: list[int] = []

    class Flaky(Source[int]):
        async def _run(self) -> None:
            turns.append(1)
            if len(turns) < 4:
                raise error
            self.stop()

    async def go() -> None:
        source = Flaky(asynchronous=True)
        source.on_error("skip")
        source.start()
        await source.join()
        assert (source.skipped, len(turns)) == (3, 4)

    run(go())


# --- notes --------------------------------------------------------------------------------------


def test_a_constant_raised_again_names_the_present_element_only() -> None:
    error = Boom(0)
    source = Stream[int]()
    source.map(fails(error), stream_name="n").sink(print)
    for x in range(20):
        with pytest.raises(Boom) as caught:
            source.emit(x)
        assert caught.value.__notes__ == [f"raised in <n; map: raiser> for element {x}"]


def test_a_constant_that_is_skipped_does_not_grow() -> None:
    error = Boom(0)
    source = Stream[int]()
    node = source.map(fails(error)).on_error("skip")
    node.sink(print)
    source.emit_many(range(1000))
    assert node.skipped == 1000
    assert len(error.__notes__) <= 1
    assert length_of_traceback(error) < 10


@pytest.mark.parametrize("how", ["send", "stream"])
def test_a_constant_that_is_sent_does_not_grow(how: str) -> None:
    error = Boom(0)
    source, dead = Stream[int](), Stream[Failure]()
    node = source.map(fails(error)).on_error(dead if how == "stream" else "send")
    ends = [node.sink(print), (dead if how == "stream" else node.errors).sink_to_list()]
    source.emit_many(range(100))
    assert len(ends[1]) == 100  # type: ignore[arg-type]
    assert len(error.__notes__) == 1
    assert length_of_traceback(error) < 10


def length_of_traceback(error: BaseException) -> int:
    length, at = 0, error.__traceback__
    while at is not None:
        length, at = length + 1, at.tb_next
    return length


def test_the_path_through_several_pipelines_is_innermost_first() -> None:
    inner, outer = Stream[int](stream_name="inner"), Stream[int]()
    inner.map(fails(Boom(0)), stream_name="in").sink(print)
    outer.sink(inner.emit, stream_name="out")
    for _ in range(2):
        with pytest.raises(Boom) as caught:
            outer.emit(1)
        notes = caught.value.__notes__
        assert [note.split(";")[0] for note in notes] == ["raised in <in", "raised in <out"]


def test_notes_are_bounded_however_deep_pipelines_are_nested() -> None:
    first = stream = Stream[int]()
    stream.map(fails(Boom(0))).sink(print)
    for number in range(20):
        outer = Stream[int]()
        outer.sink(stream.emit, stream_name=f"s{number}")
        stream = outer
    with pytest.raises(Boom) as caught:
        stream.emit(1)
    assert len(caught.value.__notes__) == MAX_NOTES
    del first


def test_notes_of_the_user_stay() -> None:
    error = Boom(0)
    error.add_note("mine")
    source = Stream[int]()
    source.map(fails(error)).sink(print)
    for _ in range(3):
        with pytest.raises(Boom) as caught:
            source.emit(1)
        assert caught.value.__notes__[0] == "mine"
        assert len(caught.value.__notes__) == 2


# --- exceptions of all kinds --------------------------------------------------------------------


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


class Refusing(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise RuntimeError("no attributes")

    def add_note(self, note: str) -> None:
        raise RuntimeError("no notes")


class Odd(Exception):
    def __init__(self, *, code: int, why: str) -> None:
        super().__init__(f"{code} {why}")
        self.code = code


class Unprintable(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


class WithNotes(Exception):
    __notes__ = ("of the class",)  # type: ignore[assignment]


ODD_ONES: list[Callable[[], Exception]] = [
    lambda: Frozen(1),
    lambda: Slotted(1),
    lambda: Refusing(1),
    lambda: Odd(code=1, why="so"),
    Unprintable,
    WithNotes,
    lambda: ExceptionGroup("several", [ValueError(1), ExceptionGroup("more", [Frozen(2)])]),
]


@pytest.mark.parametrize("make", ODD_ONES)
@pytest.mark.parametrize("how", [{}, {"asynchronous": True}])
def test_exceptions_of_any_class_reach_the_emitter_and_the_policy(
    make: Callable[[], Exception], how: dict[str, Any]
) -> None:
    async def go() -> None:
        error = make()
        source = Stream[int](**how)
        node = source.map(fails(error))
        node.sink(print)
        for _ in range(2):
            with pytest.raises(type(error)) as caught:
                await send(source, 1)
            assert caught.value is error
        assert raised_by(error) is node
        failures = node.errors.sink_to_list()
        await send(source, 2)
        assert [failure.exception for failure in failures] == [error]

    run(go())


@pytest.mark.parametrize("make", ODD_ONES)
def test_exceptions_of_any_class_are_kept_and_raised_behind_a_queue(
    make: Callable[[], Exception],
) -> None:
    error = make()

    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.buffer(3).map(fails(error)).sink(print)
        await source.emit(1)
        with pytest.raises(type(error)) as caught:
            await source.join()
        assert caught.value is error

    run(go())


@pytest.mark.parametrize("make", ODD_ONES)
@pytest.mark.parametrize("scattered", [False, True])
def test_exceptions_of_any_class_reach_a_thread_that_waits(
    make: Callable[[], Exception], scattered: bool
) -> None:
    error = make()
    source = Stream[int](asynchronous=False)
    upstream: Any = source.scatter("thread") if scattered else source
    node = upstream.map(fails(error))
    (node.gather() if scattered else node).sink(print)
    with pytest.raises(type(error)):
        source.emit(1)
    source.close()


@pytest.mark.parametrize("make", ODD_ONES)
def test_exceptions_of_any_class_are_reported_to_counters(
    make: Callable[[], Exception],
) -> None:
    from rapidz import RefCounter

    error = make()
    told: list[BaseException] = []

    async def go() -> None:
        source = Stream[int](asynchronous=True)
        source.map(fails(error)).sink(print)
        ref = RefCounter(on_failure=told.append)
        with pytest.raises(type(error)):
            await source.emit(1, metadata=[{"ref": ref}])
        await asyncio.sleep(0.1)

    run(go())
    assert [type(each) for each in told] == [type(error)]


def test_an_attributed_exception_can_be_copied_and_pickled() -> None:
    source = Stream[int]()
    source.map(lambda x: 1 / x).sink(print)
    with pytest.raises(ZeroDivisionError) as caught:
        source.emit(0)
    for again in (
        copy.copy(caught.value),
        copy.deepcopy(caught.value),
        pickle.loads(pickle.dumps(caught.value)),
    ):
        assert type(again) is ZeroDivisionError
        assert again.args == caught.value.args
        assert again.__notes__ == caught.value.__notes__
    assert raised_by(pickle.loads(pickle.dumps(caught.value))) is None


def test_a_note_is_added_once() -> None:
    error = Frozen(1)
    for _ in range(3):
        add_note(error, "note")
    assert error.__notes__ == ["note"]
    assert attribution(error) is None


@pytest.mark.parametrize("way", WAYS)
def test_system_exit_of_a_function_reaches_the_emitter_in_every_way(way: Way) -> None:
    async def on_a_loop() -> None:
        source = Stream[int](asynchronous=True)
        source.map(fails(SystemExit(3))).sink(print)
        with pytest.raises(SystemExit):
            await source.emit(1)

    if way == "loop":
        return run(on_a_loop())
    with virtual_background():
        source = Stream[int](asynchronous=False if way == "background" else None)
        node = source.map(fails(SystemExit(3)))
        node.sink(print)
        with pytest.raises(SystemExit):
            source.emit(1)
        assert node.skipped == 0
        if way == "background":
            source.close()


def test_a_failure_that_left_by_the_slow_path_is_new_when_raised_again() -> None:
    """A call that the compiled `emit` passes on is no node of the pipeline."""
    error = ZeroDivisionError("always the same")

    def fail(x: int) -> None:
        raise error

    first, second = Stream[int](), Stream[int]()
    nodes = [first.map(fail), second.map(fail)]
    with pytest.raises(ZeroDivisionError):
        first.emit(1, metadata=[{}])
    first.emit(2, asynchronous=True)
    with pytest.raises(ZeroDivisionError) as caught:
        second.emit(3)
    assert caught.value.__notes__ == [f"raised in {nodes[1]} for element 3"]
