"""Connection to NATS servers: made from addresses, with the client's own options."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from rapidz.connectors.cleanup import finish
from rapidz.connectors.extras import require
from rapidz.connectors.secrets import hide, hide_options
from rapidz.kernel.protocol.short_repr import short_repr

LOCAL: Final = "nats://127.0.0.1:4222"


class NatsConnection:
    """How to connect to NATS, and which failures are transient.

    Parameters
    ----------
    operator : str
        The connector, for messages.
    servers : str or sequence of str
        Addresses, ``nats://``, ``tls://`` or ``ws://``; may contain user and password, or a token.
    options : mapping, optional
        Keyword arguments of `nats.connect`.
    """

    def __init__(
        self, operator: str, servers: str | Sequence[str], options: Mapping[str, Any] | None
    ) -> None:
        self.operator = operator
        self._library = require(operator, "nats", extra="nats", package="nats-py")
        self.errors = require(operator, "nats.errors", extra="nats", package="nats-py")
        self.js_errors = require(operator, "nats.js.errors", extra="nats", package="nats-py")
        self._servers = [servers] if isinstance(servers, str) else list(servers)
        if not self._servers or not all(isinstance(server, str) for server in self._servers):
            raise TypeError(f"{operator}: servers must be addresses, got {short_repr(servers)}")
        self._options = dict(options or {})

    def __repr__(self) -> str:
        shown = hide_options(self._options)
        return f"{', '.join(_hide_token(server) for server in self._servers)}{shown or ''}"

    async def connect(
        self,
        on_error: Callable[[Exception], Awaitable[None]] | None = None,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> Any:
        """Return a client that is connected; it does not reconnect, which `restart` does."""
        last: list[Exception] = []

        async def record(error: Exception) -> None:
            last[:] = [error]
            if on_error is not None:
                await on_error(error)

        options = {
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            **self._options,
        }
        client = self._library.NATS()
        try:
            await client.connect(
                list(self._servers), error_cb=record, closed_cb=on_close, **options
            )
        except BaseException as error:
            await client.close()
            if isinstance(error, self.errors.NoServersError) and last:
                raise ConnectionError(f"no server at {self}: {_named(last[0])}") from last[0]
            raise
        return client

    @asynccontextmanager
    async def connected(self, **callbacks: Any) -> AsyncIterator[Any]:
        """Yield a client that is connected; close it at the end."""
        client = await self.connect(**callbacks)
        try:
            yield client
        finally:
            await finish(client.close())

    def lost(self, client: Any) -> Exception:
        """Return the exception for a connection that was closed."""
        reason = client.last_error
        failure = ConnectionError(f"lost {self}: {_named(reason) if reason else 'closed'}")
        failure.__cause__ = reason
        return failure

    def is_transient(self, error: Exception) -> bool:
        """Return whether a new connection may help."""
        known = self.errors
        if isinstance(error, known.AuthorizationError):
            return False
        lost = (known.ConnectionClosedError, known.StaleConnectionError, known.NoServersError)
        slow = (known.TimeoutError, known.FlushTimeoutError, asyncio.TimeoutError)
        busy = (known.OutboundBufferLimitError, self.js_errors.ServiceUnavailableError)
        return isinstance(error, (OSError, EOFError, *lost, *slow, *busy))


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _hide_token(server: str) -> str:
    """Return an address without its password, or its token: a user without a password."""
    hidden = hide(server)
    scheme, separator, rest = hidden.rpartition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{separator}***@{host}" if at and ":" not in user else hidden
