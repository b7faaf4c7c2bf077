"""Event-time clocks: the watermark of a node, pulled when needed, pushed when asked for.

A watermark *w* promises that no element older than *w* follows.  It is not sent
with each element: a node *asks* for the earliest instant at which it has something
to do, and `EventClock.advance` is called when the watermark has come so far.
Between, `EventClock.now` reads the exact value through the graph.  Instants are
nanoseconds since the epoch.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rapidz.eventtime.wheel import NEVER as NEVER
from rapidz.kernel.protocol.push import Pending, Push, when_all

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

#: The watermark at the end of a stream.
END: Final = 1 << 80


class EventClock:
    """Clock of a node: the least watermark of its inputs, and no more than its next output.

    ``timer`` is the instant at which the node has something to do; what it emits
    then is no older than ``timer - shift``, so its own watermark stays below that.
    ``due`` is the earliest instant that a node downstream has asked for.
    """

    is_boundary: ClassVar[bool] = False
    """Whether the node does not know of time, and may keep elements."""

    bar: Any
    """Where `follows_bar` is true: another object once the watermark has moved."""

    __slots__ = (
        "__weakref__",
        "_again",
        "_held",
        "_hold",
        "_inputs",
        "_outputs",
        "_ref",
        "_within",
        "due",
        "reached",
        "shift",
        "timer",
    )

    def __init__(self, node: Node, shift: int = 0) -> None:
        self._ref = weakref.ref(node)
        self.shift = shift
        self.due = self.timer = NEVER
        self.reached = -END
        """The watermark of the input, as it was when last asked for."""
        self._hold = NEVER
        """The watermark of the output while results are in flight in the node."""
        self._held = 0
        self._inputs: Sequence[EventClock] = ()
        self._outputs: Sequence[weakref.ref[EventClock]] = ()
        self._within = self._again = False

    def connect(self, inputs: Sequence[EventClock], outputs: Iterable[EventClock]) -> None:
        """Take up its place in the graph; what was asked for before is asked for anew."""
        self._inputs = inputs
        self._outputs = [weakref.ref(clock) for clock in outputs]
        self.due = NEVER

    @property
    def node(self) -> Node | None:
        return self._ref()

    def graph(self) -> Any:
        """Return the `TimeGraph`, as it is now; None if the node has gone."""
        node = self._ref()
        if node is None:
            return None
        graph = node._pipeline.time
        graph.refresh(node._pipeline)
        return graph

    @property
    def inputs(self) -> Sequence[EventClock]:
        """The clocks upstream that it depends on."""
        self.graph()
        return self._inputs

    # --- what time it is ------------------------------------------------------------------

    def has_ended(self) -> bool:
        """Return whether no element comes from here any more."""
        node = self._ref()
        return node is None or node._ended

    def is_idle(self) -> bool:
        """Return whether all that feeds it was asked for data and has none."""
        left = [clock for clock in self.inputs if not clock.has_ended()]
        return bool(left) and all(clock.is_idle() for clock in left)

    def arrived(self) -> int:
        """Return the least watermark of inputs not idle nor ended; of all idle, the greatest."""
        inputs = self.inputs
        if len(inputs) == 1:
            now = inputs[0].now()
        elif inputs:
            now = _least(inputs)
        else:
            return self.reached
        if now > self.reached:  # an input that wakes up takes nothing back
            self.reached = now
        return self.reached

    def caught_up(self) -> int:
        """Return the watermark of the input, once all is done that is due as an element arrives."""
        reached = self.arrived()
        if reached >= self.timer and not self._within and (node := self._ref()) is not None:
            node._pipeline.time.owe(node._pipeline, self.advance())
            reached = self.arrived()  # a sink may have moved it
        return reached

    def now(self) -> int:
        """Return the watermark of the output."""
        if self.has_ended():
            return END
        return min(self.arrived(), self.timer - self.shift, self._hold)

    # --- what is asked for ----------------------------------------------------------------

    def ask(self, t: int) -> None:
        """Ask for a call of `advance` downstream once the watermark has reached *t*."""
        if t < self.due:
            self.due = t
            self.ask_inputs(t)

    def ask_inputs(self, t: int) -> None:
        """Ask all inputs that have not reached *t* yet."""
        for clock in self.inputs:
            if clock.now() < t:
                clock.ask(t)

    def set_timer(self, t: int) -> None:
        """Let the node have something to do at *t*, unless it has earlier."""
        if t < self.timer:
            self.timer = t
            self.ask_inputs(t)

    def ask_again(self) -> None:
        """Ask for what was asked for before the graph was edited, and what has come meanwhile."""
        if self.timer < NEVER:
            for clock in self.inputs:
                clock.ask(self.timer)

    def open_boundaries(self, t: int) -> None:
        """Let *t* pass all boundaries downstream unasked: what waits for it may be queued still."""
        ahead: list[EventClock] = [self]
        seen: set[EventClock] = {self}
        while ahead:
            for ref in ahead.pop()._outputs:
                clock = ref()
                if clock is not None and clock.is_boundary and clock not in seen:
                    clock.due = min(clock.due, t)
                    seen.add(clock)
                    ahead.append(clock)

    # --- when it comes --------------------------------------------------------------------

    def advance(self) -> Pending:
        """Do what is due now that the watermark has moved; returns what there is to wait for.

        First the node's own timer, then the nodes downstream.  What fails becomes a pending
        failure, for it belongs to no element that has just come.
        """
        if self._within:  # what it emits has moved the watermark
            self._again = True
            return None
        node = self._ref()
        if node is None or node._ended:
            return None
        self._within = True
        waits: list[Any] = []
        try:
            while True:
                self._again = False
                waits += self._step(node)
                if not self._again:
                    break
        finally:
            self._within = False
        return joined(node, waits)

    def _step(self, node: Node) -> list[Any]:
        waits = []
        t = self.arrived()
        if t >= self.timer:
            due = self.timer
            self.hold()
            try:
                waits.append(self._fire(node, t))
            except BaseException:  # an interrupt: what was not emitted is due still
                self.timer = min(self.timer, due)
                self._let_go()
                self.ask_inputs(t + 1)
                raise
            self.release(node)
        waits.append(self._tell())
        return waits

    def hold(self) -> None:
        """Keep the watermark of the output behind what the node is about to emit."""
        self._hold = min(self._hold, self.timer - self.shift)
        self._held += 1

    def release(self, node: Node) -> None:
        """Let the watermark go on: now, or behind the results that wait for capacity."""
        if node._is_busy():
            node._run_in_order(self._release_later)
        else:
            self._let_go()

    def _let_go(self) -> None:
        self._held -= 1
        if not self._held:
            self._hold = NEVER

    def _release_later(self) -> Pending:
        self._let_go()
        return None if self._held else self.advance()

    def _fire(self, node: Any, t: int) -> Pending:
        try:
            wait: Pending = node._on_watermark(t)
        except Exception as error:
            node._pipeline.record_failure(error)
            return None
        return wait

    def _tell(self) -> Pending:
        """Tell the nodes downstream if what they asked for has come, and ask for what is next."""
        wait = None
        held = self.now()
        if held >= self.due:
            self.due = NEVER
            wait = self.tell_outputs()
        if (t := min(self.timer, self.due)) < NEVER:
            self.ask_inputs(t)
        return wait

    def tell_outputs(self) -> Pending:
        """Let the nodes downstream do what is due."""
        node = self._ref()
        if node is None:
            return None
        self.graph()
        waits = []
        for ref in self._outputs:
            if (clock := ref()) is not None:
                waits.append(clock.advance())
        return joined(node, waits)

    def follows_bar(self) -> bool:
        """Return whether the watermark of the output moves only where ``bar`` is replaced."""
        return False

    def end(self) -> None:
        """Note that the stream has ended here: nothing downstream waits for it any more."""
        if (node := self._ref()) is not None and (graph := self.graph()) is not None:
            self.due = NEVER
            graph.owe(node._pipeline, self.tell_outputs())

    def wrap_step(self, step: Push[Any]) -> Push[Any]:
        """Return *step* as it is: nodes that know of time look at their clock themselves."""
        return step


def _least(inputs: Sequence[EventClock]) -> int:
    left = [clock for clock in inputs if not clock.has_ended()]
    if not left:
        return END
    active = [clock for clock in left if not clock.is_idle()]
    if active:
        return min(clock.now() for clock in active)
    return max(clock.now() for clock in left)


def joined(node: Node, waits: Sequence[Any]) -> Pending:
    """Make one of what there is to wait for."""
    left = [wait for wait in waits if wait is not None]
    if len(left) <= 1:
        return left[0] if left else None
    return node._pipeline.start(when_all(left, []))


class BoundaryClock(EventClock):
    """Clock at the output of a node that does not know of time, and may keep elements.

    Buffers, asynchronous functions, joins, workers: the watermark passes such a node in
    its place among the elements.  While the node has elements in flight it is queued behind
    them, as a signal is; while the node has some that it combines with others to come, it
    stays where it was.
    """

    is_boundary: ClassVar[bool] = True

    __slots__ = ("_marked", "_waits", "bar")

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.bar = self.reached
        self._marked = -END
        """The watermark that was last let in."""
        self._waits = False
        """Whether it waits until the node has nothing left to combine."""

    def now(self) -> int:
        return END if self.has_ended() else self.reached

    def arrived(self) -> int:
        """Return the watermark of the input, which is not yet that of the output."""
        inputs = self.inputs
        if not inputs:
            return self.reached
        return inputs[0].now() if len(inputs) == 1 else _least(inputs)

    def wrap_step(self, step: Push[Any]) -> Push[Any]:
        """Return *step*, with the watermark ahead of each element."""
        let_in, let_out, inputs = self._let_in, self._let_out, self.inputs
        first = inputs[0] if len(inputs) == 1 and inputs[0].follows_bar() else None
        bar: Any = None

        def marked(x: Any) -> Pending:
            nonlocal bar
            if first is None or first.bar is not bar or self._waits or self._inputs is not inputs:
                let_in()
                bar = None if first is None else first.bar
            wait = step(x)
            if self._waits:
                let_out()
            return wait

        return marked

    def _let_in(self) -> None:
        """Let the watermark in, ahead of an element."""
        if (t := self.arrived()) > self._marked and (node := self._ref()) is not None:
            node._pipeline.time.owe(node._pipeline, self._pass(node, t))

    def _let_out(self) -> None:
        """Let the watermark out if the element was the last one that it waited for."""
        node = self._ref()
        if node is not None and not node._buffered():
            self._waits = False
            node._pipeline.time.owe(node._pipeline, self._pass(node, self.arrived()))

    def _pass(self, node: Node, t: int) -> Pending:
        if node._is_busy():
            self._marked = t
            node._run_in_order(functools.partial(self._move, t))
            return None
        if node._buffered():
            self._waits = True
            return None
        self._marked = t
        return self._move(t)

    def _move(self, t: int) -> Pending:
        self.bar = self.reached = max(self.reached, t)
        return self._tell()

    def follows_bar(self) -> bool:
        return True

    def _tell(self) -> Pending:
        wait = None
        if self.reached >= self.due:
            self.due = NEVER
            wait = self.tell_outputs()
        if self.due < NEVER:
            self.ask_inputs(self.due)
        return wait

    def advance(self) -> Pending:
        node = self._ref()
        if node is None or node._ended:
            return None
        t = self.arrived()
        wait = self._pass(node, t) if t > self._marked else None
        if self._waits:  # look again as soon as it moves
            self.ask_inputs(t + 1)
        elif self.due < NEVER:
            self.ask_inputs(self.due)
        return wait
