"""Quix Streams: windows and state in RocksDB, committed each 10,000 elements, without a broker.

What an `Application` does for each message is done here: the composed function runs in a copy of
the context, with an offset that grows.  The transactions of the stores are flushed without a
producer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any
from unittest.mock import MagicMock

from benchmarks.event_time.data import EVERY, GAP, LAG, SIZE, Element
from benchmarks.peers.program import Program, main

BATCH = 10_000
TOPIC = "elements"
CLOSING = "key"
"""A window closes by later elements of its own key; by partition it is slower."""

quix: Any = import_module("quixstreams")
context: Any = import_module("quixstreams.context")
models: Any = import_module("quixstreams.models")


class Bench:
    """An application without a broker: consumer and producer do nothing."""

    def __init__(self, folder: str) -> None:
        self.app = quix.Application(
            broker_address="localhost:1",
            consumer_group="bench",
            state_dir=folder,
            use_changelog_topics=False,
            loglevel="ERROR",
            auto_create_topics=False,
        )
        manager = self.app._topic_manager
        topic = quix.models.Topic(
            TOPIC,
            value_deserializer="json",
            key_deserializer="str",
            create_config=manager.topic_config(
                1, 1, {"retention.ms": "-1", "retention.bytes": "-1"}
            ),
        )
        topic.broker_config = topic.create_config
        manager._regular_topics[TOPIC] = topic
        self.frame = self.app.dataframe(topic)
        self.processing = self.app._processing_context
        self.processing.producer = MagicMock(unproduced_msg_count=0)
        self.processing.producer.flush.return_value = 0
        self.processing.consumer = MagicMock()

    def run(self, frame: Any, data: list[Element], out: Callable[[Any], object]) -> None:
        def sink(value: Any, key: Any, timestamp: int, headers: Any) -> None:
            out((key, value))

        function = frame.compose(sink=sink)[TOPIC]
        states, processing = self.app._state_manager, self.processing
        states.init()
        states.on_partition_assign(TOPIC, 0, {TOPIC: -1001})
        processing.init_checkpoint()
        for offset, (key, ts, value) in enumerate(data):
            own = context.copy_context()
            message = models.MessageContext(topic=TOPIC, partition=0, offset=offset, size=1)
            own.run(context.set_message_context, message)
            own.run(function, value, key, ts, None)
            processing.store_offset(TOPIC, 0, offset)
            if offset % BATCH == BATCH - 1:
                processing.commit_checkpoint(force=True)
        processing.commit_checkpoint(force=True)
        states.on_partition_revoke(TOPIC, 0)


def counted(define: Callable[[Any, Callable[..., bool]], Any], after: int = 0) -> Program:
    """Return the program that counts by key in the windows that *define* adds to a frame.

    ``after``: what is added to the ends, for a session of Quix ends with its last element.
    """

    def run(data: list[Element], out: Callable[[Any], object]) -> int:
        late = list[int]()

        def on_late(value: Any, key: Any, timestamp: int, *rest: object) -> bool:
            late.append(timestamp)
            return False

        def unpack(x: Any) -> None:
            key, value = x
            out((key, value["start"], value["end"] + after, value["value"]))

        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(folder)
            windows = define(bench.frame, on_late)
            bench.run(windows.count().final(closing_strategy=CLOSING), data, unpack)
        return len(late)

    return run


def running_sum(data: list[Element], out: Callable[[Any], object]) -> int:
    def add(x: float, state: Any) -> float:
        total: float = state.get("total", 0) + x
        state.set("total", total)
        return total

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        bench.run(bench.frame.apply(add, stateful=True), data, out)
    return 0


PROGRAMS: dict[str, Program] = {
    "tumbling": counted(
        lambda frame, on_late: frame.tumbling_window(SIZE, grace_ms=LAG, on_late=on_late)
    ),
    "sliding": counted(
        lambda frame, on_late: frame.hopping_window(SIZE, EVERY, grace_ms=LAG, on_late=on_late)
    ),
    "session": counted(
        lambda frame, on_late: frame.session_window(GAP, grace_ms=LAG, on_late=on_late),
        after=GAP - 1,
    ),
    "sum": running_sum,
}

if __name__ == "__main__":
    main(version("quixstreams"), PROGRAMS)
