"""DataFrames, Seriess: streams of snapshots, each of which replaces the one before."""

from __future__ import annotations

import operator
from typing import Any

from rapidz.dataframe.collection.class_registry import _stream_types, frame_classes
from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.frames.base import BaseFrame, _DataFrameMixin, _SeriesMixin
from rapidz.dataframe.interop.protocols import is_dataframe_like, is_series_like

__all__ = ["DataFrames", "Frames", "Seriess"]


class Frames(BaseFrame):
    """Snapshots: frames each of which replaces the one before, as aggregates and windows emit.

    Methods apply to each by itself.
    """

    _stream_type = "updating"

    @property
    def size(self) -> Any:
        """The number of values."""
        return self._map_parts(operator.attrgetter("size"))

    def sum(self, **kwargs: Any) -> Any:
        """Sum values."""
        return self._map_parts("sum", **kwargs)

    def count(self, **kwargs: Any) -> Any:
        """Count values that are not missing."""
        return self._map_parts("count", **kwargs)

    def mean(self, **kwargs: Any) -> Any:
        """Return the mean."""
        return self._map_parts("mean", **kwargs)

    def var(self, **kwargs: Any) -> Any:
        """Return the variance."""
        return self._map_parts("var", **kwargs)

    def std(self, **kwargs: Any) -> Any:
        """Return the standard deviation."""
        return self._map_parts("std", **kwargs)

    def min(self, **kwargs: Any) -> Any:
        """Return the minimum."""
        return self._map_parts("min", **kwargs)

    def max(self, **kwargs: Any) -> Any:
        """Return the maximum."""
        return self._map_parts("max", **kwargs)


class DataFrames(Frames, _DataFrameMixin):
    """Snapshots that are data frames."""


class Seriess(Frames, _SeriesMixin):
    """Snapshots that are series."""

    _is_kind = staticmethod(is_series_like)
    _kind_name = "a series"


_stream_types["updating"] += [(is_dataframe_like, DataFrames), (is_series_like, Seriess)]
frame_classes.update(
    {
        ("updating", "frame"): DataFrames,
        ("updating", "series"): Seriess,
        ("updating", "index"): Streaming,
    }
)
