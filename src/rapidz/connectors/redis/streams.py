"""Source over a Redis stream, with a consumer group or without."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, NoReturn

from rapidz.connectors.ack_queue import AckQueue
from rapidz.connectors.cleanup import finish
from rapidz.connectors.codecs import read_codec
from rapidz.connectors.read_ahead import ReadAhead
from rapidz.connectors.redis.connection import Connection, as_text
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart


class RedisEntry(NamedTuple):
    """Entry of a Redis stream."""

    id: str
    """Identifier, such as ``"1700000000000-0"``."""
    fields: Mapping[bytes, bytes]
    """Names and values, as Redis keeps them."""


@Stream.register_api(staticmethod)
class from_redis_stream(Source[Any]):
    """Emit the entries of a Redis stream.

    With a consumer group, an entry is acknowledged (``XACK``) when everything that derives
    from it is done: **at least once**.  A consumer first emits what it was delivered before
    and has not acknowledged, then new entries; the consumers of a group share the stream.
    Without a group, every source emits all entries; it can `seek`.

    Reads at most two batches ahead, when downstream has capacity.  Reconnects with
    back-off.  Never ends.  An entry that cannot be decoded goes to the policy of the source
    with its raw bytes.

    Parameters
    ----------
    url : str
        ``redis://user:password@host:6379/0``; ``rediss://`` for TLS.
    stream : str
        Key of the stream.
    group, consumer : str, optional
        Name of the consumer group, which is created if need be, and of this consumer in it:
        unique in the group, and the same at every start.
    since : str
        Where a new group, or a source without one, begins: an identifier, ``"0"`` for the first
        entry, ``"$"`` for entries added from now on.
    batch : int
        Entries that are read together, at least 1.
    claim : float or str, optional
        Take over entries that another consumer of the group has not acknowledged for so long;
        longer than an element may take.  By default, none.
    codec : str or Codec or pair of functions, optional
        Decodes the value of *field*.  By default, the source emits `RedisEntry`.
    type : type, optional
        Dataclass or msgspec Struct that the codec decodes to.
    field : str
        Name of the field for *codec*.
    client_kwargs : mapping, optional
        Keyword arguments of `redis.asyncio.Redis.from_url`.
    **kwargs
        Options of every `Source`.

    >>> source = Stream.from_redis_stream("redis://host", "orders", "billing", "billing-1")
    ... # doctest: +SKIP
    """

    infinite: ClassVar[bool | None] = True
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        url: str,
        stream: str,
        group: str | None = None,
        consumer: str | None = None,
        *,
        since: str = "0",
        batch: int = 100,
        claim: Interval | None = None,
        codec: Any = None,
        type: Any = None,
        field: str = "data",
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = "from_redis_stream"
        if (group is None) != (consumer is None):
            both = f"group={short_repr(group)}, consumer={short_repr(consumer)}"
            raise ValueError(f"{name}: group and consumer must be given together, got {both}")
        if claim is not None and group is None:
            raise ValueError(f"{name}: claim needs a group, got claim={short_repr(claim)}")
        check_count(name, "batch", batch)
        self.connection = Connection(name, url, client_kwargs)
        self.key, self.group, self.consumer = stream, group, consumer
        self.since, self.batch, self.field = since, batch, field.encode()
        self.claim = None if claim is None else read_interval(name, claim, argument="claim")
        self._codec = None if codec is None else read_codec(name, codec, type)
        self._client: Any = None
        self._position: str | None = None
        self._in_flight: set[str] = set()
        """Entries that are not acknowledged, and must not be emitted again by this object."""
        self._acks: AckQueue[str] = AckQueue(self, self._acknowledge)
        super().__init__(**kwargs)

    @property
    def seekable(self) -> bool:  # type: ignore[override]
        """Whether `position` and `seek` work: without a group."""
        return self.group is None

    def position(self) -> str | None:
        """Return the identifier of the last entry that was pushed; None before the first."""
        return self._position if self.group is None else self._refuse_positions()

    def seek(self, position: str | None) -> None:
        """Resume after the entry with this identifier at the next `start`."""
        if self.group is not None:
            self._refuse_positions()
        self._position = position

    def _refuse_positions(self) -> NoReturn:
        super().position()
        raise AssertionError

    def _is_transient(self, error: Exception) -> bool:
        return self.connection.is_transient(error)

    async def run(self) -> None:
        """Emit entries until the source is stopped."""
        async with self.connection.connected() as client:
            if self.group is None:
                await self._run_alone(client)
                return
            await self._create_group(client)
            self._client = client
            try:
                await self._acks.flush()
                self.connected()
                await self._run_in_group(client)
            finally:
                await finish(self._acks.wait_idle())
                self._client = None

    # --- without a group -------------------------------------------------------------------

    async def _run_alone(self, client: Any) -> None:
        if self._position is None:
            self._position = await self._first_position(client)
        self.connected()
        block = int(1000 * self.connection.block)
        while self._may_emit():
            answer = await client.xread({self.key: self._position}, self.batch, block)
            for entry in _entries(answer):
                self._position = entry.id
                await self._emit_entry(entry)

    async def _first_position(self, client: Any) -> str:
        if self.since != "$":
            return self.since
        last = await client.xrevrange(self.key, count=1)
        return as_text(last[0][0]) if last else "0"

    # --- in a group ------------------------------------------------------------------------

    async def _create_group(self, client: Any) -> None:
        try:
            await client.xgroup_create(self.key, self.group, id=self.since, mkstream=True)
        except self.connection.response_error as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _run_in_group(self, client: Any) -> None:
        after = "0"
        while entries := await self._read(client, after):  # delivered before, not acknowledged
            after = entries[-1].id
            await self._emit_entries(entries)
        loop = asyncio.get_running_loop()
        next_claim = loop.time()
        block = min(self.connection.block, self.claim or self.connection.block)
        read = partial(self._read, client, ">", block)
        async with ReadAhead(read) as ahead:
            while self._may_emit():
                if self.claim is not None and loop.time() >= next_claim:
                    next_claim = loop.time() + self.claim
                    await self._claim(client, int(1000 * self.claim))
                await self._emit_entries(await ahead.next())

    async def _read(self, client: Any, after: str, block: float | None = None) -> list[RedisEntry]:
        wait = None if block is None else int(1000 * block)
        answer = await client.xreadgroup(
            self.group, self.consumer, {self.key: after}, self.batch, wait
        )
        return _entries(answer)

    async def _claim(self, client: Any, idle: int) -> None:
        """Emit the entries that other consumers have left."""
        begin: Any = "0-0"
        while self._may_emit():
            answer = await client.xautoclaim(
                self.key, self.group, self.consumer, idle, begin, count=self.batch
            )
            begin, entries = answer[0], answer[1]
            found = [RedisEntry(as_text(id), fields) for id, fields in entries if id is not None]
            await self._emit_entries(found)
            if as_text(begin) == "0-0":
                return

    async def _emit_entries(self, entries: Sequence[RedisEntry]) -> None:
        self._acks.raise_failure()
        for entry in entries:
            if entry.id in self._in_flight:
                continue
            self._in_flight.add(entry.id)
            if not entry.fields:  # deleted from the stream
                self._acks.add(entry.id)
                continue
            forget = partial(self._forget, entry.id)
            try:
                await self._emit_entry(entry, partial(self._acks.add, entry.id), forget)
            except BaseException as error:
                forget(error)
                raise

    async def _emit_entry(self, entry: RedisEntry, done: Any = None, failed: Any = None) -> None:
        if self._codec is None:
            if done is None:
                await self.emit(entry, asynchronous=True)
            elif (wait := self.emit_tracked(entry, done, failed)) is not None:
                await wait
        else:
            raw = entry.fields.get(self.field, entry.fields)
            await self.emit_decoded(raw, self._decode, done, failed)

    def _decode(self, raw: Any) -> Any:
        if isinstance(raw, Mapping):
            raise KeyError(f"the entry has no field {short_repr(self.field.decode())}")
        assert self._codec is not None
        return self._codec.decode(raw)

    def _forget(self, id: str, error: BaseException) -> None:
        """Emit the entry again at the next start: it failed."""
        self._in_flight.discard(id)

    async def _acknowledge(self, ids: Sequence[str]) -> None:
        if (client := self._client) is not None:
            await client.xack(self.key, self.group, *ids)
        else:  # done after `stop`: any connection may acknowledge
            async with self.connection.connected() as late:
                await late.xack(self.key, self.group, *ids)
        self._in_flight.difference_update(ids)


def _entries(answer: Any) -> list[RedisEntry]:
    """Return the entries of one stream in the answer to a read."""
    if not answer:
        return []
    entries = next(iter(answer.values())) if isinstance(answer, dict) else answer[0][1]
    if entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], tuple):
        entries = entries[0]  # as RESP3 nests them
    return [RedisEntry(as_text(id), fields) for id, fields in entries]
