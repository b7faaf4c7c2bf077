"""Batching: elements that wait are sent together, as many as the workers can take."""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from rapidz.kernel.runtime.failures import Retry
from rapidz.parallel.scheduling.handles import Batch, Remote, Span, Task
from rapidz.parallel.wire.outcomes import DROPPED, PENDING, FailedElement

if TYPE_CHECKING:
    import weakref

    from rapidz.kernel.graph.stream import Stream
    from rapidz.parallel.scheduling.dispatcher import Crew
    from rapidz.parallel.wire.program import Chain

#: How long a task should take, in seconds: long beside what it costs to send it.
TASK_SECONDS = 0.05
#: How many times more elements a task may have than the one before.
GROWTH = 8
#: How many bytes the elements of a task may have together, unless one alone has more.
TASK_BYTES = 4 << 20
#: How many elements a batch has at most, so that what is done with can be forgotten.
BATCH_MOST = 1 << 16

_LIGHT: Final = frozenset({int, float, complex, bool, type(None)})


class Pace:
    """How many elements to send in one task: few at first, then as many as take a while."""

    def __init__(self, batch: int | str) -> None:
        self.fixed = batch if isinstance(batch, int) else None
        self.most = self.fixed or 1
        self._seconds = 0.0
        self._least = 1

    def learn(self, size: int, seconds: float) -> None:
        """A task of *size* elements took *seconds*."""
        if self.fixed is None and size:
            each = max(seconds / size, 1e-9)
            self._seconds = each if not self._seconds else (self._seconds + each) / 2
            fit = max(1, int(TASK_SECONDS / self._seconds))
            self._least = max(1, fit // 16)
            self.most = min(fit, max(self.most, size) * GROWTH, BATCH_MOST)

    def share(self, waiting: int, slots: int) -> int:
        """How many of the elements *waiting* the next of at most *slots* tasks takes.

        Its part of what waits, so that the last ones end at about the same time, but no task so
        small that sending it takes longer than doing it.
        """
        part = math.ceil(waiting / slots)
        return max(1, min(self.most, max(part, self._least)))


class Stage:
    """A chain of operators, the elements that wait for it, and the tasks under way."""

    def __init__(self, crew: Crew, chain: Chain, pace: Pace) -> None:
        self.crew = crew
        self.chain = chain
        self.pace = pace
        self.nodes: Sequence[weakref.ref[Stream[Any]]] = ()
        """The operators of the chain, to be blamed."""
        self.raw = False
        """Whether elements come as values, and not as handles."""
        self.values = True
        """Whether values are fetched when a task is done, or only what is special."""
        self.feeds = False
        """Whether tasks of other stages take what this one makes."""
        self.retry: Retry | None = None
        self.under_way: set[Task] = set()
        self._queue: deque[Batch] = deque()
        self._open: Batch | None = None
        self._armed = False
        self.state: Any = DROPPED
        """The state to begin with, if no task makes it."""
        self.last: Task | None = None
        """The task that makes the newest state."""
        crew.stages.add(self)

    def retune(self, chain: Chain, nodes: Sequence[weakref.ref[Stream[Any]]]) -> None:
        """Use *chain*, which is made of *nodes*, from the next element on."""
        self.chain, self.nodes = chain, nodes
        self._open = None

    # --- elements in ---------------------------------------------------------------------

    def add(self, x: Any) -> Remote:
        """Let *x* wait to be sent; return the handle of what comes of it."""
        batch = self._with_room()
        inputs = batch.inputs
        index = len(inputs)
        inputs.append(x)
        batch.outcomes.append(PENDING)
        if not self._armed:
            self.arm()
        return Remote(batch, index)

    def add_many(self, elements: Sequence[Any]) -> Span:
        """Let all of *elements* wait to be sent."""
        batch = self._with_room()
        start = len(batch.inputs)
        batch.inputs.extend(elements)
        batch.outcomes.extend([PENDING] * len(elements))
        if not self._armed:
            self.arm()
        return Span(batch, start, start + len(elements))

    def _with_room(self) -> Batch:
        """The batch that the next element goes into."""
        batch = self._open
        if batch is None or len(batch.inputs) >= BATCH_MOST:
            batch = self._open = Batch(self, self.chain)
            self._queue.append(batch)
        return batch

    def arm(self) -> None:
        """Send what waits, once those who emit now have had their say."""
        self._armed = True
        self.crew.loop.call_soon(self.dispatch)

    def dispatch(self) -> None:
        """Send as much of what waits as the workers can take."""
        self._armed = False
        slots = self.crew.slots(self)
        while self._queue:
            batch = self._queue[0]
            if batch.sent == len(batch.inputs):
                self._queue.popleft()
                if batch is self._open:
                    self._open = None
                continue
            if self.crew.suspects or len(self.under_way) >= slots:
                self._armed = True  # the next task that is done will see to it
                return
            stop = self._cut(batch, slots)
            if stop == batch.sent:
                self._armed = True
                self._later(batch.inputs[batch.sent])
                return
            if batch is self._open:
                self._open = None  # so that a batch ends, and can be forgotten, under pressure too
            self._send(batch.cut(stop))

    def _cut(self, batch: Batch, slots: int) -> int:
        """How far the next task goes: what is ready, and neither too many nor too heavy."""
        waiting = sum(len(batch.inputs) - batch.sent for batch in self._queue)
        stop = min(batch.sent + self.pace.share(waiting, slots), len(batch.inputs))
        inputs = batch.inputs[batch.sent : stop]
        if not batch.raw:
            ready = self.crew.ready
            count = next((i for i, x in enumerate(inputs) if not ready(x)), len(inputs))
            stop = batch.sent + count
        elif not _LIGHT.issuperset(map(type, inputs)):
            stop = batch.sent + _bearable(inputs)
        return stop

    def _later(self, x: Any) -> None:
        """Dispatch again when more is known of *x*."""
        waiting = asyncio.ensure_future(self.crew.when_ready(x))
        waiting.add_done_callback(lambda _: self.dispatch())

    async def again(self, batch: Batch, at: int, x: Any, *, raw: bool) -> Any:
        """Do what the operators of *batch* from *at* on do to *x*; return what becomes of it."""
        retried = Batch(self, batch.chain.tail(at))
        retried.raw = raw
        retried.inputs, retried.outcomes = [x], [PENDING]
        task = retried.cut(1)
        task.values = True
        self.under_way.add(task)
        self.crew.send_in_turn(task)
        await retried.known(0)
        outcome = retried.outcomes[0]
        if type(outcome) is FailedElement and outcome.chain == batch.chain.uid:
            outcome.at += at
        return outcome

    # --- tasks ---------------------------------------------------------------------------

    def _send(self, task: Task) -> None:
        if task.chain.stateful:
            task.previous = self.last if self.last is not None else self._beginning(task)
            self.last = task
        self.under_way.add(task)
        self.crew.send(task)

    def _beginning(self, task: Task) -> Task:
        """A task that was never sent: it stands for the state to begin with."""
        first = Task(self, task.batch or Batch(self, task.chain), 0, [])
        first.batch, first.done, first.state = None, True, self.state
        return first

    def replaced(self, task: Task, parts: Sequence[Task]) -> None:
        """*parts* are under way instead of *task*."""
        self.under_way.discard(task)
        self.under_way.update(parts)
        if self.last is task:
            self.last = parts[-1]

    def known_state(self) -> Any:
        """The newest state that is known here."""
        task = self.last
        while task is not None:
            task = task.maker()
            if task.state is not PENDING:
                return task.state
            task = task.previous
        return self.state

    def waits(self) -> bool:
        """Whether elements wait to be sent."""
        return any(batch.sent < len(batch.inputs) for batch in self._queue)

    def over(self, task: Task) -> None:
        """*task* is done, one way or the other."""
        self.under_way.discard(task)
        if self._armed or self._queue:
            self.dispatch()


def _bearable(inputs: Sequence[Any]) -> int:
    """How many of *inputs* can go together, the first one in any case."""
    total = 0
    for count, x in enumerate(inputs):
        total += weight(x)
        if total > TASK_BYTES and count:
            return count
    return len(inputs)


def weight(x: Any, visits: int = 200) -> int:
    """About how many bytes *x* has; of what is in it, at most so many *visits* are paid."""
    total, ahead = 0, [x]
    while ahead and visits:
        visits -= 1
        x = ahead.pop()
        try:
            if isinstance(x, (tuple, list)):
                ahead += x[:visits]
            elif isinstance(x, dict):
                ahead += itertools.islice(x.values(), visits)
            else:
                total += _own_weight(x)
        except Exception:  # what cannot be weighed is sent as it is
            continue
    return total


def _own_weight(x: Any) -> int:
    nbytes = getattr(x, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    usage: Callable[..., Any] | None = getattr(x, "memory_usage", None)
    if usage is None:
        return sys.getsizeof(x, 0)
    used = usage()
    return int(getattr(used, "sum", lambda: used)())
