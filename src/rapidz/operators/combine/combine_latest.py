"""Pairing with the latest elements: `combine_latest`."""

from __future__ import annotations

import builtins
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import LiveAttribute
from rapidz.kernel.protocol.push import Pending, Push, discard
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.tasks import detach
from rapidz.operators.combine.base import Joining, check_streams, put_first


@Stream.register_api()
class combine_latest(Joining):
    """Emit the latest elements of all upstreams as a tuple, whenever one arrives.

    Emits when every upstream has emitted, and from then on for every element of
    the upstreams in *emit_on*.  Applies back pressure when downstream does.
    Ends when all upstreams have ended.

    Parameters
    ----------
    *upstreams : Stream
        At least one.
    emit_on : int, Stream or list of them, optional
        The upstreams whose elements trigger a tuple; all by default.
    first : Stream, list of Stream or True, optional
        Upstreams downstream of which this node precedes its siblings.

    >>> a, b = Stream(), Stream()
    >>> node = a.combine_latest(b).sink(print)
    >>> a.emit(1)
    >>> b.emit("x")
    (1, 'x')
    >>> a.emit(2)
    (2, 'x')
    """

    _graphviz_shape = "triangle"
    _graphviz_orientation = 270

    emit_on: LiveAttribute[Any] = LiveAttribute()
    last: LiveAttribute[list[Any]] = LiveAttribute()
    missing: LiveAttribute[set[Any]] = LiveAttribute()

    def __init__(
        self, *upstreams: Stream[Any], emit_on: Any = None, first: Any = None, **kwargs: Any
    ) -> None:
        check_streams("combine_latest", upstreams)
        self._emit_on_all = emit_on is None
        self.emit_on = upstreams if emit_on is None else _choose_upstreams(upstreams, emit_on)
        self.last = [None for _ in upstreams]
        self.missing = set(upstreams)
        super().__init__(upstreams=upstreams, **kwargs)
        put_first(self, first)

    @property
    def _graphviz_edge_types(self) -> dict[Any, str]:
        """Styles of the edges: solid for the upstreams in `emit_on`, dashed for the others."""
        return {up: "solid" if up in self.emit_on else "dashed" for up in self.upstreams}

    def _add_upstream(self, upstream: Stream[Any]) -> None:
        super()._add_upstream(upstream)
        self.last.append(None)
        self.missing.add(upstream)
        if self._emit_on_all:
            self.emit_on = tuple(self.upstreams)

    def _remove_upstream(self, upstream: Stream[Any]) -> None:
        self.last[:] = [
            x
            for up, x in builtins.zip(self.upstreams, self.last, strict=True)
            if up is not upstream
        ]
        super()._remove_upstream(upstream)
        self.missing.discard(upstream)
        self.emit_on = tuple(up for up in self.emit_on if up is not upstream)

    def _retains(self, entry: Any) -> bool:
        return any(x is entry for x in self.last)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._is_repeated(port):
            return discard
        upstream, last, missing = self.upstreams[port], self.last, self.missing
        places = [i for i, up in enumerate(self.upstreams) if up is upstream]
        emits, place = upstream in self.emit_on, places[0]
        upstream_ref, pipeline, other_places = weakref.ref(upstream), self._pipeline, places[1:]

        def step(x: Any) -> Pending:
            last[place] = x
            for i in other_places:
                last[i] = x
            if missing:
                missing.discard(upstream_ref())
            if not emits or missing:
                return None
            latest = tuple(last)
            if latest[place] is not x:  # a finalizer has emitted to this node meanwhile
                latest = tuple(x if i in places else y for i, y in enumerate(latest))
            wait = push(latest)
            return None if wait is None else detach(pipeline, wait)

        tally = self._tally(upstream)
        return step if tally is None else tally.dropping(step)


def _choose_upstreams(upstreams: Sequence[Stream[Any]], emit_on: Any) -> tuple[Stream[Any], ...]:
    """Return the upstreams that *emit_on* lists, by position or as streams."""
    named = (
        emit_on if isinstance(emit_on, Iterable) and not isinstance(emit_on, Stream) else [emit_on]
    )
    chosen = []
    for one in named:
        if isinstance(one, Stream) and one in upstreams:
            chosen.append(one)
        elif isinstance(one, int) and not isinstance(one, bool) and 0 <= one < len(upstreams):
            chosen.append(upstreams[one])
        else:
            kind = ValueError if isinstance(one, (int, Stream)) else TypeError
            raise kind(
                "combine_latest: emit_on must be upstreams, or positions less than "
                f"{len(upstreams)}, got {short_repr(one)}"
            )
    if not chosen:
        raise ValueError(
            f"combine_latest: emit_on must be at least one upstream, got {short_repr(emit_on)}"
        )
    return tuple(chosen)
