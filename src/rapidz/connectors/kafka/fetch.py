"""Fetch of a range of offsets: what runs on the workers of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rapidz.connectors.kafka.consumer_thread import consumer_config
from rapidz.connectors.kafka.message import as_message, as_pair, as_value, read_all, reader
from rapidz.connectors.kafka.params import client_library, make_client, read_params
from rapidz.kernel.protocol.short_repr import short_repr

#: Seconds that a batch may take at most, if no timeout is given.
_LONGEST = 60.0


def get_message_batch(
    kafka_params: Mapping[str, Any],
    topic: str,
    partition: int,
    keys: Any = False,
    low: Any = None,
    high: Any = None,
    timeout: float | None = None,
    *,
    messages: bool = False,
    decode: Callable[[bytes], Any] | None = None,
) -> list[Any]:
    """Return the messages of a partition from offset *low* to offset *high*, both included.

    Offsets without a message, such as those that compaction or a transaction leaves, are
    passed over.

    Parameters
    ----------
    kafka_params : dict
        Configuration of the client.
    topic : str
        Name of the topic.
    partition : int
        Number of the partition.
    keys : bool
        Return dicts with key and value instead of values.  It may be left out, as in rapidz
        0.2: ``get_message_batch(params, topic, partition, low, high, timeout)``.
    low, high : int
        First and last offset.
    timeout : float, optional
        Seconds; what has come until then is returned.  Without it, TimeoutError is raised
        when nothing has come for a minute.
    messages : bool
        Return `KafkaMessage` objects.
    decode : callable, optional
        Function of the bytes of a value.
    """
    if not isinstance(keys, bool):  # the arguments of rapidz 0.2: low, high, timeout
        keys, low, high, timeout = False, keys, low, timeout if high is None else high
    name = "get_message_batch"
    if low is None or high is None:
        raise TypeError(
            f"{name}: low and high must be offsets, got {short_repr(low)} and {short_repr(high)}"
        )
    form = as_message if messages else as_pair if keys else as_value
    params = read_params(name, "kafka_params", kafka_params, "group.id")
    params.update(consumer_config(params), **{"enable.partition.eof": True})
    kafka = client_library(name)
    consumer = make_client(name, "kafka_params", "Consumer", params)
    try:
        consumer.assign([kafka.TopicPartition(topic, partition, low)])
        found = _until(kafka, consumer, low, int(high), timeout)
    finally:
        consumer.close()
    return read_all(reader(form, decode), found)


def _until(kafka: Any, consumer: Any, low: int, high: int, timeout: float | None) -> list[Any]:
    """Return the messages up to offset *high*."""
    found: list[Any] = []
    following = low
    end = time.monotonic() + (_LONGEST if timeout is None else timeout)
    while time.monotonic() < end:
        for message in consumer.consume(max(1, min(high + 1 - following, 10_000)), 0.2):
            error = message.error()
            if error is None:
                following = message.offset() + 1
                if message.offset() <= high:
                    found.append(message)
                if message.offset() >= high:
                    return found
            elif error.code() == kafka.KafkaError._PARTITION_EOF:
                if message.offset() > high:
                    return found
            elif error.fatal() or not error.retriable():
                raise kafka.KafkaException(error)
            if timeout is None:
                end = time.monotonic() + _LONGEST
    if timeout is None:
        raise TimeoutError(
            f"get_message_batch: no message has come for {_LONGEST:g} s, {len(found)} before that"
        )
    return found
