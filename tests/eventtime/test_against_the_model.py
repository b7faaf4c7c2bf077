"""Windows by event time against the model: sort and group all elements.

300 cases by default; 10,000 with ``-m soak``.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.eventtime.model import Element, Ended, Row, Spec, model
from tests.eventtime.runs import (
    BETWEEN,
    MODES,
    Outcome,
    check,
    check_accounts,
    opened,
    row_of,
    rows_of,
    run_built,
    run_case,
    timed,
    windowed,
)
from tests.eventtime.strategies import TIMES, Case, Step, cases, elements_of, spelled
from tests.support import in_thread, same

from rapidz import (
    Collect,
    Count,
    Distinct,
    First,
    Last,
    Max,
    Mean,
    Min,
    Quantile,
    Std,
    Stream,
    Sum,
)

EXACT = sorted(set(BETWEEN) - {"partition"})
"""What passes the watermark in its place between the elements."""

WHOLE = ("tumbling", "session")


def reads(n: int) -> settings:
    """Return the settings of a test with *n* cases."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(max_examples=n, suppress_health_check=slow, deadline=None)


# --- order, batches, timestamps, kinds of windows ------------------------------------------------


@reads(90)
@given(cases())
def test_synchronous_windows_equal_the_model(case: Case) -> None:
    check(case, run_case(case))


@reads(25)
@given(cases(within=True), st.randoms(use_true_random=False))
def test_order_within_the_lag_makes_no_difference(case: Case, chance: Any) -> None:
    elements = sorted(elements_of(case), key=lambda x: x.at)
    lag = case.lags[0]
    ranks = {x.value: x.at + chance.randint(0, lag) for x in elements}
    other = sorted(elements, key=lambda x: ranks[x.value])
    found = rows_of(run_case(_single(case, elements)), case)
    again = rows_of(run_case(_single(case, other)), case)
    assert _as_sets(found) == _as_sets(again)


def _single(case: Case, elements: list[Element]) -> Case:
    return dataclasses.replace(case, steps=tuple(Step("emit", 0, (x,)) for x in elements))


def _as_sets(rows: list[Row]) -> dict[Any, frozenset[int]]:
    return {row[:3]: frozenset(row[3]) for row in rows}


# --- execution modes and what stands in between --------------------------------------------------


@reads(60)
@given(cases(), st.sampled_from(MODES), st.sampled_from(EXACT))
def test_execution_modes_and_queues_equal_the_model(case: Case, mode: str, between: str) -> None:
    check(case, run_case(case, mode, BETWEEN[between]))


@reads(15)
@given(cases(within=True), st.sampled_from(MODES))
def test_operators_that_bundle_elements_lose_none(case: Case, mode: str) -> None:
    check(case, run_case(case, mode, BETWEEN["partition"]))


@reads(10)
@given(cases(), st.sampled_from(MODES))
def test_bundled_late_elements_are_counted_once(case: Case, mode: str) -> None:
    outcome = run_case(case, mode, BETWEEN["partition"])
    check_accounts(case, rows_of(outcome, case), outcome)


@reads(15)
@given(cases(within=True), st.integers(0, 12))
def test_unordered_workers_make_no_element_late(case: Case, buffer: int) -> None:
    outcome = run_case(case, "inline", _unordered(buffer))
    rows, _ = case.expected()
    found = rows_of(outcome, case)
    assert _as_sets(found) == _as_sets(rows)
    assert outcome.late == []
    check_accounts(case, found, outcome)


@reads(10)
@given(cases(within=False), st.integers(0, 12))
def test_unordered_workers_count_every_late_element_once(case: Case, buffer: int) -> None:
    outcome = run_case(case, "inline", _unordered(buffer))
    check_accounts(case, rows_of(outcome, case), outcome)
    if case.spec.kind != "session":  # one that is accepted may let in others there
        late = {x.value for x in case.expected()[1]}
        assert {case.value(x.element) for x in outcome.late} <= late


