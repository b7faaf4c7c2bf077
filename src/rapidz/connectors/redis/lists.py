"""Source over a Redis list, as a reliable queue."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from rapidz.connectors.ack_queue import AckQueue
from rapidz.connectors.cleanup import finish
from rapidz.connectors.codecs import read_codec
from rapidz.connectors.read_ahead import ReadAhead
from rapidz.connectors.redis.connection import Connection
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart

#: Scripts that run in the server: one command for many items.
_MOVE = """
local items = {}
for i = 1, tonumber(ARGV[1]) do
    local item = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
    if not item then break end
    items[i] = item
end
return items
"""
_REMOVE = """
for _, item in ipairs(ARGV) do redis.call('LREM', KEYS[1], 1, item) end
"""
#: Items that one command removes at most.
_MOST = 1000


@Stream.register_api(staticmethod)
class from_redis_list(Source[Any]):
    """Emit the items of a Redis list, from its left end.

    Moves items to a second list (``LMOVE``), and removes each from there when everything that
    derives from it is done: **at least once**.  At its start it first emits what the second
    list still has.

    Moves at most two batches ahead, when downstream has capacity.  Reconnects with back-off.
    Never ends.  An item that cannot be decoded goes to the policy of the source with its raw
    bytes.

    Parameters
    ----------
    url : str
        ``redis://user:password@host:6379/0``; ``rediss://`` for TLS.
    key : str
        Key of the list; `to_redis_list` appends to it.
    processing : str, optional
        Key of the second list, by default ``key + ":processing"``.  Each source needs one of
        its own, and the same at every start.
    batch : int
        Items that are moved together, at least 1.
    codec : str or Codec or pair of functions
        Decodes the items; by default the source emits bytes.
    type : type, optional
        Dataclass or msgspec Struct that the codec decodes to.
    client_kwargs : mapping, optional
        Keyword arguments of `redis.asyncio.Redis.from_url`.
    **kwargs
        Options of every `Source`.

    >>> source = Stream.from_redis_list("redis://host", "jobs", codec="json")  # doctest: +SKIP
    """

    infinite: ClassVar[bool | None] = True
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        url: str,
        key: str,
        processing: str | None = None,
        *,
        batch: int = 100,
        codec: Any = "raw",
        type: Any = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = "from_redis_list"
        check_count(name, "batch", batch)
        self.connection = Connection(name, url, client_kwargs)
        self.key, self.processing = key, processing or f"{key}:processing"
        if self.processing == key:
            raise ValueError(f"{name}: processing must be another list than key, got {key!r}")
        self.batch = batch
        self._decode = read_codec(name, codec, type).decode
        self._client: Any = None
        self._numbers = itertools.count()
        self._in_flight: dict[int, bytes] = {}
        """Items of the second list that must not be emitted again by this object."""
        # An acknowledgement removes one of several equal items, so it is not executed twice.
        self._acks: AckQueue[int] = AckQueue(self, self._acknowledge, keep=self._was_refused)
        super().__init__(**kwargs)

    def _is_transient(self, error: Exception) -> bool:
        return self.connection.is_transient(error)

    async def run(self) -> None:
        """Emit items until the source is stopped."""
        async with self.connection.connected() as client:
            self._client = client
            try:
                await self._acks.flush()
                self.connected()
                await self._emit_items(await self._left_over(client))
                async with ReadAhead(partial(self._take, client)) as ahead:
                    while self._may_emit():
                        await self._emit_items(await ahead.next())
            finally:
                await finish(self._acks.wait_idle())
                self._client = None

    async def _left_over(self, client: Any) -> list[bytes]:
        """Return what the second list has, without what this object still works on."""
        known, left = Counter(self._in_flight.values()), []
        for item in await client.lrange(self.processing, 0, -1):
            if known[item] > 0:
                known[item] -= 1
            else:
                left.append(item)
        return left

    async def _take(self, client: Any) -> list[bytes]:
        keys = [self.key, self.processing]
        items: list[bytes] = await client.register_script(_MOVE)(keys, [self.batch])
        if items:
            return items
        block = self.connection.block
        item = await client.blmove(self.key, self.processing, block, "LEFT", "RIGHT")
        return [] if item is None else [item]

    async def _emit_items(self, items: Sequence[bytes]) -> None:
        self._acks.raise_failure()
        for item in items:
            number = next(self._numbers)
            self._in_flight[number] = item
            forget = partial(self._forget, number)
            try:
                await self.emit_decoded(item, self._decode, partial(self._acks.add, number), forget)
            except BaseException as error:
                forget(error)
                raise

    def _forget(self, number: int, error: BaseException) -> None:
        """Emit the item again at the next start: it failed."""
        self._in_flight.pop(number, None)

    def _was_refused(self, error: BaseException) -> bool:
        """Return whether the server has refused a command, and not executed it."""
        return isinstance(error, self.connection.response_error)

    async def _acknowledge(self, numbers: Sequence[int]) -> None:
        try:
            if (client := self._client) is not None:
                await self._remove(client, numbers)
            else:  # done after `stop`
                async with self.connection.connected() as late:
                    await self._remove(late, numbers)
        except BaseException as error:
            if not self._was_refused(error):
                self._settle(numbers)
            raise

    async def _remove(self, client: Any, numbers: Sequence[int]) -> None:
        known = [number for number in numbers if number in self._in_flight]
        for begin in range(0, len(known), _MOST):
            part = known[begin : begin + _MOST]
            items = [self._in_flight[number] for number in part]
            await client.register_script(_REMOVE)([self.processing], items)
            self._settle(part)

    def _settle(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._in_flight.pop(number, None)
