"""Source over a JetStream stream, by a durable pull consumer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from rapidz.connectors.ack_queue import AckQueue
from rapidz.connectors.cleanup import finish
from rapidz.connectors.codecs import read_codec
from rapidz.connectors.extras import require
from rapidz.connectors.nats.connection import LOCAL, NatsConnection
from rapidz.connectors.nats.pull import Puller
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart

#: Seconds that the server may take at the end to receive acknowledgements.
_FLUSH = 2
#: Parts of the subject for an acknowledgement, without a domain.
_TOKENS = 9
_DONE, _FAILED, _WORKING = b"+ACK", b"-NAK", b"+WPI"


_Identity = tuple[str, str]


@Stream.register_api(staticmethod)
class from_jetstream(Source[Any]):
    """Emit the messages of a JetStream stream, by a durable pull consumer.

    A message is acknowledged when everything that derives from it is done: **at least once**.
    While it is in the pipeline, the source reports that it is in progress, so that JetStream does
    not deliver it again.  A message whose failure no policy handles is refused (``nak``), and
    delivered again.

    Reads at most two batches ahead, when downstream has capacity.  Reconnects with back-off.
    Never ends.  A message that cannot be decoded goes to the policy of the source with its raw
    bytes.

    Parameters
    ----------
    stream : str
        Name of the stream, which must exist.
    durable : str
        Name of the consumer, which is created if need be; sources with the same name share the
        stream.
    servers : str or sequence of str
        Addresses, such as ``"nats://user:password@host:4222"``; ``tls://`` for TLS.
    subject : str, optional
        Only messages of this subject, for a new consumer; may contain wildcards.
    since : str or int
        Where a new consumer begins: ``"all"``, ``"new"``, ``"last"``, or a sequence number.
    batch : int
        Messages that are requested together, at least 1.
    ack_wait : float or str
        Time after which JetStream delivers a message again, for a new consumer: that of a source
        that died.
    max_ack_pending : int
        Messages that may be in the pipelines of all sources with this name, for a new consumer.  A
        pipeline that needs more of them at once, such as a larger ``partition``, stalls.
    codec : str or Codec or pair of functions, optional
        Decodes the payload.  By default, the source emits the message of `nats-py`, with
        ``subject``, ``data``, ``headers`` and ``metadata``.
    type : type, optional
        Dataclass or msgspec Struct that the codec decodes to.
    client_kwargs : mapping, optional
        Keyword arguments of `nats.connect`.
    **kwargs
        Options of every `Source`.

    >>> source = Stream.from_jetstream("ORDERS", "billing", codec="json")  # doctest: +SKIP
    """

    infinite: ClassVar[bool | None] = True
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        stream: str,
        durable: str,
        servers: str | Sequence[str] = LOCAL,
        *,
        subject: str | None = None,
        since: str | int = "all",
        batch: int = 100,
        ack_wait: Interval = 30.0,
        max_ack_pending: int = 1000,
        codec: Any = None,
        type: Any = None,
        client_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = "from_jetstream"
        check_count(name, "batch", batch)
        check_count(name, "max_ack_pending", max_ack_pending)
        if since not in ("all", "new", "last") and not _is_sequence(since):
            rule = "'all', 'new', 'last' or a sequence number from 1 on"
            raise ValueError(f"{name}: since must be {rule}, got {short_repr(since)}")
        self.connection = NatsConnection(name, servers, client_kwargs)
        self.stream, self.durable, self.subject = stream, durable, subject
        self.since, self.batch, self.max_ack_pending = since, batch, max_ack_pending
        self.ack_wait = read_interval(name, ack_wait, argument="ack_wait")
        self._api = require(name, "nats.js.api", extra="nats", package="nats-py")
        self._codec = None if codec is None else read_codec(name, codec, type)
        self._client: Any = None
        self._in_flight: dict[_Identity, str] = {}
        """Each message that is not acknowledged, and the subject to do that."""
        self._refused: list[_Identity] = []
        """Messages that failed, or were not emitted: to be delivered again after this run."""
        self._is_pulling = False
        self._puller: Puller | None = None
        self._acks: AckQueue[tuple[_Identity, bytes]] = AckQueue(
            self, self._acknowledge, on_failure=self._reconnect
        )
        super().__init__(**kwargs)

    def _is_transient(self, error: Exception) -> bool:
        return self.connection.is_transient(error)

    async def run(self) -> None:
        """Emit messages until the source is stopped."""
        changed = asyncio.Event()
        async with self.connection.connected(self._on_client_error, changed.set) as client:
            ack_wait = await self._find_consumer(client.jetstream())
            puller = Puller(client, self.stream, self.durable, self.batch, self._register, changed)
            await puller.begin()
            self._client, self._puller, self._is_pulling = client, puller, True
            alive = asyncio.create_task(self._keep_alive(client, ack_wait / 3))
            try:
                await self._acks.flush()
                self.connected()
                await self._pull(client, puller)
            finally:
                alive.cancel()
                await finish(self._settle(client, puller, alive))

    async def _settle(self, client: Any, puller: Puller, alive: asyncio.Task[None]) -> None:
        """Let the server deliver again what was not emitted, and send acknowledgements."""
        self._puller = None
        await asyncio.gather(alive, return_exceptions=True)
        # What is refused before `end` would be delivered to this run again.
        self._refused += [_identity(message.reply) for message in await puller.end()]
        self._refuse_all()
        await self._acks.wait_idle()
        self._client = None
        if not client.is_closed:
            with contextlib.suppress(Exception):
                await client.flush(_FLUSH)  # the server has the acknowledgements

    async def _find_consumer(self, manager: Any) -> float:
        """Find the consumer, or create it; return its time-out in seconds."""
        try:
            found = await manager.consumer_info(self.stream, self.durable)
        except self.connection.js_errors.NotFoundError as error:
            if "stream" in (error.description or ""):
                raise LookupError(
                    f"{self}: JetStream has no stream {short_repr(self.stream)}"
                ) from error
            found = await manager.add_consumer(self.stream, self._consumer_config())
        return float(found.config.ack_wait or 30.0)

    def _consumer_config(self) -> Any:
        api, since = self._api, self.since
        policy = api.DeliverPolicy
        begins = {"all": policy.ALL, "new": policy.NEW, "last": policy.LAST}
        return api.ConsumerConfig(
            durable_name=self.durable,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait,
            max_ack_pending=self.max_ack_pending,
            filter_subject=self.subject,
            deliver_policy=begins.get(str(since), policy.BY_START_SEQUENCE),
            opt_start_seq=since if isinstance(since, int) else None,
        )

    async def _pull(self, client: Any, puller: Puller) -> None:
        while self._may_emit():
            fresh = deque(await puller.next())
            try:
                while fresh:
                    await self._emit_message(fresh.popleft())
            except BaseException:
                self._refused += [_identity(message.reply) for message in fresh]
                raise
            if client.is_closed:
                raise self.connection.lost(client)

    def _register(self, message: Any) -> bool:
        """Return whether a message is not in the pipeline yet."""
        identity = _identity(message.reply)
        repeated = identity in self._in_flight
        self._in_flight[identity] = message.reply
        return not repeated

    async def _emit_message(self, message: Any) -> None:
        identity = _identity(message.reply)
        done, failed = partial(self._acks.add, (identity, _DONE)), partial(self._refuse, identity)
        try:
            if self._codec is not None:
                await self.emit_decoded(message.data, self._codec.decode, done, failed)
            elif (wait := self.emit_tracked(message, done, failed)) is not None:
                await wait
        except BaseException as error:
            failed(error)
            raise

    def _refuse(self, identity: _Identity, error: BaseException) -> None:
        """Let the server deliver a message again that failed; the failure ends the run."""
        if identity not in self._refused:
            self._refused.append(identity)
        if not self._is_pulling:
            self._refuse_all()

    def _refuse_all(self) -> None:
        self._is_pulling = False
        refused, self._refused = self._refused, []
        for identity in refused:
            self._acks.add((identity, _FAILED))

    async def _on_client_error(self, error: Exception) -> None:
        """Fail the source if the server refuses acknowledgements, which are published."""
        refusal = str(error).lower()
        if self._puller is not None and "permissions violation for publish" in refusal:
            self._puller.fail(error)

    def _reconnect(self, error: Exception) -> None:
        """End the run, so that another one sends the acknowledgements."""
        if self._puller is not None:
            self._puller.fail(error)

    async def _acknowledge(self, answers: Sequence[tuple[_Identity, bytes]]) -> None:
        if (client := self._client) is not None:
            await self._answer(client, answers)
        else:  # done after `stop`: any connection may acknowledge
            async with self.connection.connected() as late:
                await self._answer(late, answers)
                await late.flush()

    async def _answer(self, client: Any, answers: Sequence[tuple[_Identity, bytes]]) -> None:
        for identity, answer in answers:
            if (reply := self._in_flight.get(identity)) is not None:
                await client.publish(reply, answer)
        for identity, _ in answers:
            self._in_flight.pop(identity, None)

    async def _keep_alive(self, client: Any, interval: float) -> None:
        """Tell the server at every interval that messages are in progress."""
        while True:
            await asyncio.sleep(interval)
            for reply in list(self._in_flight.values()):
                await client.publish(reply, _WORKING)


def _identity(reply: str) -> _Identity:
    """Return the sequence number and the time of a message, by its subject for acknowledgements.

    >>> _identity("$JS.ACK.ORDERS.billing.1.17.3.1700000000000000000.0")
    ('17', '1700000000000000000')
    """
    tokens = reply.split(".")
    at = 5 if len(tokens) == _TOKENS else 7  # with a domain
    return tokens[at], tokens[at + 2]


def _is_sequence(x: object) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and x > 0
