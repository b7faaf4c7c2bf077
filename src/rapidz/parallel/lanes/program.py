"""Lane program: the operators of a lane as they travel, and how a worker builds them."""

from __future__ import annotations

import copy
import functools
import uuid
from typing import Any, Final, NamedTuple

from rapidz.eventtime.clock import EventClock
from rapidz.eventtime.domain import TimeDomain
from rapidz.eventtime.event_time import TimeDefinition
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keyed.keyed_stream import KeyedStream
from rapidz.eventtime.keys import key_reader
from rapidz.eventtime.time_graph import give_clock
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.runtime.failures import Retry
from rapidz.parallel.lanes.key_groups import LaneFinder, LaneKey
from rapidz.parallel.lanes.lane_failure import LaneFailure

#: Names of the streams of a node that lead out of a lane, besides its elements.
SIDE_STREAMS: Final = ("late", "evicted", "errors")


class LaneStep(NamedTuple):
    """One method that was called to build a lane: on the result of an earlier step."""

    parent: int
    """The step on whose result it was called; 0 is the head of the lane."""
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class LaneOutput(NamedTuple):
    """One way out of a lane."""

    step: int
    stream: str
    """Which stream of the node: "" for its elements, else one of `SIDE_STREAMS`."""


class LaneHead(KeyedStream[Any, Any]):
    """Head of a lane: elements are emitted here, and the watermark is moved.

    Parameters
    ----------
    key : object
        Where the key is in an element, as for `key_by`.
    time : TimeDefinition, optional
        Where the timestamp is in an element, and what it is; None without event time.
    """

    def __init__(self, key: Any, time: TimeDefinition | None) -> None:
        self.key_getter = Getter(key, "key_by", "key")
        super().__init__()
        self._warns_if_unused = False
        if time is not None:
            self.time_definition = time
            give_clock(self, EventClock(self))


class LaneProgram:
    """What a lane runs: recorded calls of methods, which build the same nodes in every worker.

    Parameters
    ----------
    key : object
        Where the key is in an element.
    time : TimeDefinition, optional
        Where the timestamp is in an element.
    lanes : int
        How many lanes there are.
    """

    def __init__(self, key: Any, time: TimeDefinition | None, lanes: int) -> None:
        self.uid = uuid.uuid4().hex
        self.key, self.lanes = key, lanes
        self.timestamp = None if time is None else time.getter.of
        self.domain: TimeDomain | None = None if time is None else time.domain
        self.steps: list[LaneStep] = []
        self.outputs: list[LaneOutput] = []
        self.retry: Retry | None = None
        """How often an element that fails is tried again, by a policy upstream of the lanes."""

    def add(self, parent: int, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """Record a call; return its number."""
        self.steps.append(LaneStep(parent, method, args, kwargs))
        return len(self.steps)

    def lead_out(self, step: int, stream: str = "") -> int:
        """Record that what *stream* of a step has leaves the lane; return the number of the way."""
        self.outputs.append(LaneOutput(step, stream))
        return len(self.outputs) - 1

    @property
    def main_output(self) -> int:
        """The number of the way whose results travel as they are: the first of elements."""
        return [output.stream for output in self.outputs].index("")

    def build(self, lane: int) -> list[Any]:
        """Build the nodes of one lane; the first is its head, then one result a step."""
        time = None
        if self.domain is not None:
            time = TimeDefinition(
                Getter(self.timestamp, "event_time", "timestamp"), copy.copy(self.domain)
            )
        results: list[Any] = [LaneHead(self.key, time)]
        for step in self.steps:
            results.append(apply_step(results[step.parent], step, lane, self.lanes))
        return results


def apply_step(parent: Any, step: LaneStep, lane: int, lanes: int) -> Any:
    """Call the method that *step* has recorded; a new key is one that stays in the lane."""
    if step.method != "key_by":
        return getattr(parent, step.method)(*step.args, **step.kwargs)
    return parent.key_by(_lane_key(lane, lanes, *step.args), **step.kwargs)


def _lane_key(lane: int, lanes: int, key: Any) -> LaneKey:
    return LaneKey(key_reader("key_by", Getter(key, "key_by", "key")), lane, LaneFinder(lanes))


class Tagged:
    """A result that leaves a lane by another way than the main one."""

    __slots__ = ("output", "x")

    def __init__(self, output: int, x: Any) -> None:
        self.output, self.x = output, x

    def __reduce__(self) -> Any:
        return Tagged, (self.output, self.x)


def collect_outputs(program: LaneProgram, results: list[Any], collected: list[Any]) -> list[Any]:
    """Let everything that leaves a lane go into *collected*; return the streams that it leaves."""
    streams = []
    for at, output in enumerate(program.outputs):
        node: Stream[Any] = results[output.step]
        stream = getattr(node, output.stream) if output.stream else node
        plain = at == program.main_output
        take = collected.append if plain else functools.partial(_tag, collected, at)
        if output.stream == "errors":
            take = functools.partial(_take_failure, collected, at)
        stream.sink(take)
        streams.append(stream)
    return streams


def _tag(collected: list[Any], output: int, x: Any) -> None:
    collected.append(Tagged(output, x))


def _take_failure(collected: list[Any], output: int, failure: Any) -> None:
    collected.append(LaneFailure(failure.element, failure.exception, failure.attempts, output))
