"""DataFrames, Seriess: streams whose every element is all there is, anew."""

from __future__ import annotations

import operator
from typing import Any

from rapidz.dataframe.collection.class_registry import _stream_types, frame_classes
from rapidz.dataframe.collection.partials import method_call
from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.frames.base import BaseFrame, _DataFrameMixin, _SeriesMixin
from rapidz.dataframe.interop.protocols import is_dataframe_like, is_series_like

__all__ = ["DataFrames", "Frames", "Seriess"]


class Frames(BaseFrame):
    """Frames each of which is all there is, anew: what aggregations and windows give.

    What a method says is said of each by itself.
    """

    _stream_type = "updating"

    @property
    def size(self) -> Any:
        """The number of values."""
        return self._each(operator.attrgetter("size"))

    def sum(self, **kwargs: Any) -> Any:
        """The sum."""
        return self._each(method_call("sum"), **kwargs)

    def count(self, **kwargs: Any) -> Any:
        """The number of values that are not missing."""
        return self._each(method_call("count"), **kwargs)

    def mean(self, **kwargs: Any) -> Any:
        """The mean."""
        return self._each(method_call("mean"), **kwargs)

    def var(self, **kwargs: Any) -> Any:
        """The variance."""
        return self._each(method_call("var"), **kwargs)

    def std(self, **kwargs: Any) -> Any:
        """The standard deviation."""
        return self._each(method_call("std"), **kwargs)

    def min(self, **kwargs: Any) -> Any:
        """The smallest value."""
        return self._each(method_call("min"), **kwargs)

    def max(self, **kwargs: Any) -> Any:
        """The largest value."""
        return self._each(method_call("max"), **kwargs)


class DataFrames(Frames, _DataFrameMixin):
    """Data frames each of which is all there is, anew."""


class Seriess(Frames, _SeriesMixin):
    """Series each of which is all there is, anew."""

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
