"""Event time: `event_time`, which reads timestamps and makes watermarks, and `timestamps`."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeVar

from rapidz.eventtime.clock import joined
from rapidz.eventtime.domain import TimeDomain, nanoseconds
from rapidz.eventtime.getter import Getter, TimestampGetter, caused
from rapidz.eventtime.idle import IdleWatch
from rapidz.eventtime.late import SendsLate
from rapidz.eventtime.origin import OriginClock
from rapidz.eventtime.partitions import PartitionedClock
from rapidz.eventtime.time_graph import give_clock
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.short_repr import short_repr

T = TypeVar("T")


class TimeDefinition(NamedTuple):
    """How nodes downstream read the timestamp of an element, and what it is."""

    getter: Getter
    domain: TimeDomain


@Stream.register_api()
class event_time(SendsLate[T]):
    """Give elements the time at which they happened, and make watermarks of it.

    Emits every element as it is.  Windows, joins, timers and keyed state downstream go by
    the timestamps, not by the time of arrival: they act when the watermark passes, which
    is *lag* behind the greatest timestamp so far.  Event time moves by elements, by
    *idle*, by the end of the stream, and by nothing else.  Applies back pressure when
    downstream does, and until results that an element has set off are taken.

    Parameters
    ----------
    timestamp : str, int or callable
        Where the timestamp is in an element: its key or index, the name of an attribute, or a
        function of the element.  Numbers count *unit* since 1970; datetimes, of pandas and
        numpy too, are all with or all without a time zone.
    lag : float, str or timedelta
        How far out of order elements may be: the watermark stays so far behind.  Seconds,
        or a string such as ``"10s"``, at least 0.
    idle : float, str or timedelta, optional
        After so long without an element while none is in flight, the input is idle: others
        need not wait for it.  When all inputs are idle the watermark follows the clock.
        Needs an event loop.
    ahead : float, str or timedelta, optional
        An element whose timestamp is further ahead of the clock of this machine goes to
        `late` with the reason ``"future"`` and does not move the watermark.
    unit : str
        What numbers count: ``"s"``, ``"ms"``, ``"us"``, ``"ns"`` or ``"min"``.
    partition : str, int or callable, optional
        Where the partition is that an element comes from, such as that of a topic, a file or a
        connection, if each is in order and they are not in step: the watermark follows the
        least of them.  One that is idle while others are not is left out.
    partitions : int
        How many partitions there are: the watermark waits until all have had an element, or
        *idle* has passed.

    Errors
    ------
    An element without a timestamp, or with one of another kind than the first, fails.

    >>> from rapidz import Count
    >>> source = Stream()
    >>> clicks = source.event_time("at", lag="5s").key_by("user")
    >>> shown = clicks.tumbling("1 min").aggregate(n=Count()).sink(print)
    >>> source.emit_many([{"at": 3, "user": "ada"}, {"at": 59, "user": "ada"}])
    >>> source.emit({"at": 66, "user": "bob"})
    WindowResult(key='ada', start=0, end=60, value={'n': 2}, final=True, revision=0)
    """

    _needs_local_elements: ClassVar[bool] = True
    _passes_elements: ClassVar[bool] = True

    _emits_one_for_one: ClassVar[bool] = True

    def __init__(
        self,
        upstream: Stream[T],
        timestamp: Any,
        *,
        lag: Interval = 0,
        idle: Interval | None = None,
        ahead: Interval | None = None,
        unit: str = "s",
        partition: Any = None,
        partitions: int = 1,
        **kwargs: Any,
    ) -> None:
        name = "event_time"
        check_count(name, "partitions", partitions)
        self._domain = TimeDomain(name, unit)
        self._timestamp = TimestampGetter(timestamp, name, self._domain)
        length = nanoseconds(lag, operator=name, argument="lag", allow_zero=True)
        guard = None if ahead is None else _length("ahead", ahead, allow_zero=True)
        patience = None if idle is None else _length("idle", idle)
        self.time_definition = TimeDefinition(self._timestamp, self._domain)
        if patience is not None:
            kwargs["ensure_io_loop"] = True
        self._partition = None if partition is None else Getter(partition, name, "partition")
        super().__init__(upstream, **kwargs)
        clock: OriginClock
        if partition is None:
            clock = OriginClock(self, self._domain, length, guard)
        else:
            clock = PartitionedClock(
                self, self._domain, length, guard, patience=patience, expected=partitions
            )
        if patience is not None:
            clock.watch = IdleWatch(self, clock, patience)
        self._origin = clock
        give_clock(self, clock)

    @property
    def watermark(self) -> Any:
        """The watermark as the source writes time; None before the first element."""
        return None if self._origin.bar is None else self._domain.from_ns(self._origin.latest())

    def _can_inline(self) -> bool:
        if self._partition is not None:
            return False
        return not self._pipeline.needs_loop or self._origin.watch is None

    def inline(self, code: Code, port: int = 0) -> None:
        clock = self._origin
        if self._pipeline.needs_loop:
            graph = code.bind("graph", self._pipeline.time)
            code.settle = f"if {graph}.owed: wait = {code.bind('join', self._joiner())}(wait)"
        if clock.bar is None or self._timestamp.mode is None:
            code.line(f"too_far = {code.bind('first', self._first())}(x)")
            self._divert(code)
            return
        name, take = code.bind("clock", clock), code.bind("take", clock.take)
        failure = code.bind("failure", functools.partial(_failure, weakref.ref(self)))
        code.line("try:")
        code.depth += 1
        ts = code.read("ts", self._timestamp)
        if clock.ahead is not None:
            code.line("too_far = 0")
        code.line(f"if {ts} > {name}.bar:")
        code.line(f"    if {ts} < {name}.alarm: {name}.bar = {ts}")
        code.line(f"    else: {'too_far = ' if clock.ahead is not None else ''}{take}({ts})")
        code.depth -= 1
        code.line("except Exception as error:")
        code.line(f"    raise {failure}(x, error)")
        if clock.ahead is not None:
            self._divert(code)

    def _divert(self, code: Code) -> None:
        """Write that an element too far in the future goes to `late`, the others downstream."""
        code.nest("too_far")
        code.pass_on(f"{code.bind('future', self._future())}(x, too_far)")
        code.otherwise()

    def _joiner(self) -> Callable[[Pending], Pending]:
        """Return what joins a wait with those that no element has waited for yet."""
        ref, graph = weakref.ref(self), self._pipeline.time

        def join(wait: Pending) -> Pending:
            node = ref()
            return wait if node is None else joined(node, [wait, *graph.take_owed()])

        return join

    def _failure(self, x: Any, error: Exception) -> Exception:
        """Return the error of an element whose timestamp cannot be used."""
        try:
            ts = self._timestamp(x)
            self._domain.learn(ts)
            self._domain.to_ns(ts)
        except Exception as better:
            return caused(better, error)
        return error

    def _future(self) -> Any:
        ref, domain = weakref.ref(self), self._domain

        def future(x: Any, by: int) -> Pending:
            node = ref()
            return None if node is None else node._send_late(x, by, domain, reason="future")

        return future

    def _first(self) -> Any:
        """Return the substitute of the lines for the first element, which shows what is in it."""
        ref, clock, getter = weakref.ref(self), self._origin, self._timestamp

        def first(x: Any) -> int:
            ts = getter(x)
            if clock.bar is None or ts > clock.bar:
                too_far = clock.take(ts)
                if too_far:
                    return too_far
            if (node := ref()) is not None:
                node._invalidate()
            return 0

        return first

    def compile(self, push: Push[T], port: int = 0) -> Push[T]:
        """Return the step of an input with partitions, or one that may be idle."""
        if self._can_inline():
            return self._compile_inline(push, port)
        clock, getter, future = self._origin, self._timestamp, self._future()
        ref, graph, watch, failure = weakref.ref(self), self._pipeline.time, clock.watch, _failure
        partition = self._partition

        def step(x: T) -> Pending:
            try:
                ts = getter(x)
                bar = clock.bar
                if partition is not None:
                    too_far = clock.take_of(partition(x), ts)  # type: ignore[attr-defined]
                else:
                    too_far = clock.take(ts) if bar is None or ts > bar or clock.asleep else 0
            except Exception as error:
                raise failure(ref, x, error)  # noqa: B904 - its cause is set
            wait = future(x, too_far) if too_far else push(x)
            if graph.owed and (node := ref()) is not None:
                wait = joined(node, [wait, *graph.take_owed()])
            if watch is not None and not too_far:
                watch.note(wait)
            return wait

        return step

    def _on_end(self) -> None:
        if self._origin.watch is not None:
            self._origin.watch.cancel()

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        if self._origin.watch is not None:
            self._origin.watch.start_anew()


def _length(argument: str, value: Interval, *, allow_zero: bool = False) -> int:
    return nanoseconds(value, operator="event_time", argument=argument, allow_zero=allow_zero)


def _failure(ref: weakref.ref[Any], x: Any, error: Exception) -> Exception:
    node = ref()
    return error if node is None else node._failure(x, error)


@Stream.register_api()
class timestamps(Stream[T]):
    """Say anew where the timestamp of an element is, after an operator has changed elements.

    Emits every element as it is; the watermark stays that of the `event_time` upstream.

    Parameters
    ----------
    timestamp : str, int or callable
        As for `event_time`; of the same kind and unit.

    >>> from rapidz import Count
    >>> source = Stream()
    >>> pairs = source.event_time("at").map(lambda x: (x["at"], x["user"])).timestamps(0)
    >>> shown = pairs.tumbling("1 min").aggregate(n=Count()).sink(print)
    >>> source.emit_many([{"at": 3, "user": "ada"}, {"at": 60, "user": "ada"}])
    WindowResult(key=None, start=0, end=60, value={'n': 1}, final=True, revision=0)
    """

    _needs_local_elements: ClassVar[bool] = True
    _passes_elements: ClassVar[bool] = True

    _emits_one_for_one: ClassVar[bool] = True

    def __init__(self, upstream: Stream[T], timestamp: Any, **kwargs: Any) -> None:
        domain = definition_of("timestamps", [upstream]).domain
        getter = TimestampGetter(timestamp, "timestamps", domain)
        self.time_definition = TimeDefinition(getter, domain)
        super().__init__(upstream, **kwargs)


def definition_of(operator: str, upstreams: list[Any], timestamp: Any = None) -> TimeDefinition:
    """Return how to read the time of what comes from *upstreams*; refuse streams without time.

    *timestamp*, if given, says where it is; else the nearest `event_time`, `timestamps` or
    window upstream does, which must be one for all.
    """
    found = definitions_upstream(upstreams)
    if not found:
        raise ValueError(
            f"{operator}: needs `event_time` upstream, got "
            f"{', '.join(map(str, upstreams))} without timestamps"
        )
    first = found[0]
    units = {each.domain.unit for each in found}
    if len(units) > 1:
        raise ValueError(f"{operator}: timestamps must be in one unit, got {sorted(units)}")
    if timestamp is not None:
        return TimeDefinition(TimestampGetter(timestamp, operator, first.domain), first.domain)
    if any(each.getter != first.getter for each in found):
        raise ValueError(
            f"{operator}: timestamp must be given, as the streams upstream have theirs in "
            f"different places: {', '.join(short_repr(each.getter.of) for each in found)}"
        )
    return first


def definitions_upstream(upstreams: list[Any]) -> list[TimeDefinition]:
    """Return the nearest definitions of time, on each way from *upstreams* upward."""
    found: list[TimeDefinition] = []
    stack, seen = list(upstreams), set(upstreams)
    while stack:
        node = stack.pop()
        if (own := getattr(node, "time_definition", None)) is not None:
            found.append(own)
            continue
        for port, up in enumerate(node.upstreams):
            if up is not None and up not in seen and port not in node._side_ports:
                seen.add(up)
                stack.append(up)
    return found
