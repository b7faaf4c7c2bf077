"""Compatibility modules of collections: module paths, names, signatures and old usage."""

from __future__ import annotations

import importlib
import inspect
import operator
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal
from tests.compat.helpers import stream

batch: Any = importlib.import_module("rapidz.batch")
collection: Any = importlib.import_module("rapidz.collection")
dataframe: Any = importlib.import_module("rapidz.dataframe")
frames: Any = importlib.import_module("rapidz.dataframe.frames.dataframe")

NAMES = {
    "batch": ["Batch", "Streaming", "_accumulate_sum", "_filter", "_map_map", "_pluck"],
    "collection": [
        "OperatorMixin", "Stream", "Streaming", "_stream_types", "apply_args", "get_stream_type",
        "map_partitions", "partial_by_order", "stream_type",
    ],
    "dataframe": [
        "DataFrame", "DataFrames", "Frame", "Frames", "Index", "PeriodicDataFrame", "Random",
        "Series", "Seriess", "GroupBy", "Rolling", "Window", "Aggregation",
    ],
    "dataframe.core": [
        "BaseFrame", "DataFrame", "DataFrames", "EWM", "Expanding", "Frame", "Frames", "GroupBy",
        "Index", "OperatorMixin", "PeriodicDataFrame", "Random", "Rolling", "Series", "Seriess",
        "Streaming", "Window", "WindowedGroupBy", "_DataFrameMixin", "_SeriesMixin",
        "_accumulate_mean", "_accumulate_size", "_accumulate_sum", "_cumulative_accumulator",
        "_random_df", "_stream_types", "random_datablock", "random_datapoint",
        "rolling_accumulator",
    ],
    "dataframe.aggregations": [
        "Aggregation", "Count", "EWMean", "Full", "GroupbyAggregation", "GroupbyCount",
        "GroupbyMean", "GroupbySize", "GroupbySum", "GroupbyVar", "Mean", "Size", "Sum",
        "ValueCounts", "Var", "accumulator", "diff_align", "diff_expanding", "diff_iloc",
        "diff_loc", "groupby_accumulator", "window_accumulator", "windowed_groupby_accumulator",
    ],
    "dataframe.utils": [
        "get_base_frame_type", "get_dataframe_package", "is_dataframe_like", "is_index_like",
        "is_series_like",
    ],
}  # fmt: skip

SIGNATURES = {
    "accumulate_partitions": "(self, func, *args, **kwargs)",
    "verify": "(self, x)",
    "start": "(self)",
    "stop": "(self)",
    "astype": "(self, dt)",
    "map": "(self, func, na_action=None)",
    "reset_index": "(self)",
    "round": "(self, decimals=0)",
    "set_index": "(self, index, **kwargs)",
    "tail": "(self, n=5)",
    "cumsum": "(self)",
    "assign": "(self, **kwargs)",
    "query": "(self, expr, **kwargs)",
    "to_frame": "(self)",
    "_repr_html_": "(self)",
    "_ipython_display_": "(self, **kwargs)",
    "from_periodic": (
        "(datafn=random_datablock, interval='500ms', dask=False, start=True, **kwargs)"
    ),
    "random": "(freq='100ms', interval='500ms', dask=False, start=True, datafn=random_datablock)",
}

