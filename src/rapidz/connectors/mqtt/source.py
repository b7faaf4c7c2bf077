"""Source over MQTT topics."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from rapidz.connectors.cleanup import finish
from rapidz.connectors.codecs import read_codec
from rapidz.connectors.mqtt.client import MqttClient, check_subscription
from rapidz.connectors.mqtt.options import MqttOptions, check_qos
from rapidz.connectors.mqtt.unacknowledged import Unacknowledged
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import Source
from rapidz.sources.restart import Restart


@Stream.register_api(staticmethod)
class from_mqtt(Source[Any]):
    """Emit the messages of MQTT topics.

    With ``qos=1`` and a *client_id*, a message is acknowledged when everything that derives from it
    is done, and the broker keeps what is not acknowledged: **at least once**.  Without a
    *client_id*, the broker forgets the client, and messages, when the connection ends.  With
    ``qos=0``, **at most once**: what is published while the source is not connected is lost.

    Reads at most *buffer* messages ahead, when downstream has capacity; the rest waits in the
    broker.  Reconnects with back-off.  Never ends.  A message that cannot be decoded goes to the
    policy of the source with its raw bytes.

    Parameters
    ----------
    host : str
        Name or address of the broker.
    port : int
        Its port; often 1883, or 8883 for TLS.
    topic : str or sequence of str
        Topics; may contain the wildcards ``+`` and ``#``.
    keepalive : int
        Seconds after which a silent connection is checked, at least 0; 0: never.
    client_kwargs : mapping, optional
        Keyword arguments of ``paho.mqtt.client.Client.connect``.
    user, pw : str, optional
        User and password.
    qos : int
        Quality of service, 0, 1 or 2.  2 is acknowledged by the client library itself when a
        message arrives, so a message in the pipeline is lost with the process.
    client_id : str, optional
        Identifier of a persistent session: unique for the broker, and the same at every start.
    tls : bool or ssl.SSLContext
        Whether to use TLS, and how; True verifies the broker's certificate.
    protocol : str
        Version of MQTT, ``"3.1.1"`` or ``"5"``.
    configure : callable, optional
        Called with each new ``paho.mqtt.client.Client`` before it connects, for options that are
        methods: a will, a proxy, the path of a websocket.
    buffer : int
        Messages that are read ahead, at least 1.
    stop_wait : float or str
        Longest time for which `stop` keeps the connection, so that elements in the pipeline can
        still be acknowledged.
    codec : str or Codec or pair of functions, optional
        Decodes the payload.  By default, the source emits the message of paho, with ``topic``,
        ``payload``, ``qos``, ``retain`` and ``timestamp``.
    type : type, optional
        Dataclass or msgspec Struct that the codec decodes to.
    **kwargs
        Options of every `Source`.

    >>> source = Stream.from_mqtt("broker", 1883, "sensors/#")  # doctest: +SKIP
    """

    infinite: ClassVar[bool | None] = True
    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        host: str,
        port: int,
        topic: str | Sequence[str],
        keepalive: int = 60,
        client_kwargs: Mapping[str, Any] | None = None,
        user: str | None = None,
        pw: str | None = None,
        *,
        qos: int = 0,
        client_id: str | None = None,
        tls: bool | ssl.SSLContext = False,
        protocol: str = "3.1.1",
        configure: Callable[[Any], object] | None = None,
        buffer: int = 100,
        stop_wait: Interval = 5.0,
        codec: Any = None,
        type: Any = None,
        **kwargs: Any,
    ) -> None:
        name = "from_mqtt"
        check_qos(name, qos)
        check_count(name, "buffer", buffer)
        self.topics: tuple[Any, ...] = (topic,) if isinstance(topic, str) else tuple(topic)
        if not self.topics or not all(isinstance(each, str) and each for each in self.topics):
            raise ValueError(f"{name}: topic must name a topic, got {short_repr(topic)}")
        self.broker = MqttOptions(
            name,
            host,
            port,
            keepalive,
            client_kwargs,
            user,
            pw,
            client_id,
            tls,
            protocol,
            configure,
        )
        self.qos, self.read_ahead = qos, buffer
        self.stop_wait = read_interval(name, stop_wait, argument="stop_wait")
        self._codec = None if codec is None else read_codec(name, codec, type)
        self._open = Unacknowledged()
        super().__init__(**kwargs)

    async def run(self) -> None:
        """Emit messages until the source is stopped."""
        arrived: deque[Any] = deque()
        wake = asyncio.Event()

        def take(message: Any) -> None:
            arrived.append(message)
            wake.set()
            if len(arrived) >= self.read_ahead:
                client.pause()

        client = MqttClient(self.broker, take, manual_ack=True)
        client.on_lost = wake.set
        try:
            if not await client.connect():
                self._open.forget()
            self._open.begin(client.acknowledge)
            await self._emit_messages(client, arrived, wake)
        finally:
            client.pause()
            await finish(self._settle(client))

    async def _emit_messages(
        self, client: MqttClient, arrived: deque[Any], wake: asyncio.Event
    ) -> None:
        # The broker may send what it has kept for the session before it answers.
        subscription = client.subscribe(self.topics, self.qos)
        subscription.add_done_callback(lambda _: wake.set())
        is_subscribed = False
        while self._may_emit():
            while arrived:
                await self._emit_message(arrived.popleft())
                if len(arrived) <= self.read_ahead // 2:
                    client.resume()
            if client.failure is not None:
                raise client.failure
            if not is_subscribed and subscription.done():
                check_subscription(self.topics, subscription.result())
                is_subscribed = True
                self.connected()
            wake.clear()
            if not arrived:
                await wake.wait()

    async def _emit_message(self, message: Any) -> None:
        if message.qos == 0:
            if self._codec is not None:
                await self.emit_decoded(message.payload, self._codec.decode)
            elif (wait := self.emit(message, asynchronous=True)) is not None:
                await wait
            return
        if (entry := self._open.add(message)) is None:
            return  # delivered again, and already in the pipeline
        done, failed = partial(self._open.settle, entry), partial(self._open.refuse, entry)
        try:
            if self._codec is not None:
                await self.emit_decoded(message.payload, self._codec.decode, done, failed)
            elif (wait := self.emit_tracked(message, done, failed)) is not None:
                await wait
        except BaseException as error:
            failed(error)
            raise

    async def _settle(self, client: MqttClient) -> None:
        """Wait for some time until elements in the pipeline are acknowledged, and disconnect."""
        try:
            if client.failure is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.stop_wait):
                        await self._open.wait_settled()
        finally:
            self._open.end()
            await client.disconnect()
