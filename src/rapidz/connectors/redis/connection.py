"""Connection to a Redis server: made from an address, with the client's own options."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from rapidz.connectors.cleanup import finish
from rapidz.connectors.extras import require
from rapidz.connectors.secrets import hide, hide_options, short_hidden_repr

_BLOCK: Final = 2.0
"""Seconds that a read waits in the server for new elements."""


class Connection:
    """How to connect to a Redis server, and which failures are transient.

    Parameters
    ----------
    operator : str
        The connector, for messages.
    url : str
        ``redis://``, ``rediss://`` (TLS) or ``unix://``; may contain user and password.
    options : mapping, optional
        Keyword arguments of `redis.asyncio.Redis.from_url`.
    """

    def __init__(self, operator: str, url: str, options: Mapping[str, Any] | None) -> None:
        if not isinstance(url, str):
            raise TypeError(f"{operator}: url must be a string, got {short_hidden_repr(url)}")
        self._library = require(operator, "redis.asyncio", extra="redis", package="redis")
        self._errors = require(operator, "redis.exceptions", extra="redis", package="redis")
        backoff = require(operator, "redis.backoff", extra="redis", package="redis")
        retry = require(operator, "redis.asyncio.retry", extra="redis", package="redis")
        # `restart` reconnects: a command is not sent twice behind its back.
        never = {"retry": retry.Retry(backoff.NoBackoff(), 0)}
        self._url, self._options = url, {**never, **(options or {})}
        try:
            pool = self.client().connection_pool
        except ValueError:
            schemes = "redis://, rediss:// or unix://"
            raise ValueError(f"{operator}: url must begin with {schemes}, got {self}") from None
        wait = pool.connection_kwargs.get("socket_timeout", 5)
        self.block = _BLOCK if wait is None else min(_BLOCK, wait / 2)

    def __repr__(self) -> str:
        shown = hide_options(self._options)
        shown.pop("retry", None)
        return f"{hide(self._url)}{shown or ''}"

    @property
    def response_error(self) -> type[Exception]:
        """The exception for errors that the server answers."""
        error: type[Exception] = self._errors.ResponseError
        return error

    def client(self) -> Any:
        """Return a new client, which connects at its first command."""
        return self._library.Redis.from_url(self._url, **self._options)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        """Yield a client that has reached the server; close it at the end."""
        client = self.client()
        try:
            await client.ping()
            yield client
        finally:
            await finish(client.aclose())

    def is_transient(self, error: Exception) -> bool:
        """Return whether a new connection may help."""
        errors = self._errors
        if isinstance(error, (errors.AuthenticationError, errors.AuthorizationError)):
            return False
        lost = (errors.ConnectionError, errors.TimeoutError, errors.ReadOnlyError)
        busy = (errors.TryAgainError, errors.ClusterDownError)
        return isinstance(error, (OSError, EOFError, *lost, *busy))


def as_text(x: bytes | str) -> str:
    """Return a key or an identifier as text."""
    return x.decode("utf-8", "backslashreplace") if isinstance(x, bytes) else x
