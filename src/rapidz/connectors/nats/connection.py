"""Connection to NATS servers: made from addresses, with the client's own options."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from rapidz.connectors.cleanup import finish
from rapidz.connectors.extras import require
from rapidz.connectors.secrets import hide, hide_options
from rapidz.kernel.protocol.short_repr import short_repr

#: Seconds that a client may take to close: it waits for ever after a failed TLS handshake.
_CLOSE: Final = 2.0
#: Seconds between two looks at a connection.
_LOOK: Final = 0.1
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
            shown = [_hide_token(str(server)) for server in self._servers]
            raise TypeError(f"{operator}: servers must be addresses, got {short_repr(shown)}")
        self._options = dict(options or {})

    def __repr__(self) -> str:
        shown = hide_options(self._options)
        return f"{', '.join(_hide_token(server) for server in self._servers)}{shown or ''}"

    async def connect(
        self,
        on_error: Callable[[Exception], Awaitable[None]] | None = None,
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
            await client.connect(list(self._servers), error_cb=record, **options)
        except BaseException as error:
            await finish(close(client))
            if isinstance(error, self.errors.NoServersError) and last:
                raise ConnectionError(f"no server at {self}: {_named(last[0])}") from last[0]
            raise
        return client

    @asynccontextmanager
    async def connected(
        self,
        on_error: Callable[[Exception], Awaitable[None]] | None = None,
        on_close: Callable[[], object] = lambda: None,
    ) -> AsyncIterator[Any]:
        """Yield a client that is connected, and close it; call *on_close* when it is lost.

        The client calls its own callback for that not if writing fails while it closes itself.
        """
        client = await self.connect(on_error)
        watch = asyncio.create_task(_watch(client, on_close))
        try:
            yield client
        finally:
            watch.cancel()
            await finish(close(client))

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


async def close(client: Any) -> None:
    """Close a client, and what it leaves open if writing or the TLS handshake has failed."""
    with contextlib.suppress(OSError):  # of which TimeoutError is one
        async with asyncio.timeout(_CLOSE):
            await client.close()
    for subscription in list(getattr(client, "_subs", {}).values()):
        if (task := getattr(subscription, "_wait_for_msgs_task", None)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    if (transport := getattr(client, "_transport", None)) is not None:
        with contextlib.suppress(OSError):
            transport.close()


async def _watch(client: Any, on_close: Callable[[], object]) -> None:
    while not client.is_closed:
        await asyncio.sleep(_LOOK)
    on_close()


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _hide_token(server: str) -> str:
    """Return an address without its password, or its token: a user without a password."""
    hidden = hide(server)
    user, at, host = hidden.rpartition("@")
    return f"***@{host}" if at and ":" not in user else hidden
