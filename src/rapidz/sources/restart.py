"""Restart of what lost its connection: when, how often, and after what wait."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from rapidz.kernel.protocol.checks import check_count, check_number
from rapidz.kernel.protocol.intervals import Interval, seconds
from rapidz.kernel.protocol.short_repr import short_repr


@dataclass(frozen=True)
class Restart:
    """When and how often a connector starts again after a transient failure of its own.

    Parameters
    ----------
    wait : float or str
        Seconds, or a string such as ``"100ms"``, before the first new attempt.
    factor : float
        Each further wait is this many times the one before, at least 1.
    limit : float or str
        The longest wait.
    times : int, optional
        Attempts in a row without a connection, at least 1; without limit by default.
    at_start : bool
        Try again also if there never was a connection.  By default a first attempt that fails
        is final: the address may be wrong.
    jitter : float
        The part of each wait that is random, from 0 to 1, so that many clients do not return
        at the same instant.
    on : tuple of exception classes, optional
        What counts as transient; by default, what the connector says.

    >>> rule = Restart(wait="1s", limit="5s", jitter=0)
    >>> [rule.pause(attempt) for attempt in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    wait: Interval = 0.1
    factor: float = 2.0
    limit: Interval = 30.0
    times: int | None = None
    at_start: bool = False
    jitter: float = 0.1
    on: tuple[type[Exception], ...] | None = None
    _wait: float = field(init=False, repr=False, default=0.0)
    _limit: float = field(init=False, repr=False, default=0.0)

    def __post_init__(self) -> None:
        if self.times is not None:
            check_count("Restart", "times", self.times)
        check_number("Restart", "factor", self.factor, 1)
        check_number("Restart", "jitter", self.jitter, 0)
        if self.jitter > 1:
            raise ValueError(f"Restart: jitter must be a number from 0 to 1, got {self.jitter}")
        if self.on is not None:
            _check_classes(self.on)
        for name in ("wait", "limit"):
            length = seconds(
                getattr(self, name), operator="Restart", argument=name, allow_zero=True
            )
            object.__setattr__(self, f"_{name}", length)

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait before new attempt number *attempt* (1, 2, ...)."""
        longest = min(self._wait * self.factor ** min(attempt - 1, 64), self._limit)
        return longest * (1 - self.jitter * random.random())

    def allows(self, attempt: int, connected_before: bool) -> bool:
        """Return whether new attempt number *attempt* may be made."""
        if not (connected_before or self.at_start):
            return False
        return self.times is None or attempt <= self.times


def read_restart(operator: str, value: Any, default: Restart | None) -> Restart | None:
    """Return the rule that a user gave as ``restart=``; None: never.

    >>> read_restart("from_x", "yes", None)
    Traceback (most recent call last):
    ...
    TypeError: from_x: restart must be True, False or a Restart, got 'yes'
    """
    if value is None:
        return default
    if isinstance(value, bool):
        return (default or Restart()) if value else None
    if isinstance(value, Restart):
        return value
    raise TypeError(
        f"{operator}: restart must be True, False or a Restart, got {short_repr(value)}"
    )


def _check_classes(classes: Any) -> None:
    if not isinstance(classes, tuple) or not all(
        isinstance(item, type) and issubclass(item, Exception) for item in classes
    ):
        raise TypeError(
            f"Restart: on must be a tuple of exception classes, got {short_repr(classes)}"
        )
