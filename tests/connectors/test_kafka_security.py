"""Kafka connectors with credentials and TLS: what is refused, and what shows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.helpers import wait_until
from tests.connectors.kafka_programs import config, stop
from tests.connectors.kafka_servers import mesh_broker
from tests.connectors.servers import HOST, free_port, require_package

from rapidz import Stream

pytestmark = pytest.mark.server


def test_credentials_that_are_refused_fail_the_source_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with mesh_broker(options=["--authentication"]) as broker, caplog.at_level(logging.DEBUG):
        params = config(broker.address, **{"sasl.mechanism": "SCRAM-SHA-256"})
        params.update({"security.protocol": "sasl_plaintext", "sasl.username": "me"})
        params["sasl.password"] = "hunter2"
        source = Stream.from_kafka(["t"], params)
        source.sink_to_list()
        source.start()
        wait_until(lambda: source.state == "failed")
        with pytest.raises(PermissionError, match="SASL SCRAM authentication failed") as raised:
            source.join()
        sink = Stream[Any]()
        node = sink.to_kafka("t", {k: v for k, v in params.items() if k[:2] in ("bo", "sa", "se")})
        with pytest.raises(PermissionError, match="authentication failed") as refused:
            sink.emit(b"x")
        sink.close()
    for text in (caplog.text, repr(source), repr(node), str(raised.value), str(refused.value)):
        assert "hunter2" not in text


@contextlib.contextmanager
def tls(port: int, target: int, context: ssl.SSLContext) -> Iterator[None]:
    """Accept TLS connections on *port*, and forward them to *target*."""
    ready, done = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(HOST, target)
        await asyncio.gather(forward(reader, outer), forward(inner, writer))

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        loops[0].set_exception_handler(lambda *_: None)  # handshakes that clients end
        server = await asyncio.start_server(accept, HOST, port, ssl=context)
        ready.set()
        await done.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(done.set)
        thread.join(30)


def test_certificates_are_verified_by_default(tmp_path: Path) -> None:
    trustme = require_package("trustme", "trustme")
    authority, outside = trustme.CA(), free_port()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with mesh_broker(outside) as broker, tls(outside, broker.port, context):
        params = {"bootstrap.servers": f"{HOST}:{outside}", "security.protocol": "ssl"}
        stranger = Stream[Any]()
        stranger.to_kafka("t", params)
        with pytest.raises(PermissionError, match="certificate"):
            stranger.emit(b"x")
        stranger.close()
        params["ssl.ca.location"] = str(tmp_path / "ca.pem")
        with Stream[Any]() as sink:
            node = sink.to_kafka("t", params)
            seen = node.sink_to_list()
            sink.emit(b"x")
        assert seen == [b"x"]
        source: Any = Stream.from_kafka_batched("t", config("") | params, 0.05)
        read = source.flatten().sink_to_list()
        source.start()
        wait_until(lambda: read == [b"x"])
        stop(source)
