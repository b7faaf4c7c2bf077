"""Sources that clients connect to, in a process that has no file descriptor left."""

from __future__ import annotations

import asyncio.constants
import errno
import logging
import os
import socket
import time
from typing import Any

import pytest
from tests.connectors.helpers import wait_until
from tests.connectors.web import client, running

from rapidz import Stream
from rapidz.connectors.net import sockets

PAUSE = 0.1


def listener(kind: str) -> Any:
    if kind == "websocket":
        pytest.importorskip("websockets.asyncio.server")
        return Stream.from_websocket("127.0.0.1", 0)
    return Stream.from_tcp(0) if kind == "tcp" else Stream.from_http_server(0)


@pytest.mark.parametrize("kind", ["tcp", "http", "websocket"])
def test_listener_pauses_while_no_file_descriptor_is_available(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[float] = []
    accept, exhausted = socket.socket.accept, [True]

    def refuse(self: socket.socket) -> tuple[socket.socket, Any]:
        if not exhausted[0]:
            return accept(self)
        tries.append(time.monotonic())
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket.socket, "accept", refuse)
    monkeypatch.setattr(sockets, "ACCEPT_PAUSE", PAUSE)
    monkeypatch.setattr(asyncio.constants, "ACCEPT_RETRY_DELAY", PAUSE)
    source = listener(kind)
    source.sink_to_list()
    with caplog.at_level(logging.WARNING), running(source), client(source.port) as connection:
        wait_until(lambda: len(tries) >= 3)
        assert tries[2] - tries[0] >= PAUSE, "it pauses between two tries"
        reports = [r for r in caplog.records if "accept" in r.getMessage()]
        assert len(reports) == 1 if kind != "websocket" else len(reports) <= len(tries)
        exhausted[0] = False
        connection.sendall(b"not HTTP\r\n\r\n")
        if kind == "tcp":
            wait_until(lambda: source.server.streams)
        else:
            connection.settimeout(30)
            assert connection.recv(1) in (b"H", b""), "the client was accepted"


def test_listener_stops_while_it_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[object] = []

    def refuse(self: socket.socket) -> tuple[socket.socket, Any]:
        tries.append(self)
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    monkeypatch.setattr(socket.socket, "accept", refuse)
    monkeypatch.setattr(sockets, "ACCEPT_PAUSE", 0.05)
    source = listener("tcp")
    source.sink_to_list()
    source.start()
    with client(source.port):
        wait_until(lambda: tries)
        source.stop()
        source.join(30)
    count = len(tries)
    time.sleep(0.15)
    assert len(tries) == count
