"""Kafka to PostgreSQL: at least once, in batches; messages that are no orders go to a table.

Run it as ``rapidz run kafka_to_postgres.py:main -- localhost:9092 postgresql://me@host/shop``.

Tables::

    CREATE TABLE orders (id bigint PRIMARY KEY, item text, price numeric CHECK (price >= 0));
    CREATE TABLE refused (message text, reason text, at timestamptz DEFAULT now());
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import rapidz
from rapidz import Failure, Stream


@dataclass
class Order:
    id: int
    item: str
    price: float


def pipeline(brokers: str, database: str) -> Stream[Order]:
    config = {
        "bootstrap.servers": brokers,
        "group.id": "orders-to-postgres",
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 6000,  # a program that was killed is replaced after that
    }
    refused = Stream[Failure](stream_name="refused")
    refused.map(describe).to_sql(database, "refused")

    orders = Stream.from_kafka(["orders"], config, codec="json", type=Order)
    orders.on_error(refused)  # messages that are no orders, and rows that the table refuses
    # By the key, an order that Kafka delivers again replaces itself.
    orders.to_sql(database, "orders", key="id", batch=500, max_wait="200ms")
    return orders


def describe(failure: Failure) -> dict[str, str]:
    element = failure.element
    text = element.decode(errors="replace") if isinstance(element, bytes) else repr(element)
    return {"message": text, "reason": f"{type(failure.exception).__name__}: {failure.exception}"}


def main() -> Stream[Order]:
    return pipeline(*sys.argv[1:])


if __name__ == "__main__":
    rapidz.run(main())
