"""Unsupported attributes of pandas: the error, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import pandas as pd

from rapidz.dataframe.collection.errors import stream_hint
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["UnsupportedAttribute", "unsupported_attribute"]

_ROWS = "window(n=…).apply(lambda rows: rows.{name}(…)) for the last rows"
_NEIGHBOURS = f"it looks at rows of other batches: use {_ROWS}"
_ORDER = f"later rows change the order: use {_ROWS}, or split results by .stream.map"
_KEEPS = "use agg for several aggregates, or expanding().apply(lambda rows: rows.{name}(…)), which \
keeps all rows"
_ENDLESS = "the rows have no end: use .stream.sink(function) for each batch"
_POSITIONS = (
    "rows have no positions before all have arrived: use a condition, as in sdf[sdf.x > 0], or \
window(n=…).apply"
)
_RESHAPES = "the columns would depend on the rows: use map_partitions for each batch, or the apply \
of a window"

_OTHERWISE = f"use map_partitions(lambda frame: frame.{{name}}(…)) for each batch, or {_ROWS}"

INSTEAD = {
    "resample": "use event_time(…).resample(…) of the frame, with keys "
    "groupby([pd.Grouper(freq=…, key=…), …]), or window('1h') for the rows of the last hour",
    "apply": "use map_partitions(lambda frame: frame.apply(…)) for each batch, or a window's apply",
    "pipe": "call the function with the frame",
    "head": f"use {_ROWS}, or .stream.slice(0, 5) for the first batches",
    **dict.fromkeys(
        ("shift", "diff", "pct_change", "ffill", "bfill", "interpolate", "asfreq", "truncate"),
        _NEIGHBOURS,
    ),
    **dict.fromkeys(
        ("sort_values", "sort_index", "rank", "nsmallest", "sample", "argsort", "reindex"), _ORDER
    ),
    **dict.fromkeys(("drop_duplicates", "duplicated", "unique"), _NEIGHBOURS),
    **dict.fromkeys(
        ("describe", "corr", "cov", "any", "all", "prod", "product", "idxmax", "idxmin", "skew"),
        _KEEPS,
    ),
    **dict.fromkeys(("sem", "kurt", "kurtosis", "mode", "autocorr", "corrwith"), _KEEPS),
    **dict.fromkeys(("iloc", "loc", "at", "iat", "take", "xs", "filter"), _POSITIONS),
    **dict.fromkeys(
        ("values", "array", "to_numpy", "to_list", "tolist", "to_dict", "items", "iterrows"),
        _ENDLESS,
    ),
    **dict.fromkeys(("itertuples", "shape", "empty", "memory_usage", "info"), _ENDLESS),
    **dict.fromkeys(
        ("T", "transpose", "pivot", "pivot_table", "unstack", "stack", "melt"), _RESHAPES
    ),
}
"""By name, the alternative; for all other names see `unsupported_attribute`."""

_CLASSES: tuple[type, ...] = (pd.DataFrame, pd.Series, pd.DatetimeIndex)


class UnsupportedAttribute(AttributeError):
    """An attribute of pandas that streaming frames do not support."""


def unsupported_attribute(
    owner: str, name: str, has: Iterable[str], alternative: str = ""
) -> AttributeError:
    """Return the error for an attribute that *owner* does not have.

    Parameters
    ----------
    owner, name
        The class and the name of the attribute.
    has
        The attributes of the class, for a suggestion.
    alternative
        What to use for names of pandas without an alternative of their own.

    >>> unsupported_attribute("DataFrame", "summ", ["sum", "count"])
    AttributeError("DataFrame has no attribute 'summ': did you mean 'sum'?")
    >>> str(unsupported_attribute("DataFrame", "pipe", ["sum"]))
    "DataFrame has no attribute 'pipe', as pandas has: call the function with the frame"
    """
    said = f"{owner} has no attribute {name!r}"
    if any(hasattr(cls, name) for cls in _CLASSES):
        message = INSTEAD.get(name) or alternative
        if name.startswith("to_"):
            message = _ENDLESS
        message = message or _OTHERWISE
        return UnsupportedAttribute(f"{said}, as pandas has: {message.replace('{name}', name)}")
    if hint := stream_hint(name):
        return AttributeError(f"{said}: {hint}")
    close = difflib.get_close_matches(name, list(has), 1)
    if not close:
        return AttributeError(said)
    hint = f"{said}: did you mean {short_repr(close[0])}?"
    return AttributeError(hint, name=name, obj=None)  # or Python adds the same hint again
