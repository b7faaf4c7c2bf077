"""End of an event loop: elements that it has lost, or left in queues."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rapidz.kernel.runtime.queue import elements_in

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

logger = logging.getLogger("rapidz")


def count_queued(node: Node) -> int:
    """Return how many elements wait in the queue of *node*, if it has one."""
    drainer = getattr(node, "_drainer", None)
    if drainer is None or _is_remote(node):  # what workers have is lost with the loop
        return 0
    entries = 0 if node._loses_queue_with_loop else elements_in(drainer.entries)
    waiting: int = node._gate.waiting_in_loop()  # type: ignore[attr-defined]
    return entries + waiting


def has_queued_work(node: Node) -> bool:
    """Return whether *node* would resume by itself with the elements that a loop has left in it."""
    return bool(count_queued(node)) or (not node._ended and node._resumes_queue())


def report_loop_end(nodes: Iterable[Node]) -> None:
    """Log which elements are lost, and which are left, as the loop of *nodes* ends."""
    nodes = list(nodes)
    for node in nodes:
        place = "in flight"
        if _is_remote(node) and (lost := node._buffered()):
            place = "with workers"
        else:
            lost = _take_lost_count(node)
        if lost:
            logger.warning(
                "%s: the event loop has ended; %d element%s %s and lost. Await "
                "close() or join() before the loop ends.",
                node,
                lost,
                " was" if lost == 1 else "s were",
                place,
            )
    for node, left in [(node, left) for node in nodes if (left := count_queued(node))]:
        logger.warning(
            "%s: the event loop has ended with %d element%s in the queue; they continue when the "
            "pipeline is used in another one. Await close() or join() before the loop ends.",
            node,
            left,
            "" if left == 1 else "s",
        )


def _is_remote(node: Node) -> bool:
    return node._accepts_handles or node._remote


def _take_lost_count(node: Node) -> int:
    """Return how many elements were in flight in *node* when the loop ended; reset the count."""
    count: int = max(node._serial_queue.cut_off, node._policy_queue.cut_off)
    node._serial_queue.cut_off = node._policy_queue.cut_off = 0
    drainer = getattr(node, "_drainer", None)
    if drainer is not None and not _is_remote(node):
        count += drainer.cut_off
        drainer.cut_off = 0
        if node._loses_queue_with_loop:
            count += elements_in(drainer.entries)
    return count
