"""Pairing by position: `zip`."""

from __future__ import annotations

import functools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sized
from typing import Any, ClassVar

from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.compile.loss_alignment import LOST, alignment_of
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.attributes import Cell, LiveAttribute
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.push import Pending, Push, discard
from rapidz.kernel.runtime.failures import BackPressureError
from rapidz.kernel.runtime.gate import Gate
from rapidz.kernel.runtime.loop import new_condition
from rapidz.kernel.runtime.tasks import detach
from rapidz.operators.combine.base import Joining, check_streams, log_unpaired, put_first


@Stream.register_api()
class zip(Joining):
    """Pair the n-th elements of all upstreams.

    Emits a tuple when one element of every upstream is buffered.  Applies back
    pressure to an upstream while *maxsize* of its elements wait for partners.
    Ends when all upstreams have ended; elements without a partner are dropped.

    Parameters
    ----------
    *upstreams : Stream or object
        Streams; any other object is inserted as a constant.
    maxsize : int
        Capacity of the buffer of each upstream in elements, at least 1.
    first : Stream, list of Stream or True, optional
        Upstreams downstream of which this node precedes its siblings.

    Without a loop, a thread that is ahead waits for other threads; if no other
    thread could emit, `BackPressureError` is raised and the element is not
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
        check_streams("zip", streams)
        self.maxsize = maxsize
        self.literals = [(i, up) for i, up in enumerate(upstreams) if not isinstance(up, Stream)]
        self.buffers = {up: deque() for up in streams}
        self._gates: dict[Any, Gate] = {up: Gate() for up in streams}
        self._losses: list[Any] = []
        """The `LOST` marks in all buffers together."""
        self._dropping = Cell(False)
        super().__init__(upstreams=streams, **kwargs)
        put_first(self, first)

    @functools.cached_property
    def condition(self) -> Any:
        """A Tornado condition, for subclasses that override `update`."""
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
            self._emit_complete_row()  # only this input had no element

    def destroy(self, streams: Iterable[Stream[Any]] | None = None) -> None:
        if streams is None:  # the buffered elements will never have partners
            for buffer in self.buffers.values():
                buffer.clear()
        super().destroy(streams)

    def _make_row_function(self) -> Callable[[list[Any]], tuple[Any, ...]]:
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
        take = functools.partial(self._add_loss, upstream)
        gate.queue_at(self._pipeline, gate.waiting_in_loop(), take)

    def _add_loss(self, upstream: Stream[Any]) -> None:
        if upstream in self.buffers:
            self.buffers[upstream].append(LOST)
            self._losses.append(LOST)
            self._drop_rows()

    def _drop_rows(self) -> None:
        """Drop the rows of aligned inputs that contain a lost element."""
        while self._losses and not self._dropping.value:
            self._dropping.value = True  # an admitted element may re-enter: iterate, not recurse
            try:
                while any(self._drop_row(row) for row in self._rows()):
                    pass
            finally:
                self._dropping.value = False
                self._losses[:] = [x for b in self.buffers.values() for x in b if x is LOST]
            if not self.buffers or not all(self.buffers.values()):
                return
            try:
                self._emit_row()  # an element admitted meanwhile has completed the row
            except Exception as error:
                self._pipeline.record_failure(error)

    def _rows(self) -> list[list[deque[Any]]]:
        """Return the buffers of aligned inputs, by group; remove `LOST` marks from the others."""
        groups = alignment_of(self._pipeline).groups(self)
        aligned = {up for group in groups for up in group}
        for up, buffer in self.buffers.items():
            if up not in aligned and LOST in buffer:
                kept = [x for x in buffer if x is not LOST]
                buffer.clear()
                buffer.extend(kept)
        return [[self.buffers[up] for up in group] for group in groups]

    def _drop_row(self, row: list[deque[Any]]) -> bool:
        """Drop the first element of each buffer in *row* if one of them is lost; return whether."""
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
        code.pass_on(f"{code.bind('buffer', self._buffer_push(port))}(x)")
        code.otherwise(nests=2)
        code.line(f"x = (x, {other}.popleft())" if port == 0 else f"x = ({other}.popleft(), x)")
        code.line(
            f"if {line}: {code.bind('open', gate.open)}({code.bind('pipeline', self._pipeline)})"
        )

    def _buffer_push(self, port: int) -> Push[Any]:
        """Return the push for an element that must wait for its partners."""
        upstream = self.upstreams[port]
        mine, gate, maxsize = self.buffers[upstream], self._gates[upstream], self.maxsize
        line, pipeline, lost, ref = gate.line, self._pipeline, self._losses, weakref.ref(self)
        gate.hopeless = functools.partial(_is_exhausted, ref, upstream)
        gate.withdrawn = functools.partial(_report_withdrawal, ref, upstream)
        refusal = functools.partial(_refusal, str(self), port, maxsize, gate)

        def admit(x: Any) -> Pending:
            mine.append(x)
            node = ref()
            return node._emit_complete_row() if node is not None else None

        def buffer(x: Any) -> Pending:
            if len(mine) < maxsize and not line:
                if lost:
                    return admit(x)
                mine.append(x)
                return None
            return gate.enter(pipeline, lambda: len(mine) >= maxsize, lambda: admit(x), refusal)

        return buffer

    def _emit_complete_row(self) -> Pending:
        """Emit a tuple if an element of every upstream is buffered."""
        self._drop_rows()
        if self._dropping.value or not self.buffers or not all(self.buffers.values()):
            return None
        return self._emit_row()

    def _emit_row(self) -> Pending:
        taken = {up: buffer.popleft() for up, buffer in self.buffers.items()}
        try:
            pair = self._make_row_function()([taken[up] for up in self.upstreams])
            return detach(self._pipeline, self._outlet.send(pair))
        finally:
            for gate in self._gates.values():
                if gate.line:
                    gate.open(self._pipeline)
                if gate.line and gate.hopeless():
                    gate.refuse_waiting()

    def _on_input_end(self, port: int) -> None:
        for gate in self._gates.values():
            if gate.hopeless():
                gate.refuse_waiting()

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        if self._is_repeated(port):
            return discard
        if self._can_inline():
            return self._compile_inline(push, port)
        upstream = self.upstreams[port]
        mine, buffer_push, ref = self.buffers[upstream], self._buffer_push(port), weakref.ref(self)
        others = [self.buffers[up] for up in self.buffers if up is not upstream]
        lost = self._losses

        def step(x: Any) -> Pending:
            if mine or lost or not all(others):
                return buffer_push(x)
            node = ref()
            if node is None:
                return None
            mine.append(x)
            return node._emit_complete_row()

        return step

    def _buffered(self) -> int:
        waiting = sum(gate.waiting() for gate in self._gates.values())
        return sum(map(len, self.buffers.values())) - len(self._losses) + waiting

    def _on_end(self) -> None:
        log_unpaired(self)
        for gate in self._gates.values():
            gate.refuse()


def _is_exhausted(ref: Callable[[], zip | None], upstream: Stream[Any]) -> bool:
    """Return whether the elements of *upstream* will never have partners again."""
    node = ref()
    return node is not None and any(
        up is not upstream and not node.buffers[up] and node._signal_barrier.ended(port)
        for port, up in enumerate(node.upstreams)
        if up in node.buffers
    )


def _report_withdrawal(ref: Callable[[], zip | None], upstream: Stream[Any], at: int) -> None:
    """Record the loss of the element at a position of the gate, if its input is aligned."""
    if (node := ref()) is not None and node._aligned(upstream):
        gate, take = node._gates[upstream], functools.partial(node._add_loss, upstream)
        gate.queue_at(node._pipeline, at, take)


def _refusal(label: str, port: int, maxsize: int, gate: Gate) -> Exception:
    """Return the error for an element that can never be taken."""
    cause = "which has ended" if gate.hopeless() else "and no other thread could emit to that one"
    return BackPressureError(
        f"{label}: input {port} is maxsize={maxsize} elements ahead of another one, {cause}; "
        "the element was not taken"
    )