# What old calls pass, by position and by name: the parameters that they rely on, in order.
PARAMETERS = {
    "core.Frame.aggregate": "self aggregation start",
    "core.Frame.count": "self start",
    "core.Frame.ewm": "self com span halflife alpha with_state start",
    "core.Frame.expanding": "self with_state start",
    "core.Frame.groupby": "self other",
    "core.Frame.mean": "self start",
    "core.Frame.rolling": "self window min_periods with_state start",
    "core.Frame.sum": "self start",
    "core.Frame.window": "self n value with_state start",
    "core.Series.value_counts": "self",
    "core.EWM": "sdf n value with_state start com span halflife alpha",
    "core.EWM._get_com": "com span halflife alpha",
    "core.EWM.std": "self ddof",
    "core.Expanding.aggregate": "self agg",
    "core.GroupBy": "root grouper index",
    "core.GroupBy._accumulate": "self Agg with_state start kwargs",
    "core.GroupBy.count": "self start",
    "core.GroupBy.mean": "self with_state start",
    "core.GroupBy.size": "self",
    "core.GroupBy.std": "self ddof",
    "core.GroupBy.sum": "self start",
    "core.GroupBy.var": "self ddof",
    "core.Rolling": "sdf window min_periods with_state start",
    "core.Rolling.median": "self",
    "core.Window": "sdf n value with_state start",
    "core.Window.aggregate": "self agg",
    "core.Window.apply": "self func",
    "core.Window.full": "self",
    "core.Window.groupby": "self other",
    "core.Window.map_partitions": "self func args kwargs",
    "core.Window.std": "self ddof",
    "core.Window.value_counts": "self",
    "core.WindowedGroupBy": "root grouper index n value with_state start",
    "core._accumulate_mean": "accumulator new",
    "core._accumulate_size": "accumulator new",
    "core._accumulate_sum": "accumulator new",
    "core._cumulative_accumulator": "state new op",
    "core._random_df": "tup",
    "core.rolling_accumulator": "acc new window op with_state args kwargs",
    "aggregations.Count.on_old": "self acc old",
    "aggregations.EWMean": "com",
    "aggregations.GroupbyAggregation": "columns grouper kwargs",
    "aggregations.GroupbyAggregation.grouped": "self df grouper",
    "aggregations.GroupbyMean.on_new": "self acc new grouper",
    "aggregations.Sum.initial": "self new",
    "aggregations.ValueCounts.on_new": "self acc new grouper",
    "aggregations.Var": "ddof",
    "aggregations.accumulator": "acc new agg",
    "aggregations.diff_align": "dfs groupers",
    "aggregations.diff_expanding": "dfs new window",
    "aggregations.diff_iloc": "dfs new window",
    "aggregations.diff_loc": "dfs new window",
    "aggregations.groupby_accumulator": "acc new agg",
    "aggregations.window_accumulator": "acc new diff window agg with_state",
    "aggregations.windowed_groupby_accumulator": "acc new diff window agg grouper with_state",
    "utils.get_base_frame_type": "frame_name is_frame_like example",
}

OPERATORS = """
    add sub mul truediv floordiv mod pow lshift rshift and or xor eq ne lt le gt ge
    radd rsub rmul rtruediv rfloordiv rmod rpow rlshift rrshift rand ror rxor abs neg invert inv
""".split()  # noqa: SIM905

ROWS = pd.DataFrame({"x": [1, 2, 3], "y": [4.0, 5.0, 6.0]})


def unannotated(func: Any) -> str:
    """The signature without types, functions by their names."""
    signature = inspect.signature(func)
    parameters = []
    for one in signature.parameters.values():
        one = one.replace(annotation=inspect.Parameter.empty)
        text = str(one)
        if callable(one.default) and one.default is not inspect.Parameter.empty:
            text = f"{one.name}={one.default.__name__}"
        parameters.append(text)
    return f"({', '.join(parameters)})"


@pytest.mark.parametrize("module", NAMES)
def test_historic_modules_import_with_their_names(module: str) -> None:
    door = importlib.import_module(f"rapidz.{module}")
    assert [name for name in NAMES[module] if not hasattr(door, name)] == []
    assert [name for name in door.__all__ if not hasattr(door, name)] == []


@pytest.mark.parametrize("name", SIGNATURES)
def test_methods_have_their_old_signatures(name: str) -> None:
    assert unannotated(getattr(dataframe.DataFrame, name)) == SIGNATURES[name]


def test_classes_have_their_old_signatures() -> None:
    assert unannotated(collection.Streaming) == "(stream=None, example=None, stream_type=None)"
    assert unannotated(dataframe.DataFrame) == "(*args, **kwargs)"
    assert unannotated(dataframe.PeriodicDataFrame) == SIGNATURES["from_periodic"]
    assert unannotated(dataframe.Random) == SIGNATURES["random"]
    assert unannotated(collection.partial_by_order) == "(*args, **kwargs)"
    assert unannotated(collection.apply_args) == "(args, func, kwargs)"
    assert unannotated(collection.get_stream_type) == "(example, stream_type='streaming')"


