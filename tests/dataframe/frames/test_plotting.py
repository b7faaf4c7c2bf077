"""Live plots with the real hvplot, HoloViews and Panel."""

from __future__ import annotations

import gc
import importlib
import sys
import warnings
from typing import Any

import pandas as pd
import polars as pl
import pytest

from rapidz import Stream
from rapidz.dataframe import DataFrame, Random, Series
from rapidz.dataframe.plotting import buffer

TIMES = pd.date_range("2030-01-01", periods=6, freq="s")


def library(name: str) -> Any:
    """A library of plots, whose own use of others is not what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


@pytest.fixture
def drawn() -> Any:
    """What a plot shows now: the glyphs and data of Bokeh."""
    holoviews = library("holoviews")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library("hvplot")
        holoviews.extension("bokeh", logo=False)
        yield lambda plot: holoviews.render(plot)


def rows(first: int, last: int) -> pd.DataFrame:
    numbers = range(first, last)
    frame = {"x": [float(n) for n in numbers], "y": [n * 10.0 for n in numbers]}
    return pd.DataFrame(frame, index=TIMES[first:last])


def values(figure: Any) -> list[list[float]]:
    """What is drawn by each glyph, from bottom to top."""
    shown = []
    for renderer in figure.renderers:
        glyph = renderer.glyph
        field = getattr(glyph, "y", None) or glyph.top
        name = getattr(field, "field", field)
        shown.append([float(y) for y in renderer.data_source.data[name]])
    return shown


@pytest.mark.parametrize(
    ("plot", "expected"),
    [
        (lambda sdf: sdf.plot(), [[0, 1, 2, 3, 4], [0, 10, 20, 30, 40]]),
        (lambda sdf: sdf.plot.line(y="y"), [[0, 10, 20, 30, 40]]),
        (lambda sdf: sdf.hvplot.scatter(y="x"), [[0, 1, 2, 3, 4]]),
        (lambda sdf: sdf.plot(y="x", backlog=3), [[2, 3, 4]]),
        (lambda sdf: sdf.x.plot(), [[0, 1, 2, 3, 4]]),
        (lambda sdf: sdf[sdf.x > 2].y.cumsum().plot(), [[30, 70]]),
        (lambda sdf: sdf.mean().plot.bar(), [[2, 20]]),
    ],
    ids=["all columns", "line", "scatter", "backlog", "series", "derived", "results"],
)
def test_a_plot_shows_the_rows_that_have_come(drawn: Any, plot: Any, expected: Any) -> None:
    sdf = DataFrame(example=rows(0, 1))
    made = plot(sdf)
    sdf.emit(rows(0, 3))
    sdf.emit(rows(3, 5))
    assert sorted(values(drawn(made))) == sorted([float(y) for y in ys] for ys in expected)


def test_results_by_group_are_plotted_anew(drawn: Any) -> None:
    sdf = DataFrame(example=pd.DataFrame({"k": ["a"], "x": [0]}))
    made = sdf.groupby("k").x.sum().plot.bar()
    sdf.emit(pd.DataFrame({"k": ["a", "b"], "x": [1, 2]}))
    sdf.emit(pd.DataFrame({"k": ["b"], "x": [5]}))
    assert values(drawn(made)) == [[1.0, 7.0]]


def test_frames_of_polars_and_columns_without_text_for_names_are_plotted(drawn: Any) -> None:
    sdf = DataFrame(example=pl.DataFrame({"x": [0.0]}))
    made = sdf.plot.line(y="x")
    sdf.emit(pl.DataFrame({"x": [1.0, 2.0]}))
    assert values(drawn(made)) == [[1.0, 2.0]]
    numbers = Series(example=pd.Series([0.0]))
    other = numbers.plot()
    numbers.emit(pd.Series([3.0, 4.0]))
    assert values(drawn(other)) == [[3.0, 4.0]]


def test_a_scattered_frame_is_plotted(drawn: Any) -> None:
    source = Stream[Any](asynchronous=False)
    sdf = source.scatter("thread").to_dataframe(example=rows(0, 1))
    made = sdf.plot.line(y="x")
    source.emit(rows(0, 3))
    source.join()
    assert values(drawn(made)) == [[0.0, 1.0, 2.0]]
    source.close()


def test_a_plot_that_is_gone_is_no_longer_fed(drawn: Any) -> None:
    sdf = DataFrame(example=rows(0, 1))
    made = sdf.plot()
    assert len(list(sdf.stream.downstreams)) == 1
    del made
    for _ in range(3):
        gc.collect()
    sdf.emit(rows(0, 2))
    assert not list(sdf.stream.downstreams)


def test_a_buffer_feeds_elements_of_holoviews(drawn: Any) -> None:
    holoviews = library("holoviews")
    sdf = DataFrame(example=rows(0, 1))
    last = buffer(sdf, length=2)
    curve = holoviews.DynamicMap(lambda data: holoviews.Curve(data, "index", "x"), streams=[last])
    sdf.emit(rows(0, 3))
    assert last.data.x.tolist() == [1.0, 2.0]
    assert values(drawn(curve)) == [[1.0, 2.0]]


def test_panel_shows_the_newest_element() -> None:
    panel = library("panel")
    sdf = DataFrame(example=rows(0, 1))
    for shown in (panel.panel(sdf), panel.Column(sdf)[0]):
        sdf.emit(rows(1, 3))
        assert shown.object.x.tolist() == [1.0, 2.0]


def test_random_frames_have_plots_of_hvplot() -> None:
    library("hvplot")
    assert isinstance(Random(start=False).hvplot, library("hvplot").hvPlotTabular)


@pytest.mark.parametrize("name", ["plot", "hvplot"])
def test_plots_say_what_they_need(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvplot", None)
    with pytest.raises(ImportError, match=r"DataFrame\.plot needs hvplot, which is not installed"):
        getattr(DataFrame(example=rows(0, 1)), name)
    monkeypatch.setitem(sys.modules, "holoviews.streams", None)
    with pytest.raises(ImportError, match="buffer needs holoviews"):
        buffer(DataFrame(example=rows(0, 1)))
