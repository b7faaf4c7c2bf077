"""Random rows, for a frame that generates its data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def random_datapoint(now: Any = None, **kwargs: Any) -> pd.DataFrame:
    """Return one row: a value between 0 and 1 in column ``a``, at the instant *now*.

    >>> random_datapoint(pd.Timestamp("2030-01-01")).index
    DatetimeIndex(['2030-01-01'], dtype=..., freq=None)
    """
    now = pd.Timestamp.now() if now is None else now
    return pd.DataFrame({"a": np.random.random(1)}, index=[now])


def random_datablock(last: Any, now: Any, **kwargs: Any) -> pd.DataFrame:
    """Return rows for the time after *last*, up to *now*.

    Column ``x`` is uniformly distributed, ``y`` is Poisson, ``z`` is normal.

    Parameters
    ----------
    last, now : pandas.Timestamp
        When this was called before, and when it is.
    freq : Timedelta or str, optional
        The time from row to row, ``"100ms"`` by default; much less than the time between two calls.

    >>> last = pd.Timestamp("2030-01-01")
    >>> rows = random_datablock(last, last + pd.Timedelta("1s"), freq="250ms")
    >>> rows.shape, list(rows.columns)
    ((4, 3), ['x', 'y', 'z'])
    """
    freq = pd.Timedelta(kwargs.get("freq", "100ms"))
    index = pd.date_range(start=last + freq, end=now, freq=freq)
    n = len(index)
    return pd.DataFrame(
        {
            "x": np.random.random(n),
            "y": np.random.poisson(1, n),
            "z": np.random.normal(0, 1, n),
        },
        index=index,
    )
