"""Kafka messages: what a source emits for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias


class KafkaMessage(NamedTuple):
    """Message of a Kafka topic.

    >>> message = KafkaMessage(b"sensor-3", b"21.5", topic="readings", partition=0, offset=7)
    >>> message.value, message.is_tombstone
    (b'21.5', False)
    """

    key: Any = None
    """Key, in bytes, or None."""
    value: Any = None
    """Value: bytes, or what a codec has made of them; None for a tombstone."""
    headers: tuple[tuple[str, bytes | None], ...] = ()
    """Pairs of name and value."""
    topic: str = ""
    partition: int = -1
    offset: int = -1
    timestamp: int | None = None
    """Milliseconds since the epoch, by the clock of the producer or of the broker."""

    @property
    def is_tombstone(self) -> bool:
        """Whether the message deletes its key: its value is None."""
        return self.value is None


#: Function that makes an element of a message of the client library.
Reader: TypeAlias = Callable[[Any], Any]


def as_message(message: Any) -> KafkaMessage:
    """Convert a message of the client library."""
    kind, at = message.timestamp()
    return KafkaMessage(
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
        message.topic(),
        message.partition(),
        message.offset(),
        at if kind else None,
    )


def as_pair(message: Any) -> dict[str, Any]:
    """Return key and value as a dict."""
    return {"key": message.key(), "value": message.value()}


def as_value(message: Any) -> Any:
    """Return the value in bytes; a tombstone, which has none, is a `KafkaMessage`."""
    value = message.value()
    return as_message(message) if value is None else value


def reader(form: Reader, decode: Callable[[bytes], Any] | None) -> Reader:
    """Return a function that makes an element of a message, its value decoded.

    *form* is `as_message`, `as_pair` or `as_value`.  Tombstones are not decoded.
    """
    if decode is None:
        return form

    def read(message: Any) -> Any:
        raw = message.value()
        if raw is None:
            return form(message)
        value = decode(raw)
        if form is as_value:
            return value
        if form is as_pair:
            return {"key": message.key(), "value": value}
        return as_message(message)._replace(value=value)

    return read


def read_all(read: Reader, messages: list[Any]) -> list[Any]:
    """Return the elements of *messages*."""
    if read is not as_value:
        return list(map(read, messages))
    values = [message.value() for message in messages]
    if None in values:
        return list(map(read, messages))
    return values
