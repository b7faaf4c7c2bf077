"""Ruling 23: an element that fails in one branch is dropped with its partners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import Boom, booms, same, settle

import rapidz
from rapidz import SKIP, RefCounter, Retry, Stream
from rapidz.testing import run

XS = [3, 0, 4, 6]
PAIRS = [(4, 3), (3, 4), (2, 6)]

Branch = Callable[[Any, Callable[[int], int]], Any]


def inverse(x: int) -> int:
    return 12 // x


def skipping(branch: Any) -> Any:
    return branch.on_error("skip")


def failing_at(*subjects: int) -> Callable[[int], int]:
    def own(x: int) -> int:
        if x in subjects:
            raise Boom(x)
        return x

    return own


def awaited(own: Callable[[int], int]) -> Callable[[int], Any]:
    async def function(x: int) -> int:
        await asyncio.sleep(0.1)
        return own(x)

    return function


def folded(own: Callable[[int], int]) -> Callable[[int, int], Any]:
    async def function(_: int, x: int) -> int:
        await asyncio.sleep(0.1)
        return own(x)

    return function


# --- each operator that emits one for one ----------------------------------------------------

PLAIN: dict[str, Branch] = {
    "map": lambda s, own: s.map(own),
    "starmap": lambda s, own: s.map(lambda x: (x,)).starmap(own),
    "accumulate": lambda s, own: s.accumulate(lambda _, x: own(x), start=0),
    "accumulate from the first": lambda s, own: s.map(own).accumulate(lambda _, x: x),
    "pluck": lambda s, own: s.map(lambda x: Item(x, own)).pluck(0),
    "connected": lambda s, own: connected(s.map(own)),
    "two maps": lambda s, own: s.map(same).map(own).map(same),
    "side branch": lambda s, own: with_a_side_branch(s.map(own)),
    "diamond": lambda s, own: s.map(own).zip(s.map(same)).pluck(0),
    "diamond the other way round": lambda s, own: s.map(same).zip(s.map(own)).pluck(1),
    "zip with itself": lambda s, own: twice(s.map(own)).pluck(1),
    "union of one": lambda s, own: s.map(own).union(),
}
LOOPED: dict[str, Branch] = {
    "async map": lambda s, own: s.map(awaited(own)),
    "async accumulate": lambda s, own: s.accumulate(folded(own), start=0),
    "buffer before": lambda s, own: s.buffer(2).map(own),
    "buffer behind": lambda s, own: s.map(own).buffer(2),
    "buffer, async map, buffer": lambda s, own: s.buffer(1).map(awaited(own)).buffer(3),
    "delay before": lambda s, own: s.delay(0.5).map(own),
    "delay behind": lambda s, own: s.map(own).delay(0.5),
    "rate_limit before": lambda s, own: s.rate_limit(0.3).map(own),
    "rate_limit behind": lambda s, own: s.map(own).rate_limit(0.3),
    "map_async": lambda s, own: s.map_async(awaited(own), parallelism=3),
    "map_async, then map": lambda s, own: s.map_async(awaited(same), parallelism=3).map(own),
    "slow diamond": lambda s, own: s.map(awaited(own)).zip(s.buffer(2)).pluck(0),
}


def twice(s: Any) -> Any:
    return s.zip(s)


class Item:
    def __init__(self, x: int, own: Callable[[int], int]) -> None:
        self.x, self.own = x, own

    def __getitem__(self, _: int) -> int:
        return self.own(self.x)


def connected(s: Any) -> Any:
    below: Stream[int] = Stream()
    s.connect(below)
    return below


def with_a_side_branch(s: Any) -> Any:
    s.filter(lambda x: x % 2).sink(lambda x: None)
    return s.map(same)


elements = st.lists(st.integers(0, 9), max_size=12, unique=True)
bad = st.frozensets(st.integers(0, 9), max_size=4)
policies = st.sampled_from(["skip", "send", "retry"])


def with_policy(node: Any, policy: str) -> Any:
    return node.on_error(Retry(1, wait="50ms", then="skip") if policy == "retry" else policy)


@given(st.data(), elements, policies)
def test_rows_of_an_element_that_fails_in_a_branch_are_dropped_whole(
    data: st.DataObject, xs: list[int], policy: str
) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(PLAIN)), min_size=2, max_size=3))
    fails = [data.draw(bad) for _ in names]
    source: Stream[int] = Stream()
    top = with_policy(source, policy) if policy != "retry" else skipping(source)
    first, *others = [
        PLAIN[name](top, failing_at(*subjects)) for name, subjects in zip(names, fails, strict=True)
    ]
    seen = first.zip(*others).sink_to_list()
    source.emit_many(xs)
    kept = [x for x in xs if not any(x in subjects for subjects in fails)]
    assert seen == [(x,) * len(names) for x in kept]


@settings(max_examples=50)
@given(st.data(), elements, policies)
def test_rows_are_dropped_whole_behind_queues_too(
    data: st.DataObject, xs: list[int], policy: str
) -> None:
    known = {**PLAIN, **LOOPED}
    names = data.draw(st.lists(st.sampled_from(sorted(known)), min_size=2, max_size=3))
    fails = [data.draw(bad) for _ in names]
    maxsize = data.draw(st.integers(1, 3))

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            top = with_policy(source, policy)
            first, *others = [
                known[name](top, failing_at(*subjects))
                for name, subjects in zip(names, fails, strict=True)
            ]
            seen: list[Any] = first.zip(*others, maxsize=maxsize).sink_to_list()
            for x in xs:
                await source.emit(x)
        return seen

    kept = [x for x in xs if not any(x in subjects for subjects in fails)]
    assert run(go()) == [(x,) * len(names) for x in kept]


@pytest.mark.parametrize("name", sorted({**PLAIN, **LOOPED}))
@pytest.mark.parametrize("policy", ["skip", "retry"])
def test_unawaited_emits_stay_aligned(name: str, policy: str) -> None:
    """More of them wait outside the join than it has capacity for, lost ones among them."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            top = with_policy(source, policy)
            branch = {**PLAIN, **LOOPED}[name](top, failing_at(*range(0, 40, 3)))
            seen: list[Any] = branch.zip(source.delay(1), maxsize=2).sink_to_list()
            for x in range(40):
                source.emit(x)
        return seen

    assert run(go()) == [(x, x) for x in range(40) if x % 3]


