"""Several streams in, one stream out."""

from __future__ import annotations

import builtins
import functools
import logging
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any, ClassVar

from rapidz.kernel.compile.alignment import LOST, LossTally, alignment_of
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.compile.serial import push_each
from rapidz.kernel.graph.stream import Stream, T, move_to_first
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.push import Pending, Push, discard
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.failures import BackPressureError
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.loop import new_condition
from rapidz.kernel.runtime.tasks import detach, detached_push

logger = logging.getLogger("rapidz")


def _check_streams(operator: str, streams: Sequence[object]) -> None:
    if not streams:
        raise ValueError(f"{operator}: upstreams must be at least one Stream, got none")
    for stream in streams:
        if not isinstance(stream, Stream):
            raise TypeError(f"{operator}: upstreams must be Streams, got {short_repr(stream)}")


def _put_first(node: Stream[Any], first: Any) -> None:
    """Let *node* get elements before its siblings do, below the streams in *first*."""
    if first is None or first is False:
        return
    chosen = node.upstreams if first is True else [first] if isinstance(first, Stream) else first
    for upstream in chosen:
        if upstream not in node.upstreams:
            node._unused = False
            raise ValueError(
                f"{type(node).__name__}: first must be upstreams of it, got {short_repr(upstream)}"
            )
    move_to_first(node, list(chosen))


