"""Parameters of Kafka clients: checked when a node is built, completed, shown without secrets."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from rapidz.connectors.extras import require
from rapidz.connectors.secrets import HIDDEN, hide, hide_options
from rapidz.kernel.protocol.short_repr import short_repr

_log = logging.getLogger("rapidz.connectors.kafka")

#: Secrets whose names do not tell it.
_MORE_SECRETS: Final = ("ssl.key.pem", "sasl.oauthbearer.config", "sasl.oauthbearer.extensions")

_SERVERS: Final = ("bootstrap.servers", "metadata.broker.list")


class UnknownTopic(LookupError):
    """The cluster has no topic of this name."""


class ClientParams(dict[str, Any]):
    """Configuration of a client, as a dict whose representation hides passwords.

    >>> ClientParams({"bootstrap.servers": "host:9092", "sasl.password": "hunter2"})
    {'bootstrap.servers': 'host:9092', 'sasl.password': '***'}
    """

    def __repr__(self) -> str:
        return short_repr(self._shown())

    __str__ = __repr__

    def _shown(self) -> dict[str, Any]:
        shown = hide_options(self)
        shown.update({name: HIDDEN for name in _MORE_SECRETS if name in self})
        shown.update({name: hide(self[name]) for name in _SERVERS if name in self})
        return shown

    def hide(self, text: object) -> str:
        """Return *text* without the secrets of this configuration."""
        result = str(text)
        for name, shown in self._shown().items():
            value = self[name]
            if shown != value and isinstance(value, str) and value:
                result = result.replace(value, shown)
        return result

    @property
    def servers(self) -> str:
        """The bootstrap servers, for messages."""
        return hide(next((self[name] for name in _SERVERS if name in self), ""))


def read_params(operator: str, argument: str, params: Any, *needed: str) -> ClientParams:
    """Check and copy the configuration that a user gave as *argument*.

    *needed* are names that it must contain, besides the servers.
    """
    if not isinstance(params, Mapping):
        raise TypeError(f"{operator}: {argument} must be a dict, got {short_repr(params)}")
    read = ClientParams(params)
    for name in read:
        if not isinstance(name, str):
            raise TypeError(
                f"{operator}: {argument} must have names that are str, got {short_repr(name)}"
            )
    if not read.servers:
        raise ValueError(
            f"{operator}: {argument} must contain 'bootstrap.servers', got {short_repr(read)}"
        )
    for name in needed:
        if not read.get(name):
            raise ValueError(
                f"{operator}: {argument} must contain {short_repr(name)}, got {short_repr(read)}"
            )
    return read


def client_library(operator: str) -> Any:
    """Import confluent-kafka."""
    return require(operator, "confluent_kafka", extra="kafka", package="confluent-kafka")


def make_client(operator: str, argument: str, kind: str, params: ClientParams) -> Any:
    """Return a client, ``"Consumer"`` or ``"Producer"``; raise ValueError if *params* are wrong."""
    kafka = client_library(operator)
    config = {"logger": client_log, **params}
    logger = config.pop("logger")
    try:
        return getattr(kafka, kind)(config, logger=logger)
    except (kafka.KafkaException, TypeError, ValueError) as error:
        cause: Any = error.args[0] if error.args else error
        text = cause.str() if isinstance(cause, kafka.KafkaError) else cause
        message = f"{operator}: {argument} are refused by the client: {params.hide(text)}"
        raise ValueError(message) from None


def check_client(operator: str, argument: str, kind: str, params: ClientParams) -> None:
    """Raise ValueError if the client library refuses *params*."""
    client = make_client(operator, argument, kind, params)
    if kind == "Consumer":
        client.close()


def find_cluster(
    operator: str,
    client: Any,
    params: ClientParams,
    problems: Problems,
    closing: threading.Event | None = None,
) -> Any:
    """Return the metadata of the cluster; raise ConnectionError if no broker answers in time."""
    kafka = client_library(operator)
    timeout = float(params.get("socket.connection.setup.timeout.ms", 10_000)) / 1000
    end = time.monotonic() + timeout
    while True:
        try:
            return client.list_topics(timeout=min(0.5, timeout))
        except kafka.KafkaException as failure:
            error = failure.args[0]
        client.poll(0)  # calls `problems`
        problems.raise_final(operator, params)
        if (closing is not None and closing.is_set()) or time.monotonic() >= end:
            raise ConnectionError(
                f"{operator}: no broker of {params.servers} has answered for {timeout:g} s: "
                f"{params.hide(problems.last or error)}"
            )


#: Names of errors after which a new attempt may succeed.
PASSING: Final = (
    *("_MSG_TIMED_OUT", "_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE"),
    *("_PURGE_QUEUE", "_PURGE_INFLIGHT", "NOT_ENOUGH_REPLICAS", "LEADER_NOT_AVAILABLE"),
    *("_MAX_POLL_EXCEEDED", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "_BAD_MSG"),
    *("_WAIT_COORD", "REQUEST_TIMED_OUT", "COORDINATOR_LOAD_IN_PROGRESS"),
)


def is_passing(error: Exception) -> bool:
    """Return whether a new attempt may succeed after *error*."""
    kafka = client_library("kafka")
    if not isinstance(error, kafka.KafkaException):
        return False
    cause = error.args[0]
    return isinstance(cause, kafka.KafkaError) and (cause.retriable() or cause.name() in PASSING)


class Problems:
    """Errors that a client reports outside of its calls: lost brokers, refused credentials."""

    def __init__(self, params: ClientParams) -> None:
        self._callback = params.get("error_cb")
        self.last: str = ""
        """Text of the last error."""
        self.down = False
        """Whether no broker can be reached."""
        self.final: Any = None
        """Error that no new attempt would end."""

    def __call__(self, error: Any) -> None:
        """Note an error of the client, which calls this."""
        if error.name() == "_ALL_BROKERS_DOWN":
            self.down = True
        else:
            self.last = error.str()
        if error.fatal() or error.name() in ("_AUTHENTICATION", "_SSL"):
            self.final = error
        if self._callback is not None:
            self._callback(error)

    def raise_final(self, operator: str, params: ClientParams) -> None:
        """Raise an error that no new attempt would end."""
        if self.final is None:
            return
        text = f"{operator}: {params.servers}: {params.hide(self.final.str())}"
        if self.final.fatal():
            raise RuntimeError(text)
        raise PermissionError(text)


class _Repeats(logging.Filter):
    """Lets one of similar messages pass in a while: clients log every attempt to connect."""

    WHILE: Final = 30.0

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now, text = time.monotonic(), re.sub(r"\d+", "", record.getMessage())
        if now - self._seen.get(text, -self.WHILE) < self.WHILE:
            return False
        if len(self._seen) > 100:
            self._seen.clear()
        self._seen[text] = now
        return True


#: Log of the client library itself.
client_log: Final = logging.getLogger("rapidz.connectors.kafka.client")
client_log.addFilter(_Repeats())
