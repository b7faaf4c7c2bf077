"""KafkaSource: what the sources of Kafka have in common."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, Final, TypeVar

from rapidz.connectors.kafka.assignment import ENDS, ReadPlan
from rapidz.connectors.kafka.consumer_thread import (
    ConsumerThread,
    Kind,
    ReadBatch,
    consumer_config,
)
from rapidz.connectors.kafka.ends import find_ends
from rapidz.connectors.kafka.offsets import Key, Offsets, read_position
from rapidz.connectors.kafka.params import (
    ClientParams,
    UnknownTopic,
    check_client,
    client_library,
    is_passing,
    read_params,
)
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.runtime import loop as loops
from rapidz.sources.base import LiveInterval, Source
from rapidz.sources.restart import Restart
from rapidz.sources.run import current_run

T = TypeVar("T")

_LINGER: Final = 5.0
"""Seconds that a source which stops waits for elements in flight, to commit their offsets."""


class KafkaSource(Source[T]):
    """Base class of the sources of Kafka.

    Offsets are committed for the messages of a partition up to which all are done: at least
    once.  The offsets are `position` and `seek`.
    """

    infinite: ClassVar[bool | None] = True
    seekable: ClassVar[bool] = True
    transient: ClassVar[tuple[type[Exception], ...]] = (ConnectionError, TimeoutError, UnknownTopic)
    default_restart: ClassVar[Restart | None] = Restart()

    poll_interval: LiveInterval = LiveInterval()

    _kind: ClassVar[Kind] = "group"

    def __init__(
        self,
        operator: str,
        topics: Sequence[str],
        consumer_params: Any,
        poll_interval: Interval,
        limit: int,
        **kwargs: Any,
    ) -> None:
        client_library(operator)
        params = read_params(operator, "consumer_params", consumer_params, "group.id")
        check_client(operator, "consumer_params", "Consumer", ClientParams(consumer_config(params)))
        self.poll_interval = poll_interval
        self.consumer_params = params
        self._operator, self._topics, self._limit = operator, list(topics), limit
        self._offsets = Offsets()
        self._begin_at: dict[Key, int] = {}
        self._ends: dict[str, dict[int, int]] = {}
        self._fresh = self._lost = False  # what a later run must not pass over
        self._reader: ConsumerThread | None = None
        super().__init__(**kwargs)

    @property
    def stopped(self) -> bool:
        """Whether the source does not run; programs for the old libraries set it to True."""
        return self._is_stopped

    @stopped.setter
    def stopped(self, value: bool) -> None:
        self._is_stopped = value
        if value and self._reader is not None:
            self._reader.interrupt()

    @property
    def consumer(self) -> Any:
        """The client of a source that runs, else None; its own thread uses it."""
        return None if self._reader is None else self._reader.consumer

    def _close_consumer(self) -> None:
        """Stop: the old name."""
        self.stop()

    def position(self) -> dict[str, dict[int, int]]:
        """Return the offset behind the last message that was emitted, by topic and partition."""
        position = self._offsets.position()
        for (topic, partition), offset in self._begin_at.items():
            position.setdefault(topic, {})[partition] = offset
        return position

    def seek(self, position: Any) -> None:
        """Begin at these offsets at the next `start`, in place of the committed ones.

        Raises RuntimeError while the source runs.  If the messages there were deleted, the source
        fails.
        """
        if not self.stopped:
            raise RuntimeError(f"{self}: seek needs a source that does not run: call stop() first")
        self._begin_at = read_position(self._operator, position)
        self._offsets = Offsets()

    def start(self) -> None:
        """Start, see `Source.start`.

        A source that begins at the end of its topics first looks for these ends, so that it
        gets what is produced after the call: it waits for the answer, for 0.1 s at most on a loop
        and 0.3 s in other threads.
        """
        if self.stopped and not self._closed and self._begins_at_end():
            longest = 0.3 if loops.running_loop() is None else 0.1
            self._ends = find_ends(self._operator, self.consumer_params, self._topics, longest)
        super().start()

    def _begins_at_end(self) -> bool:
        reset = self.consumer_params.get("auto.offset.reset", "latest")
        return reset in ENDS and not self._begin_at and not self._offsets.position()

    async def run(self) -> None:
        self._offsets.begin_run(fresh=self._fresh or self._lost)
        self._fresh, self._lost = True, False
        loop = asyncio.get_running_loop()
        self._reader = reader = ConsumerThread(
            self._plan(), self._offsets, loop, self._connection_changed, self._kind
        )
        reader.begin()
        try:
            while self._may_emit() and (batch := await reader.next()) is not None:
                await self._emit_batch(batch)
            self._fresh = False
        except asyncio.CancelledError:
            self._fresh = False
            raise
        except Exception as error:
            self._fresh = not self._is_transient(error)
            raise
        finally:
            await _to_the_end(self._finish(reader))

    def _plan(self) -> ReadPlan:
        return ReadPlan(
            self._operator,
            self.consumer_params,
            self._topics,
            self._limit,
            self.poll_interval,
            patient=self._restart is not None and self._restart.times is None,
            begin_at=self._begin_at,
            ends=self._ends,
        )

    async def _emit_batch(self, batch: ReadBatch) -> None:
        raise NotImplementedError

    async def _finish(self, reader: ConsumerThread) -> None:
        """Wait a little for the elements in flight, commit their offsets, close the consumer."""
        end, run = time.monotonic() + _LINGER, current_run.get()
        try:
            while (
                self._offsets.pending
                and not (self._lost or self._fresh or reader.down)
                and self._source_run in (None, run)
                and time.monotonic() < end
            ):
                await asyncio.sleep(0.01)
        finally:
            await reader.close()
            if self._reader is reader:
                self._reader = None

    def _connection_changed(self, error: Exception | None) -> None:
        """Note that the connection is lost, or stands; the reader calls this on the loop."""
        run = self._source_run
        if run is None or run.retired or self._reader is None:
            return
        self.exception = error
        if error is None:
            run.connected = True

    def _is_transient(self, error: Exception) -> bool:
        return super()._is_transient(error) or is_passing(error)

    def _element_failed(self, error: BaseException) -> None:
        self._lost = True


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do *work* in spite of cancellation: it frees what the source has acquired."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    if not task.cancelled():
        task.result()
