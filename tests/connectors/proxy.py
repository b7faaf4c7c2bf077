"""Cutting proxy: a TCP proxy that loses connections while the server behind it keeps its data."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

_CHUNK = 1 << 16


class CuttingProxy:
    """TCP proxy to a server, in a thread of its own.

    `drop` cuts all connections at once, `refuse` also new ones, and `stall` keeps them open
    without forwarding a byte.  With *tls*, clients must use TLS.  `forwarded` counts
    the bytes in both directions.

    >>> with CuttingProxy(server.port) as proxy:  # doctest: +SKIP
    ...     client = connect("127.0.0.1", proxy.port)
    ...     proxy.drop()
    """

    def __init__(
        self, port: int, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.host, self.port = host, 0
        self._tls = tls
        self._target = (host, port)
        self.forwarded = 0
        self.accepted = 0
        self._pairs: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refusing = False

    def __enter__(self) -> CuttingProxy:
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="cutting-proxy", daemon=True
        )
        self._thread.start()
        assert started.wait(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """Number of open connections of clients."""
        return len(self._pairs) // 2

    def drop(self) -> None:
        """Cut all connections; new ones are accepted."""
        self._call(self._cut)

    def refuse(self, refusing: bool = True) -> None:
        """Cut all connections, and each new one at once; ``refuse(False)`` accepts again."""

        def change() -> None:
            self._refusing = refusing
            if refusing:
                self._cut()

        self._call(change)

    def stall(self, stalling: bool = True) -> None:
        """Forward nothing, with connections open; ``stall(False)`` goes on."""
        self._call(self._flowing.clear if stalling else self._flowing.set)

    def _call(self, function: Callable[[], object]) -> None:
        done = threading.Event()

        def call() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(call)
        assert done.wait(30)

    def _cut(self) -> None:
        for writer in self._pairs:
            writer.transport.abort()

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        server = await asyncio.start_server(self._accept, self.host, 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._closing.wait()
        server.close()
        self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                if self._refusing:
                    writer.transport.abort()
                else:
                    await self._join(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = {writer}
        try:
            upstream, downstream = await asyncio.open_connection(*self._target)
            pair.add(downstream)
            for each in pair:
                each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs |= pair
            await asyncio.gather(self._forward(reader, downstream), self._forward(upstream, writer))
        finally:
            self._pairs -= pair
            for each in pair:
                each.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._flowing.wait()
            writer.write(data)
            self.forwarded += len(data)
            await writer.drain()
        writer.transport.abort()
