"""PeriodicDataFrame and Random: frames that poll a function for their rows."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from rapidz.dataframe.collection.partials import named_partial
from rapidz.dataframe.frames.dataframe import DataFrame
from rapidz.dataframe.frames.periodic_data import random_datablock, random_datapoint
from rapidz.kernel.protocol.checks import check_callable, read_interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.protocol.signatures import check_arguments
from rapidz.sources import from_periodic

__all__ = ["PeriodicDataFrame", "Random", "random_datablock", "random_datapoint"]


def wall_clock() -> pd.Timestamp:
    """Return the time of day, which is the index of the rows."""
    return pd.Timestamp.now()


class PeriodicDataFrame(DataFrame):
    """A streaming frame of the rows that a function returns when it is polled.

    The first call is one interval after `start`.  Polling stops by itself when nothing that derives
    from the frame is left.

    Parameters
    ----------
    datafn : callable
        ``datafn(last=, now=, **kwargs)`` returns the rows for the time from one call to the next;
        both are `pandas.Timestamp`.  It is called once for the example, with the same time twice.
    interval : number, str or timedelta
        Seconds, or a string such as ``"500ms"``, from call to call.
    dask : bool
        Call the function on a Dask cluster.
    start : bool
        Start at once.
    **kwargs
        Given to the function.

    >>> sdf = PeriodicDataFrame(random_datapoint, interval="5ms", start=False)
    >>> seen = sdf.a.stream.map(len).sink_to_list()
    >>> last = sdf.stream.sink(lambda _: sdf.stop())
    >>> sdf.start()
    >>> sdf.stream.join()
    >>> seen
    [1]
    """

    def __init__(
        self,
        datafn: Callable[..., Any] = random_datablock,
        interval: Any = "500ms",
        dask: bool = False,
        start: bool = True,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_callable(name, "datafn", datafn)
        given = {"last": None, "now": None, **kwargs}
        check_arguments(self, datafn, (), given, elements=0, argument="datafn")
        self.interval = read_interval(name, interval)
        self.kwargs = kwargs
        self._turns = _Turns()
        now = wall_clock()
        example = datafn(last=now, now=now, **kwargs)
        self.source = from_periodic(self._turns, self.interval)
        self.source._delayed = True
        turns: Any = self.source.scatter() if dask else self.source
        name = getattr(datafn, "__name__", type(datafn).__name__)
        rows = turns.map(named_partial(name, _rows_between, datafn, kwargs))
        super().__init__(rows, example)
        listening = weakref.finalize(rows, self.source.stop)
        listening.atexit = False
        if start:
            self.start()

    def start(self) -> None:
        """Start to poll for rows, or continue: for those from now on."""
        if self.source.stopped:
            self._turns.last = wall_clock()
        self.source.start()

    def stop(self) -> None:
        """Stop to poll, until `start`."""
        self.source.stop()


class Random(PeriodicDataFrame):
    """A streaming frame of random rows: columns x, y and z, with the time for an index.

    Parameters
    ----------
    freq : str or Timedelta
        The time from row to row.
    interval : number, str or timedelta
        Seconds, or a string, from one element to the next.
    dask, start, datafn
        As in `PeriodicDataFrame`; the function gets *freq*.

    >>> sdf = Random(freq="10ms", interval="50ms", start=False)
    >>> list(sdf.columns)
    ['x', 'y', 'z']
    """

    def __init__(
        self,
        freq: Any = "100ms",
        interval: Any = "500ms",
        dask: bool = False,
        start: bool = True,
        datafn: Callable[..., Any] = random_datablock,
    ) -> None:
        freq = pd.Timedelta(freq)
        if not freq > pd.Timedelta(0):
            raise ValueError(f"Random: freq must be a time > 0, got {short_repr(freq)}")
        super().__init__(datafn, interval, dask, start, freq=freq)


class _Turns:
    """The times between which rows are polled; the source calls it once an interval."""

    def __init__(self) -> None:
        self.last = wall_clock()

    def __call__(self) -> dict[str, pd.Timestamp]:
        last, self.last = self.last, wall_clock()
        return {"last": last, "now": self.last}


def _rows_between(
    datafn: Callable[..., Any], kwargs: Mapping[str, Any], between: Mapping[str, Any]
) -> Any:
    """Return the rows of a function between two times."""
    return datafn(**between, **kwargs)
