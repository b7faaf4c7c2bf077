"""Pairing of every element with the latest ones: `zip_latest`."""

from __future__ import annotations

import builtins
import functools
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from rapidz.kernel.compile.async_steps import push_each
from rapidz.kernel.compile.loss_alignment import LossTally
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
    In other libraries: with_latest_from, which drops the elements that arrive
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
        self._gate.hopeless = functools.partial(_is_exhausted, weakref.ref(self))
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
            inputs = [*[self.lossless] * absent, *self.upstreams]
            self.last[:] = [
                x for up, x in builtins.zip(inputs, self.last, strict=True) if up is not upstream
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
        draining, numbers, dropped = self._draining, self._waiting_numbers, self._dropped

        def drain() -> Iterator[tuple[Any, ...]]:
            draining.value = True
            try:
                while buffer:
                    x = buffer.popleft()
                    numbered = len(numbers) > len(buffer) + gate.waiting()
                    number = numbers.popleft() if numbered else 0
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
        upstream = self.upstreams[port]
        tally = self._tally(upstream)
        if upstream is not self.lossless:
            lossy = self._lossy_step(upstream)
            return lossy if tally is None else tally.dropping(lossy)
        lossless = self._lossless_step(detached_push(self._pipeline, push))
        return lossless if tally is None else tally.dropping(self._numbering(lossless, tally))

    def _places(self, upstream: Stream[Any]) -> list[int]:
        """Return the positions of *upstream* in the tuples."""
        absent = len(self.last) - len(self.upstreams)  # a removed lossless input keeps its position
        return [i for i, up in enumerate(self.upstreams, absent) if up is upstream]

    def _lossy_step(self, upstream: Stream[Any]) -> Push[Any]:
        """Return the step for the elements whose latest is paired."""
        last, missing, buffer, draining = (
            self.last, self.missing, self.lossless_buffer, self._draining,
        )  # fmt: skip
        ref, upstream_ref, places = weakref.ref(self), weakref.ref(upstream), self._places(upstream)
        push_drained = detached_push(self._pipeline, push_each(self))

        def lossy(x: Any) -> Pending:
            for i in places:
                last[i] = x
            missing.discard(upstream_ref())
            if missing or draining.value or not buffer or (node := ref()) is None:
                return None
            return push_drained(node._drain())

        return lossy

    def _lossless_step(self, push: Push[Any]) -> Push[Any]:
        """Return the step for the elements that are all emitted."""
        last, missing, buffer, draining = (
            self.last, self.missing, self.lossless_buffer, self._draining,
        )  # fmt: skip
        ref, upstream_ref = weakref.ref(self), weakref.ref(self.lossless)
        # The same stream may be among the others too.
        lossy_places = [i for i in self._places(self.lossless) if i]
        push_drained = detached_push(self._pipeline, push_each(self))
        gate, pipeline, maxsize = self._gate, self._pipeline, self.maxsize
        refusal = functools.partial(_refusal, str(self), maxsize, gate)

        def admit(x: Any) -> Pending:
            buffer.append(x)
            if missing or draining.value or (node := ref()) is None:
                return None
            return push_drained(node._drain())

        def lossless(x: Any) -> Pending:
            for i in lossy_places:
                last[i] = x
            missing.discard(upstream_ref())
            if not missing and not buffer and not draining.value:
                return push((x, *last[1:]))
            if len(buffer) < maxsize and not gate.waiting():
                return admit(x)
            return gate.enter(pipeline, lambda: len(buffer) >= maxsize, lambda: admit(x), refusal)

        return lossless

    def _numbering(self, lossless: Push[Any], tally: LossTally) -> Push[Any]:
        """Wrap *lossless* such that a buffered element is dropped when its partner is lost."""
        numbers, dropped = self._waiting_numbers, self._dropped
        buffer, gate = self.lossless_buffer, self._gate

        def lost(number: int) -> None:
            if number in numbers:
                dropped.add(number)

        tally.came_before = lost

        def withdrawn(at: int) -> None:
            at += len(buffer)
            if at < len(numbers):
                tally.withdraws(numbers[at])
                del numbers[at]

        gate.withdrawn = withdrawn

        def step(x: Any) -> Pending:
            number = tally.count
            numbers.append(number)
            try:
                return lossless(x)
            finally:
                while len(numbers) > len(buffer) + gate.waiting():  # it was emitted at once
                    numbers.pop()

        return step

    def _buffered(self) -> int:
        return len(self.lossless_buffer) + self._gate.waiting()

    def _on_input_end(self, port: int) -> None:
        if self._gate.hopeless():
            self._gate.refuse_waiting()

    def _on_end(self) -> None:
        log_unpaired(self)
        self._gate.refuse()


def _is_exhausted(ref: Callable[[], zip_latest | None]) -> bool:
    """Return whether an input of a node has ended without any element."""
    node = ref()
    return node is not None and any(
        up in node.missing and node._signal_barrier.ended(port)
        for port, up in enumerate(node.upstreams)
    )


def _refusal(label: str, maxsize: int, gate: Gate) -> Exception:
    """Return the error for an element that can never be taken."""
    cause = (
        " of another one, which has ended without any"
        if gate.hopeless()
        else ", and no other thread could emit to the others"
    )
    return BackPressureError(
        f"{label}: the lossless input is maxsize={maxsize} elements ahead{cause}; "
        "the element was not taken"
    )