@pytest.mark.parametrize("path", PARAMETERS)
def test_old_calls_find_their_parameters_in_place(path: str) -> None:
    """More may follow."""
    module, *names = path.split(".")
    found: Any = importlib.import_module(f"rapidz.dataframe.{module}")
    for name in names:
        found = getattr(found, name)
    wanted = PARAMETERS[path].split()
    assert list(inspect.signature(found).parameters)[: len(wanted)] == wanted


def test_submodules_are_attributes_after_an_import_of_the_package() -> None:
    assert dataframe.aggregations is importlib.import_module("rapidz.dataframe.aggregations")
    assert dataframe.core is importlib.import_module("rapidz.dataframe.core")


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("DataFrame", "Frame BaseFrame Streaming OperatorMixin _DataFrameMixin"),
        ("Series", "Frame BaseFrame Streaming OperatorMixin _SeriesMixin"),
        ("Index", "Series Frame BaseFrame Streaming OperatorMixin _SeriesMixin"),
        ("DataFrames", "Frames BaseFrame Streaming OperatorMixin _DataFrameMixin"),
        ("Seriess", "Frames BaseFrame Streaming OperatorMixin _SeriesMixin"),
        ("Random", "PeriodicDataFrame DataFrame Frame BaseFrame Streaming"),
    ],
)
def test_classes_derive_from_those_they_did(name: str, bases: str) -> None:
    lineage = {one.__name__ for one in getattr(dataframe, name).__mro__}
    assert set(bases.split()) <= lineage


def test_every_operator_is_there() -> None:
    assert {f"__{name}__" for name in OPERATORS} <= set(vars(collection.OperatorMixin))


def test_the_registry_of_kinds_can_be_added_to() -> None:
    class Text(collection.Streaming):  # type: ignore[misc]
        def shout(self) -> Any:
            return self.map_partitions(str.upper, self)

    entry = ((str,), Text)
    collection._stream_types["streaming"].append(entry)
    try:
        numbers = collection.Streaming(example=1)
        seen = collection.map_partitions(hex, numbers).shout().stream.sink_to_list()
        numbers.emit(255)
        assert seen == ["0XFF"]
    finally:
        collection._stream_types["streaming"].remove(entry)


def test_a_collection_shows_what_old_code_reads() -> None:
    source = stream()
    sdf = dataframe.DataFrame(source, example=ROWS)
    assert sdf.example is ROWS
    assert (sdf._stream_type, sdf._subtype) == ("streaming", pd.DataFrame)
    assert dataframe.DataFrames(example=ROWS)._stream_type == "updating"
    assert (sdf.x + 1).stream.func is operator.add
    assert sdf.stream.upstream is source
    assert isinstance(collection.Streaming.map_partitions, types.FunctionType)
    assert repr(sdf) == "DataFrame - elements like:\n   x    y\n0  1  4.0\n1  2  5.0"


def test_frames_are_built_in_all_the_old_ways() -> None:
    for sdf in (
        dataframe.DataFrame(stream(), ROWS),
        dataframe.DataFrame(stream=stream(), example=ROWS),
        dataframe.DataFrame(example=ROWS),
        dataframe.DataFrame(example=lambda: ROWS),
        dataframe.DataFrame({"x": dataframe.DataFrame(example=ROWS).x}),
        dataframe.DataFrame(dataframe.DataFrame(example=ROWS), example=ROWS),
    ):
        assert type(sdf) is dataframe.DataFrame


def test_the_loose_examples_of_old_code_do() -> None:
    """Examples were often written without regard to dtypes."""
    sdf = dataframe.DataFrame(example=pd.DataFrame({"x": [], "y": []}))
    seen = (sdf.x + sdf.y).stream.sink_to_list()
    sdf.emit(ROWS)
    assert_series_equal(seen[0], ROWS.x + ROWS.y)


def test_elements_may_be_emitted_at_any_stream_of_a_frame() -> None:
    sdf = dataframe.DataFrame(example=ROWS)
    first = sdf.stream
    sdf["z"] = sdf.x * 2
    seen = sdf.z.stream.sink_to_list()
    first.emit(ROWS)
    sdf.stream.emit(ROWS.assign(z=0))
    assert [list(column) for column in seen] == [[2, 4, 6], [0, 0, 0]]


