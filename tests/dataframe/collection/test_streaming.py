"""Streaming: a stream whose elements are parts of one large collection."""

from __future__ import annotations

import gc
import math
import operator
import pickle
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import Boom, fail_on

from rapidz import SKIP, Stream
from rapidz.dataframe.collection.streaming import (
    OperatorMixin,
    Streaming,
    apply_args,
    get_stream_type,
    map_partitions,
    partial_by_order,
)
from rapidz.dataframe.frames.batch import Batch
from rapidz.dataframe.frames.dataframe import DataFrame, DataFrames, Index, Series, Seriess

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.lshift, operator.rshift, operator.and_, operator.or_, operator.xor,
    operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
]  # fmt: skip
UNARY = [operator.abs, operator.neg, operator.pos, operator.invert]


def results(collection: Any, *elements: Any, into: Any = None) -> list[Any]:
    """What *collection* gives for *elements*, emitted there or *into* another one."""
    seen: list[Any] = collection.stream.sink_to_list()
    for x in elements:
        (collection if into is None else into).emit(x)
    return seen


def ones() -> Streaming:
    return Streaming(example=1)


# --- operators --------------------------------------------------------------------------------


@pytest.mark.parametrize("op", BINARY)
@settings(max_examples=20)
@given(left=st.integers(0, 20), right=st.integers(1, 9))
def test_a_binary_operator_works_with_collections_and_values_on_both_sides(
    op: Callable[[Any, Any], Any], left: int, right: int
) -> None:
    numbers = Streaming(example=(1, 1))
    a, b = (numbers.map_partitions(operator.itemgetter(i)) for i in (0, 1))
    assert results(op(a, b), (left, right), into=numbers) == [op(left, right)]
    assert results(op(a, right), (left, right), into=numbers) == [op(left, right)]
    assert results(op(left, b), (left, right), into=numbers) == [op(left, right)]


@pytest.mark.parametrize("op", UNARY)
def test_a_unary_operator_works(op: Callable[[Any], Any]) -> None:
    numbers = ones()
    assert results(op(numbers), 3, into=numbers) == [op(3)]


def test_every_operator_can_be_pickled() -> None:
    class Functions(OperatorMixin):
        def map_partitions(self, func: Any, *_: Any) -> Any:
            return func

    reflected = [name for name in vars(OperatorMixin) if f"__{name[3:]}" in vars(OperatorMixin)]
    functions = [getattr(Functions(), name)(4) for name in reflected if name.startswith("__r")]
    assert len(functions) == 12
    copies = pickle.loads(pickle.dumps(functions))
    assert [one(2, 8) for one in copies] == [one(2, 8) for one in functions]
    assert [one.__name__ for one in copies] == [one.__name__ for one in functions]


def test_a_collection_is_no_key_and_no_iterable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(ones())
    with pytest.raises(TypeError, match="has no end"):
        list(ones())


def test_operators_are_there_for_whoever_says_how_to_map() -> None:
    class Window(OperatorMixin):
        def map_partitions(self, func: Any, *args: Any) -> Any:
            return func, args

    window = Window()
    func, args = window + 1
    assert func is operator.add
    assert args[0] is window
    assert args[1] == 1


# --- map_partitions ---------------------------------------------------------------------------


def test_map_partitions_calls_with_parts_at_their_places() -> None:
    a = ones()
    b = a * 10

    def listed(*args: Any, **kwargs: Any) -> list[Any]:
        return [*args, kwargs]

    assert results(map_partitions(listed, 1, a, "x", b, k=b, m=2), 5, into=a) == [
        [1, 5, "x", 50, {"k": 50, "m": 2}]
    ]


@pytest.mark.parametrize("name", ["stream_name", "func", "upstream", "self"])
def test_map_partitions_keeps_keywords_that_map_would_take(name: str) -> None:
    a = ones()
    assert results(map_partitions(_keywords, a, **{name: 3}), 2, into=a) == [{name: 3}]


def _keywords(*_: Any, **kwargs: Any) -> Any:
    return kwargs


def test_map_partitions_as_a_method_takes_the_collection_itself() -> None:
    a = ones()
    assert results(a.map_partitions(divmod, 3), 7, into=a) == [(2, 1)]
    assert results(a.map_partitions(divmod, 20, a), 7, into=a) == [(2, 6)]
    assert results(Streaming.map_partitions(abs, a), -7, into=a) == [7]


def test_map_partitions_pairs_parts_of_the_same_element_whatever_fails() -> None:
    a = ones()
    seen = results(map_partitions(fail_on(2), a) + a)
    a.emit(1)
    with pytest.raises(Boom):
        a.emit(2)
    a.emit(3)
    assert seen == [2, 6]


def test_map_partitions_of_two_sources_pairs_the_nth_parts() -> None:
    a, b = ones(), ones()
    seen = results(a - b)
    a.emit(10)
    a.emit(20)
    b.emit(1)
    b.emit(2)
    assert seen == [9, 18]


def test_map_partitions_of_a_collection_and_itself() -> None:
    a = ones()
    assert results(a * a, 3, into=a) == [9]


