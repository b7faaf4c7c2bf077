"""Broker of one client at a time that shows each packet: for tests of MQTT at packet level."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType

from tests.connectors.helpers import wait_until

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 12, 13, 14


@dataclass
class Connect:
    """What a client says when it connects."""

    client_id: bytes
    clean: bool
    session_expiry: int | None = None
    user: bytes | None = None
    password: bytes | None = None


@dataclass
class Reader:
    """Cursor over the bytes of a packet."""

    data: bytes
    at: int = field(default=0)

    def take(self, n: int) -> bytes:
        part = self.data[self.at : self.at + n]
        self.at += n
        return part

    def number(self, n: int = 2) -> int:
        return int.from_bytes(self.take(n))

    def text(self) -> bytes:
        return self.take(self.number())


class FakeBroker:
    """Broker that sends what a test tells it, and records what a client publishes and confirms."""

    def __init__(self, *, connack: int = 0, suback: int = 1, version: int = 4) -> None:
        self.connects: list[Connect] = []
        self.acknowledged: list[int] = []
        self.published: dict[int, bytes] = {}
        self.pings = self.disconnects = 0
        self._received: list[int] = []
        self._connack, self._suback, self._version = connack, suback, version
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self._client: socket.socket | None = None
        self._next = 0
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="fake-broker")

    def __enter__(self) -> FakeBroker:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        self._thread.join(30)
        assert not self._thread.is_alive()

    @property
    def is_connected(self) -> bool:
        """Whether a client is connected."""
        return self._client is not None

    def drop(self) -> None:
        """Cut the connection."""
        if (client := self._client) is not None:
            client.shutdown(socket.SHUT_RDWR)

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, number: int = 0, again: bool = False
    ) -> int:
        """Send a message; return its identifier."""
        if not number:
            self._next = number = self._next + 1
        name = topic.encode()
        body = len(name).to_bytes(2) + name
        body += number.to_bytes(2) if qos else b""
        body += b"\0" if self._version == 5 else b""
        self._send(PUBLISH, body + payload, flags=qos << 1 | again << 3)
        return number

    def confirm(self, number: int, qos: int) -> None:
        """Confirm a message that the client has published; with 2, the client confirms first."""
        self._send(PUBACK if qos == 1 else PUBREC, number.to_bytes(2))

    def roundtrip(self) -> None:
        """Wait until the client has read all that was sent.

        It answers a message of quality of service 2 when it reads it, and passes it on later.
        """
        number = self.publish("t", b"roundtrip", qos=2)
        wait_until(lambda: number in self._received)

    def _send(self, kind: int, body: bytes, flags: int = 0) -> None:
        length, rest = bytearray(), len(body)
        while True:
            rest, digit = rest >> 7, rest & 0x7F
            length.append(digit | (0x80 if rest else 0))
            if not rest:
                break
        client = self._client
        assert client is not None
        with self._sending:
            client.sendall(bytes([kind << 4 | flags]) + length + body)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._client = client
                try:
                    while packet := self._receive(client):
                        self._handle(*packet)
                except OSError:
                    pass
                finally:
                    self._client = None

    def _receive(self, client: socket.socket) -> tuple[int, bytes] | None:
        if not (head := client.recv(1)):
            return None
        length = shift = 0
        while True:
            digit = client.recv(1)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        body = b""
        while len(body) < length:
            body += client.recv(length - len(body))
        return head[0] >> 4, body

    def _handle(self, kind: int, body: bytes) -> None:
        properties = b"\0" if self._version == 5 else b""
        if kind == CONNECT:
            self.connects.append(_read_connect(body))
            present = len(self.connects) > 1 and not self._connack
            self._send(CONNACK, bytes([present, self._connack]) + properties)
        elif kind == SUBSCRIBE:
            self._send(SUBACK, body[:2] + properties + bytes([self._suback]))
        elif kind == PUBACK:
            self.acknowledged.append(int.from_bytes(body[:2]))
        elif kind == PUBREC:
            self._received.append(int.from_bytes(body[:2]))
        elif kind == PUBLISH:
            reader = Reader(body)
            reader.text()
            number = reader.number()
            self.published[number] = body[reader.at :]
        elif kind == PUBREL:
            self._send(PUBCOMP, body[:2])
        elif kind == DISCONNECT:
            self.disconnects += 1
        elif kind == PINGREQ:
            self.pings += 1
            self._send(PINGRESP, b"")


def _read_connect(body: bytes) -> Connect:
    reader = Reader(body)
    reader.text()
    version, flags = reader.number(1), reader.number(1)
    reader.number()
    expiry = None
    if version == 5 and (length := reader.number(1)):
        properties = Reader(reader.take(length))
        if properties.number(1) == 0x11:
            expiry = properties.number(4)
    name = reader.text()
    user = reader.text() if flags & 0x80 else None
    password = reader.text() if flags & 0x40 else None
    return Connect(name, bool(flags & 2), expiry, user, password)
