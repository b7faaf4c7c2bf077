"""Writer of Kafka messages: produces a batch, and waits for the report of each message."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from operator import setitem
from typing import Any, ClassVar, Final

from rapidz.connectors.kafka.message import KafkaMessage, as_value
from rapidz.connectors.kafka.params import (
    ClientParams,
    Problems,
    client_library,
    find_cluster,
    is_passing,
    make_client,
)
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sinks.writer import Writer
from rapidz.sources.restart import Restart

_OPERATOR: Final = "to_kafka"
_TEXTS: Final = (bytes, str)
_EACH: Final = 500
"""Messages that are produced between two looks at reports."""
_CLOSE: Final = 10.0
"""Seconds that closing waits for messages that are not reported."""


class KafkaWriter(Writer[Any]):
    """Write messages to Kafka; `to_kafka` describes the parameters.

    `write_many` returns when the broker has acknowledged every message.  If it fails for some
    of them, `delivered` and `failed` tell which, and a second call with the same batch writes
    those that failed only.
    """

    default_restart: ClassVar[Restart | None] = Restart()

    def __init__(
        self,
        topic: str | Callable[[Any], str],
        params: ClientParams,
        *,
        key: Callable[[Any], Any] | None = None,
        headers: Callable[[Any], Any] | None = None,
        partition: Callable[[Any], int] | int | None = None,
        encode: Callable[[Any], bytes] | None = None,
        form: Callable[[Any], Any] = as_value,
    ) -> None:
        self.topic, self.params, self._form = topic, params, form
        self._key, self._headers, self._partition, self._encode = key, headers, partition, encode
        options = (key, headers, partition, encode)
        self._plain = (
            isinstance(topic, str) and form is as_value and all(each is None for each in options)
        )
        self.transactional = "transactional.id" in params
        self.producer: Any = None
        self.delivered: list[Any] = []
        """What to emit for messages that were acknowledged, until `to_kafka` takes it."""
        self.collects = False
        """Whether to add to `delivered`."""
        self.failed: dict[int, Exception] = {}
        """Failures of the last batch, by the place in it."""
        self._batch: Sequence[Any] | None = None
        self._done = bytearray()

    def size(self, payload: Any) -> int:
        value = payload.value if isinstance(payload, KafkaMessage) else payload
        return len(value) if isinstance(value, (bytes, str)) else 0

    def is_transient(self, error: Exception) -> bool:
        if isinstance(error, (ConnectionError, TimeoutError)) or is_passing(error):
            return True
        kafka = client_library(_OPERATOR)  # a producer that fails for good is replaced
        if not isinstance(error, kafka.KafkaException):
            return False
        cause = error.args[0]
        return bool(cause.fatal()) and "FENCED" not in cause.name()  # by another producer

    # --- connection ------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect; ConnectionError if no broker answers."""
        problems = Problems(self.params)
        params = ClientParams({"log.connection.close": False, **self.params, "error_cb": problems})
        producer = make_client(_OPERATOR, "producer_config", "Producer", params)
        try:
            find_cluster(_OPERATOR, producer, self.params, problems)
            if self.transactional:
                producer.init_transactions(30)
        except BaseException as error:
            _end(producer)
            del producer
            traceback.clear_frames(error.__traceback__)  # or they keep the producer alive
            raise
        self.producer, self._problems = producer, problems

    def close(self) -> None:
        """Wait for reports, a few seconds at most, and give the producer back."""
        producer, self.producer = self.producer, None
        if producer is None:
            return
        if len(producer):
            producer.purge()
        producer.flush(_CLOSE)
        _end(producer)

    # --- messages --------------------------------------------------------------------------------

    def write_many(self, payloads: Sequence[Any]) -> None:
        """Produce a batch, and wait until every message is reported."""
        if payloads is not self._batch or self.transactional:
            self._batch, self._done = payloads, bytearray(len(payloads))
        before = bytes(self._done)
        self.failed = {}
        if self.transactional:
            elements = self._in_transaction(payloads)
        else:
            elements = self._produce_all(payloads)
        if self.collects:
            new = zip(elements, self._done, before, strict=True)
            self.delivered += [x for x, done, old in new if done > old]
        if self.failed:
            raise next(iter(self.failed.values()))
        self._batch = None

    def _in_transaction(self, payloads: Sequence[Any]) -> Sequence[Any]:
        producer = self.producer
        producer.begin_transaction()
        try:
            elements = self._produce_all(payloads)
            if not self.failed:
                self._commit()
        except BaseException:
            self._abort()
            raise
        if self.failed:
            self._abort()
        return elements

    def _commit(self) -> None:
        kafka = client_library(_OPERATOR)
        while True:
            try:
                self.producer.commit_transaction(30)
                return
            except kafka.KafkaException as error:
                if not error.args[0].retriable() or error.args[0].txn_requires_abort():
                    raise

    def _abort(self) -> None:
        """Take back what the transaction has written: none of it is delivered."""
        cause = next(iter(self.failed.values()), None)
        self.failed = {n: cause or Aborted(_OPERATOR) for n in range(len(self._done))}
        self._done = bytearray(len(self._done))
        kafka = client_library(_OPERATOR)
        try:
            self.producer.abort_transaction(30)
        except kafka.KafkaException as error:
            raise ConnectionError(f"{_OPERATOR}: the transaction was not aborted") from error

    def _produce_all(self, payloads: Sequence[Any]) -> Sequence[Any]:
        """Produce what is not delivered yet, wait for the reports, return what to emit for each."""
        if self._plain and all(type(x) in _TEXTS for x in payloads):
            return self._produce_plain(payloads)
        return self._produce_each(payloads)

    def _produce_plain(self, values: Sequence[bytes | str]) -> list[bytes]:
        """Produce values alone, with one callback for all: equal values are interchangeable."""
        refused: list[tuple[Any, bytes]] = []

        def report(error: Any, message: Any) -> None:
            if error is not None:
                refused.append((error, message.value()))

        produce, topic, done = self.producer.produce, self.topic, self._done
        for n, x in enumerate(values):
            if done[n]:
                continue  # delivered before another one failed
            try:
                produce(topic, x, on_delivery=report)
            except BufferError:
                self._produce_one(topic=topic, value=x, on_delivery=report)
            except Exception as error:
                self.failed[n] = error
            if n % _EACH == _EACH - 1:
                self.producer.poll(0)
        self._await_reports()
        elements = [x if type(x) is bytes else str(x).encode() for x in values]
        if refused:
            self._find_refused(elements, refused)
        self._note_done()
        return elements

    def _find_refused(self, elements: list[bytes], refused: list[tuple[Any, bytes]]) -> None:
        """Note which elements the reports of failures are about."""
        kafka, places = client_library(_OPERATOR), dict[bytes, list[int]]()
        for n in reversed(range(len(elements))):
            if not self._done[n] and n not in self.failed:
                places.setdefault(elements[n], []).append(n)
        for error, value in refused:
            self.failed[places[value].pop()] = kafka.KafkaException(error)

    def _produce_each(self, payloads: Sequence[Any]) -> list[Any]:
        """Produce messages, each with a callback of its own."""
        reports: list[dict[Any, Any]] = [{} for _ in payloads]  # error, or None: message
        for n, x in enumerate(payloads):
            if self._done[n]:
                continue
            try:
                put = functools.partial(setitem, reports[n])
                self._produce_one(**self._fields(x), on_delivery=put)
            except Exception as error:
                self.failed[n] = error
            if n % _EACH == _EACH - 1:
                self.producer.poll(0)
        self._await_reports()
        kafka = client_library(_OPERATOR)
        for n, report in enumerate(reports):
            if None not in report and n not in self.failed and not self._done[n]:
                self.failed[n] = kafka.KafkaException(next(iter(report), None))
        self._note_done()
        return [self._form(report[None]) if None in report else None for report in reports]

    def _note_done(self) -> None:
        before, failed = self._done, self.failed
        self._done = bytearray(b"\1" * len(before))
        for n in failed:
            self._done[n] = 0

    def _await_reports(self) -> None:
        while self.producer.flush(0.2):  # without `linger.ms`
            self._problems.raise_final(_OPERATOR, self.params)

    def _produce_one(self, **fields: Any) -> None:
        """Produce one message, when the queue of the client has capacity."""
        while True:
            try:
                self.producer.produce(**fields)
                return
            except BufferError:
                self.producer.poll(0.05)

    def _fields(self, x: Any) -> dict[str, Any]:
        """Return the arguments of `produce` for an element."""
        fields: dict[str, Any] = {
            "topic": self.topic if isinstance(self.topic, str) else self.topic(x)
        }
        value = x
        if isinstance(x, KafkaMessage):
            value = x.value
            fields["key"] = x.key
            if x.headers:
                fields["headers"] = list(x.headers)
            if x.timestamp is not None:
                fields["timestamp"] = x.timestamp
        if self._key is not None:
            fields["key"] = self._key(x)
        if self._headers is not None:
            made = self._headers(x)
            fields["headers"] = list(made.items()) if isinstance(made, Mapping) else made
        if self._partition is not None:
            at = self._partition
            fields["partition"] = at(x) if callable(at) else at
        if value is not None and self._encode is not None:
            value = self._encode(value)
        if value is not None and not isinstance(value, (bytes, str)):
            raise TypeError(
                f"{_OPERATOR}: elements must be bytes, str, None or a KafkaMessage of these, got "
                f"{short_repr(value)}; codec='json' encodes others"
            )
        fields["value"] = value
        return fields


def _end(producer: Any) -> None:
    """End a producer; one of an older client ends when nothing refers to it."""
    if hasattr(producer, "close"):
        producer.close(_CLOSE)


class Aborted(RuntimeError):
    """The transaction of the message was aborted."""

    def __init__(self, operator: str) -> None:
        super().__init__(
            f"{operator}: the transaction was aborted, because it could not be committed"
        )
