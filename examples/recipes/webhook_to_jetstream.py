"""Web hook to queue: answer a request when JetStream has stored its event.

Run it as ``rapidz run webhook_to_jetstream.py:main -- 8080 TOKEN nats://localhost:4222``.
A stream of JetStream must have the subjects ``events.>``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import rapidz
from rapidz import Stream


@dataclass
class Event:
    id: str
    kind: str
    amount: int = 0


def pipeline(port: int, token: str, servers: str) -> Stream[Event]:
    # A body that is no event is answered with 400, and more than 200 open requests with 429.
    events = Stream.from_http_server(
        port, "/events", codec="json", type=Event, token=token, max_pending=200
    )
    # A sender that gets no answer sends again: JetStream drops what it has by the identifier.
    events.to_jetstream(
        lambda event: f"events.{event.kind}",
        servers,
        codec="json",
        message_id=lambda event: event.id,
        batch=50,
        max_wait="10ms",
    )
    return events


def main() -> Stream[Event]:
    port, token, servers = sys.argv[1:]
    return pipeline(int(port), token, servers)


if __name__ == "__main__":
    rapidz.run(main())
