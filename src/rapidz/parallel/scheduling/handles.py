"""Elements that are elsewhere: handles, the batches they came in, and the tasks that make them."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from rapidz.kernel.protocol.push import BulkSlice, no_default
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.tasks import following, resolve
from rapidz.parallel.wire.containers import CONTAINERS, iter_leaves, map_leaves, rebuild
from rapidz.parallel.wire.outcomes import PENDING, REMOTE, SPECIAL, Expanded, TaskResult

if TYPE_CHECKING:
    from rapidz.parallel.scheduling.batcher import Stage
    from rapidz.parallel.wire.program import Chain


class Here:
    """An element that was scattered and has not been sent anywhere yet."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return short_repr(self.value)


class Remote:
    """An element that is elsewhere, or is not there yet."""

    __slots__ = ("batch", "index", "key")

    def __init__(self, batch: Batch, index: int) -> None:
        self.batch, self.index = batch, index

    def __repr__(self) -> str:
        return short_repr(origin_of(self))

    def outcome(self) -> Any:
        """What is known here of the element: a value, or something special."""
        return self.batch.outcomes[self.index]

    def put(self, outcome: Any) -> None:
        """Put in what became of the element after all."""
        self.batch.outcomes[self.index] = outcome
        self.batch.amended.add(self.index)

    def root(self) -> Remote:
        return self

    def path(self) -> tuple[int, ...]:
        return ()

    def task(self) -> Task | None:
        """The task that makes the element, if it was sent already."""
        return self.batch.task_at(self.index)

    def source(self) -> Any:
        """The input that the element was made of."""
        task = self.task()
        if task is None:
            return self.batch.inputs[self.index]
        return task.inputs[self.index - task.start] if task.inputs else None


class Item:
    """One of the items of an element that was flattened."""

    __slots__ = ("at", "key", "whole")

    def __init__(self, whole: Remote | Item, at: int) -> None:
        self.whole, self.at = whole, at

    def __repr__(self) -> str:
        return short_repr(origin_of(self))

    def outcome(self) -> Any:
        many = self.whole.outcome()
        return many.outcomes[self.at] if type(many) is Expanded else many

    def put(self, outcome: Any) -> None:
        self.whole.outcome().outcomes[self.at] = outcome
        root = self.root()
        root.batch.amended.add(root.index)

    def root(self) -> Remote:
        return self.whole.root()

    def path(self) -> tuple[int, ...]:
        return (*self.whole.path(), self.at)

    def task(self) -> Task | None:
        return self.root().task()


class Span(BulkSlice):
    """Elements of one batch that go along together."""

    __slots__ = ()

    items: Batch

    def ahead(self) -> int:
        """How far there are plain values from where it stands."""
        task = self.items.task_at(self.at)
        if task is None or not task.plain:
            return self.at
        return min(self.stop, task.start + task.size)

    def next(self) -> Remote:
        """The handle of the next element, to go along by itself."""
        self.at += 1
        return Remote(self.items, self.at - 1)


HANDLES: Final = frozenset({Here, Remote, Item})

#: How often a task whose elements cannot be done together is cut up, all in all.
MOST_SPLITS = 64


class Task:
    """A run of elements of one batch, sent together."""

    def __init__(self, stage: Stage, batch: Batch, start: int, inputs: list[Any]) -> None:
        self.stage = stage
        self.batch: Batch | None = batch
        """Who waits for the outcomes; None once they are known."""
        self.chain: Chain = batch.chain
        self.raw = batch.raw
        self.start = start
        self.size = len(inputs)
        self.inputs = inputs
        """Held back until nobody can need them again."""
        self.values = stage.values
        """Whether the values are to be fetched, and not only what is special."""
        self.ref: Any = None
        """The result, where it is made."""
        self.watch: object = None
        """Which of several tries is the one that counts."""
        self.done = self.plain = False
        """Whether it is known what became of the elements, and whether all have values here."""
        self.attempts = self.deaths = self.trials = 0
        self.splits = [MOST_SPLITS]
        """How often the task, or a part of it, may still be cut up."""
        self.previous: Task | None = None
        """The task that makes the state this one begins with."""
        self.state: Any = PENDING
        """The state after this task, once it is known here."""
        self.given_up = False
        self.parts: list[Task] = []
        """What was sent in its stead."""

    def maker(self) -> Task:
        """The task that makes the state there is after this one."""
        task = self
        while True:
            if task.parts:
                task = task.parts[-1]
            elif task.given_up and task.previous is not None:
                task = task.previous
            else:
                return task

    def cut_up(self, most: int) -> list[Task]:
        """Make at most *most* tasks of this one, each of which follows the one before."""
        assert self.batch is not None
        length = math.ceil(self.size / most)
        before = self.previous
        for at in range(0, self.size, length):
            part = Task(self.stage, self.batch, self.start + at, self.inputs[at : at + length])
            part.chain, part.raw, part.values = self.chain, self.raw, self.values
            part.splits = self.splits
            part.previous = before
            before = part
            self.parts.append(part)
        self.splits[0] -= 1
        self.batch.replace(self, self.parts)
        self.batch = None
        return self.parts


