"""Sockets: listening ones, the options of connections, and checks of arguments."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import ssl as tls
from collections.abc import Callable
from time import monotonic
from typing import Any

from rapidz.kernel.protocol.checks import read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr

_BACKLOG = 128

#: Seconds without traffic after which the system probes a peer, between probes, and probes.
KEEPALIVE = (60, 10, 3)


#: Seconds without new connections after one that the process has no file descriptor for.
ACCEPT_PAUSE = 1.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class ListeningSocket(socket.socket):
    """Socket that listens, and that does not try at full speed what the system has refused.

    Such a connection keeps the socket readable, so a loop would call `accept` again at once.
    """

    on_exhausted: Callable[[ListeningSocket, OSError], None] | None = None
    """Pauses what accepts, and reports it; None if it does so itself, as asyncio does."""
    reported = False
    """Whether the failure was reported since the last connection that was accepted."""
    _pause_end = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        if monotonic() < self._pause_end:
            raise BlockingIOError(errno.EAGAIN, "no file descriptor is available yet")
        try:
            accepted = super().accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._pause_end = monotonic() + ACCEPT_PAUSE / 2  # asyncio tries many times at once
            if self.on_exhausted is None:
                raise
            self.on_exhausted(self, error)
            self.reported = True
            raise BlockingIOError(errno.EAGAIN, error.strerror) from error
        self.reported = False
        return accepted


def bind(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on a port of each address of *host*; "" is all addresses."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as opened:
        sockets: list[socket.socket] = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                each = opened.enter_context(ListeningSocket(family, kind, protocol))
            except OSError:  # no IPv6
                continue
            if os.name != "nt":
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                each.bind((address[0], port, *address[2:]))
            except OSError as error:
                each.close()
                if error.errno == errno.EADDRNOTAVAIL and len(found) > 1:
                    continue  # the name has an address that the machine has not
                raise OSError(error.errno, f"{error.strerror}: {address[0]}:{port}") from None
            port = each.getsockname()[1]
            each.listen(_BACKLOG)
            each.setblocking(False)
            sockets.append(each)
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, f"no address of {short_repr(host)} is available")
        opened.pop_all()
    return sockets


def check_port(operator: str, value: Any, least: int = 1) -> int:
    """Return a port number; refuse what is none.

    >>> check_port("to_tcp", 70000)
    Traceback (most recent call last):
    ...
    ValueError: to_tcp: port must be an int from 1 to 65535, got 70000
    """
    rule = f"{operator}: port must be an int from {least} to 65535, got {short_repr(value)}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(rule)
    if not least <= value <= 65535:
        raise ValueError(rule)
    return value


def read_limit(operator: str, argument: str, value: Interval | None) -> float | None:
    """Return a time limit in seconds; None for none."""
    return None if value is None else read_interval(operator, value, argument=argument)


def probe_peer(connection: socket.socket | None) -> None:
    """Let the system find out when the peer of *connection* is gone."""
    if connection is None:
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        for name, value in zip(names, KEEPALIVE, strict=True):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def client_context(operator: str, ssl: Any) -> tls.SSLContext | None:
    """Return the context of a client that verifies the server, or the one given."""
    if ssl is False or ssl is None:
        return None
    if ssl is True:
        return tls.create_default_context()
    if isinstance(ssl, tls.SSLContext):
        return ssl
    raise TypeError(f"{operator}: ssl must be a bool or an ssl.SSLContext, got {short_repr(ssl)}")


def read_token(operator: str, token: Any) -> bytes | None:
    """Return the secret that clients must send; a message never shows it."""
    if token is None:
        return None
    rule = f"{operator}: token must be a str of visible ASCII characters, and not empty"
    if not isinstance(token, str):
        raise TypeError(f"{rule}, got {type(token).__name__}")
    if not re.fullmatch(r"[!-~]+", token):
        raise ValueError(rule)
    return token.encode()
