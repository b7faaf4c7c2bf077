"""TimeNode: base class of the nodes that go by event time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar, TypeVar

from rapidz.eventtime.clock import END, NEVER, EventClock
from rapidz.eventtime.domain import TimeDomain
from rapidz.eventtime.event_time import definition_of
from rapidz.eventtime.getter import Getter
from rapidz.eventtime.late import SendsLate
from rapidz.eventtime.time_graph import give_clock
from rapidz.kernel.compile.async_steps import push_each
from rapidz.kernel.compile.fusion import EDITED
from rapidz.kernel.compile.legacy import overridden_emit
from rapidz.kernel.protocol.push import Pending, exception_group
from rapidz.kernel.runtime.attribution import attribute_to

T = TypeVar("T")


class TimeNode(SendsLate[T]):
    """Base class of the nodes that keep elements, or state, until the watermark passes.

    A subclass sets its timer, ``self._clock.set_timer(instant)``, when an element gives it
    something to do later; does that in `_on_time`; and emits by `_emit_all`.

    Parameters
    ----------
    operator : str
        Its name, for errors.
    upstreams : list of Stream
        Its inputs; each must have an `event_time` upstream.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where that `event_time` found it; a tuple
        if the inputs differ.
    """

    _attributes_failures: ClassVar[bool] = True
    _emits_one_for_one: ClassVar[bool] = False
    _takes_frames: ClassVar[bool] = False
    """Whether it looks at the rows of frames."""
    _interrupted: Iterator[Any] | None = None
    """What a signal has kept from being emitted."""
    _leaving: deque[Iterable[Any]] | None = None
    """What is to be emitted by the call of `_emit_all` that is at work."""

    def __init__(
        self, operator: str, upstreams: list[Any], timestamp: Any = None, **kwargs: Any
    ) -> None:
        places = timestamp if isinstance(timestamp, tuple) else (timestamp,) * len(upstreams)
        definitions = [
            definition_of(operator, [up], place)
            for up, place in zip(upstreams, places, strict=True)
        ]
        self._timestamps: list[Getter] = [each.getter for each in definitions]
        self._domains: list[TimeDomain] = [each.domain for each in definitions]
        if not self._takes_frames and any(domain.of_rows for domain in self._domains):
            raise TypeError(
                f"{operator}: elements must have one timestamp each, got frames of rows: use the "
                "windows of frames, or make rows, .map(lambda frame: frame.to_dict('records'))"
                ".flatten().event_time(…)"
            )
        if len({domain.unit for domain in self._domains}) > 1:
            raise ValueError(
                f"{operator}: timestamps must be in one unit, "
                f"got {[domain.unit for domain in self._domains]}"
            )
        self._timestamp, self._domain = self._timestamps[0], self._domains[0]
        if len(upstreams) == 1:
            super().__init__(upstreams[0], **kwargs)
        else:
            super().__init__(upstreams=upstreams, **kwargs)
        give_clock(self, EventClock(self))

    # --- to be overridden -------------------------------------------------------------------

    def _on_time(self, t: int) -> Pending:
        """Do what is due at the watermark *t*, and set ``self._clock.timer`` anew.

        *t* is `END` at the end of the stream.
        """
        raise NotImplementedError

    def _emit_early(self) -> Pending:
        """Emit what there is of results that are not final: at a flush.  By default nothing."""
        return None

    def _on_watermark(self, t: int) -> Pending:
        """Do what is due at the watermark *t*, after what an interrupt has left over."""
        wait = self._on_time(t)
        return self._emit_all(()) if self._interrupted is not None else wait

    # --- to be called -----------------------------------------------------------------------

    def _emit_all(self, results: Iterable[Any]) -> Pending:
        """Emit *results* in order, as downstream has capacity; all are tried.

        What does not find capacity now is emitted by the node's own queue, behind which
        the watermark stays.
        """
        if self._leaving is not None:  # these result from what a sink has sent back: not ahead
            self._leaving.append(results)
            return None
        self._leaving = deque([results])
        if self._interrupted is not None:
            self._leaving.appendleft(self._interrupted)
            self._interrupted = None
        rest = chain.from_iterable(_each_of(self._leaving))
        try:
            if self._pipeline.tracked or overridden_emit(self) or self._record is not None:
                return push_each(self)(self._made(rest))
            return self._emit_bulk(rest)
        except Exception:
            raise
        except BaseException:  # a signal, in the middle: the others are emitted later
            self._interrupted = rest
            raise
        finally:
            self._leaving = None

    def _made(self, results: Iterator[Any]) -> Iterator[Any]:
        """Yield *results*; one that cannot be made fails alone."""
        while True:
            try:
                result = next(results)
            except StopIteration:
                return
            except Exception as error:
                self._note_failure(error)
            else:
                yield result

    def _note_failure(self, error: Exception) -> None:
        """Note that a result could not be made."""
        attribute_to(error, self)
        self._pipeline.record_failure(error)

    def _emit_bulk(self, rest: Iterator[Any]) -> Pending:
        errors: list[Exception] = []
        if self._serial_queue.busy():  # behind those before
            return self._serial_queue.enqueue(self._send_rest(None, rest, errors), self._pipeline)
        wait = self._send(rest, errors)
        if wait is not None:
            return self._serial_queue.enqueue(self._send_rest(wait, rest, errors), self._pipeline)
        if errors:
            raise exception_group(errors, "elements")
        return None

    def _send(self, results: Iterator[Any], errors: list[Exception]) -> Pending:
        """Emit *results* until something must be awaited."""
        while True:
            try:
                wait = self._compiled_entry().bulk()(results)
            except Exception as error:
                errors.append(error)
                continue
            if wait is not EDITED:
                return wait  # type: ignore[no-any-return]

    async def _send_rest(
        self, wait: Pending, results: Iterator[Any], errors: list[Exception]
    ) -> None:
        while True:
            try:
                if wait is not None:
                    await wait
            except Exception as error:
                errors.append(error)
            if (wait := self._send(results, errors)) is None:
                break
        if errors:
            raise exception_group(errors, "elements")

    # --- for the engine -----------------------------------------------------------------------

    def _emit_buffered(self) -> Pending:
        return self._emit_early()

    def _emit_at_end(self) -> Pending:
        clock: EventClock = self._clock
        clock.reached = END
        if clock.timer == NEVER:
            return None
        clock.hold()
        try:
            return self._on_watermark(END)
        finally:
            clock.timer = NEVER
            clock.release(self)


def _each_of(leaving: deque[Iterable[Any]]) -> Iterator[Iterable[Any]]:
    while leaving:
        yield leaving.popleft()