def _unordered(buffer: int) -> Any:
    def unordered(s: Any) -> Any:
        handles = s.scatter("thread", ordered=False).map(same)
        return (handles.buffer(buffer) if buffer else handles).gather()

    return unordered


@pytest.mark.parametrize("kind", ["tumbling", "sliding", "session"])
def test_threads_that_emit_at_once_lose_nothing(kind: str) -> None:
    size = {"tumbling": Spec(10, 10), "sliding": Spec(10, 4), "session": Spec(gap=3)}[kind]
    times = next(times for times in TIMES if times.name == "int ns")
    elements = [Element(n % 3, n // 2 + n // 40 * 7, n) for n in range(800)]
    shares = [elements[n::4] for n in range(4)]
    case = Case(times, size, (2000,), tuple(Step("emit", 0, (x,)) for x in elements))
    source: Stream[Any] = Stream()
    node = windowed(timed(source, case, 0), case)
    outcome = Outcome()
    node.sink(outcome.results.append)
    threads = [
        in_thread(lambda share=share: [source.emit(case.made(x)) for x in share])  # type: ignore[misc]
        for share in shares
    ]
    for thread in threads:
        thread.join()
    source.close()
    found = rows_of(outcome, case)
    assert _as_sets(found) == _as_sets(case.expected()[0])
    check_accounts(case, found, outcome)


# --- several inputs ------------------------------------------------------------------------------


@reads(30)
@given(cases(inputs=2), st.sampled_from(MODES))
def test_two_inputs_have_the_watermark_of_the_slower_one(case: Case, mode: str) -> None:
    check(case, run_case(case, mode))


@reads(15)
@given(cases(inputs=3, flush=False), st.sampled_from(MODES), st.sampled_from(EXACT))
def test_three_inputs_with_queues_equal_the_model(case: Case, mode: str, between: str) -> None:
    check(case, run_case(case, mode, BETWEEN[between]))


@reads(15)
@given(cases(inputs=2, within=True, flush=False), st.sampled_from(EXACT))
def test_queues_in_each_input_make_no_difference(case: Case, between: str) -> None:
    outcome = run_built(case, windowed, "loop", BETWEEN[between], united=False)
    rows, _ = case.expected()
    found = rows_of(outcome, case)
    assert _as_sets(found) == _as_sets(rows)
    check_accounts(case, found, outcome)


STEP, IDLE = 17, 60


@reads(30)
@given(cases(inputs=2, flush=False), st.sampled_from(["nothing", "buffer", "async map"]))
def test_an_input_that_is_idle_for_a_while_equals_the_model(case: Case, between: str) -> None:
    arrivals: list[Element | Ended] = []
    last = [0, 0]
    steps: list[Step] = []
    for n, x in enumerate(elements_of(case)):
        now = n * STEP
        source = 0 if now - last[0] > IDLE - 2 * STEP else x.input  # one at least is active
        if last[1] + IDLE < now:
            arrivals.append(Ended(1))
        last[source] = now
        arrivals.append(x._replace(input=source))
        steps.append(Step("emit", source, (x._replace(input=source),)))
    paced = dataclasses.replace(case, steps=tuple(steps))
    outcome = run_case(paced, "loop", BETWEEN[between], idle=IDLE, pause=STEP)
    rows, late = model(arrivals, case.spec, case.lags)
    found = rows_of(outcome, paced)
    assert {row[:3]: row[3] for row in found} == {row[:3]: row[3] for row in rows}
    assert [case.value(x.element) for x in outcome.late] == [x.value for x in late]
    check_accounts(paced, found, outcome)


# --- chained windows -----------------------------------------------------------------------------


@reads(30)
@given(cases(), st.integers(1, 30), st.integers(1, 30), st.sampled_from(MODES))
def test_windows_of_windows_equal_the_model(case: Case, size: int, every: int, mode: str) -> None:
    grain = case.times.grain
    outer = Spec(size * grain, min(size, every) * grain)
    inner: list[Any] = []

    def build(stream: Any, case: Case) -> Any:
        first = windowed(stream, case)
        first.sink(inner.append)
        second = dataclasses.replace(case, spec=outer, lateness=0)
        keyed = first.key_by(lambda result: result.key)
        node = opened(keyed, second).aggregate(n=Count(), all=Collect(lambda r: r.value["n"]))
        first.late.sink(late.append)
        return node

    late: list[Any] = []
    outcome = run_built(case, build, mode)
    rows, missed = case.expected()
    arrivals = [Element(key, end - 1, len(values)) for key, _, end, values in rows]
    wanted, none = model(arrivals, outer, [1 << 80])
    found = rows_of(outcome, case)
    assert none == outcome.late == []
    assert [case.value(x.element) for x in late] == [x.value for x in missed]
    assert _multisets(found) == _multisets(wanted)


def _multisets(rows: list[Row]) -> dict[Any, list[int]]:
    return {row[:3]: sorted(row[3]) for row in rows}


# --- when results come ---------------------------------------------------------------------------


@reads(20)
@given(cases(flush=False), st.sampled_from(MODES))
def test_updates_end_with_what_the_close_gives(case: Case, mode: str) -> None:
    outcome = run_case(case, mode, emit="update")
    check(case, outcome, ordered=False)
    check_early_results(case, outcome)
    if case.spec.kind == "tumbling":
        accepted = len(elements_of(case)) - len(outcome.late)
        assert sum(not result.final for result in outcome.results) == accepted


@reads(20)
@given(cases(), st.sampled_from(("loop", "background")))
def test_early_results_do_not_change_the_final_ones(case: Case, mode: str) -> None:
    outcome = run_case(case, mode, early="5ms")
    check(case, outcome)
    check_early_results(case, outcome)


@reads(20)
@given(cases(), st.sampled_from(MODES))
def test_early_results_of_a_flush_leave_windows_open(case: Case, mode: str) -> None:
    outcome = run_case(case, mode)
    check(case, outcome)
    check_early_results(case, outcome)
    if all(step.call != "flush" for step in case.steps):
        assert all(result.final for result in outcome.results)


def check_early_results(case: Case, outcome: Outcome) -> None:
    """Early results come before the final one of their window and are part of it."""
    seen: set[Any] = set()
    finals = {row[:2]: row for row in rows_of(outcome, case)}
    spans: dict[Any, list[Row]] = {}
    for row in finals.values():
        spans.setdefault(row[0], []).append(row)
    for result in outcome.results:
        if result.final:
            seen.add(row_of(result, case)[:3])
            assert result.revision == 0
        elif result.value is None:
            assert case.spec.kind == "session", "only merged sessions are withdrawn"
        else:
            key, start, end, values = row_of(result, case)
            assert (key, start, end) not in seen, "early after the close"
            assert any(w[1] <= start and end <= w[2] and set(values) <= set(w[3])
                       for w in spans[key])  # fmt: skip


# --- lateness ------------------------------------------------------------------------------------


@reads(60)
@given(cases(lateness=True), st.sampled_from(MODES))
def test_last_revisions_equal_the_model_with_lateness(case: Case, mode: str) -> None:
    check_revisions(case, run_case(case, mode))


@reads(15)
@given(cases(lateness=True, inputs=2), st.sampled_from(EXACT))
def test_last_revisions_of_two_inputs_with_queues_too(case: Case, between: str) -> None:
    check_revisions(case, run_case(case, "loop", BETWEEN[between]))


def check_revisions(case: Case, outcome: Outcome) -> None:
    """Compare the last revision of each window with the model, the first with no lateness."""
    rows, late = case.expected()
    last: dict[Any, Any] = {}
    gone: list[Row] = []
    revisions: dict[Any, list[int]] = {}
    for result in outcome.final():
        name = result.key, case.times.ns(result.start)
        revisions.setdefault(name, []).append(result.revision)
        if result.value is None:
            assert case.spec.kind == "session", "only merged sessions are withdrawn"
            del last[name]
            continue
        if result.revision == 0 and name in last:  # a session after one that is closed for good
            assert case.spec.kind == "session"
            gone.append(last[name])
        last[name] = row_of(result, case)
    found = [*gone, *last.values()]
    assert {row[:3]: row[3] for row in found} == {row[:3]: row[3] for row in rows}
    assert [case.value(x.element) for x in outcome.late] == [x.value for x in late]
    check_accounts(case, found, outcome)
    if case.spec.kind != "session":
        at_the_close = dataclasses.replace(case, lateness=0).expected()[0]
        first = {row[:3]: row[3] for row in at_the_close}
        for result in outcome.final():
            if result.revision == 0:
                row = row_of(result, case)
                assert first.get(row[:3], row[3]) == row[3]
        assert all(of == sorted(set(of)) for of in revisions.values()), revisions


# --- sessions that merge -------------------------------------------------------------------------


@reads(40)
@given(cases(kinds=["session"], within=True, keyed=True), st.sampled_from(MODES))
def test_sessions_merge_to_those_of_sorted_elements(case: Case, mode: str) -> None:
    wanted: list[Row] = []
    gap = case.spec.gap
    for x in sorted(elements_of(case), key=lambda x: (x.at, x.value)):
        live = [n for n, row in enumerate(wanted) if row[0] == x.key and x.at < row[2]]
        if live:
            key, start, _, values = wanted[live[0]]
            wanted[live[0]] = key, start, x.at + gap, (*values, x.value)
        else:
            wanted.append((x.key, x.at, x.at + gap, (x.value,)))
    found = rows_of(run_case(case, mode), case)
    assert {row[:3]: row[3] for row in found} == {row[:3]: row[3] for row in wanted}


@reads(20)
@given(cases(kinds=["session"], flush=False), st.sampled_from(MODES))
def test_absorbed_sessions_are_withdrawn_after_an_update(case: Case, mode: str) -> None:
    outcome = run_case(case, mode, emit="update")
    shown: dict[Any, Any] = {}
    for result in outcome.results:
        name = result.key, case.times.ns(result.start)
        if result.value is None:
            assert name in shown, "withdrawn, but never sent"
            del shown[name]
        else:
            shown[name] = row_of(result, case)
    rows = case.expected()[0]
    assert sorted(row[1:] for row in shown.values()) == sorted(row[1:] for row in rows)


@reads(40)
@given(cases(kinds=["session"]), st.integers(1, 30), st.sampled_from(MODES))
def test_sessions_are_cut_where_sorted_elements_are(case: Case, longest: int, mode: str) -> None:
    length, gap, lag = longest * case.times.grain, case.spec.gap, case.lags[0]
    accepted: list[Element] = []
    late: list[Element] = []
    newest = -math.inf
    for x in elements_of(case):
        newest = max(newest, x.at - lag)
        (late if x.at < newest else accepted).append(x)
    wanted: dict[Any, list[Row]] = {}
    for x in sorted(accepted, key=lambda x: (x.at, x.value)):
        pieces = wanted.setdefault(x.key, [])
        if pieces and x.at < pieces[-1][2]:
            _, start, _, values = pieces.pop()
            pieces.append((x.key, start, min(x.at + gap, start + length), (*values, x.value)))
        else:
            pieces.append((x.key, x.at, x.at + min(gap, length), (x.value,)))
    outcome = run_case(case, mode, max_length=spelled(length))
    found = rows_of(outcome, case)
    rows = [row for pieces in wanted.values() for row in pieces]
    assert {row[:3]: row[3] for row in found} == {row[:3]: row[3] for row in rows}
    assert [case.value(x.element) for x in outcome.late] == [x.value for x in late]
    assert [row[2] for row in found] == sorted(row[2] for row in found)
    check_accounts(case, found, outcome)


# --- aggregators, reduce, collect ----------------------------------------------------------------

AMOUNT = st.one_of(st.integers(-50, 50), st.floats(-1e6, 1e6), st.sampled_from((0.1, 1e16, -1e16)))


@reads(40)
@given(
    cases(shapes=["dict"], flush=False),
    st.lists(AMOUNT, min_size=24, max_size=24),
    st.sampled_from(MODES),
)
def test_every_aggregator_equals_its_sum_over_the_elements(
    case: Case, amounts: list[float], mode: str
) -> None:
    def amount(x: Any) -> float:
        return amounts[int(x["v"])]

    def build(stream: Any, case: Case) -> Any:
        keyed = stream.key_by("k") if case.keyed else stream
        return opened(keyed, case).aggregate(
            n=Count(),
            all=Collect("v"),
            sum=Sum(amount),
            mean=Mean(amount),
            min=Min(amount),
            max=Max(amount),
            first=First("v"),
            last=Last("v"),
            std=Std(amount),
            median=Quantile(0.5, amount),
            kinds=Distinct(lambda x: x["v"] % 3),
        )

    outcome = run_built(case, build, mode)
    check(case, outcome)
    for result in outcome.final():
        found = result.value
        numbers = [amounts[v] for v in found["all"]]
        assert found["sum"] == math.fsum(numbers)
        assert found["mean"] == pytest.approx(math.fsum(numbers) / len(numbers))
        assert (found["min"], found["max"]) == (min(numbers), max(numbers))
        assert (found["first"], found["last"]) == (found["all"][0], found["all"][-1])


@reads(20)
@given(cases(), st.sampled_from(MODES), st.sampled_from(["reduce", "collect"]))
def test_reduce_and_collect_equal_the_model(case: Case, mode: str, how: str) -> None:
    def build(stream: Any, case: Case) -> Any:
        keyed = stream.key_by(case.getter("k")) if case.keyed else stream
        windows = opened(keyed, case)
        if how == "collect":
            return windows.collect()
        if case.spec.kind == "tumbling":
            return windows.reduce(lambda total, x: total + case.value(x), start=0)
        return windows.reduce(lambda a, b: (number(a) + number(b),))

    def number(x: Any) -> Any:
        return x[0] if isinstance(x, tuple) and len(x) == 1 else case.value(x)

    outcome = run_built(case, build, mode)
    rows, _ = case.expected()
    found: dict[Any, Any] = {(r.key, case.times.ns(r.start)): r.value for r in outcome.final()}
    if how == "collect":
        found = {name: tuple(map(case.value, value)) for name, value in found.items()}
        assert found == {row[:2]: row[3] for row in rows}
    else:
        if case.spec.kind != "tumbling":
            found = {name: number(value) for name, value in found.items()}
        assert found == {row[:2]: sum(row[3]) for row in rows}


# --- soak ----------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.timeout(3600)
@reads(4_000)
@given(cases())
def test_thousands_of_synchronous_cases(case: Case) -> None:
    check(case, run_case(case))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@reads(3_000)
@given(
    st.integers(1, 3).flatmap(lambda n: cases(inputs=n)),
    st.sampled_from(MODES),
    st.sampled_from(EXACT),
)
def test_thousands_of_cases_in_every_mode(case: Case, mode: str, between: str) -> None:
    check(case, run_case(case, mode, BETWEEN[between]))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@reads(2_000)
@given(st.integers(1, 2).flatmap(lambda n: cases(inputs=n, lateness=True)), st.sampled_from(MODES))
def test_thousands_of_cases_with_lateness(case: Case, mode: str) -> None:
    check_revisions(case, run_case(case, mode))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@reads(1_000)
@given(cases(kinds=["session"]), st.sampled_from(MODES), st.sampled_from(["update", "close"]))
def test_a_thousand_cases_of_sessions(case: Case, mode: str, emit: str) -> None:
    outcome = run_case(case, mode, emit=emit)
    check(case, outcome, ordered=False)
    check_early_results(case, outcome)