def test_map_partitions_takes_the_example_it_is_given() -> None:
    calls: list[Any] = []
    made = map_partitions(calls.append, ones(), example=pd.DataFrame({"x": [1]}))
    assert (type(made), calls) == (DataFrame, [])


def test_map_partitions_may_leave_parts_out() -> None:
    a = ones()
    seen = results(map_partitions(_odd_only, a), 1, 2, 3, into=a)
    assert seen == [1, 3]


def _odd_only(x: int) -> Any:
    return x if x % 2 else SKIP


def test_a_function_that_changes_what_it_gets_leaves_the_example() -> None:
    a = Batch(example=[1])
    map_partitions(list.clear, a)
    assert a.example == [1]


def test_map_partitions_refuses_what_it_cannot_use() -> None:
    with pytest.raises(TypeError, match=r"map_partitions: args must include a Streaming.*got \(1"):
        map_partitions(abs, 1)
    with pytest.raises(TypeError, match="map_partitions: func must be callable, got 3"):
        map_partitions(3, ones())  # type: ignore[arg-type]


def test_map_partitions_says_at_once_what_will_not_work() -> None:
    with pytest.raises(TypeError):
        _ = ones() + "x"


# --- accumulate_partitions --------------------------------------------------------------------


@given(st.lists(st.integers()))
def test_accumulate_partitions_folds(elements: list[int]) -> None:
    a = ones()
    sums = results(a.accumulate_partitions(operator.add, start=0), *elements, into=a)
    assert sums == [sum(elements[: i + 1]) for i in range(len(elements))]


def test_accumulate_partitions_gives_arguments_to_the_function() -> None:
    a = ones()
    made = a.accumulate_partitions(_weighed, 10, start=0, plus=1)
    assert results(made, 1, 2, into=a) == [11, 32]


def _weighed(state: int, x: int, weight: int, plus: int) -> int:
    return state + weight * x + plus


def test_accumulate_partitions_without_start_begins_with_the_first_part() -> None:
    a = ones()
    made = a.accumulate_partitions(operator.add)
    assert (results(made, 1, 2, into=a), made.example) == ([1, 3], 1)


@pytest.mark.parametrize("with_state", [False, True])
def test_accumulate_partitions_emits_results_or_states_too(with_state: bool) -> None:
    a = ones()
    made = a.accumulate_partitions(_count, start=0, returns_state=True, with_state=with_state)
    assert type(made) is Streaming
    seen = results(made, "x", "y", into=a)
    assert seen == ([(1, "x1"), (2, "y2")] if with_state else ["x1", "y2"])
    assert made.example == ((1, "11") if with_state else "11")


def _count(state: int, x: Any) -> tuple[int, str]:
    return state + 1, f"{x}{state + 1}"


def test_accumulate_partitions_leaves_the_start_to_the_elements() -> None:
    a = ones()
    made = a.accumulate_partitions(_appended, start=[])
    assert made.example == [1]
    assert results(made, 5, into=a) == [[5]]


def _appended(state: list[int], x: int) -> list[int]:
    state.append(x)
    return state


def test_accumulate_partitions_keeps_its_state_when_the_function_fails() -> None:
    a = ones()
    seen = results(a.accumulate_partitions(_checked_sum, start=0))
    a.emit(1)
    with pytest.raises(Boom):
        a.emit(2)
    a.emit(3)
    assert seen == [1, 4]


def _checked_sum(total: int, x: int) -> int:
    return total + int(fail_on(2)(x))


def test_accumulate_partitions_may_be_of_frames_that_update() -> None:
    frame = DataFrame(example=pd.DataFrame({"x": [1]}))
    made = frame.accumulate_partitions(_newest, start=None, stream_type="updating")
    assert type(made) is DataFrames
    with pytest.raises(TypeError, match="accumulate_partitions: func must be callable, got 3"):
        frame.accumulate_partitions(3)  # type: ignore[arg-type]


def _newest(_: Any, new: Any) -> Any:
    return new


# --- kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "streaming", "updating"),
    [
        (pd.DataFrame(), DataFrame, DataFrames),
        (pd.Series([1]), Series, Seriess),
        (pd.Index([1]), Index, None),
        (pd.MultiIndex.from_tuples([(1, 2)]), Index, None),
        ([1], Batch, None),
        ((1,), Batch, None),
        ({1}, Batch, None),
        (1, None, None),
        ("x", None, None),
        ({"x": 1}, None, None),
        (pd.DataFrame, None, None),
    ],
)
def test_the_example_says_the_class(example: Any, streaming: Any, updating: Any) -> None:
    assert get_stream_type(example) is streaming
    assert get_stream_type(example, "updating") is updating


def test_a_bad_stream_type_is_refused() -> None:
    pattern = "Streaming: stream_type must be 'streaming' or 'updating', got 'x'"
    for build in (lambda: get_stream_type(1, "x"), lambda: Streaming(example=1, stream_type="x")):
        with pytest.raises(ValueError, match=pattern):
            build()


def test_what_derives_from_an_updating_collection_updates() -> None:
    a = Streaming(example=pd.DataFrame({"x": [1]}), stream_type="updating")
    assert type(a + 1) is DataFrames