class Batch:
    """Elements that came soon after each other, and what became of each."""

    def __init__(self, stage: Stage, chain: Chain) -> None:
        self.stage = stage
        self.chain = chain
        self.nodes = stage.nodes
        """The operators of the chain, to be blamed."""
        self.raw = stage.raw
        """Whether the inputs are values, and not handles."""
        self.inputs: list[Any] = []
        """What has not been sent yet, behind places of what has."""
        self.outcomes: list[Any] = []
        self.sent = 0
        self.tasks: list[Task] = []
        self.starts: list[int] = []
        self.amended: set[int] = set()
        """Elements that came out otherwise than in their tasks."""
        self.settling: dict[tuple[int, ...], asyncio.Future[None]] = {}
        """Failures that somebody is seeing to."""
        self._waiters: dict[int, asyncio.Future[None]] = {}
        self._sent_waiters: list[asyncio.Future[None]] = []

    def task_at(self, index: int) -> Task | None:
        """The task that has the element *index*, if it was sent already."""
        at = bisect_right(self.starts, index) - 1
        if at < 0 or index >= self.starts[at] + self.tasks[at].size:
            return None
        return self.tasks[at]

    def cut(self, stop: int) -> Task:
        """Take the next elements, up to *stop*, as one task."""
        start, self.sent = self.sent, stop
        inputs = self.inputs[start:stop]
        self.inputs[start:stop] = [None] * len(inputs)
        task = Task(self.stage, self, start, inputs)
        self.add(task)
        waiting, self._sent_waiters = self._sent_waiters, []
        for future in waiting:
            resolve(future)
        return task

    def add(self, task: Task) -> None:
        at = bisect_right(self.starts, task.start)
        self.starts.insert(at, task.start)
        self.tasks.insert(at, task)

    def replace(self, task: Task, parts: list[Task]) -> None:
        """Let *parts* stand for *task*, which could not be done as a whole."""
        at = self.tasks.index(task)
        del self.tasks[at], self.starts[at]
        for part in parts:
            self.add(part)

    def learn(self, task: Task, result: TaskResult) -> None:
        """Take in what became of the elements of *task*; tell who waits."""
        start, stop = task.start, task.start + task.size
        outcomes = result.outcomes
        for index in self.amended.intersection(range(start, stop)) if self.amended else ():
            outcomes[index - start] = _filled(self.outcomes[index], outcomes[index - start])
        self.outcomes[start:stop] = outcomes
        if self._waiters:
            for index in range(start, stop):
                if (future := self._waiters.pop(index, None)) is not None:
                    resolve(future)

    def known(self, index: int) -> asyncio.Future[None]:
        """A future that is done once something is known of the element *index*."""
        future = self._waiters.get(index)
        if future is None:
            future = self._waiters[index] = asyncio.get_running_loop().create_future()
        return following(future)

    def when_sent(self) -> asyncio.Future[None]:
        """A future that is done once more elements were sent."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sent_waiters.append(future)
        return future


def parts(x: Any) -> Iterable[Any]:
    """The handles in what goes between scattered nodes: one, or containers of them."""
    if type(x) in HANDLES:
        return (x,)
    return (leaf for leaf in iter_leaves(x) if type(leaf) in HANDLES)


def outcome_of(x: Any) -> Any:
    """What is known here of *x*, a handle or a structure of them; the first thing special in it."""
    kind = type(x)
    if kind is Here:
        return x.value
    if kind in HANDLES:
        return x.outcome()
    if kind in CONTAINERS:
        known = [outcome_of(item) for item in (x.values() if kind is dict else x)]
        odd = next((item for item in known if type(item) in SPECIAL), no_default)
        return rebuild(x, known) if odd is no_default else odd
    return x


def is_here(x: Any) -> bool:
    """Whether every value in *x* is here."""
    return all(type(part) is Here or not _away(part.outcome()) for part in parts(x))


def origin_of(x: Any) -> Any:
    """The element that was scattered for *x* to come of it, as far as it is still held."""
    if type(x) in CONTAINERS:
        return map_leaves(x, origin_of)
    seen = x
    while type(seen) is Remote or type(seen) is Item:
        outcome = seen.outcome()
        if type(outcome) not in SPECIAL:
            return outcome
        source = seen.root().source()
        if source is None:
            break
        seen = source
    return seen.value if type(seen) is Here else seen


def _filled(known: Any, fetched: Any) -> Any:
    """What is *known* of an element, and what was *fetched* of it where nothing was known."""
    if type(known) is Expanded and type(fetched) is Expanded:
        return Expanded(list(map(_filled, known.outcomes, fetched.outcomes)))
    return fetched if known is PENDING or known is REMOTE else known


def _away(outcome: Any) -> bool:
    if type(outcome) is Expanded:
        return any(_away(item) for item in outcome.outcomes)
    return outcome is PENDING or outcome is REMOTE


async def over_all(futures: Iterable[Any]) -> list[asyncio.Future[Any]]:
    """Wait until all of *futures*, which belong to threads, are over, whatever became of them."""
    waits = [asyncio.wrap_future(future) for future in futures]
    if waits:
        await asyncio.wait(waits)
    return waits
