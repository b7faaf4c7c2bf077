"""Names that Kafka programs of the old libraries import."""

from __future__ import annotations

from typing import Any, NoReturn

from rapidz.kernel.graph.registry import LATER

for _name in ("FromKafkaBatched", "get_message_batch"):
    LATER[_name] = f"rapidz.connectors.kafka:{_name}"


def _close_consumer(consumer: Any) -> None:
    """Close a Kafka consumer."""
    consumer.close()


def get_message_batch_cudf(
    kafka_params: Any,
    topic: str,
    partition: int,
    keys: bool,
    low: int,
    high: int,
    timeout: float | None = None,
) -> NoReturn:
    """Read messages into a GPU data frame: not supported.  Raises ImportError."""
    raise ImportError(
        "get_message_batch_cudf: needs cudf and its Kafka reader, which rapidz does not support",
        name="cudf",
    )
