"""Merge of several streams: `union`."""

from __future__ import annotations

from typing import Any, ClassVar

from rapidz.kernel.graph.stream import Stream, T
from rapidz.operators.combine.base import check_streams


@Stream.register_api()
class union(Stream[T]):
    """Merge the elements of all upstreams, in order of arrival.

    Emits every element.  Applies back pressure when downstream does.  Ends when
    all upstreams have ended.  In other libraries: merge.

    Parameters
    ----------
    *upstreams : Stream
        At least one.

    >>> a, b = Stream(), Stream()
    >>> node = a.union(b).sink(print)
    >>> a.emit(1)
    1
    >>> b.emit("x")
    x
    """

    _passes_elements: ClassVar[bool] = True

    def __init__(self, *upstreams: Stream[Any], **kwargs: Any) -> None:
        check_streams("union", upstreams)
        super().__init__(upstreams=upstreams, **kwargs)
