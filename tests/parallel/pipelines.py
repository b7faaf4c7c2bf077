"""Pipelines as data: what Hypothesis generates, shows and shrinks; `build` makes nodes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st
from tests.parallel import functions as f

from rapidz import Retry

Step: TypeAlias = tuple[Any, ...]
"""The name of a step, and what it takes."""
Plan: TypeAlias = Sequence[Step]

POLICIES: dict[str, Any] = {
    "none": None,
    "skip": "skip",
    "send": "send",
    "retry": Retry(times=1, wait=0, then="skip"),
}

#: What looks at one element at a time.
EACH: dict[str, Callable[[Any], Any]] = {
    "map": lambda s: s.map(f.inc),
    "map with arguments": lambda s: s.map(f.plus, 3, factor=2),
    "map async": lambda s: s.map(f.inc_later),
    "map that skips": lambda s: s.map(f.skips_odd),
    "starmap": lambda s: s.map(f.twice).starmap(f.add),
    "filter": lambda s: s.filter(f.even),
    "filter async": lambda s: s.filter(f.even_later),
    "filter truth": lambda s: s.filter(None),
    "remove": lambda s: s.remove(f.even),
    "pluck": lambda s: s.map(f.twice).pluck(1),
    "pluck list": lambda s: s.map(f.twice).pluck([1, 0]),
    "flatten": lambda s: s.map(f.few).flatten(),
    "concat what may be a number": lambda s: s.concat(),
    "map_async": lambda s: s.map_async(f.inc_later, parallelism=2),
}
#: What keeps something from one element to the next.
KEEPS: dict[str, Callable[[Any], Any]] = {
    "accumulate": lambda s: s.accumulate(f.add),
    "accumulate start": lambda s: s.accumulate(f.add, start=10),
    "accumulate async": lambda s: s.accumulate(f.add_later, start=0),
    "accumulate that skips": lambda s: s.accumulate(f.add_even, start=0),
    "scan state": lambda s: s.scan(f.running, start=0, returns_state=True),
    "scan state that skips": lambda s: s.scan(f.running_skips, start=0, returns_state=True),
    "scan with state": lambda s: s.scan(f.running, start=0, returns_state=True, with_state=True),
    "frequencies": lambda s: s.frequencies(),
    "partition": lambda s: s.partition(2),
    "partition by key": lambda s: s.partition(2, key=f.third),
    "partition_unique": lambda s: s.partition_unique(2, key=f.third),
    "partition_unique last": lambda s: s.partition_unique(2, key=f.third, keep="last"),
    "sliding_window": lambda s: s.sliding_window(2),
    "sliding_window partial": lambda s: s.sliding_window(3, return_partial=True),
    "collect": lambda s: s.collect(),
    "unique": lambda s: s.map(f.number).unique(),
    "unique by key": lambda s: s.unique(key=f.third),
    "unique lately": lambda s: s.unique(history=2, key=f.third),
    "slice": lambda s: s.slice(1, None, 2),
    "buffer": lambda s: s.buffer(3),
    "delay": lambda s: s.delay(0),
    "zip literal": lambda s: s.zip(7),
}
#: What fails on some elements.
FAILS: dict[str, Callable[[Any], Any]] = {
    "map": lambda s: s.map(f.fails_on_thirds),
    "map async": lambda s: s.map(f.fails_later),
    "filter": lambda s: s.filter(f.even_unless_third),
    "accumulate": lambda s: s.accumulate(f.add_unless_third, start=0),
    "pluck": lambda s: s.map(f.few).pluck(0),
    "flatten": lambda s: s.flatten(),
    "map_async": lambda s: s.map_async(f.fails_later, parallelism=2),
}
#: What two branches of the stream are brought together with.
JOINS: dict[str, Callable[[Any, Any], Any]] = {
    "zip": lambda a, b: a.zip(b, maxsize=1000),
    "zip three": lambda a, b: a.zip("between", b, maxsize=1000).pluck([0, 2]),
}
#: The same, where it matters which branch is the first to bring something.
MEETS: dict[str, Callable[[Any, Any], Any]] = {
    "union": lambda a, b: a.union(b),
    "combine_latest": lambda a, b: a.combine_latest(b),
    "combine_latest on": lambda a, b: a.combine_latest(b, emit_on=0),
    "zip_latest": lambda a, b: a.zip_latest(b),
}


def build(stream: Any, plan: Plan) -> Any:
    """Build *plan* on *stream*; return the last node."""
    for kind, *details in plan:
        if kind == "each":
            stream = EACH[details[0]](stream)
        elif kind == "keeps":
            stream = KEEPS[details[0]](stream)
        elif kind == "fails":
            name, policy = details
            stream = FAILS[name](stream)
            if POLICIES[policy] is not None:
                stream.on_error(POLICIES[policy])
        else:
            assert kind == "join"
            name, left, right = details
            stream = {**JOINS, **MEETS}[name](build(stream, left), build(stream, right))
    return stream


#: What a plain pipeline, too, does later.
LATER = ("map async", "filter async", "map_async", "accumulate async", "buffer", "delay")


def steps(*, later: bool = True) -> st.SearchStrategy[Step]:
    def names(table: dict[str, Any]) -> st.SearchStrategy[str]:
        return st.sampled_from([name for name in table if later or name not in LATER])

    return st.one_of(
        st.tuples(st.just("each"), names(EACH)),
        st.tuples(st.just("keeps"), names(KEEPS)),
        st.tuples(st.just("fails"), names(FAILS), st.sampled_from([*POLICIES])),
    )


def joins(names: Collection[str], *, later: bool = True) -> st.SearchStrategy[Step]:
    branch = st.lists(steps(later=later), max_size=2)
    return st.tuples(st.just("join"), st.sampled_from(sorted(names)), branch, branch)


#: No branches that meet beside what a plain pipeline does later: time would decide who meets whom.
plans: st.SearchStrategy[list[Step]] = st.one_of(
    st.lists(st.one_of(steps(), steps(), joins(JOINS)), min_size=1, max_size=6),
    st.lists(
        st.one_of(steps(later=False), steps(later=False), joins([*JOINS, *MEETS], later=False)),
        min_size=1,
        max_size=6,
    ),
)
inputs = st.lists(st.integers(-4, 9), max_size=20)
batches: st.SearchStrategy[Any] = st.sampled_from([1, 3, "auto"])
buffers: st.SearchStrategy[Any] = st.sampled_from([None, 1, 4, 100])
