"""Kafka: sources of single messages and of batches, a sink, and what their tasks fetch."""

from __future__ import annotations

from rapidz.connectors.kafka.batched import FromKafkaBatched, from_kafka_batched
from rapidz.connectors.kafka.fetch import get_message_batch
from rapidz.connectors.kafka.message import KafkaMessage
from rapidz.connectors.kafka.params import UnknownTopic
from rapidz.connectors.kafka.sink import to_kafka
from rapidz.connectors.kafka.source import from_kafka
from rapidz.connectors.kafka.writer import KafkaWriter

__all__ = [
    "FromKafkaBatched",
    "KafkaMessage",
    "KafkaWriter",
    "UnknownTopic",
    "from_kafka",
    "from_kafka_batched",
    "get_message_batch",
    "to_kafka",
]
