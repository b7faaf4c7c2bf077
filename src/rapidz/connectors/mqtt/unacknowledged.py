"""Messages that are not acknowledged, in the order in which they arrived."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

_Key = tuple[int, str, bytes]


class Delivery:
    """One message in the pipeline, delivered once or more."""

    __slots__ = ("failed", "message", "settled")

    def __init__(self, message: Any) -> None:
        self.message = message
        self.settled = self.failed = False

    @property
    def key(self) -> _Key:
        """What a message has in common with itself when the broker delivers it again."""
        return self.message.mid, self.message.topic, self.message.payload


class Unacknowledged:
    """Messages from their arrival to their acknowledgement.

    Acknowledges messages in the order of their arrival, as MQTT demands.  After a lost connection,
    the broker delivers again what was not acknowledged; messages that are still in the pipeline are
    recognized, and acknowledged on the new connection when they are done.
    """

    def __init__(self) -> None:
        self._deliveries: deque[Delivery] = deque()
        self._earlier: dict[_Key, Delivery] = {}
        self._acknowledge: Callable[[Any], object] | None = None
        self._settled: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._deliveries)

    def begin(self, acknowledge: Callable[[Any], object]) -> None:
        """Begin a connection, on which *acknowledge* answers a message."""
        self._acknowledge = acknowledge

    def end(self) -> None:
        """End the connection."""
        self._acknowledge = None
        for delivery in self._deliveries:
            if not delivery.failed:
                self._earlier[delivery.key] = delivery
        self._deliveries.clear()

    def forget(self) -> None:
        """Forget earlier connections: the broker has forgotten the session."""
        self._earlier.clear()

    def add(self, message: Any) -> Delivery | None:
        """Return the delivery of a message; None if the message is in the pipeline."""
        delivery = Delivery(message)
        earlier = self._earlier.pop(delivery.key, None) if message.dup else None
        if earlier is not None:
            earlier.message = message
        self._deliveries.append(earlier or delivery)
        if earlier is None:
            return delivery
        if earlier.settled:
            self._advance()
        return None

    def settle(self, delivery: Delivery) -> None:
        """Acknowledge a message as soon as all before it are done."""
        delivery.settled = True
        self._advance()

    def refuse(self, delivery: Delivery, error: BaseException) -> None:
        """Do not acknowledge a message, nor any after it: it failed."""
        delivery.failed = True
        self._report_settled()

    async def wait_settled(self) -> None:
        """Wait until all messages are acknowledged, or one has failed."""
        if self._deliveries and not self._deliveries[0].failed:
            self._settled = asyncio.get_running_loop().create_future()
            await self._settled

    def _advance(self) -> None:
        deliveries, acknowledge = self._deliveries, self._acknowledge
        while acknowledge is not None and deliveries and deliveries[0].settled:
            acknowledge(deliveries.popleft().message)
        self._report_settled()

    def _report_settled(self) -> None:
        waiter, deliveries = self._settled, self._deliveries
        if waiter is None or waiter.done() or (deliveries and not deliveries[0].failed):
            return
        waiter.set_result(None)