# --- building, elements, the end --------------------------------------------------------------


def test_a_collection_takes_streams_and_collections_and_nothing_else() -> None:
    source: Stream[int] = Stream()
    a = Streaming(source, example=lambda: 5)
    assert (a.stream, a.example) == (source, 5)
    b = Streaming(a)
    assert (b.stream, b.example) == (source, 5)
    with pytest.raises(TypeError, match="Streaming: stream must be a Stream, got 5"):
        Streaming(5)


def test_verify_goes_by_the_subtype() -> None:
    class Numbers(Streaming):
        _subtype = (int, float)

    numbers = Numbers(example=1)
    numbers.verify(1.5)
    with pytest.raises(TypeError, match="Numbers: element must be of type int or float, got str"):
        numbers.emit("x")


def test_emit_returns_what_the_stream_does() -> None:
    assert ones().emit(1) is None


async def test_emit_can_be_awaited_in_a_loop() -> None:
    a = Streaming(Stream(asynchronous=True), example=1)
    seen = results(a + 1)
    await a.emit(1)
    assert seen == [2]


def test_a_failure_reaches_whoever_emits_and_the_stream_lives_on() -> None:
    a = ones()
    seen = results(10 // a)
    with pytest.raises(ZeroDivisionError):
        a.emit(0)
    a.emit(5)
    assert seen == [2]


def test_current_value_is_that_of_the_stream() -> None:
    a = ones()
    assert a.current_value is None
    a.emit(3)
    assert a.current_value == 3


def test_start_and_stop_are_those_of_the_sources() -> None:
    calls: list[str] = []

    class Ignition(Stream[Any]):
        def start(self) -> None:
            calls.append("start")

        def stop(self) -> None:
            calls.append("stop")

    a = Streaming(Ignition(), example=1) + 1
    a.start()
    a.stop()
    assert calls == ["start", "stop"]


def test_a_collection_without_reference_is_collected() -> None:
    a = ones()
    node = weakref.ref((a + 1).stream)
    gc.collect()
    assert node() is None


def test_a_method_that_is_not_there_is_an_attribute_error() -> None:
    for cls in (Streaming, Batch, DataFrame):
        with pytest.raises(AttributeError, match=f"{cls.__name__} has no attribute 'nope'"):
            cls.nope  # type: ignore[attr-defined]


def test_register_api_makes_methods_of_subclasses_only() -> None:
    class Temperatures(Streaming):
        pass

    @Temperatures.register_api(attribute_name="fahrenheit")
    def to_fahrenheit(celsius: Any) -> Any:
        return celsius * 9 / 5 + 32

    assert results(Temperatures(example=0).fahrenheit()) == []  # type: ignore[attr-defined]
    assert not hasattr(Streaming, "fahrenheit")
    assert not hasattr(Stream, "fahrenheit")


# --- an example that is not known yet ---------------------------------------------------------


def test_what_is_not_known_says_so() -> None:
    a = Streaming()
    with pytest.raises(ValueError, match="Streaming: example must be given for that, or wait"):
        _ = a.example
    assert "not known yet" in repr(a + 1)


def test_an_example_may_be_set_later() -> None:
    a = Streaming()
    b = (a + 1) * 2
    a.example = 1
    assert a.example == 1
    assert results(b, 4, into=a) == [10]


def test_a_function_that_returns_nothing_has_no_example() -> None:
    calls: list[int] = []
    a = ones()
    made = map_partitions(calls.append, a)
    assert results(made, 2, into=a) == [None]
    assert calls == [1, 2]


# --- looking at it ----------------------------------------------------------------------------


def test_a_collection_shows_what_its_elements_are_like() -> None:
    assert repr(ones()) == "Streaming - elements like:\n1"
    frame = DataFrame(example=pd.DataFrame({"x": [1, 2, 3]}))
    assert repr(frame) == "DataFrame - elements like:\n   x\n0  1\n1  2"
    assert frame._repr_html_().startswith("<h5>DataFrame - elements like</h5>\n<div>")
    assert "&lt;b&gt;" in Streaming(example="<b>")._repr_html_()


def test_to_show_a_collection_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a = ones()
    shown: list[Any] = []
    display: Any = types.ModuleType("IPython.display")
    display.display = lambda data, **kwargs: shown.append((data["text/html"], kwargs))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    a._ipython_display_(clear=True)
    assert shown == [(a._repr_html_(), {"raw": True, "clear": True})]
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    a._ipython_display_()
    assert capsys.readouterr().out == "Streaming - elements like:\n1\n"
    assert list(a.stream.downstreams) == []


# --- names from before ------------------------------------------------------------------------


def test_partial_by_order_puts_others_at_their_places() -> None:
    others = [(0, "a"), (3, "b")]
    assert partial_by_order(1, 2, function=_given, other=others, k=3) == (
        ("a", 1, 2, "b"),
        {"k": 3},
    )


def _given(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def test_apply_args_spreads() -> None:
    assert apply_args([math.pi], round, {"ndigits": 2}) == 3.14