@pytest.mark.parametrize("port", [0, 1])
@pytest.mark.parametrize("way", ["emit", "await", "background"])
def test_a_failed_element_without_a_policy_is_dropped_with_its_partner(
    way: Literal["emit", "await", "background"], port: int
) -> None:
    branches: list[Branch] = [PLAIN["map"], PLAIN["two maps"]]

    def build(source: Any) -> list[Any]:
        fails: list[Callable[[int], int]] = [inverse, same] if port == 0 else [same, inverse]
        first, second = (b(source, own) for b, own in zip(branches, fails, strict=True))
        return first.zip(second).sink_to_list()  # type: ignore[no-any-return]

    async def awaiting() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            seen = build(source)
            for x in XS:
                if x:
                    await source.emit(x)
                else:
                    with pytest.raises(ZeroDivisionError):
                        await source.emit(x)
        return seen

    if way == "await":
        seen = run(awaiting())
    else:
        with Stream[int](asynchronous=None if way == "emit" else False) as source:
            seen = build(source)
            for x in XS:
                if x:
                    source.emit(x)
                else:
                    with pytest.raises(ZeroDivisionError):
                        source.emit(x)
    assert seen == (PAIRS if port == 0 else [(y, x) for x, y in PAIRS])


def test_a_retry_that_succeeds_keeps_the_partner() -> None:
    calls: list[int] = []

    def flaky(x: int) -> int:
        calls.append(x)
        if calls.count(x) < 3:
            raise Boom(x)
        return x

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            branch = source.map(flaky).on_error(Retry(5, wait=1))
            seen: list[Any] = branch.zip(source.map(same)).sink_to_list()
            for x in range(3):
                await source.emit(x)
        return seen

    assert run(go()) == [(0, 0), (1, 1), (2, 2)]


def test_failures_are_sent_and_pairs_stay_aligned() -> None:
    source: Stream[int] = Stream()
    branch = source.map(inverse)
    failures = branch.errors.sink_to_list()
    seen = branch.zip(source.map(same)).sink_to_list()
    source.emit_many(XS)
    assert seen == PAIRS
    assert [failure.element for failure in failures] == [0]


# --- what is not aligned ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        lambda s: s.filter(lambda x: True),
        lambda s: s.map(lambda x: [x]).flatten(),
        lambda s: s.sliding_window(1).pluck(0),
    ],
    ids=["filter", "flatten", "window"],
)
def test_pairs_go_by_position_where_an_operator_may_change_the_count(other: Any) -> None:
    source: Stream[int] = Stream()
    seen = skipping(source.map(inverse)).zip(other(source)).sink_to_list()
    source.emit_many(XS)
    assert seen == [(4, 3), (3, 0), (2, 4)]


