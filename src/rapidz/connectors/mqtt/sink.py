"""Sink for MQTT topics."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from rapidz.connectors.checks import check_target
from rapidz.connectors.codecs import read_codec
from rapidz.connectors.mqtt.client import MqttClient
from rapidz.connectors.mqtt.options import MqttOptions, MqttRejectedError, check_qos
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sinks.writer import Writer
from rapidz.sinks.writer_sink import WriterSink
from rapidz.sources.restart import Restart

T = TypeVar("T")


class MqttWriter(Writer[Any]):
    """Writer to MQTT topics; a write returns when the broker has confirmed it, as *qos* says."""

    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        options: MqttOptions,
        topic: str | Callable[[Any], str],
        qos: int,
        retain: bool,
        codec: Any,
        timeout: Interval,
    ) -> None:
        name = "to_mqtt"
        check_target(name, "topic", topic)
        check_qos(name, qos)
        self.options, self.topic, self.qos, self.retain = options, topic, qos, retain
        self.timeout = read_interval(name, timeout, argument="timeout")
        self._encode = None if codec is None else read_codec(name, codec).encode
        self._client: MqttClient | None = None

    async def open(self) -> None:
        """Connect."""
        client = MqttClient(self.options)
        await client.connect()
        self._client = client

    def encode(self, x: Any) -> tuple[str, Any]:
        """Return topic and payload."""
        topic = self.topic(x) if callable(self.topic) else self.topic
        if self._encode is not None:
            return topic, self._encode(x)
        if x is not None and not isinstance(x, (bytes, bytearray, str, int, float)):
            kinds = "bytes, str, int, float or None, unless codec is given"
            raise TypeError(f"to_mqtt: elements must be {kinds}, got {short_repr(x)}")
        return topic, x

    def size(self, payload: tuple[str, Any]) -> int:
        """Return about the bytes of the payload."""
        data = payload[1]
        return len(data) if isinstance(data, (bytes, bytearray, str)) else 8

    async def write_many(self, payloads: Sequence[tuple[str, Any]]) -> None:
        """Publish messages, and wait until the broker has confirmed all."""
        client = self._client
        assert client is not None
        publish, qos, retain = client.publish, self.qos, self.retain
        answers = [publish(topic, data, qos, retain) for topic, data in payloads]
        _, late = await asyncio.wait(answers, timeout=self.timeout)
        if late:
            raise TimeoutError(f"{len(late)} messages were not confirmed in {self.timeout:g} s")
        for answer in answers:
            for code in answer.result():
                if code.is_failure:
                    raise MqttRejectedError(f"message refused by the broker: {code}")

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            await client.disconnect()


@Stream.register_api()
class to_mqtt(WriterSink[T]):
    """Publish every element to an MQTT topic.

    An element, or its batch, is done when the broker has confirmed it (``qos=1``), or when it is
    sent (``qos=0``, the default).  After a lost connection what was not confirmed is published
    again: **at least once** with ``qos=1``.

    Parameters
    ----------
    upstream : Stream
        Bytes, strings, numbers or None; elements of any kind with *codec*.
    host : str
        Name or address of the broker.
    port : int
        Its port; often 1883, or 8883 for TLS.
    topic : str or callable
        The topic, or a function that returns it for an element.
    keepalive : int
        Seconds after which a silent connection is checked, at least 0; 0: never.
    client_kwargs : mapping, optional
        Keyword arguments of ``paho.mqtt.client.Client.connect``.
    user, pw : str, optional
        User and password.
    qos : int
        Quality of service, 0, 1 or 2.
    retain : bool
        Whether the broker keeps the last message for new subscribers.
    client_id : str, optional
        Identifier of the client; by default, the broker gives it one.
    tls : bool or ssl.SSLContext
        Whether to use TLS, and how; True verifies the broker's certificate.
    protocol : str
        Version of MQTT, ``"3.1.1"`` or ``"5"``.
    configure : callable, optional
        Called with each new ``paho.mqtt.client.Client`` before it connects.
    codec : str or Codec or pair of functions, optional
        Encodes an element.
    timeout : float or str
        Longest time that the broker may take to confirm a batch.
    **kwargs
        Options of every `WriterSink`: batch, max_bytes, max_wait, restart.

    >>> node = stream.to_mqtt("broker", 1883, "alerts", qos=1)  # doctest: +SKIP
    """

    def __init__(
        self,
        upstream: Stream[T],
        host: str,
        port: int,
        topic: str | Callable[[T], str],
        keepalive: int = 60,
        client_kwargs: Mapping[str, Any] | None = None,
        user: str | None = None,
        pw: str | None = None,
        *,
        qos: int = 0,
        retain: bool = False,
        client_id: str | None = None,
        tls: bool | ssl.SSLContext = False,
        protocol: str = "3.1.1",
        configure: Callable[[Any], object] | None = None,
        codec: Any = None,
        timeout: Interval = 10.0,
        **kwargs: Any,
    ) -> None:
        login = (client_kwargs, user, pw, client_id, tls, protocol, configure)
        options = MqttOptions("to_mqtt", host, port, keepalive, *login)
        writer = MqttWriter(options, topic, qos, retain, codec, timeout)
        super().__init__(upstream, writer, **kwargs)
