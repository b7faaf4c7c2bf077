"""Key context: what the methods of a process see of the key and the time, and what they change."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from rapidz.eventtime.clock import END, EventClock
from rapidz.eventtime.domain import SECOND, TimeDomain
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
        if (timestamp := self._process.timestamp) is None:
            raise self._refusal("time")
        return timestamp(self._element)

    @property
    def watermark(self) -> Any:
        """The watermark as the source writes time: no element before it is expected.

        None before the first element; the greatest value that there is once the stream has
        ended.
        """
        now = self._timed("watermark").arrived()
        return None if now <= -END else self._domain.limit(now)

    @property
    def is_late(self) -> bool:
        """Whether the element, or the timer, is older than the watermark."""
        clock = self._timed("is_late")
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
        if self._changes is None:
            raise self._refusal("state")
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
        process, changes = self._process, self._changes
        domain = process.domain
        if domain is None or changes is None or not process.takes_timers:
            raise self._refusal("at")
        hash(name)
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
        changes.append(("at", name, instant))

    def after(self, delay: Interval, name: Hashable = None) -> None:
        """Have ``on_timer`` called after *delay* by the clock of the pipeline.

        Parameters
        ----------
        delay : float, str or timedelta
            Seconds, or a string such as ``"500ms"``, at least 0.
        name : hashable
            A timer of the same key and name that is set already is moved.
        """
        changes = self._changes
        if changes is None or not self._process.takes_timers:
            raise self._refusal("after")
        hash(name)
        if not self._process.has_loop():
            raise RuntimeError(
                "process: ctx.after needs an event loop, got a pipeline without: no method of the "
                "class names `after`, so pass `asynchronous=` to Stream"
            )
        length = seconds(delay, operator="process: after", argument="delay", allow_zero=True)
        changes.append(("after", name, round(length * SECOND)))

    def cancel(self, name: Hashable = None) -> None:
        """Cancel the timer *name* of the key, of event time or of the wall clock, if it is set."""
        if (changes := self._changes) is None:
            raise self._refusal("cancel")
        hash(name)
        changes.append(("cancel", name, 0))

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

    def _timed(self, what: str) -> EventClock:
        if (clock := self._process.clock) is None:
            raise self._refusal(what)
        return clock

    def _refusal(self, what: str) -> Exception:
        """Return the error of a use that is not possible."""
        if self._changes is None:
            return RuntimeError(
                f"process: ctx.{what} must be used while on_element or on_timer runs, got a use "
                "after it has returned"
            )
        if what in ("at", "after") and not self._process.takes_timers:
            return TypeError(f"process: ctx.{what} needs a method on_timer, got a class without")
        return RuntimeError(f"process: ctx.{what} needs `event_time` upstream, got none")
