"""Listener: base class of sources to which clients connect."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import ssl as tls
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, TypeVar

from tornado.ioloop import IOLoop

from rapidz.connectors.net import sockets as options
from rapidz.connectors.net.sockets import ListeningSocket, bind, check_port
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import Source

T = TypeVar("T")

logger = logging.getLogger("rapidz.sources")


class Listener(Source[T]):
    """Source that listens on a port.

    `start` binds the port, so `port` is known when it returns, and an address that is in use
    is an `OSError` of `start`.  The port stays the same when the source starts again.

    Parameters
    ----------
    port : int
        The port; 0 for one that the system chooses.
    host : str
        The address to listen on; by default connections from this machine only.  The empty
        string is every address of the machine.
    max_clients : int
        The connections that are open at a time; a further one is refused.
    ssl : ssl.SSLContext, optional
        Context of a server, which turns on TLS.
    **kwargs
        Options of every `Source`.
    """

    infinite: ClassVar[bool | None] = True

    server: Any = None
    """The server, while the source runs."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        max_clients: int = 1000,
        ssl: tls.SSLContext | None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        self._given_port = self._port = check_port(name, port, least=0)
        check_count(name, "max_clients", max_clients)
        if not isinstance(host, str):
            raise TypeError(f"{name}: host must be a str, got {short_repr(host)}")
        if ssl is not None and not isinstance(ssl, tls.SSLContext):
            raise TypeError(f"{name}: ssl must be an ssl.SSLContext, got {short_repr(ssl)}")
        self.host, self.max_clients = host, max_clients
        self._ssl = ssl
        self._sockets: list[socket.socket] = []
        self._is_serving = False
        self._broken: asyncio.Future[None] | None = None
        super().__init__(**kwargs)

    @property
    def port(self) -> int:
        """The port; for port 0, the one that the system has chosen at the first start."""
        return self._port

    def start(self) -> None:
        """Bind the port, and start; raises OSError if the address is not available."""
        with self._state_lock:
            if self.stopped and not self._closed and not self._is_serving and not self._sockets:
                self._sockets = self._bind()
        try:
            super().start()
        except BaseException:
            self._close_unused()
            raise

    def _bind(self) -> list[socket.socket]:
        sockets = bind(self.host, self._port)
        self._port = sockets[0].getsockname()[1]
        return sockets

    def _close_unused(self) -> None:
        with self._state_lock:
            sockets, self._sockets = self._sockets, []
        for each in sockets:
            each.close()

    def _on_run_stopped(self) -> None:
        self._close_unused()  # a run that has begun has taken them

    async def run(self) -> None:
        self._broken = asyncio.get_running_loop().create_future()
        async with self._listening() as sockets, self._serving(sockets):
            self.connected()
            await self._broken

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[list[socket.socket]]:
        with self._state_lock:
            sockets, self._sockets = self._sockets, []
            self._is_serving = True
        try:
            if not sockets:
                sockets = self._bind()
            yield sockets
        finally:
            for each in sockets:
                each.close()
            self.server, self._is_serving = None, False

    def _serving(self, sockets: list[socket.socket]) -> AbstractAsyncContextManager[None]:
        """Return the context in which clients of *sockets* are served."""
        raise NotImplementedError(f"{self}: _serving is not overridden")

    def _accept_by(self, server: Any, sockets: Iterable[socket.socket]) -> None:
        """Let a Tornado server accept clients; it pauses while the process has no descriptors."""
        pause = functools.partial(self._pause, IOLoop.current())
        for each in sockets:
            if isinstance(each, ListeningSocket):
                each.on_exhausted = pause
        server.add_sockets(sockets)

    def _pause(self, loop: IOLoop, listening: ListeningSocket, error: OSError) -> None:
        def resume() -> None:
            if listening.fileno() >= 0:  # the source was not stopped meanwhile
                loop.update_handler(listening.fileno(), IOLoop.READ)

        if not listening.reported:
            logger.warning("%s: %s: clients wait to be accepted", self, error.strerror)
        loop.update_handler(listening.fileno(), 0)
        asyncio.get_running_loop().call_later(options.ACCEPT_PAUSE, resume)

    def _fail(self, error: Exception) -> None:
        """End the run: what a client sent has failed, and no policy has handled it."""
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)
