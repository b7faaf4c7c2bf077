"""Pending failures: those without an emitter to raise them to.

They wait in the pipeline for the next `emit`, `join` or `close`, which raises
them.  One that has waited for some time (`options.pending_failure_log`) is
logged too, once, and raised with a note that says so.  What still waits when
the program ends is logged then, unless it was before.

Failures with a common cause, the same exception object or the same
``__cause__``, are one failure with a count.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from asyncio import AbstractEventLoop
from collections import deque
from typing import Protocol

from rapidz.kernel.protocol import options
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.attribution import (
    add_transient_note,
    attributions,
    mark_raised,
    raised_by,
)

logger = logging.getLogger("rapidz")

#: How many failures a pipeline keeps for its emitters; further ones are counted.
MAX_PENDING = 100
#: How many elements a message names that have failed for one cause.
FIRST = 5

LATE = "raised for an element emitted earlier; the present one was not taken"
LOGGED = "was logged already: no emit, join or close had raised it by then"


class DeferredElement(Protocol):
    """The side of a failed task that its pending failure sees."""

    def has_entered(self) -> bool: ...
    def enter(self) -> None: ...


class PendingFailure:
    """One failure, or several of one cause, and what is to be said about it."""

    __slots__ = ("count", "deferred", "elements", "error", "kept_at", "logged", "node")

    def __init__(self, error: Exception, kept_at: float) -> None:
        self.error = error
        self.kept_at = kept_at
        """On the clock of the loop."""
        self.count = 0
        self.elements: list[str] = []
        """The first few, as messages show them."""
        self.deferred: deque[DeferredElement] = deque()
        """Elements that were emitted since, and have neither raised it nor entered."""
        node = raised_by(error)
        self.node = "a pipeline" if node is None else str(node)
        self.logged = any(record.logged for record in attributions(error))
        self.add(error)

    def is_caused_like(self, error: Exception) -> bool:
        """Return whether *error* has the same cause."""
        own = self.error
        if own is error:
            return True
        cause = error.__cause__
        return cause is not None and own.__cause__ is cause and type(own) is type(error)

    def add(self, error: Exception) -> None:
        """Count a failure of the same cause."""
        self.count += 1
        record = next(attributions(error), None)
        if len(self.elements) < FIRST and record is not None and record.element:
            self.elements.append(record.element)

    def release(self, last: DeferredElement | None = None) -> None:
        """Let the deferred elements enter in the order of their emits, as far as *last*.

        Without *last*, all of them: the failure is pending no longer.
        """
        deferred = self.deferred
        while deferred and not (last is not None and last.has_entered()):
            deferred.popleft().enter()

    def several(self) -> str:
        """Say which elements, if they are several."""
        shown = ", ".join(self.elements)
        more = ", ..." if self.count > len(self.elements) else ""
        return f"{self.count} elements failed for this cause: {shown}{more}"

    def raised(self, *, late: bool) -> Exception:
        """Return the failure to raise; *late*: to the emitter of another element."""
        error = self.error
        if self.count > 1:
            add_transient_note(error, self.several())
        if self.logged:
            add_transient_note(error, LOGGED)
        if late:
            add_transient_note(error, LATE)
        mark_raised(error)
        return error

    def log(self, why: str) -> None:
        """Log it, unless it was logged before."""
        if self.logged:
            return
        self.logged = True
        for record in attributions(self.error):
            record.logged = True
        element = f" for element {self.elements[0]}" if self.elements else ""
        if self.count > 1:
            element = f" ({self.several()})"
        logger.error("%s failed%s%s:", self.node, element, why, exc_info=self.error)


class PendingFailures(deque[PendingFailure]):
    """The pending failures of one pipeline, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self._left_to_join: deque[PendingFailure] = deque(maxlen=MAX_PENDING)
        """Those that no emitter is to take; each was logged."""
        self._overflow: PendingFailure | None = None
        """What there are too many of: the first of them, with a count."""
        self._timer: weakref.ref[AbstractEventLoop] | None = None
        """The loop that will look at them."""

    def keep(self, error: Exception, loop: AbstractEventLoop | None, at_once: bool) -> None:
        """Keep *error* for the next emitter; *at_once*: log it now, else *loop* does in time."""
        for entry in self:
            if entry.is_caused_like(error):
                return entry.add(error)
        entry = PendingFailure(error, 0.0 if loop is None else loop.time())
        if len(self) < MAX_PENDING:
            self.append(entry)
        elif self._overflow is None:
            self._overflow = entry
        else:
            self._overflow.count += 1
            if len(self._overflow.elements) < FIRST:
                self._overflow.elements += entry.elements
        if at_once:
            entry.log("")
        elif loop is not None:
            self._watch(loop)

    def withdraw(self, error: BaseException | None) -> None:
        """Drop *error*, which its emitter has retrieved after all."""
        for entry in list(self):
            if entry.error is error and entry.count == 1:
                self.remove(entry)
                entry.release()

    def absorb(self, other: PendingFailures) -> None:
        """Take over what another pipeline kept, which becomes part of this one."""
        self.extend(other)
        self._left_to_join.extend(other._left_to_join)
        if self._overflow is None:
            self._overflow = other._overflow
        elif other._overflow is not None:
            self._overflow.count += other._overflow.count
        if self and other._timer is not None and (loop := other._timer()) is not None:
            self._watch(loop)

    def leave_to_join(self) -> None:
        """Leave what is pending to `join` and `close`: whoever emits from now on has seen it."""
        while self:
            entry = self.popleft()
            entry.log("")
            self._left_to_join.append(entry)
            entry.release()

    def take(self) -> Exception:
        """Return the oldest one, to be raised to who emits another element."""
        entry = self.popleft()
        entry.release()
        return entry.raised(late=True)

    def take_all(self) -> Exception | None:
        """Return all of them: none, one as it is, several as a group."""
        left, entries = self._left_to_join, [self.popleft() for _ in range(len(self))]
        for entry in entries:
            entry.release()
        entries[:0] = [left.popleft() for _ in range(len(left))]
        self.log_overflow()
        if len(entries) == 0:
            return None
        if len(entries) == 1:
            return entries[0].raised(late=False)
        count = sum(entry.count for entry in entries)
        errors = [entry.raised(late=False) for entry in entries]
        return ExceptionGroup(f"{count} elements failed", errors)

    def log_all(self) -> None:
        """Log what was not raised, unless it was logged before: the program ends."""
        while self:
            self.popleft().log(", and nothing called join() or close()")
        self._left_to_join.clear()
        self.log_overflow()

    def log_overflow(self) -> None:
        """Log, in one message, what there were too many of."""
        first, self._overflow = self._overflow, None
        if first is not None and first.count == 1:
            first.log(f", besides {MAX_PENDING} others that nothing has taken")
        elif first is not None:
            logger.error(
                "%d more failed, besides %d that nothing has taken, for %s%s; the first:",
                first.count,
                MAX_PENDING,
                ", ".join(first.elements),
                ", ..." if first.count > len(first.elements) else "",
                exc_info=first.error,
            )

    # --- in time --------------------------------------------------------------------------

    def _watch(self, loop: AbstractEventLoop) -> None:
        """See that *loop* looks at them when the first has waited for long enough."""
        wait = options.value_of("pending_failure_log")
        if wait is None or (self._timer is not None and self._timer() is loop):
            return
        kept_at = next((entry.kept_at for entry in self if not entry.logged), loop.time())
        due = kept_at + wait
        ref: weakref.ref[PendingFailures] = weakref.ref(self)

        def begin() -> None:
            loop.call_at(due, lambda: _look(ref, loop))

        self._timer = weakref.ref(loop)
        if loops.running_loop() is loop:
            begin()
        else:
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(begin)

    def log_due(self, now: float, wait: float) -> bool:
        """Log what has waited for *wait* seconds; whether more will have some time."""
        for entry in list(self):
            if entry.kept_at + wait > now + _TICK:
                return True
            entry.log(f", and nothing has taken this for {wait:g} s")
        self.log_overflow()
        return False


#: The clock of a loop may be as much behind the time that a timer was set to.
_TICK = 1e-3


def _look(ref: weakref.ref[PendingFailures], loop: AbstractEventLoop) -> None:
    """Log what is due, and look again when the next one will be."""
    pending = ref()
    wait = options.value_of("pending_failure_log")
    if pending is not None:
        pending._timer = None
        if wait is not None and pending.log_due(loop.time(), wait):
            pending._watch(loop)
