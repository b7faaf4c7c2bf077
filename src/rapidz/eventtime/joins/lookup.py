"""Stream with table: `lookup`, by event time or by arrival."""

from __future__ import annotations

from typing import Any, ClassVar

from rapidz.eventtime.joins.asof import asof_join
from rapidz.eventtime.joins.base import key_getters
from rapidz.eventtime.keys import refuse_key
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.checks import check_choice
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.tracked_element import rebox, unbox


@Stream.register_api()
def lookup(
    upstream: Stream[Any],
    table: Stream[Any],
    key: Any = None,
    *,
    version: str = "latest",
    how: str = "left",
    **kwargs: Any,
) -> Stream[Any]:
    """Pair each element with the row of a table, a stream of rows; the last one of a key counts.

    Emits ``(x, row)``; ``(x, None)`` where there is no row, or nothing with ``how="inner"``.
    With ``version="latest"`` at once, with the row that came last; with
    ``version="event time"`` as `asof_join` does: with the row of the time when the element
    happened, once the watermark has passed it.  Then both streams need `event_time`; give
    that of a table whose rows seldom change an *idle*, so that the watermark need not wait
    for it.  Applies back pressure when downstream does; ends when the stream of elements ends.

    Parameters
    ----------
    table : Stream
        The rows; one replaces that of the same key.
    key : object or pair, optional
        As for `interval_join`.
    version : "latest" or "event time"
        Which row of a key counts.
    how : "left" or "inner"
        Whether elements without a row leave too.

    >>> clicks, users = Stream(), Stream()
    >>> shown = clicks.lookup(users, key="id").sink(lambda pair: print(pair[0]["page"], pair[1]))
    >>> users.emit({"id": 7, "name": "ada"})
    >>> clicks.emit_many([{"id": 7, "page": "/"}, {"id": 8, "page": "/help"}])
    / {'id': 7, 'name': 'ada'}
    /help None
    """
    check_choice("lookup", "version", version, ("latest", "event time"))
    if version == "event time":
        return asof_join(upstream, table, key, how=how, operator="lookup", **kwargs)
    return table_lookup(upstream, table, key, how=how, **kwargs)


class table_lookup(Stream[Any]):
    """Pairs each element with the row that came last, of the same key."""

    _needs_local_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = False
    _graphviz_shape = "trapezium"
    _side_ports = frozenset({1})

    how: LiveAttribute[str] = LiveAttribute()

    def __init__(
        self, upstream: Stream[Any], table: Stream[Any], key: Any, *, how: str, **kwargs: Any
    ) -> None:
        if not isinstance(table, Stream):
            raise TypeError(f"lookup: table must be a Stream, got {short_repr(table)}")
        check_choice("lookup", "how", how, ("left", "inner"))
        self._keys = key_getters("lookup", upstream, table, key)
        if None in self._keys:
            raise TypeError("lookup: key must be given, or both streams have `key_by`, got neither")
        self.how = how
        self.rows: dict[Any, Any] = {}
        """The last row of each key."""
        super().__init__(upstreams=[upstream, table], **kwargs)

    def __str__(self) -> str:
        return f"<{self.name}; lookup>" if self.name else "<lookup>"

    __repr__ = __str__

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        getter, rows, inner = self._keys[port], self.rows, self.how == "inner"
        assert getter is not None

        def put(x: Any) -> None:
            row = unbox(x)
            key = getter(row)
            try:
                rows[key] = row
            except TypeError as error:
                raise refuse_key("lookup", key, error) from error

        def step(x: Any) -> Pending:
            element = unbox(x)
            key = getter(element)
            try:
                row = rows.get(key)
            except TypeError as error:
                raise refuse_key("lookup", key, error) from error
            return None if row is None and inner else push(rebox(x, (element, row)))

        return put if port else step
