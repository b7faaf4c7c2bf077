"""Consumer in a thread of its own: it polls, hands batches over to the loop, and commits."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from rapidz.connectors.kafka.assignment import (
    Assignment,
    GroupAssignment,
    ReadPlan,
    TopicRanges,
    WholeTopic,
)
from rapidz.connectors.kafka.offsets import Commit, Key, Offsets
from rapidz.connectors.kafka.params import (
    PASSING,
    ClientParams,
    Problems,
    UnknownTopic,
    client_library,
    find_cluster,
    make_client,
)
from rapidz.kernel.protocol.short_repr import short_repr

_log = logging.getLogger("rapidz.connectors.kafka")

_AHEAD: Final = 2
"""Batches that are read before the first of them is processed."""
_STALL: Final = 0.5
"""Seconds without capacity until the consumer pauses its partitions and polls without reading."""
_LONGEST_POLL: Final = 0.1
_CHECK: Final = 0.5
"""Seconds between two attempts to find a broker or a topic again."""


Kind: TypeAlias = Literal["group", "batches", "ranges"]
"""What is read: messages by a group, all partitions of a topic, or ranges of their offsets."""


class ReadBatch(NamedTuple):
    """Messages, or ranges of offsets, that were read together."""

    items: list[Any]
    epoch: int
    """That of the `Offsets` when they were read."""


class ConsumerThread:
    """Thread that owns a consumer.

    It reads at most two batches ahead.  While the loop takes none, a member of a group pauses
    its partitions and goes on polling, so that the group keeps it.
    """

    def __init__(
        self,
        plan: ReadPlan,
        offsets: Offsets,
        loop: asyncio.AbstractEventLoop,
        on_connection: Callable[[Exception | None], object],
        kind: Kind,
    ) -> None:
        self._plan, self._offsets, self._loop = plan, offsets, loop
        self._on_connection = on_connection
        self.consumer: Any = None
        self._kafka = client_library(plan.operator)
        self._problems = Problems(plan.params)
        self._closing = threading.Event()
        self._credit = threading.Semaphore(_AHEAD)
        self._ranges = kind == "ranges"
        self._assignment = self._assign(kind)
        self._commits_at = self._checks_at = self._reads_at = 0.0
        self._commit_interval = float(plan.params.get("auto.commit.interval.ms", 1000)) / 1000
        self._stores = bool(plan.params.get("enable.auto.commit", False))
        self._thread = threading.Thread(
            target=self._main, name=f"{plan.operator} consumer", daemon=True
        )
        # of the loop:
        self._inbox: deque[ReadBatch] = deque()
        self._wake = asyncio.Event()
        self._taken = self.ended = self._interrupted = False
        self._failure: BaseException | None = None

    # --- on the loop -------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def next(self) -> ReadBatch | None:
        """Return the next batch, None after `interrupt`; raise what has ended the thread."""
        if self._taken:
            self._taken = False
            self._credit.release()
        while not self._inbox:
            if self._interrupted:
                return None
            if self.ended:
                raise self._failure or RuntimeError(f"{self._plan.operator}: the consumer ended")
            self._wake.clear()
            await self._wake.wait()
        self._taken = True
        return self._inbox.popleft()

    def interrupt(self) -> None:
        """Let `next` return, once nothing is left; in any thread."""
        self._interrupted = True
        self._post(self._wake.set)

    @property
    def down(self) -> bool:
        """Whether no broker can be reached."""
        return self._problems.down or self.ended

    async def close(self) -> None:
        """Commit what is done, leave the group, and wait until the thread has ended."""
        self._closing.set()
        while not self.ended:
            self._wake.clear()
            await self._wake.wait()

    def _receive(self, batch: ReadBatch) -> None:
        self._inbox.append(batch)
        self._wake.set()

    def _end(self, failure: BaseException | None) -> None:
        self._failure, self.ended = failure, True
        self._wake.set()

    # --- in the thread -------------------------------------------------------------------------

    def _post(self, action: Callable[..., object], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(action, *args)
        except RuntimeError:  # the loop was closed
            self._closing.set()

    def _main(self) -> None:
        failure: BaseException | None = None
        try:
            self.consumer = consumer = self._open()
            try:
                self._work(consumer)
            finally:
                self._shut(consumer)
        except BaseException as error:
            failure = error
        self._post(self._end, failure)

    def _open(self) -> Any:
        plan = self._plan
        params = ClientParams(consumer_config(plan.params))
        params.update(error_cb=self._problems, on_commit=self._report_commit)
        return make_client(plan.operator, "consumer_params", "Consumer", params)

    def _assign(self, kind: Kind) -> Assignment:
        if kind == "group":
            return GroupAssignment(self._plan, self._offsets, self._kafka, self._commit_revoked)
        made = TopicRanges if kind == "ranges" else WholeTopic
        return made(self._plan, self._offsets, self._kafka)

    def _work(self, consumer: Any) -> None:
        self._connect(consumer)
        while not self._closing.is_set():
            self._look_after(consumer)
            if not self._credit.acquire(timeout=_STALL):
                self._stand_by(consumer)
                continue
            if messages := self._read(consumer):
                self._post(self._receive, ReadBatch(messages, self._offsets.epoch))
            else:
                self._credit.release()

    def _connect(self, consumer: Any) -> None:
        """Find the cluster and the topics, and begin to read."""
        plan = self._plan
        metadata = find_cluster(plan.operator, consumer, plan.params, self._problems, self._closing)
        waits = False
        while not self._closing.is_set() and (missing := self._assignment.missing(metadata)):
            error = UnknownTopic(
                f"{plan.operator}: the cluster has no topic {short_repr(missing[0])}"
            )
            if not plan.patient:
                raise error
            if not waits:
                waits = True
                _log.warning("%s; waits for it", error)
                self._post(self._on_connection, error)
            self._closing.wait(_CHECK)
            metadata = consumer.list_topics(timeout=_CHECK * 4)
        if not self._closing.is_set():
            self._assignment.begin(consumer, metadata)
            self._problems.down = False
            self._post(self._on_connection, None)

    def _read(self, consumer: Any) -> list[Any]:
        """Read a batch; an empty one if nothing comes for a while."""
        assignment = self._assignment
        if assignment.paced and (wait := self._reads_at - time.monotonic()) > 0:
            self._closing.wait(min(wait, _LONGEST_POLL))
            return []
        found, more = assignment.read(consumer, min(self._plan.interval, _LONGEST_POLL))
        if not more:
            self._reads_at = time.monotonic() + self._plan.interval
        return self._without_errors(found)

    def _without_errors(self, found: list[Any]) -> list[Any]:
        if self._ranges:
            return found
        messages = [message for message in found if message.error() is None]
        if len(messages) < len(found):
            for message in found:
                if (error := message.error()) is not None:
                    self._handle_error(error, message.topic())
        return messages

    def _stand_by(self, consumer: Any) -> None:
        """Poll without reading until there is capacity: a group drops members that do not poll."""
        group = self._assignment
        if not isinstance(group, GroupAssignment):
            return
        group.paused = True
        consumer.pause(consumer.assignment())
        early: list[Any] = []
        try:
            while not self._closing.is_set() and not self._credit.acquire(timeout=_LONGEST_POLL):
                if (message := consumer.poll(0)) is not None:
                    early.append(message)
                self._look_after(consumer)
        finally:
            group.paused = False
            if partitions := consumer.assignment():
                consumer.resume(partitions)
        if kept := self._without_errors(early):
            self._post(self._receive, ReadBatch(kept, self._offsets.epoch))
        else:
            self._credit.release()

    def _handle_error(self, error: Any, topic: str | None) -> None:
        plan, name = self._plan, error.name()
        if name == "_PARTITION_EOF":
            return
        text = f"{plan.operator}: {plan.params.hide(error.str())}"
        if name in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"):
            if topic is not None and topic.startswith("^"):
                return  # nothing matches the pattern yet
            raise UnknownTopic(text)
        if error.fatal() or not (error.retriable() or name in PASSING):
            raise self._kafka.KafkaException(error)
        _log.warning("%s", text)

    # --- besides reading -------------------------------------------------------------------------

    def _look_after(self, consumer: Any) -> None:
        now = time.monotonic()
        self._problems.raise_final(self._plan.operator, self._plan.params)
        if self._problems.down:
            if now >= self._checks_at:
                self._find_again(consumer)
                self._checks_at = time.monotonic() + _CHECK
            return
        if now >= self._commits_at:
            self._commits_at = now + self._commit_interval
            self._commit(self._offsets.due())
            if self._plan.refresh:
                self._assignment.refresh(consumer)

    def _find_again(self, consumer: Any) -> None:
        """Find out whether all brokers are down, and report changes."""
        plan = self._plan
        try:
            consumer.list_topics(plan.topics[0] if self._assignment.paced else None, timeout=_CHECK)
        except self._kafka.KafkaException:
            reason = plan.params.hide(self._problems.last)
            error = ConnectionError(f"{plan.operator}: no broker can be reached: {reason}")
            if not plan.patient:
                raise error from None
            if self._reported is None:
                self._reported = error
                _log.warning("%s; the client connects again when it can", error)
                self._post(self._on_connection, error)
        else:
            self._problems.down = False
            if self._reported is not None:
                self._reported = None
                _log.info("%s: connected again", plan.operator)
                self._post(self._on_connection, None)

    _reported: Exception | None = None

    def _commit_revoked(self, keys: Iterable[Key]) -> None:
        self._commit(self._offsets.due(keys), wait=True)

    def _commit(self, commits: list[Commit], wait: bool = False) -> None:
        if not commits or self._problems.down:
            return
        at = [self._kafka.TopicPartition(*commit) for commit in commits]
        self._offsets.note_asked(commits)
        try:
            if self._stores:
                self.consumer.store_offsets(offsets=at)
            else:
                self.consumer.commit(offsets=at, asynchronous=not wait)
            if wait or self._stores:
                self._offsets.note_committed(commits)
        except self._kafka.KafkaException as error:
            self._warn_of_commit(error.args[0])
            self._offsets.note_refused(commit[:2] for commit in commits)

    def _report_commit(self, error: Any, partitions: list[Any]) -> None:
        if error is not None and error.name() != "_NO_OFFSET":
            self._warn_of_commit(error)
            self._offsets.note_refused((p.topic, p.partition) for p in partitions)
        else:
            stored = (Commit(p.topic, p.partition, p.offset) for p in partitions if p.offset >= 0)
            self._offsets.note_committed(stored)
        if (callback := self._plan.params.get("on_commit")) is not None:
            callback(error, partitions)

    def _warn_of_commit(self, error: Any) -> None:
        level = logging.INFO if error.name() in _REBALANCING else logging.WARNING
        _log.log(level, "%s: offsets were not committed: %s", self._plan.operator, error.str())

    def _shut(self, consumer: Any) -> None:
        self._assignment.closing = True
        try:
            self._commit(self._offsets.due(), wait=True)
        finally:
            self.consumer = None
            if self._problems.down:  # it waits for answers, up to "session.timeout.ms"
                name = "rapidz-kafka-close"
                threading.Thread(target=consumer.close, name=name, daemon=True).start()
            else:
                consumer.close()


#: Errors of commits while the group distributes partitions: they are committed later.
_REBALANCING: Final = ("REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID")


def consumer_config(params: ClientParams) -> dict[str, Any]:
    """Complete the configuration of a consumer: offsets are committed when messages are done.

    >>> config = consumer_config(ClientParams({"bootstrap.servers": "host:9092"}))
    >>> config["enable.auto.commit"], config["enable.auto.offset.store"]
    (False, False)
    """
    return {
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "queued.max.messages.kbytes": 16_384,
        "fetch.queue.backoff.ms": 10,
        "log.connection.close": False,
        **params,
    }