def test_what_a_function_leaves_out_has_no_place_in_the_order() -> None:
    source: Stream[int] = Stream()
    seen = source.map(lambda x: x or SKIP).zip(source.map(same)).sink_to_list()
    source.emit_many(XS)
    assert seen == [(3, 3), (4, 0), (6, 4)]


def test_an_input_from_another_source_loses_nothing() -> None:
    source, names = Stream[int](), Stream[str]()
    seen = skipping(source.map(inverse)).zip(source.map(same), names).sink_to_list()
    names.emit_many("abc")
    source.emit_many(XS)
    assert seen == [(4, 3, "a"), (3, 4, "b"), (2, 6, "c")]


def test_a_failure_upstream_of_the_fork_costs_no_pair() -> None:
    source: Stream[int] = Stream()
    node = skipping(source.map(inverse))
    seen = node.map(same).zip(node.map(str)).sink_to_list()
    source.emit_many(XS)
    assert seen == [(4, "4"), (3, "3"), (2, "2")]


def test_a_failure_downstream_of_the_join_costs_no_pair() -> None:
    source: Stream[int] = Stream()
    pairs = source.map(same).zip(source.map(same))
    seen = pairs.sink_to_list()
    skipping(pairs.map(lambda pair: 1 // pair[0])).sink(lambda x: None)
    source.emit_many(XS)
    assert seen == [(x, x) for x in XS]


def test_a_custom_class_may_emit_anything() -> None:
    """It inherits the work of `map`, and not what `map` promises."""

    class OddOnes(rapidz.map[Any]):
        def update(self, x: Any, who: Any = None) -> Any:
            return self._emit(x) if x % 2 else None

    source: Stream[int] = Stream()
    seen = OddOnes(source, same).zip(skipping(source.map(inverse))).sink_to_list()
    source.emit_many([1, 0, 3, 2])
    assert seen == [(1, 12), (3, 4)]


class Half(Stream[Any]):
    """A class with a step of its own."""

    _emits_one_for_one = True

    def compile(self, push: Any, port: int = 0) -> Any:
        def step(x: int) -> Any:
            if x % 2:
                raise Boom(x)
            return push(x // 2)

        return step


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_custom_class_may_declare_that_it_emits_one_for_one(policy: Any) -> None:
    source: Stream[int] = Stream()
    node = Half(source)
    if policy == "skip":
        node.on_error(policy)
    seen = node.zip(source.map(same)).sink_to_list()
    for x in (2, 3, 4):
        if x == 3 and policy == "raise":
            with pytest.raises(Boom):
                source.emit(x)
        else:
            source.emit(x)
    assert seen == [(1, 2), (2, 4)]


# --- edits -----------------------------------------------------------------------------------


def test_an_edit_that_aligns_inputs_applies_to_the_next_element() -> None:
    source, other = Stream[int](), Stream[int]()
    branch, middle = skipping(source.map(inverse)), Stream[int]()
    seen = branch.zip(middle.map(same)).sink_to_list()
    other.connect(middle)
    source.emit(3)
    other.emit(30)
    other.disconnect(middle)
    source.connect(middle)
    source.emit_many(XS)
    assert seen == [(4, 30), *PAIRS]


def test_an_edit_that_parts_inputs_forgets_what_was_lost() -> None:
    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source, Stream[int](asynchronous=True) as new:
            branch, slow = skipping(source.map(inverse)), source.delay(1)
            joined = branch.zip(slow)
            seen: list[Any] = joined.sink_to_list()
            await source.emit(0)
            slow.disconnect(joined)
            new.connect(joined)
            await new.emit(7)
            await source.emit(3)
            await source.emit(4)
            await new.emit(8)
        return seen

    assert run(go()) == [(4, 7), (3, 8)]


def test_a_removed_input_does_not_leave_the_others_waiting() -> None:
    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            branch, slow = skipping(source.map(inverse)), source.delay(1)
            joined = branch.zip(source.map(same), slow)
            seen: list[Any] = joined.sink_to_list()
            for x in XS:
                await source.emit(x)
            slow.disconnect(joined)
        return seen

    assert run(go()) == PAIRS


# --- the other joins -------------------------------------------------------------------------


def test_combine_latest_leaves_out_the_partner_of_what_failed() -> None:
    source: Stream[int] = Stream()
    branch = skipping(source.map(inverse))
    seen = branch.combine_latest(source.map(same), emit_on=1).sink_to_list()
    source.emit_many(XS)
    assert seen == PAIRS


@settings(max_examples=50)
@given(elements, bad)
def test_combine_latest_is_that_of_the_elements_that_do_not_fail(
    xs: list[int], fails: frozenset[int]
) -> None:
    def results(xs: list[int], own: Callable[[int], int], emit_on: int) -> list[Any]:
        source: Stream[int] = Stream()
        branch = skipping(source.map(own))
        seen: list[Any] = branch.combine_latest(source.map(same), emit_on=emit_on).sink_to_list()
        source.emit_many(xs)
        return seen

    for emit_on in (0, 1):
        kept = [x for x in xs if x not in fails]
        assert results(xs, failing_at(*fails), emit_on) == results(kept, same, emit_on)


@pytest.mark.parametrize("name", sorted({**PLAIN, **LOOPED}))
def test_combine_latest_knows_the_partner_behind_queues(name: str) -> None:
    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            branch = {**PLAIN, **LOOPED}[name](skipping(source), failing_at(1, 2, 5))
            late = source.delay(100)
            seen: list[Any] = branch.combine_latest(late, emit_on=1).sink_to_list()
            for x in range(7):
                await source.emit(x)
        return seen

    assert [second for _, second in run(go())] == [0, 3, 4, 6]


def test_zip_latest_leaves_out_the_partner_of_what_failed() -> None:
    source: Stream[int] = Stream()
    lossless = source.map(same)
    seen = lossless.zip_latest(skipping(source.map(inverse))).sink_to_list()
    source.emit_many([0, 0, 3, 4])
    assert seen == [(3, 4), (4, 4)], "the first two waited for a partner, and lost it"


def test_zip_latest_leaves_out_the_partner_that_comes_later() -> None:
    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            latest, slow = skipping(source.map(inverse)), source.delay(1)
            seen: list[Any] = slow.zip_latest(latest).sink_to_list()
            for x in XS:
                await source.emit(x)
        return seen

    assert run(go()) == [(3, 2), (4, 2), (6, 2)]


def test_zip_latest_drops_an_emit_that_waits_for_a_lost_partner() -> None:
    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            latest = skipping(source.delay(1).map(inverse))
            seen: list[Any] = source.zip_latest(latest, maxsize=1).sink_to_list()
            for x in [0, 0, 1, 2]:
                source.emit(x)
        return seen

    assert [x for x, _ in run(go())] == [1, 2]


# --- tracking, threads, interruptions --------------------------------------------------------


def test_the_counter_of_a_dropped_row_reports_failure_once() -> None:
    async def go() -> list[str]:
        told: list[str] = []
        async with Stream[int](asynchronous=True) as source:
            branch = skipping(source.map(inverse))
            branch.zip(source.delay(1)).sink(lambda x: None)
            for x in XS:

                def done(x: int = x) -> None:
                    told.append(f"{x} done")

                def failed(error: BaseException, x: int = x) -> None:
                    told.append(f"{x} failed")

                await source.emit(x, metadata=[{"ref": RefCounter(cb=done, on_failure=failed)}])
        await asyncio.sleep(0)
        return told

    assert run(go()) == ["3 done", "0 failed", "4 done", "6 done"]


@pytest.mark.parametrize("port", [0, 1])
def test_an_element_of_a_cancelled_function_is_dropped_with_its_partner(port: int) -> None:
    async def go() -> list[Any]:
        hang = asyncio.get_running_loop().create_future()

        async def own(x: int) -> int:
            if x == 0:
                await hang
            return x

        async with Stream[int](asynchronous=True) as source:
            branches = [source.map(own), source.map(same)]
            seen: list[Any] = branches[port].zip(branches[1 - port]).sink_to_list()
            await source.emit(3)
            waiting = asyncio.ensure_future(source.emit(0))
            await asyncio.sleep(1)
            hang.cancel()
            await asyncio.wait([waiting])
            await source.emit(4)
        return seen

    assert run(go()) == [(3, 3), (4, 4)]


def test_failing_elements_of_one_thread_leave_pairs_of_others_alone() -> None:
    import threading

    source: Stream[int] = Stream()
    seen = skipping(source.map(failing_at(*range(0, 4000, 7)))).zip(source.map(same)).sink_to_list()
    threads = [
        threading.Thread(target=source.emit_many, args=(iter(range(at, 4000, 4)),))
        for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [(x, x) for x in range(4000) if x % 7]


def test_both_branches_may_fail_for_one_element() -> None:
    source: Stream[int] = Stream()
    seen = source.map(inverse).zip(source.map(lambda x: 24 // x)).sink_to_list()
    source.emit(3)
    with pytest.raises(ExceptionGroup) as caught:
        source.emit(0)
    source.emit_many([4, 6])
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError] * 2
    assert seen == [(4, 8), (3, 6), (2, 4)]


def test_a_policy_leaves_the_waits_of_a_join_alone() -> None:
    """An element that waits for its partner must not stand in the way of that."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as a, Stream[int](asynchronous=True) as b:
            seen: list[Any] = skipping(a.map(same)).zip(b, maxsize=1).sink_to_list()
            waits = [a.emit(x) for x in range(3)]
            for x in range(3):
                await b.emit(x)
            for wait in waits:
                await wait
        return seen

    assert run(go()) == [(0, 0), (1, 1), (2, 2)]


def test_a_failure_after_a_queue_is_pending_and_its_partner_dropped() -> None:
    async def go() -> tuple[list[Any], list[Boom]]:
        source: Stream[int] = Stream(asynchronous=True)
        branch = source.buffer(10).map(failing_at(1, 2))
        seen: list[Any] = branch.zip(source.map(same)).sink_to_list()
        for x in range(5):
            source.emit(x)
        found: list[Boom] = []
        try:
            await source.close()
        except Exception as failure:
            found = booms(failure)
        return seen, found

    seen, found = run(go())
    assert seen == [(0, 0), (3, 3), (4, 4)]
    assert [boom.subject for boom in found] == [1, 2]


# --- cancellation ----------------------------------------------------------------------------

SLOW: dict[str, Callable[[Any], Any]] = {
    "map": lambda s: s.map(same),
    "async map": lambda s: s.map(awaited(same)),
    "two async maps": lambda s: s.map(awaited(same)).map(awaited(same)),
    "buffer, async map": lambda s: s.buffer(1).map(awaited(same)),
    "async map, buffer": lambda s: s.map(awaited(same)).buffer(1),
    "rate_limit": lambda s: s.rate_limit(0.1),
    "delay, async map": lambda s: s.delay(0.1).map(awaited(same)),
    "map_async": lambda s: s.map_async(awaited(same), parallelism=1),
    "async accumulate": lambda s: s.accumulate(folded(same), start=0),
    "diamond": lambda s: s.map_async(awaited(same)).zip(s.map(same), maxsize=1).pluck(0),
    "retry": lambda s: s.map(failing_once()).on_error(Retry(2, wait="50ms")),
}


def failing_once() -> Callable[[int], Any]:
    met: set[int] = set()

    async def function(x: int) -> int:
        await asyncio.sleep(0.05)
        if x not in met:
            met.add(x)
            raise Boom(x)
        return x

    return function


moments = st.lists(
    st.tuples(st.sampled_from([0.0, 0.03, 0.1, 0.2]), st.integers(-4, 9)), min_size=1, max_size=10
)


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(SLOW)), st.sampled_from(sorted(SLOW)), st.sampled_from([1, 20]), moments
)
def test_an_element_cancelled_in_a_branch_is_dropped_with_its_partner(
    left: str, right: str, maxsize: int, moments: list[tuple[float, int]]
) -> None:
    """Ruling 22 and 23: wherever in the branches it was withdrawn."""

    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            joined = SLOW[left](source).zip(SLOW[right](source), maxsize=maxsize)
            seen: list[Any] = joined.sink_to_list()
            tasks: list[asyncio.Future[Any]] = []
            for x, (pause, cancels) in enumerate(moments):
                tasks.append(asyncio.ensure_future(settle(source.emit(x))))
                if pause:
                    await asyncio.sleep(pause)
                if 0 <= cancels < len(tasks):
                    tasks[cancels].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return seen

    seen = run(go())
    assert all(x == y for x, y in seen)
    assert [x for x, _ in seen] == sorted({x for x, _ in seen})
    if not any(cancels >= 0 for _, cancels in moments):
        assert len(seen) == len(moments)


@pytest.mark.parametrize("operator", ["zip", "zip_latest"])
def test_an_element_withdrawn_while_it_waits_outside_is_left_out(operator: str) -> None:
    async def go() -> list[Any]:
        async with Stream[int](asynchronous=True) as source:
            slow = source.delay(1)
            joined = getattr(source.map(same), operator)(slow, maxsize=1)
            seen: list[Any] = joined.sink_to_list()
            waits = [asyncio.ensure_future(settle(source.emit(x))) for x in range(4)]
            await asyncio.sleep(0)
            waits[2].cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return seen

    seen = run(go())
    assert [x for x, _ in seen] == [0, 1, 3]
    if operator == "zip":
        assert [x for _, x in seen] == [0, 1, 3]
    else:
        assert 2 not in [x for _, x in seen]