def test_bad_elements_raise_what_they_did() -> None:
    sdf = dataframe.DataFrame(example=ROWS)
    with pytest.raises(TypeError):
        sdf.emit(1)
    with pytest.raises(IndexError):
        sdf.emit(pd.DataFrame())


def test_a_batch_begins_empty_and_as_a_list() -> None:
    made = batch.Batch()
    assert made.example == []
    assert unannotated(batch.Batch.map) == "(self, func, **kwargs)"
    assert (batch._accumulate_sum(1, [2, 3]), batch._filter([1, 2], (1).__lt__)) == (6, [2])
    assert batch._map_map((1, 2), str) == ["1", "2"]
    assert (batch._pluck([(1, 2)], 0), batch._pluck([(1, 2)], [1, 0])) == ([1], [(2, 1)])


def test_batches_of_json_become_frames() -> None:
    import json

    source = stream()
    lines = source.map(json.loads).sliding_window(2).map(list)
    sdf = batch.Batch(lines, example=[{"name": "", "x": 0}]).to_dataframe()
    seen = sdf[sdf.name == "Alice"].stream.sink_to_list()
    for line in ('{"name": "Alice", "x": 1}', '{"name": "Bob", "x": 2}'):
        source.emit(line)
    assert_frame_equal(seen[0], pd.DataFrame({"name": ["Alice"], "x": [1]}))


def test_folds_by_hand_give_what_they_did() -> None:
    core: Any = importlib.import_module("rapidz.dataframe.core")
    x = ROWS.x
    assert core._accumulate_sum(1, x) == 7
    assert core._accumulate_size(1, ROWS) == 7
    assert core._accumulate_mean((4, 1), x) == ((10, 4), 2.5)
    last, values = core._cumulative_accumulator((), x, op="cumsum")
    assert (list(last), list(values)) == ([6], [1, 3, 6])
    last, values = core._cumulative_accumulator(last, pd.Series([None, 1.0]), op="cumsum")
    assert list(last) == list(values.dropna()) == [7]
    assert len(core._cumulative_accumulator(last, x.iloc[:0], op="cumsum")[1]) == 0
    tail, values = core.rolling_accumulator((), x, window=2, op="sum")
    assert (list(tail), list(values[1:])) == ([3], [3, 5])
    assert np.isnan(values[0])
    tail, values = core.rolling_accumulator(tail, x, window=2, op="quantile", args=(0.5,))
    assert (list(tail), list(values)) == ([3], [2, 1.5, 2.5])
    now = pd.Timestamp("2020-01-01")
    rows = core._random_df((now, now + pd.Timedelta("1s"), pd.Timedelta("100ms")))
    assert list(rows.columns) == ["x", "y", "z"]
    assert core.get_dataframe_package(ROWS) is pd
    assert core.get_base_frame_type("DataFrame", core.is_dataframe_like, ROWS) is pd.DataFrame
    with pytest.raises(TypeError):
        core.get_base_frame_type("DataFrame", core.is_dataframe_like, ROWS.x)


def test_custom_aggregations_of_old_code_run_unchanged() -> None:
    """As the documentation of the older libraries shows it."""
    old: Any = importlib.import_module("rapidz.dataframe.aggregations")

    class Mean(old.Aggregation):  # type: ignore[misc]
        def initial(self, new: Any) -> Any:
            return new.iloc[:0].sum(), new.iloc[:0].count()

        def on_new(self, acc: Any, new: Any) -> Any:
            total, count = acc[0] + new.sum(), acc[1] + new.count()
            return (total, count), total / count

        def on_old(self, acc: Any, old: Any) -> Any:
            total, count = acc[0] - old.sum(), acc[1] - old.count()
            return (total, count), total / count

    sdf = dataframe.DataFrame(example=ROWS)
    seen = sdf.x.aggregate(Mean()).stream.sink_to_list()
    windowed = sdf.window(n=2).x.aggregate(Mean()).stream.sink_to_list()
    for _ in range(2):
        sdf.emit(ROWS)
    assert (seen, windowed) == ([2.0, 2.0], [2.5, 2.5])
