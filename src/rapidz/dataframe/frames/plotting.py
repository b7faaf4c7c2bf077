"""Live plots: streaming frames for hvplot, HoloViews and Panel, by the interfaces they document.

These libraries are not patched, and are imported with the first plot.
"""

from __future__ import annotations

import functools
import importlib
import weakref
from typing import Any

import pandas as pd

from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.interop.libraries import import_library

__all__ = ["buffer", "pane", "plots"]


def plots(collection: Streaming) -> Any:
    """Return the plots of hvplot for a streaming frame or series.

    Each plot has a buffer of the last rows (``backlog=``, 1,000 by default), or the latest
    snapshot. It follows the stream as long as it exists.
    """
    _imported("hvplot", f"{type(collection).__name__}.plot")
    return _plot_class()(_tabular(collection._known_example()).iloc[:0], collection)


def buffer(collection: Streaming, length: int = 1000) -> Any:
    """Return a stream of HoloViews that follows a streaming frame or series.

    A ``Buffer`` of the last *length* rows, or a ``Pipe`` with the latest snapshot. It stops
    following when it is collected.

    >>> import holoviews as hv
    >>> from rapidz.dataframe import DataFrame
    >>> sdf = DataFrame(example=pd.DataFrame({"x": [0]}))
    >>> last = buffer(sdf, length=2)
    >>> sdf.emit(pd.DataFrame({"x": [1, 2, 3]}))
    >>> last.data.x.tolist()
    [2, 3]
    """
    streams = _imported("holoviews.streams", "buffer")
    example = _tabular(collection._known_example()).iloc[:0]
    if collection._stream_type == "updating":
        made = streams.Pipe(data=example)
    else:
        made = streams.Buffer(data=example, length=length, index=False)
    _feed(collection, made, _send)
    return made


def pane(collection: Streaming) -> Any:
    """Return a pane of Panel with the latest element as a table."""
    panel = _imported("panel", "pane")
    made = panel.pane.DataFrame(_tabular(collection._known_example()))
    _feed(collection, made, _show)
    return made


@functools.cache
def _plot_class() -> type:
    """Return the class of plots of hvplot that make a stream of HoloViews for each plot."""
    base: Any = importlib.import_module("hvplot").hvPlotTabular

    class StreamingPlots(base):  # type: ignore[misc]
        """Plots of hvplot that follow a streaming frame; see `hvplot.hvPlotTabular`."""

        def __init__(
            self, data: Any, collection: Any, custom_plots: Any = None, **metadata: Any
        ) -> None:
            super().__init__(data, custom_plots or {}, **metadata)
            self._collection = collection

        def __call__(self, x: Any = None, y: Any = None, kind: Any = None, **options: Any) -> Any:
            if "stream" not in options:
                options["stream"] = buffer(self._collection, options.get("backlog", 1000))
            return super().__call__(x, y, kind, **options)

    return StreamingPlots


def _feed(collection: Streaming, target: Any, put: Any) -> None:
    """Send all elements to *target*, until it is collected."""
    stream = collection._inner
    if stream._remote:
        stream = stream.gather()
    feed = _Feed(target, put)
    feed.sink = stream.map(_tabular).sink(feed)


class _Feed:
    """Sink with a weak reference to its target."""

    def __init__(self, target: Any, put: Any) -> None:
        self._target, self._put = weakref.ref(target), put
        self.sink: Any = None
        self.__name__ = f"to_{type(target).__name__}"

    def __call__(self, x: Any) -> None:
        target = self._target()
        if target is not None:
            self._put(target, x)
        elif self.sink is not None:
            self.sink.destroy()
            self.sink = None


def _send(target: Any, x: Any) -> None:
    target.send(x)


def _show(target: Any, x: Any) -> None:
    target.object = x


def _tabular(x: Any) -> pd.DataFrame:
    """Return the element as a frame whose columns have text for names, as HoloViews needs."""
    if isinstance(x, pd.Index):
        x = x.to_series(index=pd.RangeIndex(len(x)))
    if isinstance(x, pd.Series):
        x = x.to_frame("value" if x.name is None else x.name)
    if all(isinstance(label, str) for label in x.columns):
        frame: pd.DataFrame = x
        return frame
    names = ["_".join(map(str, n)) if isinstance(n, tuple) else str(n) for n in x.columns]
    renamed: pd.DataFrame = x.set_axis(names, axis=1)
    return renamed


def _imported(name: str, what: str) -> Any:
    return import_library(name, f"{what} needs", "pip install 'rapidz[plot]'")
