"""Helpers for tests of sockets: raw clients, certificates, and a web server in a thread."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rapidz import Source


@contextlib.contextmanager
def running(source: Source[Any]) -> Iterator[Any]:
    """Start a source; at the end stop it, and wait until its sockets are closed."""
    source.start()
    try:
        yield source
    finally:
        source.stop()
        with contextlib.suppress(Exception):
            source.join(30)


@contextlib.contextmanager
def client(port: int, timeout: float = 30) -> Iterator[socket.socket]:
    """Connect to a port of this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        yield connection


def is_closed(connection: socket.socket) -> bool:
    """Return whether the peer closes the connection within its time-out."""
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def send_until_blocked(connection: socket.socket, data: bytes, limit: int = 1 << 27) -> int:
    """Send *data* again and again until the peer does not read; return the bytes sent."""
    connection.settimeout(1.0)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < limit:
            sent += connection.send(data)
    return sent


class Authority:
    """Certificate authority of one test: contexts of a server, and of clients that trust it."""

    def __init__(self) -> None:
        trustme = pytest.importorskip("trustme")
        self._authority = trustme.CA()
        self._certificate = self._authority.issue_cert("localhost", "127.0.0.1")

    @property
    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._certificate.configure_cert(context)
        return context

    @property
    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context


class Handler(BaseHTTPRequestHandler):
    """Answers requests by the function of its server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    do_PUT = do_POST  # noqa: N815

    def _handle(self) -> None:
        with contextlib.suppress(OSError):
            self.server.answer(self)

    def read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class WebServer(ThreadingHTTPServer):
    """Web server in threads; `answer(handler)` answers a request."""

    daemon_threads = False
    block_on_close = True

    def __init__(
        self, answer: Callable[[Handler], None], context: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.port = answer, int(self.server_address[1])
        self._open: set[socket.socket] = set()
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass

    def drop(self) -> None:
        """Cut all connections."""
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def web_server(
    answer: Callable[[Handler], None], context: ssl.SSLContext | None = None
) -> Iterator[WebServer]:
    """Serve in threads until the end of the block."""
    with WebServer(answer, context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="web-server")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.drop()
            thread.join(30)
