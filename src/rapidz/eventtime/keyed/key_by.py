"""Keyed streams: `key_by`."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from rapidz.eventtime.getter import Getter
from rapidz.kernel.graph.stream import Stream

T = TypeVar("T")


class KeyedStream(Stream[T]):
    """Stream whose elements have keys: its windows, joins and state are one for each key."""

    key_getter: Getter


@Stream.register_api()
class key_by(KeyedStream[T]):
    """Give elements keys, for windows, joins and state of each key.

    Emits every element as it is.  Windows, joins, `accumulate`, `unique` and the other methods
    of a keyed stream keep one state a key; all else is as for a plain stream.  Order is kept for
    each key.

    Parameters
    ----------
    key : str, int or callable
        Where the key is in an element: its key or index, the name of an attribute, or a
        function of the element.  Keys must be hashable.
    """

    _emits_one_for_one: ClassVar[bool] = True

    def __init__(self, upstream: Stream[T], key: Any, **kwargs: Any) -> None:
        self.key_getter = Getter(key, "key_by", "key")
        super().__init__(upstream, **kwargs)
