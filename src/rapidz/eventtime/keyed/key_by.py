"""Keyed streams: `key_by`."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keyed.keyed_stream import KeyedStream
from rapidz.kernel.graph.stream import Stream

K = TypeVar("K")
T = TypeVar("T")


@Stream.register_api()
class key_by(KeyedStream[K, T]):
    """Give elements keys, for windows, joins and state of each key.

    Emits every element as it is, and applies back pressure when downstream does.  Windows, joins,
    `accumulate`, `map_with_state`, `unique` and `process` keep one state a key on the stream that
    is returned; all other operators are those of a plain stream, which see elements without
    keys.  Order is kept for each key.

    Parameters
    ----------
    key : str, int or callable
        Where the key is in an element: its key or index, the name of an attribute, or a
        function of the element.  Keys must be hashable.

    >>> source = Stream()
    >>> clicks = source.key_by("user")
    >>> counts = clicks.accumulate(lambda n, x: n + 1, start=0).sink(print)
    >>> source.emit_many([{"user": "ada"}, {"user": "bob"}, {"user": "ada"}])
    ('ada', 1)
    ('bob', 1)
    ('ada', 2)
    """

    _needs_local_elements: ClassVar[bool] = True
    _emits_one_for_one: ClassVar[bool] = True

    def __init__(self, upstream: Stream[T], key: Any, **kwargs: Any) -> None:
        self.key_getter = Getter(key, "key_by", "key")
        super().__init__(upstream, **kwargs)

    @property
    def key(self) -> Any:
        """Where the key is in an element, as it was given."""
        return self.key_getter.of
