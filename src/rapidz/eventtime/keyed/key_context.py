"""Key context: what the methods of a process see of the key and the time, and what they change."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from rapidz.eventtime.clock import END, EventClock
from rapidz.eventtime.domain import SECOND, TimeDomain
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keyed.process_state import Change, KeyTimer, ProcessState
from rapidz.kernel.protocol.intervals import Interval, seconds
from rapidz.kernel.protocol.short_repr import short_repr


class KeyContext:
    """Context of one call of ``on_element`` or ``on_timer``: key, time, state and timers.

    What a method changes by it takes effect when the method has returned, and not if it raises an
    exception: the state that was assigned, the timers that were set or cancelled.

    Attributes
    ----------
    key : object
        The key, None where the stream has no keys.
    name : hashable
        The name of the timer in ``on_timer``, else None.
    """

    __slots__ = ("_changes", "_element", "_now", "_process", "_state", "_timer", "key", "name")

    def __init__(self, process: ProcessState) -> None:
        self._process = process
        self._changes: list[Change] | None = None
        """None outside of a call."""
        self._state: Any = None
        self._element: Any = None
        self._timer: KeyTimer | None = None
        self._now = 0
        self.key: Any = None
        self.name: Hashable = None

    # --- what it knows ----------------------------------------------------------------------

    @property
    def time(self) -> Any:
        """The timestamp of the element, or the instant the timer was set for, as the source has it.

        None for a timer of the wall clock.
        """
        if self._timer is not None:
            return self._timer.t
        return self._timed("time")[1](self._element)

    @property
    def watermark(self) -> Any:
        """The watermark as the source writes time: no element before it is expected.

        None before the first element; the greatest value that there is once the stream has
        ended.
        """
        now = self._timed("watermark")[0].arrived()
        return None if now <= -END else self._domain.limit(now)

    @property
    def is_late(self) -> bool:
        """Whether the element, or the timer, is older than the watermark."""
        clock, _ = self._timed("is_late")
        time = self.time
        return time is not None and self._domain.to_ns(time) < clock.arrived()

    @property
    def ended(self) -> bool:
        """Whether the stream has ended, so that no element follows and all timers fire.

        A timer that sets itself again looks at this, or the process sets it up to 1,000 times.
        """
        return self._process.ended

    # --- state ------------------------------------------------------------------------------

    @property
    def state(self) -> Any:
        """The state of the key: any object, None until it is assigned and after it is deleted."""
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        self._check_open("state")
        self._state = value

    @state.deleter
    def state(self) -> None:
        self.state = None

    # --- timers -----------------------------------------------------------------------------

    def at(self, t: Any, name: Hashable = None) -> None:
        """Have ``on_timer`` called once the watermark has reached *t*.

        Parameters
        ----------
        t : number or datetime
            As the timestamps of the stream.  If the watermark has passed it already, the call
            follows directly on the present one.
        name : hashable
            A timer of the same key and name that is set already is moved.
        """
        self._timed("at")
        self._check_timer("at", name)
        domain = self._domain
        integral = domain.integral
        try:
            instant = domain.to_ns(t)
        except (TypeError, ValueError, OverflowError) as error:
            raise type(error)(
                f"process: at: t must be a time like the timestamps of the stream, "
                f"got {short_repr(t)}"
            ) from error
        finally:
            domain.integral = integral  # that says what the elements have
        self._changes.append(("at", name, instant))  # type: ignore[union-attr]

    def after(self, delay: Interval, name: Hashable = None) -> None:
        """Have ``on_timer`` called after *delay* by the clock of the pipeline.

        Parameters
        ----------
        delay : float, str or timedelta
            Seconds, or a string such as ``"500ms"``, at least 0.
        name : hashable
            A timer of the same key and name that is set already is moved.
        """
        self._check_timer("after", name)
        if not self._process.has_loop():
            raise RuntimeError(
                "process: ctx.after needs an event loop, got a pipeline without: no method of the "
                "class names `after`, so pass `asynchronous=` to Stream"
            )
        length = seconds(delay, operator="process: after", argument="delay", allow_zero=True)
        self._changes.append(("after", name, round(length * SECOND)))  # type: ignore[union-attr]

    def cancel(self, name: Hashable = None) -> None:
        """Cancel the timer *name* of the key, of event time or of the wall clock, if it is set."""
        self._check_open("cancel")
        hash(name)
        self._changes.append(("cancel", name, 0))  # type: ignore[union-attr]

    # --- for the process --------------------------------------------------------------------

    def open(self, key: Any, element: Any, timer: KeyTimer | None, now: int) -> None:
        """Begin a call for *key*, which counts as made at *now*."""
        self.key, self._element, self._timer, self._now = key, element, timer, now
        self.name = None if timer is None else timer.name
        self._state = self._process.read(key, now)
        self._changes = []

    def close(self, *, commit: bool) -> bool:
        """End the call, and keep what has changed if *commit*.

        Returns whether there is something earlier to wait for than before, or something to send.
        """
        changes, state = self._changes or [], self._state
        self._changes = self._element = self._timer = self._state = None
        return commit and self._process.commit(self.key, state, self._now, changes)

    @property
    def _domain(self) -> TimeDomain:
        domain = self._process.domain
        assert domain is not None
        return domain

    def _timed(self, what: str) -> tuple[EventClock, Getter]:
        clock, timestamp = self._process.clock, self._process.timestamp
        if clock is None or timestamp is None:
            raise RuntimeError(f"process: ctx.{what} needs `event_time` upstream, got none")
        return clock, timestamp

    def _check_open(self, what: str) -> None:
        if self._changes is None:
            raise RuntimeError(
                f"process: ctx.{what} must be used while on_element or on_timer runs, got a use "
                "after it has returned"
            )

    def _check_timer(self, what: str, name: Hashable) -> None:
        self._check_open(what)
        hash(name)
        if not self._process.takes_timers:
            raise TypeError(f"process: ctx.{what} needs a method on_timer, got a class without")
