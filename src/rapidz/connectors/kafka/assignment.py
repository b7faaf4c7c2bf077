"""Assignment of partitions: by the consumer group, or of a whole topic; where each begins."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rapidz.connectors.kafka.offsets import Key, Offsets
from rapidz.connectors.kafka.params import ClientParams, UnknownTopic
from rapidz.kernel.protocol.short_repr import short_repr

_log = logging.getLogger("rapidz.connectors.kafka")

#: Values of ``auto.offset.reset`` that mean the end.
ENDS = ("latest", "largest", "end")

#: Seconds that a request about offsets may take.
TIMEOUT = 10.0


@dataclass
class ReadPlan:
    """What a source reads, and how."""

    operator: str
    params: ClientParams
    topics: Sequence[str]
    limit: int
    """Messages that are handed over together at most."""
    interval: float
    """Seconds between two batches, or the longest wait of a poll."""
    npartitions: int | None = None
    refresh: bool = False
    """Whether to look for new partitions."""
    patient: bool = True
    """Whether to wait for brokers that are down, and for topics that do not exist yet."""
    begin_at: dict[Key, int] = field(default_factory=dict)
    """Offsets to begin at, in place of the committed ones."""
    ends: dict[str, dict[int, int]] = field(default_factory=dict)
    """Ends of the partitions of topics at `start`; none for a topic that did not exist."""


class Assignment(ABC):
    """The partitions that a consumer reads; its methods run in the thread of the consumer."""

    paced: ClassVar[bool] = True
    """Whether to read once in an interval; else whenever there is something."""

    def __init__(self, plan: ReadPlan, offsets: Offsets, kafka: Any) -> None:
        self.plan, self.offsets, self.kafka = plan, offsets, kafka
        self.closing = False
        """Whether the consumer leaves: what is revoked now may be continued by the next run."""

    @abstractmethod
    def begin(self, consumer: Any, metadata: Any) -> None:
        """Begin to read."""

    @abstractmethod
    def read(self, consumer: Any, wait: float) -> tuple[list[Any], bool]:
        """Return what there is after at most *wait* seconds, and whether to read on at once."""

    def refresh(self, consumer: Any) -> None:
        """Look for what has changed."""
        return None

    def missing(self, metadata: Any) -> list[str]:
        """Return the topics that the cluster does not have."""
        if self.plan.params.get("allow.auto.create.topics") and not self.paced:
            return []
        known = {name for name, topic in metadata.topics.items() if topic.error is None}
        return [name for name in self.plan.topics if name[0] != "^" and name not in known]

    def _beginnings(self, consumer: Any, partitions: Iterable[Any]) -> list[Any]:
        """Return *partitions* with the offset that each begins at, and enter them in the table."""
        result = consumer.committed(list(partitions), timeout=TIMEOUT)
        for partition in result:
            if partition.error is not None:
                raise self.kafka.KafkaException(partition.error)
            key, committed = (partition.topic, partition.partition), partition.offset
            known = committed if committed >= 0 else None
            offset = self.plan.begin_at.pop(key, None)
            if offset is not None:
                self._check_exists(consumer, partition, offset)
            elif (offset := self.offsets.resume(*key, known)) is not None:
                partition.offset = offset
                continue
            else:
                offset = known if known is not None else self._without_commit(consumer, partition)
            self.offsets.assign(*key, offset, known)
            partition.offset = self._first() if offset is None else offset
        return list(result)

    def _first(self) -> int:
        """Return what lets the client find the beginning of a partition."""
        first = ("earliest", "smallest", "beginning")
        found: int = (
            self.kafka.OFFSET_BEGINNING
            if self.plan.params.get("auto.offset.reset") in first
            else self.kafka.OFFSET_INVALID
        )
        return found

    def _without_commit(self, consumer: Any, partition: Any) -> int | None:
        """Return where a partition begins that no offset was committed for.

        None if only the client knows: at its first message, or nowhere, which it reports.
        """
        if str(self.plan.params.get("auto.offset.reset", "latest")) not in ENDS:
            return None
        if (ends := self.plan.ends.get(partition.topic)) is not None:
            return ends.get(partition.partition, 0)  # one that is new begins at its first message
        _, high = consumer.get_watermark_offsets(partition, timeout=TIMEOUT)
        return int(high)

    def _check_exists(self, consumer: Any, partition: Any, offset: int) -> None:
        """Raise if the messages from *offset* on were deleted: they would be left out silently."""
        low, _ = consumer.get_watermark_offsets(partition, timeout=TIMEOUT)
        if offset < low:
            raise LookupError(
                f"{self.plan.operator}: the messages of {short_repr(partition.topic)}, partition "
                f"{partition.partition}, from offset {offset} on were deleted: it begins at {low}"
            )


class GroupAssignment(Assignment):
    """The partitions that the consumer group assigns to this member."""

    paced: ClassVar[bool] = False

    def __init__(
        self, plan: ReadPlan, offsets: Offsets, kafka: Any, commit: Callable[[Iterable[Key]], None]
    ) -> None:
        super().__init__(plan, offsets, kafka)
        self.paused = False
        """Whether new partitions begin paused."""
        self._commit = commit
        strategy = str(plan.params.get("partition.assignment.strategy", ""))
        self._incremental = "cooperative" in strategy or (
            plan.params.get("group.protocol") == "consumer"
        )

    def begin(self, consumer: Any, metadata: Any) -> None:
        consumer.subscribe(
            list(self.plan.topics),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )

    def read(self, consumer: Any, wait: float) -> tuple[list[Any], bool]:
        first = consumer.poll(wait)
        if first is None:
            return [], False
        return [first, *consumer.consume(self.plan.limit - 1, 0)], True

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        begin = self._beginnings(consumer, partitions) if partitions else []
        (consumer.incremental_assign if self._incremental else consumer.assign)(begin)
        if self.paused and begin:
            consumer.pause(begin)
        _log.info("%s: assigned %s", self.plan.operator, _names(partitions))

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        self._commit(_keys(partitions))
        if not self.closing:
            self._end_pause(consumer, partitions)
            self._forget(partitions)

    def _lost(self, consumer: Any, partitions: list[Any]) -> None:
        self._end_pause(consumer, partitions)
        self._forget(partitions)  # another member may have them already: no commit

    def _end_pause(self, consumer: Any, partitions: list[Any]) -> None:
        """Resume partitions that go: the client keeps a pause even while it does not have them.

        Those that come back later, when this member reads again, would never be read.
        """
        if self.paused and partitions:
            consumer.resume(partitions)

    def _forget(self, partitions: list[Any]) -> None:
        if partitions:
            self.offsets.revoke(_keys(partitions))
            _log.info("%s: revoked %s", self.plan.operator, _names(partitions))


class WholeTopic(Assignment):
    """All partitions of one topic, or the first ones; the group only stores their offsets."""

    def __init__(self, plan: ReadPlan, offsets: Offsets, kafka: Any) -> None:
        super().__init__(plan, offsets, kafka)
        self.count = 0
        """Partitions that are read."""
        self._partitions: list[Any] = []

    @property
    def topic(self) -> str:
        """The topic."""
        return self.plan.topics[0]

    def begin(self, consumer: Any, metadata: Any) -> None:
        self.count = self._wanted(metadata)
        made = [self.kafka.TopicPartition(self.topic, n) for n in range(self.count)]
        self._add(consumer, self._beginnings(consumer, made))

    def read(self, consumer: Any, wait: float) -> tuple[list[Any], bool]:
        found = consumer.consume(self.plan.limit, wait)
        return found, not found or self._is_behind(consumer)

    def _is_behind(self, consumer: Any) -> bool:
        """Return whether there are more messages, as far as the client knows."""
        for at in consumer.position(self._partitions):
            known = consumer.get_watermark_offsets(at, cached=True)
            if known is not None and 0 <= at.offset < known[1]:
                return True
        return False

    def refresh(self, consumer: Any) -> None:
        """Begin to read new partitions, at their first message."""
        before = self.count
        wanted = self._wanted(consumer.list_topics(self.topic, timeout=TIMEOUT))
        self.count = max(before, wanted)
        for number in range(before, self.count):
            self.offsets.assign(self.topic, number, 0, None)
            self._add(consumer, [self.kafka.TopicPartition(self.topic, number, 0)])

    def _add(self, consumer: Any, partitions: list[Any]) -> None:
        consumer.incremental_assign(partitions)
        self._partitions += partitions

    def _wanted(self, metadata: Any) -> int:
        topic = metadata.topics.get(self.topic)
        if topic is None or topic.error is not None:
            raise UnknownTopic(
                f"{self.plan.operator}: the cluster has no topic {short_repr(self.topic)}"
            )
        available = len(topic.partitions)
        asked = self.plan.npartitions
        if self.plan.refresh:
            return max(available, asked or 0)
        return available if asked is None else asked


class TopicRanges(WholeTopic):
    """Ranges of offsets of all partitions of a topic: tasks on other machines read the messages."""

    def __init__(self, plan: ReadPlan, offsets: Offsets, kafka: Any) -> None:
        super().__init__(plan, offsets, kafka)
        self._next: dict[int, int] = {}

    def read(self, consumer: Any, wait: float) -> tuple[list[Any], bool]:
        """Return (partition, low, high), high included, for partitions with new messages."""
        found, more = [], False
        for number, begin in self._next.items():
            partition = self.kafka.TopicPartition(self.topic, number)
            low, high = consumer.get_watermark_offsets(partition, timeout=TIMEOUT)
            begin = max(begin, low)
            end = min(high, begin + self.plan.limit)
            if end > begin:
                found.append((number, begin, end - 1))
                more = more or end < high
            self._next[number] = max(begin, end)
        return found, more

    def _add(self, consumer: Any, partitions: list[Any]) -> None:
        for partition in partitions:
            self._next[partition.partition] = max(partition.offset, 0)


def _keys(partitions: Iterable[Any]) -> list[Key]:
    return [(partition.topic, partition.partition) for partition in partitions]


def _names(partitions: Iterable[Any]) -> str:
    return ", ".join(f"{topic}[{number}]" for topic, number in _keys(partitions)) or "nothing"
