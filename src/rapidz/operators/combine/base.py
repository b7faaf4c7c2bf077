"""Checks, ports and base class of the operators with several inputs."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar

from rapidz.kernel.compile.loss_alignment import LossTally, alignment_of
from rapidz.kernel.graph.editing import move_to_first
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import Push
from rapidz.kernel.protocol.short_repr import short_repr

logger = logging.getLogger("rapidz")


def check_streams(operator: str, streams: Sequence[object]) -> None:
    """Refuse upstreams that are no Streams, and none at all."""
    if not streams:
        raise ValueError(f"{operator}: upstreams must be at least one Stream, got none")
    for stream in streams:
        if not isinstance(stream, Stream):
            raise TypeError(f"{operator}: upstreams must be Streams, got {short_repr(stream)}")


def put_first(node: Stream[Any], first: Any) -> None:
    """Move *node* before its siblings, downstream of the streams in *first*."""
    if first is None or first is False:
        return
    chosen = node.upstreams if first is True else [first] if isinstance(first, Stream) else first
    for upstream in chosen:
        if upstream not in node.upstreams:
            node._unused = False
            raise ValueError(
                f"{type(node).__name__}: first must be upstreams of it, got {short_repr(upstream)}"
            )
    move_to_first(node, list(chosen))


def log_unpaired(node: Stream[Any]) -> None:
    """Log the elements that have no partner when the stream ends."""
    if count := node._count_buffered():
        logger.info("%s: %d without a partner when the stream ended", node, count)


class Joining(Stream[tuple[Any, ...]]):
    """Base class of the operators that build tuples of elements of several streams."""

    _combines_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True
    _is_join: ClassVar[bool] = True
    _emits_one_for_one: ClassVar[bool] = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._tallies: weakref.WeakKeyDictionary[Any, LossTally] = weakref.WeakKeyDictionary()
        super().__init__(*args, **kwargs)
        self._pipeline.joins.add(self)

    def _wrap_policy(self, step: Push[Any], policy: Any) -> Push[Any]:
        return step  # the node calls no function that could fail, and inputs wait for each other

    def _aligned(self, upstream: Stream[Any]) -> list[Stream[Any]]:
        """Return the inputs that are aligned with *upstream*, itself included; [] if none is."""
        return alignment_of(self._pipeline).group(self, upstream)

    def _tally(self, upstream: Stream[Any]) -> LossTally | None:
        """Return the count of losses of *upstream*, aligned with its partners; None if none is."""
        group = self._aligned(upstream)
        tallies = [self._tallies.setdefault(up, LossTally()) for up in group]
        LossTally.align(tallies)
        return self._tallies[upstream] if group else None

    def _on_partner_lost(self, port: int) -> None:
        if (tally := self._tally(self.upstreams[port])) is not None:
            tally.loses()

    def _is_repeated(self, port: int) -> bool:
        """Return whether the stream at *port* also enters at an earlier port."""
        return self.upstreams.index(self.upstreams[port]) < port
