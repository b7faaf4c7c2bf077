"""Offsets of partitions: what was emitted, and up to where all of it is done."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.acknowledge import InOrder, Ticket

Key: TypeAlias = tuple[str, int]
"""Topic and number of a partition."""


class Commit(NamedTuple):
    """Offset to commit: that of the next message to be delivered."""

    topic: str
    partition: int
    offset: int


class PartitionOffsets:
    """Offsets of one partition that is, or was, assigned to the source."""

    __slots__ = ("asked", "committed", "epoch", "next", "order", "owned")

    def __init__(self, epoch: int, offset: int | None, committed: int | None) -> None:
        self.epoch = epoch
        """Batches that were read in an earlier epoch do not belong to this assignment."""
        self.next = offset
        """Offset behind the last message that was emitted."""
        self.committed = committed
        """Offset that the broker has stored, as far as is known."""
        self.asked = -1
        """Offset that the broker was asked to store, and has not refused."""
        self.owned = True
        """Whether it is assigned now; if not, another member may read it."""
        self.order = InOrder[int]()
        """Offsets of the messages in flight."""

    def advance(self, first: int, last: int) -> Ticket[int]:
        """Note that messages *first* to *last* are emitted; return what marks them as done."""
        if self.next is not None and first < self.next:  # the broker has lost its log
            self.order, self.asked, self.committed = InOrder[int](), -1, None
        self.next = last + 1
        return self.order.add(last)

    @property
    def done(self) -> int | None:
        """Offset up to which every message is done; None if none is."""
        last = self.order.committed
        return None if last is None else last + 1


class Offsets:
    """Offsets of all partitions of a source.

    The thread of the consumer assigns, revokes and commits; the loop emits, and marks as done.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[Key, PartitionOffsets] = {}
        self.epoch = 0
        """Grows when a partition is revoked: what was read before may be another's now."""

    def find(self, topic: str, partition: int, epoch: int) -> PartitionOffsets | None:
        """Return the offsets of a partition, for a message that was read in *epoch*.

        None if the partition was revoked since.
        """
        found = self._partitions.get((topic, partition))
        return None if found is None or not found.owned or found.epoch > epoch else found

    def assign(self, topic: str, partition: int, offset: int | None, committed: int | None) -> None:
        """Begin a partition at *offset*; None if only the client knows where it begins."""
        with self._lock:
            new = PartitionOffsets(self.epoch, offset, committed)
            self._partitions[topic, partition] = new

    def resume(self, topic: str, partition: int, committed: int | None) -> int | None:
        """Continue a partition behind the last message that was emitted.

        Messages may still be in flight since an earlier run, or since it was revoked.  Return
        None if it cannot be continued: it is new here, or another member has committed since.
        """
        with self._lock:
            found = self._partitions.get((topic, partition))
            if found is None or found.next is None or found.committed != committed:
                return None
            found.epoch, found.owned, found.asked = self.epoch, True, -1
            return found.next

    def revoke(self, keys: Iterable[Key]) -> None:
        """Drop what was read of partitions and not emitted; commit no more for them."""
        with self._lock:
            self.epoch += 1
            for key in keys:
                if (found := self._partitions.get(key)) is not None:
                    found.owned = False

    def begin_run(self, fresh: bool) -> None:
        """Drop what was read and not emitted; if *fresh*, also what is in flight."""
        with self._lock:
            self.epoch += 1
            if fresh:
                self._partitions.clear()

    def due(self, keys: Iterable[Key] | None = None) -> list[Commit]:
        """Return what is done and not committed, of all partitions or of *keys*."""
        with self._lock:
            wanted = self._partitions if keys is None else set(keys) & self._partitions.keys()
            found = [(key, self._partitions[key]) for key in wanted]
        return [
            Commit(*key, at.done)
            for key, at in found
            if at.owned and at.done is not None and at.done > max(at.asked, at.committed or 0)
        ]

    def note_committed(self, commits: Iterable[Commit]) -> None:
        """Remember what the broker has stored."""
        with self._lock:
            for topic, partition, offset in commits:
                if (at := self._partitions.get((topic, partition))) is not None:
                    at.committed = max(at.committed or 0, offset)

    def note_asked(self, commits: Iterable[Commit]) -> None:
        """Remember what the broker was asked to store."""
        with self._lock:
            for topic, partition, offset in commits:
                if (at := self._partitions.get((topic, partition))) is not None:
                    at.asked = offset

    def note_refused(self, keys: Iterable[Key]) -> None:
        """Remember that the broker has not stored what it was asked to; ask again."""
        with self._lock:
            for key in keys:
                if (at := self._partitions.get(key)) is not None:
                    at.asked = -1

    @property
    def pending(self) -> int:
        """Number of messages, or batches, in flight."""
        return sum(at.order.pending for at in list(self._partitions.values()) if at.owned)

    def position(self) -> dict[str, dict[int, int]]:
        """Return the offset behind the last message that was emitted, by topic and partition."""
        result: dict[str, dict[int, int]] = {}
        for (topic, partition), at in sorted(self._partitions.items()):
            if at.owned and at.next is not None:
                result.setdefault(topic, {})[partition] = at.next
        return result


def read_position(operator: str, position: Any) -> dict[Key, int]:
    """Check a position, and return the offset of each partition.

    >>> read_position("from_kafka", {"readings": {0: 17}})
    {('readings', 0): 17}
    """
    try:
        read = {
            (str(topic), int(partition)): int(offset)
            for topic, partitions in position.items()
            for partition, offset in partitions.items()
        }
    except (AttributeError, TypeError, ValueError):
        read = {("", 0): -1}
    if any(offset < 0 for offset in read.values()):
        raise ValueError(
            f"{operator}: position must be like {{'topic': {{0: 17}}}}, got {short_repr(position)}"
        )
    return read
