"""State of session windows: what is recorded of the sessions of a node, and how it is taken up."""

from __future__ import annotations

from itertools import chain
from typing import Any, TypeAlias

from rapidz.eventtime.wheel import Wheel
from rapidz.eventtime.windows.base import Unknown

SessionState: TypeAlias = tuple[dict[Any, Any], dict[Any, list[Any]], list[tuple[int, Any]]]
"""The latest session of each key, the earlier ones, and which is looked at when."""


class Border:
    """The instant at which the node acts next: sessions that end later are surely open."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at: Any = Unknown()


def restore_sessions(
    state: SessionState, latest: dict[Any, Any], earlier: dict[Any, list[Any]], wheel: Wheel[Any]
) -> int:
    """Put the sessions of *state* into the tables of a node; return the next number."""
    latest.clear()
    latest.update(state[0])
    earlier.clear()
    earlier.update(state[1])
    wheel.clear()
    for when, session in state[2]:
        wheel.add(when, session)
    sessions = chain(latest.values(), *earlier.values())
    return max((session.number for session in sessions), default=-1) + 1