@Stream.register_api()
class union(Stream[T]):
    """Let the elements of all upstreams pass, as they come.

    Emits with every element.  Holds back when downstream does.  Ends when all
    upstreams have.  Elsewhere known as merge.

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

    def __init__(self, *upstreams: Stream[Any], **kwargs: Any) -> None:
        _check_streams("union", upstreams)
        super().__init__(upstreams=upstreams, **kwargs)


def _tell_of_the_unpaired(node: Stream[Any]) -> None:
    """Log, at the end, the elements whose partners never came."""
    if count := node._count_buffered():
        logger.info("%s: %d without a partner when the stream ended", node, count)


class _Joining(Stream[tuple[Any, ...]]):
    """What the operators that build tuples have in common."""

    _combines_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True
    _is_join: ClassVar[bool] = True
    _emits_one_for_one: ClassVar[bool] = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._tallies: weakref.WeakKeyDictionary[Any, LossTally] = weakref.WeakKeyDictionary()
        super().__init__(*args, **kwargs)
        self._pipeline.joins.add(self)

    def _wrap_policy(self, step: Push[Any], policy: Any) -> Push[Any]:
        return step  # it has no function that could fail, and one input may wait for another

    def _aligned(self, upstream: Stream[Any]) -> list[Stream[Any]]:
        """The inputs that are aligned with *upstream*, itself included; none if it is alone."""
        return alignment_of(self._pipeline).group(self, upstream)

    def _tally(self, upstream: Stream[Any]) -> LossTally | None:
        """The count of what comes from *upstream*, together with its partners; None if alone."""
        group = self._aligned(upstream)
        tallies = [self._tallies.setdefault(up, LossTally()) for up in group]
        LossTally.align(tallies)
        return self._tallies[upstream] if group else None

    def _on_partner_lost(self, port: int) -> None:
        if (tally := self._tally(self.upstreams[port])) is not None:
            tally.loses()

    def _is_repeated(self, port: int) -> bool:
        """Whether the stream at *port* enters at an earlier one too."""
        return self.upstreams.index(self.upstreams[port]) < port


@Stream.register_api()
class zip(_Joining):
    """Pair the n-th element of every upstream.

    Emits a tuple when every upstream has an element waiting.  Holds an upstream
    back while *maxsize* of its elements wait for those of the others.  Ends
    when all upstreams have; elements without a partner are not emitted.

    Parameters
    ----------
    *upstreams : Stream or object
        What is no stream stands at its place in every tuple.
    maxsize : int
        How many elements of each upstream may wait, at least 1.
    first : Stream, list of Stream or True, optional
        Below which upstreams to come before all siblings.

    A thread without a loop that is ahead waits for other threads; if there is
    none that could emit, `BackPressureError` is raised and the element is not
    taken.

    >>> a, b = Stream(), Stream()
    >>> node = a.zip(b, "!").sink(print)
    >>> a.emit(1)
    >>> b.emit("x")
    (1, 'x', '!')
    """

    _graphviz_shape = "triangle"
    _graphviz_orientation = 270

    _max_inline_ports: ClassVar[int] = 2
    _emits_one_for_one: ClassVar[bool] = True

    _waits_for_partners: ClassVar[bool] = True

    maxsize: LiveAttribute[int] = LiveAttribute()
    buffers: LiveAttribute[dict[Any, deque[Any]]] = LiveAttribute()
    literals: LiveAttribute[list[tuple[int, Any]]] = LiveAttribute()

    def __init__(
        self, *upstreams: Any, maxsize: int = 10, first: Any = None, **kwargs: Any
    ) -> None:
        check_count("zip", "maxsize", maxsize)
        streams = [up for up in upstreams if isinstance(up, Stream)]
        _check_streams("zip", streams)
        self.maxsize = maxsize
        self.literals = [(i, up) for i, up in enumerate(upstreams) if not isinstance(up, Stream)]
        self.buffers = {up: deque() for up in streams}
        self._gates: dict[Any, Gate] = {up: Gate() for up in streams}
        self._losses: list[Any] = []
        """One for each `LOST` among the buffers."""
        self._dropping = Cell(False)
        super().__init__(upstreams=streams, **kwargs)
        _put_first(self, first)

    @functools.cached_property
    def condition(self) -> Any:
        """A Tornado condition, for subclasses in the old manner to wait and notify with."""
        return new_condition()

    def _add_upstream(self, upstream: Stream[Any]) -> None:
        super()._add_upstream(upstream)
        self.buffers.setdefault(upstream, deque())
        self._gates.setdefault(upstream, Gate())

    def _remove_upstream(self, upstream: Stream[Any]) -> None:
        super()._remove_upstream(upstream)
        self.buffers.pop(upstream, None)
        if (gate := self._gates.pop(upstream, None)) is not None:
            gate.refuse()
        self._invalidate()
        self._drop_rows()
        while self.buffers and all(self.buffers.values()):
            self._emit_complete()  # it was only this input that they waited for

    def destroy(self, streams: Iterable[Stream[Any]] | None = None) -> None:
        if streams is None:  # nothing is left to be paired with what waits
            for buffer in self.buffers.values():
                buffer.clear()
        super().destroy(streams)

    def _packing(self) -> Callable[[list[Any]], tuple[Any, ...]]:
        literals = self.literals
        if not literals:
            return tuple

        def pack(elements: list[Any]) -> tuple[Any, ...]:
            for position, literal in literals:
                elements.insert(position, literal)
            return tuple(elements)

        return pack

    def _aligned_with(self) -> list[Stream[Any]]:
        return list(self.buffers)

    def _on_partner_lost(self, port: int) -> None:
        upstream = self.upstreams[port]
        if len(self.buffers) == 1:
            return self._report_loss()  # its only partner is itself
        if not self._aligned(upstream):
            return None
        gate = self._gates[upstream]
        take = functools.partial(self._take_loss, upstream)
        gate.keep_place(self._pipeline, gate.waiting_in_loop(), take)

    def _take_loss(self, upstream: Stream[Any]) -> None:
        if upstream in self.buffers:
            self.buffers[upstream].append(LOST)
            self._losses.append(LOST)
            self._drop_rows()

    def _drop_rows(self) -> None:
        """Drop the rows of aligned inputs in which an element was lost."""
        while self._losses and not self._dropping.value:
            self._dropping.value = True  # an element let in may come here again: later, not deeper
            try:
                while any(self._drop_row(row) for row in self._rows()):
                    pass
            finally:
                self._dropping.value = False
                self._losses[:] = [x for b in self.buffers.values() for x in b if x is LOST]
            if not self.buffers or not all(self.buffers.values()):
                return
            try:
                self._emit_row()  # an element that was let in meanwhile has made it whole
            except Exception as error:
                self._pipeline.record_failure(error)

    def _rows(self) -> list[list[deque[Any]]]:
        """The buffers of aligned inputs, group by group; losses of others are forgotten."""
        groups = alignment_of(self._pipeline).groups(self)
        aligned = {up for group in groups for up in group}
        for up, buffer in self.buffers.items():
            if up not in aligned and LOST in buffer:
                kept = [x for x in buffer if x is not LOST]
                buffer.clear()
                buffer.extend(kept)
        return [[self.buffers[up] for up in group] for group in groups]

    def _drop_row(self, row: list[deque[Any]]) -> bool:
        """Drop the first element of each buffer in *row* if one was lost; whether it was."""
        if not all(row) or not any(buffer[0] is LOST for buffer in row):
            return False
        for buffer in row:
            buffer.popleft()
        self._report_loss()
        for up, buffer in list(self.buffers.items()):
            if buffer in row and self._gates[up].line:
                self._gates[up].open(self._pipeline)
        return True

    def _can_inline(self) -> bool:
        return len(self.upstreams) == len(self.buffers) == 2 and not self.literals

    def _join_queues(self) -> list[Sized] | None:
        compiled = type(self).compile is zip.compile and type(self).inline is zip.inline
        return list(self.buffers.values()) if compiled else None

    def inline_row(self, code: Code, row: list[str]) -> None:
        items = list(row)
        for position, literal in self.literals:
            items.insert(position, code.bind("literal", literal))
        code.line(f"x = ({', '.join(items)},)")

    def inline(self, code: Code, port: int = 0) -> None:
        mine = code.bind("mine", self.buffers[self.upstreams[port]])
        other = code.bind("other", self.buffers[self.upstreams[1 - port]])
        gate = self._gates[self.upstreams[1 - port]]
        line = code.bind("line", gate.line)
        outside = code.bind("outside", self._gates[self.upstreams[port]].line)
        lost = code.bind("lost", self._losses) if self._aligned(self.upstreams[port]) else "False"
        code.nest(f"{mine} or not {other} or {lost}")
        code.nest(f"len({mine}) < {self.maxsize} and not {outside} and not {lost}")
        code.line(f"{mine}.append(x)")
        code.otherwise()
        code.give(f"{code.bind('hold', self._holding(port))}(x)")
        code.otherwise(nests=2)
        code.line(f"x = (x, {other}.popleft())" if port == 0 else f"x = ({other}.popleft(), x)")
        code.line(
            f"if {line}: {code.bind('open', gate.open)}({code.bind('pipeline', self._pipeline)})"
        )

    def _holding(self, port: int) -> Push[Any]:
        """Make the push for an element that must wait for its partners."""
        upstream = self.upstreams[port]
        mine, gate, maxsize = self.buffers[upstream], self._gates[upstream], self.maxsize
        line, pipeline, label = gate.line, self._pipeline, str(self)
        ref, lost = weakref.ref(self), self._losses

        def exhausted() -> bool:
            node = ref()
            return node is not None and node._exhausted(upstream)

        gate.hopeless = exhausted

        def withdrawn(at: int) -> None:
            if (node := ref()) is not None and node._aligned(upstream):
                gate.keep_place(pipeline, at, lambda: node._take_loss(upstream))

        gate.withdrawn = withdrawn

        def refusal() -> Exception:
            if exhausted():
                return BackPressureError(
                    f"{label}: input {port} is maxsize={maxsize} elements ahead of another one, "
                    "which has ended; the element was not taken"
                )
            return BackPressureError(
                f"{label}: input {port} is maxsize={maxsize} elements ahead of another one, and "
                "nobody else is there to emit to that; the element was not taken"
            )

        def admit(x: Any) -> Pending:
            mine.append(x)
            node = ref()
            return node._emit_complete() if node is not None else None

        def hold(x: Any) -> Pending:
            if len(mine) < maxsize and not line:
                if lost:
                    return admit(x)
                mine.append(x)
                return None
            return gate.enter(pipeline, lambda: len(mine) >= maxsize, lambda: admit(x), refusal)

        return hold

    def _emit_complete(self) -> Pending:
        """Emit a tuple if there is an element of every upstream."""
        self._drop_rows()
        if self._dropping.value or not self.buffers or not all(self.buffers.values()):
            return None
        return self._emit_row()

    def _emit_row(self) -> Pending:
        taken = {up: buffer.popleft() for up, buffer in self.buffers.items()}
        try:
            pair = self._packing()([taken[up] for up in self.upstreams])
            return detach(self._pipeline, self._outlet.send(pair))
        finally:
            for gate in self._gates.values():
                if gate.line:
                    gate.open(self._pipeline)
                if gate.line and gate.hopeless():
                    gate.turn_away()

    def _exhausted(self, upstream: Stream[Any]) -> bool:
        """Whether elements of *upstream* will never have partners again."""
        return any(
            up is not upstream and not self.buffers[up] and self._signal_barrier.ended(port)
            for port, up in enumerate(self.upstreams)
            if up in self.buffers
        )

    def _on_input_end(self, port: int) -> None:
        for gate in self._gates.values():
            if gate.hopeless():
                gate.turn_away()

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._is_repeated(port):
            return discard
        if self._can_inline():
            return self._compile_inline(push, port)
        upstream = self.upstreams[port]
        mine, hold, ref = self.buffers[upstream], self._holding(port), weakref.ref(self)
        others = [self.buffers[up] for up in self.buffers if up is not upstream]
        lost = self._losses

        def step(x: Any) -> Pending:
            if mine or lost or not all(others):
                return hold(x)
            node = ref()
            if node is None:
                return None
            mine.append(x)
            return node._emit_complete()

        return step

    def _buffered(self) -> int:
        waiting = sum(gate.waiting() for gate in self._gates.values())
        return sum(map(len, self.buffers.values())) - len(self._losses) + waiting

    def _on_end(self) -> None:
        _tell_of_the_unpaired(self)
        for gate in self._gates.values():
            gate.refuse()


@Stream.register_api()
class combine_latest(_Joining):
    """Emit the latest element of every upstream, as a tuple, whenever one comes.

    Emits once every upstream has had an element, and from then on with every
    element of those in *emit_on*.  Holds back when downstream does.  Ends when
    all upstreams have.

    Parameters
    ----------
    *upstreams : Stream
        At least one.
    emit_on : int, Stream or list of them, optional
        Only elements of these make it emit; of all upstreams by default.
    first : Stream, list of Stream or True, optional
        Below which upstreams to come before all siblings.

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
        _check_streams("combine_latest", upstreams)
        self._emit_on_all = emit_on is None
        self.emit_on = upstreams if emit_on is None else _chosen(upstreams, emit_on)
        self.last = [None for _ in upstreams]
        self.missing = set(upstreams)
        super().__init__(upstreams=upstreams, **kwargs)
        _put_first(self, first)

    @property
    def _graphviz_edge_types(self) -> dict[Any, str]:
        """Edges that make it emit are solid, the others dashed."""
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
        return any(held is entry for held in self.last)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._is_repeated(port):
            return discard
        upstream, last, missing = self.upstreams[port], self.last, self.missing
        places = [i for i, up in enumerate(self.upstreams) if up is upstream]
        emits, place = upstream in self.emit_on, places[0]
        above, pipeline, again = weakref.ref(upstream), self._pipeline, places[1:]

        def step(x: Any) -> Pending:
            last[place] = x
            for i in again:
                last[i] = x
            if missing:
                missing.discard(above())
            if not emits or missing:
                return None
            latest = tuple(last)
            if latest[place] is not x:  # a finalizer has emitted here when the tuple was made
                latest = tuple(x if i in places else y for i, y in enumerate(latest))
            wait = push(latest)
            return None if wait is None else detach(pipeline, wait)

        tally = self._tally(upstream)
        return step if tally is None else tally.dropping(step)


