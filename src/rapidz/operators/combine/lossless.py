"""Pairing of every element with the latest ones: `zip_latest`."""

from __future__ import annotations

import builtins
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

from rapidz.kernel.compile.alignment import LossTally
from rapidz.kernel.compile.serial import push_each
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.push import Pending, Push, discard
from rapidz.kernel.runtime.failures import BackPressureError
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.tasks import detach, detached_push
from rapidz.operators.combine.base import Joining, check_streams, log_unpaired, put_first


@Stream.register_api()
class zip_latest(Joining):
    """Pair every element of one stream with the latest ones of the others.

    Emits a tuple for every element of *lossless*, and buffers these until every
    other upstream has emitted.  Applies back pressure to *lossless* while
    *maxsize* of its elements are buffered.  Ends when all upstreams have ended.
    Elsewhere known as with_latest_from, which drops the elements that arrive
    before all others have emitted.

    Parameters
    ----------
    lossless : Stream
        Every element of it is emitted in a tuple.
    *upstreams : Stream
        Streams whose latest elements complete the tuples.
    maxsize : int
        Capacity of the buffer of *lossless* in elements, at least 1.
    first : Stream, list of Stream or True, optional
        Upstreams downstream of which this node precedes its siblings.

    Without a loop, a thread that is ahead waits, or `BackPressureError` is
    raised, as in `zip`.

    >>> lossless, lossy = Stream(), Stream()
    >>> node = lossless.zip_latest(lossy).sink(print)
    >>> lossless.emit_many([1, 2])
    >>> lossy.emit("x")
    (1, 'x')
    (2, 'x')
    >>> lossy.emit("y")
    >>> lossless.emit(3)
    (3, 'y')
    """

    _waits_for_partners: ClassVar[bool] = True

    maxsize: LiveAttribute[int] = LiveAttribute()
    last: LiveAttribute[list[Any]] = LiveAttribute()
    missing: LiveAttribute[set[Any]] = LiveAttribute()
    lossless_buffer: LiveAttribute[deque[Any]] = LiveAttribute()

    def __init__(
        self,
        lossless: Stream[Any],
        *upstreams: Stream[Any],
        maxsize: int = 1000,
        first: Any = None,
        **kwargs: Any,
    ) -> None:
        check_streams("zip_latest", (lossless, *upstreams))
        check_count("zip_latest", "maxsize", maxsize)
        self.maxsize = maxsize
        self.lossless = lossless
        self.last = [None for _ in (lossless, *upstreams)]
        self.missing = {lossless, *upstreams}
        self.lossless_buffer = deque()
        self._gate = Gate()
        self._draining = Cell(False)
        self._waiting_numbers: deque[int] = deque()
        """Sequence numbers of the buffered elements, if their input is aligned with others."""
        self._dropped: set[int] = set()
        """Those of them whose partner was lost meanwhile."""
        super().__init__(upstreams=(lossless, *upstreams), **kwargs)
        put_first(self, first)

    def _add_upstream(self, upstream: Stream[Any]) -> None:
        if upstream is self.lossless:  # its position is the first one
            self.upstreams.insert(0, upstream)
        else:
            super()._add_upstream(upstream)
            self.last.append(None)
        self.missing.add(upstream)

    def _remove_upstream(self, upstream: Stream[Any]) -> None:
        if upstream is not self.lossless:
            absent = len(self.last) - len(self.upstreams)
            ways = [*[self.lossless] * absent, *self.upstreams]
            self.last[:] = [
                x for up, x in builtins.zip(ways, self.last, strict=True) if up is not upstream
            ]
        super()._remove_upstream(upstream)
        self.missing.discard(upstream)
        if self.lossless_buffer and not self.missing:
            detach(self._pipeline, push_each(self)(self._drain()))

    def _retains(self, entry: Any) -> bool:
        return any(x is entry for x in self.last[1:])

    def _drain(self) -> Iterator[tuple[Any, ...]]:
        """Yield the tuples of the buffered elements, and admit those at the gate, until none is."""
        buffer, last, gate, pipeline = self.lossless_buffer, self.last, self._gate, self._pipeline
        draining, late, dropped = self._draining, self._waiting_numbers, self._dropped

        def drain() -> Iterator[tuple[Any, ...]]:
            draining.value = True
            try:
                while buffer:
                    x = buffer.popleft()
                    numbered = len(late) > len(buffer) + gate.waiting()
                    number = late.popleft() if numbered else 0
                    if number not in dropped:
                        yield (x, *last[1:])
                    dropped.discard(number)
                    gate.open(pipeline)
            finally:
                draining.value = False

        return drain()

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._is_repeated(port):
            return discard
        upstream, last, missing = self.upstreams[port], self.last, self.missing
        buffer, gate, pipeline = self.lossless_buffer, self._gate, self._pipeline
        ref, upstream_ref, draining = weakref.ref(self), weakref.ref(upstream), self._draining
        spread, push = detached_push(pipeline, push_each(self)), detached_push(pipeline, push)
        maxsize, label = self.maxsize, str(self)
        absent = len(last) - len(self.upstreams)  # a removed lossless input keeps its position
        places = [i for i, up in enumerate(self.upstreams, absent) if up is upstream]

        def lossy(x: Any) -> Pending:
            for i in places:
                last[i] = x
            missing.discard(upstream_ref())
            if missing or draining.value or not buffer or (node := ref()) is None:
                return None
            return spread(node._drain())

        def exhausted() -> bool:
            node = ref()
            return node is not None and any(
                up in missing and node._signal_barrier.ended(at)
                for at, up in enumerate(node.upstreams)
            )

        gate.hopeless = exhausted

        def refusal() -> Exception:
            if exhausted():
                return BackPressureError(
                    f"{label}: the lossless input is maxsize={maxsize} elements ahead of another "
                    "one, which has ended without any; the element was not taken"
                )
            return BackPressureError(
                f"{label}: the lossless input is maxsize={maxsize} elements ahead, and no other "
                "thread could emit to the others; the element was not taken"
            )

        def admit(x: Any) -> Pending:
            buffer.append(x)
            if missing or draining.value or (node := ref()) is None:
                return None
            return spread(node._drain())

        def lossless(x: Any) -> Pending:
            for i in places:
                if i:  # the same stream may be among the others too
                    last[i] = x
            missing.discard(upstream_ref())
            if not missing and not buffer and not draining.value:
                return push((x, *last[1:]))
            if len(buffer) < maxsize and not gate.waiting():
                return admit(x)
            return gate.enter(pipeline, lambda: len(buffer) >= maxsize, lambda: admit(x), refusal)

        tally = self._tally(upstream)
        if upstream is not self.lossless:
            return lossy if tally is None else tally.dropping(lossy)
        return lossless if tally is None else tally.dropping(self._numbering(lossless, tally))

    def _numbering(self, lossless: Push[Any], tally: LossTally) -> Push[Any]:
        """Wrap *lossless* such that a buffered element is dropped when its partner is lost."""
        late, dropped, buffer, gate = (
            self._waiting_numbers,
            self._dropped,
            self.lossless_buffer,
            self._gate,
        )

        def lost(number: int) -> None:
            if number in late:
                dropped.add(number)

        tally.came_before = lost

        def withdrawn(at: int) -> None:
            at += len(buffer)
            if at < len(late):
                tally.withdraws(late[at])
                del late[at]

        gate.withdrawn = withdrawn

        def step(x: Any) -> Pending:
            number = tally.count
            late.append(number)
            try:
                return lossless(x)
            finally:
                while len(late) > len(buffer) + gate.waiting():  # it was emitted at once
                    late.pop()

        return step

    def _buffered(self) -> int:
        return len(self.lossless_buffer) + self._gate.waiting()

    def _on_input_end(self, port: int) -> None:
        if self._gate.hopeless():
            self._gate.refuse_waiting()

    def _on_end(self) -> None:
        log_unpaired(self)
        self._gate.refuse()
