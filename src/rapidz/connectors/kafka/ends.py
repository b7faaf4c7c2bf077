"""Ends of partitions when a source is started."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from rapidz.connectors.kafka.params import ClientParams, client_library, make_client


def find_ends(
    operator: str, params: ClientParams, topics: Sequence[str], longest: float
) -> dict[str, dict[int, int]]:
    """Return the ends of the partitions of *topics*; nothing if there is no answer in *longest* s.

    A topic that does not exist has no partitions; a pattern is left out.
    """
    found: dict[str, dict[int, int]] = {}
    end = time.monotonic() + longest

    def ask() -> None:
        consumer = make_client(operator, "consumer_params", "Consumer", _quiet(params))
        try:
            names = [name for name in topics if name[0] != "^"]
            found.update({name: _ends_of(consumer, kafka, name, end) for name in names})
        except kafka.KafkaException:
            pass  # the source itself will report it
        finally:
            consumer.close()

    kafka = client_library(operator)
    thread = threading.Thread(target=ask, name=f"{operator} ends", daemon=True)
    thread.start()
    thread.join(longest)
    return dict(found)


def _ends_of(consumer: Any, kafka: Any, name: str, end: float) -> dict[int, int]:
    """Return the ends of one topic."""

    def left() -> float:
        return max(0.01, end - time.monotonic())

    topic = consumer.list_topics(name, timeout=left()).topics[name]
    return {
        number: consumer.get_watermark_offsets(kafka.TopicPartition(name, number), timeout=left())[
            1
        ]
        for number in topic.partitions
    }


def _quiet(params: ClientParams) -> ClientParams:
    """Return *params* without callbacks: the source itself has them."""
    quiet = ClientParams(params)
    for name in ("error_cb", "stats_cb", "throttle_cb", "on_commit"):
        quiet.pop(name, None)
    return quiet
