"""Messages show values by one repr that is bounded and never raises."""

from __future__ import annotations

import ast
import collections
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rapidz
from rapidz import Stream, StreamClosed
from rapidz.kernel.protocol.short_repr import LENGTH, cut, short_repr


class Raising:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Wrong:
    def __repr__(self) -> Any:
        return 5


@dataclass
class Record:
    key: int
    values: Any


class Pair(NamedTuple):
    first: Any
    second: Any


class Names(list[str]):
    pass


class Lying(list[int]):
    def __len__(self) -> int:
        raise RuntimeError

    def __iter__(self) -> Any:
        raise RuntimeError


RECURSIVE: list[Any] = [1]
RECURSIVE.append(RECURSIVE)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, "1"),
        (None, "None"),
        ("it's", '"it\'s"'),
        ((1,), "(1,)"),
        ((), "()"),
        (set(), "set()"),
        (frozenset([1]), "frozenset({1})"),
        ({"a": [1, "b"]}, "{'a': [1, 'b']}"),
        (range(3), "range(0, 3)"),
        (True, "True"),
        (Names(["a"]), "['a']"),
        (Record(1, [2]), "Record(key=1, values=[2])"),
        (Pair(1, (2,)), "Pair(first=1, second=(2,))"),
        (collections.OrderedDict(a=1), "OrderedDict({'a': 1})"),
        (collections.deque([1]), "deque([1])"),
        (np.array([1, 2]), "array([1, 2])"),
        (np.float64(1.5), repr(np.float64(1.5))),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]"),
        (dict.fromkeys(range(12)), "{" + ", ".join(f"{x}: None" for x in range(10)) + ", ...}"),
        (Record(1, list(range(11))), "Record(key=1, values=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...])"),
        (RECURSIVE, "[1, [1, [1, [...]]]]"),
        ([[[[[1]]]]], "[[[[...]]]]"),
        (Raising(), "<Raising whose repr raised RuntimeError>"),
        ([1, Raising()], "[1, <Raising whose repr raised RuntimeError>]"),
        ({Raising: Wrong()}, "{<class 'tests.kernel.protocol.test_short_repr.Raising'>: "
         "<Wrong whose repr raised TypeError>}"),
        (Lying([1]), "[1]"),
        (10**300, "<int of 997 bits>"),
        (pd.DataFrame({"a": range(3)}), "<DataFrame of shape (3, 1)>"),
        (pd.Series([1.5]), "<Series of shape (1,), dtype float64>"),
        (np.zeros((5, 4)), "<ndarray of shape (5, 4), dtype float64>"),
        (pd.Timestamp("2020-01-02"), "Timestamp('2020-01-02 00:00:00')"),
    ],
)  # fmt: skip
def test_values_are_shown_as_by_repr_as_far_as_they_are_short(value: Any, shown: str) -> None:
    assert short_repr(value) == shown


HUGE: list[Callable[[], Any]] = [
    lambda: "x" * 10**8,
    lambda: b"x" * 10**8,
    lambda: bytearray(10**8),
    lambda: [0] * 10**7,
    lambda: (0,) * 10**7,
    lambda: dict.fromkeys(range(10**6)),
    lambda: set(range(10**6)),
    lambda: collections.Counter(range(10**6)),
    lambda: collections.deque([0] * 10**6),
    lambda: 1 << 10**7,
    lambda: np.zeros(10**7),
    lambda: np.array(["x" * 10**6] * 3),
    lambda: np.array(["x" * 10**6] * 3, dtype=object),
    lambda: pd.DataFrame({"a": np.zeros(10**6)}),
    lambda: pd.Index(range(10**7)),
    lambda: Record(1, ["x" * 10**7] * 10**6),
    lambda: Pair([0] * 10**6, "y" * 10**7),
    lambda: [["x" * 10**6] * 100] * 100,
    lambda: [[[[["x" * 10**5] * 50] * 50] * 50] * 50],
]


@pytest.mark.parametrize("make", HUGE)
def test_huge_values_cost_no_more_than_short_ones(make: Callable[[], Any]) -> None:
    value, shown = make(), ""
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        shown = short_repr(value)
        best = min(best, time.perf_counter() - begin)
    assert len(shown) <= 2 * LENGTH
    assert best < 0.02, "repr of a list of 10,000,000 items takes half a second"


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=300) | st.binary(max_size=300) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=15)
        | st.dictionaries(st.text(max_size=9), inner, max_size=15)
        | st.builds(Record, st.integers(), inner)
        | st.builds(Pair, inner, inner)
        | st.tuples(inner)
    ),
    max_leaves=30,
)


@given(values, st.integers(1, 12), st.integers(10, 300))
def test_any_value_has_a_bounded_repr(value: Any, items: int, length: int) -> None:
    assert len(short_repr(value, items, length)) <= 2 * length


@given(st.text(max_size=50), st.integers(5, 60))
def test_cut_leaves_out_the_middle(text: str, length: int) -> None:
    assert len(cut(text, length)) <= length
    assert cut(text, 50) == text


# --- where it is used ---------------------------------------------------------------------------


def test_a_huge_element_is_refused_after_the_end_at_no_cost() -> None:
    source = Stream[str]()
    source.close()
    with pytest.raises(StreamClosed) as caught:
        source.emit("x" * 10**8)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("x", [Raising(), Wrong(), [Raising()] * 3])
def test_a_repr_that_raises_replaces_no_error(x: Any) -> None:
    source = Stream[Any]()
    source.map(lambda x: 1 / 0).sink(print)
    with pytest.raises(ZeroDivisionError) as caught:
        source.emit(x)
    assert "whose repr raised" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match=r"partition: n must be an int >= 1, got .*whose repr"):
        source.partition(x)
    source.close()
    with pytest.raises(StreamClosed):
        source.emit(x)


#: Names that stand for short texts of the library itself, or for attributes that were asked for.
TEXTS = {"name", "key", "_name", "__name__", "named", "zone", "how"}
#: Labels in messages that are made for each batch, whether there is something to tell or not.
LABELS = {"label", "example.name", "self.empty.name", "x.name"}


def formatted_by_repr(path: Path) -> Iterator[str]:
    """What a module formats by ``!r`` or `repr`, with its place."""
    for node in ast.walk(ast.parse(path.read_text())):
        shown: ast.expr | None = None
        if isinstance(node, ast.FormattedValue) and node.conversion == ord("r"):
            shown = node.value
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "repr":
            shown = node.args[0]
        if shown is None or getattr(shown, "attr", getattr(shown, "id", "")) in TEXTS:
            continue
        if ast.unparse(shown) not in LABELS:
            yield f"{path}:{shown.lineno}: {ast.unparse(shown)}"


#: Modules that show what is not an element: themselves, tasks, threads, tests.
EXEMPT = {
    "kernel/protocol/short_repr.py",
    "testing/plugin.py", "testing/loop.py", "testing/equivalence.py",
    "graph/notebook.py", "dataframe/collection/display.py", "dataframe/frames/window.py",
    "parallel/backends/protocol.py", "kernel/protocol/checks.py",
}  # fmt: skip


def test_no_message_shows_a_value_by_a_bare_repr() -> None:
    package = Path(rapidz.__file__).parent
    paths = [path for path in package.rglob("*.py") if str(path.relative_to(package)) not in EXEMPT]
    assert len(paths) > 100
    assert [found for path in paths for found in formatted_by_repr(path)] == []