def _chosen(upstreams: Sequence[Stream[Any]], emit_on: Any) -> tuple[Stream[Any], ...]:
    """The upstreams that *emit_on* names, by position or as streams."""
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
                "combine_latest: emit_on must be upstreams, or positions below "
                f"{len(upstreams)}, got {short_repr(one)}"
            )
    if not chosen:
        raise ValueError(
            f"combine_latest: emit_on must be at least one upstream, got {short_repr(emit_on)}"
        )
    return tuple(chosen)


@Stream.register_api()
class zip_latest(_Joining):
    """Pair every element of one stream with the latest of the others.

    Emits a tuple for every element of *lossless*, once all others have had one;
    until then its elements wait.  Holds *lossless* back while *maxsize* of them
    do.  Ends when all upstreams have.  Elsewhere known as with_latest_from,
    which loses the elements that come too early.

    Parameters
    ----------
    lossless : Stream
        None of its elements is lost, and only these make it emit.
    *upstreams : Stream
        Of these the latest element is taken.
    maxsize : int
        How many elements of *lossless* may wait, at least 1.
    first : Stream, list of Stream or True, optional
        Below which upstreams to come before all siblings.

    A thread without a loop that is ahead waits, or is refused, as in `zip`.

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
        _check_streams("zip_latest", (lossless, *upstreams))
        check_count("zip_latest", "maxsize", maxsize)
        self.maxsize = maxsize
        self.lossless = lossless
        self.last = [None for _ in (lossless, *upstreams)]
        self.missing = {lossless, *upstreams}
        self.lossless_buffer = deque()
        self._gate = Gate()
        self._draining = Cell(False)
        self._late: deque[int] = deque()
        """The numbers of those that wait, if they are aligned with others."""
        self._dropped: set[int] = set()
        """Of these, those whose partner was lost meanwhile."""
        super().__init__(upstreams=(lossless, *upstreams), **kwargs)
        _put_first(self, first)

    def _add_upstream(self, upstream: Stream[Any]) -> None:
        if upstream is self.lossless:  # its place is the first one
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
            detach(self._pipeline, push_each(self)(self._waiting()))

    def _retains(self, entry: Any) -> bool:
        return any(held is entry for held in self.last[1:])

    def _waiting(self) -> Iterator[tuple[Any, ...]]:
        """Take out what waits, and let in what waits outside, until nothing does."""
        buffer, last, gate, pipeline = self.lossless_buffer, self.last, self._gate, self._pipeline
        draining, late, dropped = self._draining, self._late, self._dropped

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
        ref, above, draining = weakref.ref(self), weakref.ref(upstream), self._draining
        spread, push = detached_push(pipeline, push_each(self)), detached_push(pipeline, push)
        maxsize, label = self.maxsize, str(self)
        absent = len(last) - len(self.upstreams)  # the lossless one has a place though it be gone
        places = [i for i, up in enumerate(self.upstreams, absent) if up is upstream]

        def lossy(x: Any) -> Pending:
            for i in places:
                last[i] = x
            missing.discard(above())
            if missing or draining.value or not buffer or (node := ref()) is None:
                return None
            return spread(node._waiting())

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
                f"{label}: the lossless input is maxsize={maxsize} elements ahead, and nobody else "
                "is there to emit to the others; the element was not taken"
            )

        def admit(x: Any) -> Pending:
            buffer.append(x)
            if missing or draining.value or (node := ref()) is None:
                return None
            return spread(node._waiting())

        def lossless(x: Any) -> Pending:
            for i in places:
                if i:  # the same stream may be among the others too
                    last[i] = x
            missing.discard(above())
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
        """Compile *lossless* anew such that an element that waits is dropped with its partner."""
        late, dropped, buffer, gate = self._late, self._dropped, self.lossless_buffer, self._gate

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
                while len(late) > len(buffer) + gate.waiting():  # it did not have to wait
                    late.pop()

        return step

    def _buffered(self) -> int:
        return len(self.lossless_buffer) + self._gate.waiting()

    def _on_input_end(self, port: int) -> None:
        if self._gate.hopeless():
            self._gate.turn_away()

    def _on_end(self) -> None:
        _tell_of_the_unpaired(self)
        self._gate.refuse()
