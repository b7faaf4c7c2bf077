"""Base class of the window nodes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeAlias

from rapidz.eventtime.domain import SECOND, TimeDomain
from rapidz.eventtime.event_time import TimeDefinition
from rapidz.eventtime.getter import Getter, TimestampGetter, caused
from rapidz.eventtime.keys import check_key
from rapidz.eventtime.time_node import TimeNode
from rapidz.eventtime.windows.fold import Fold
from rapidz.eventtime.windows.results import K, V, WindowResult
from rapidz.kernel.compile.async_steps import attribute_failure
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime.supervision import push_supervised
from rapidz.kernel.runtime.timer import Timer
from rapidz.kernel.runtime.tracked_element import TrackedElement, mark_failed

if TYPE_CHECKING:
    from rapidz.kernel.protocol.push import Pending

_WHERE = (
    "if an operator upstream has changed the element, say where its timestamp is now: with "
    "timestamp= here, or with stream.timestamps(...)"
)

Emit: TypeAlias = Literal["close", "update"]


class WindowOptions(NamedTuple):
    """When a window node emits, in nanoseconds where it is a time."""

    emit: Emit
    early: int | None
    lateness: int
    timestamp: Any


class Unknown:
    """An instant that no other one is known to have reached."""

    def __le__(self, other: object) -> bool:
        return False


class ResultTime:
    """Reads the timestamp of a result: the last instant before the end of its window."""

    def __init__(self, domain: TimeDomain) -> None:
        self._domain = domain

    def __call__(self, result: WindowResult) -> Any:
        domain = self._domain
        return domain.from_ns(domain.to_ns(result.end) - domain.tick)


class WindowNode(TimeNode[WindowResult[K, V]], Generic[K, V]):
    """Base class of the window nodes: keys, timestamps, and when results leave.

    Parameters
    ----------
    operator : str
        Its name, for errors.
    upstream : Stream
        Where elements come from.
    key : Getter, optional
        Reads the key of an element; None for one window at a time.
    fold : Fold
        What becomes of the elements of a window.
    options : WindowOptions
        When it emits.
    """

    _graphviz_shape = "octagon"
    _combines_elements: ClassVar[bool] = True
    _keeps_elements: ClassVar[bool] = True

    def __init__(
        self,
        operator: str,
        upstream: Any,
        key: Getter | None,
        fold: Fold,
        options: WindowOptions,
        **kwargs: Any,
    ) -> None:
        self._operator, self._key, self._fold, self._options = operator, key, fold, options
        if options.early is not None:
            kwargs["ensure_io_loop"] = True
        super().__init__(operator, [upstream], options.timestamp, **kwargs)
        self._early_timer = Timer(self)
        self.time_definition = TimeDefinition(
            TimestampGetter(ResultTime(self._domain), operator, self._domain), self._domain
        )

    def __str__(self) -> str:
        name = f"{self.name}; " if self.name else ""
        return f"<{name}{self._operator}>"

    def __repr__(self) -> str:
        return f"{str(self)[:-1]}: {self.open_count} open, {self.late_count} late>"

    @property
    def _takes_final_only(self) -> bool:
        """Whether elements are results of windows: those that are not final would count twice."""
        return isinstance(self._timestamp.of, ResultTime)

    # --- to be overridden -------------------------------------------------------------------

    @property
    def open_count(self) -> int:
        """How many windows are open, each key counted."""
        raise NotImplementedError

    def _buffered(self) -> int:
        return self.open_count

    def _open_windows(self) -> list[tuple[int, int]]:
        """Return start and end of the open windows that have elements, in nanoseconds."""
        raise NotImplementedError

    def _early_results(self, changed_only: bool) -> list[WindowResult]:
        """Return results of open windows, of those that have changed since the last early ones."""
        raise NotImplementedError

    def _with_entries(
        self, results: Iterable[WindowResult], entries: Iterable[Sequence[TrackedElement]]
    ) -> list[Any]:
        """Let each of *results* carry the metadata of its elements.

        What is acknowledged when it is done is done when its windows are.
        """
        left, tracked = iter(results), list[Any]()
        for each in entries:
            metadata = [item for entry in each for item in entry.metadata]
            try:
                tracked.append(TrackedElement(next(left), metadata))
            except Exception as error:
                self._note_failure(error)
                mark_failed(metadata, error)
        return tracked

    def _owe(self, wait: Pending) -> None:
        self._pipeline.time.owe(self._pipeline, wait)

    # --- elements ---------------------------------------------------------------------------

    def _failure(self, x: Any, error: Exception) -> Exception:
        """Return the error of an element that failed in a line of the node: its cause."""
        try:
            try:
                t = self._domain.to_ns(self._timestamp(x))
            except Exception as unreadable:
                unreadable.add_note(_WHERE)
                raise
            if self._key is not None:
                self.check_key(self._key(x))
            self._check_window(t)
            self._fold.check(x)
        except Exception as better:
            return caused(better, error)
        return error

    def _check_window(self, t: int) -> None:
        """Refuse the instant *t* if the borders of its windows cannot be written."""

    def _failed(self, x: Any, error: Exception, since: int) -> Exception:
        """Return the error of an element that failed in the step of the node, with a note of that.

        What has failed downstream stays as it is.  *since*: `last_serial` when the step began.
        """
        if attribution.comes_from_downstream(error, self._pipeline, since):
            return error
        failure = self._failure(x, error)
        attribute_failure(self, x, failure)
        return failure

    def check_key(self, key: Any) -> None:
        """Refuse a key that cannot be hashed."""
        check_key(self._operator, key)

    def _failure_of(self) -> Callable[[Any, Exception], Exception]:
        """Return `_failure` for generated lines, which do not refer to the node."""
        ref = weakref.ref(self)

        def failure(x: Any, error: Exception) -> Exception:
            node = ref()
            return error if node is None else node._failure(x, error)

        return failure

    # --- early results ------------------------------------------------------------------------

    def _emit_early(self) -> Pending:
        return self._emit_all(self._early_results(changed_only=False))

    def _start_early(self) -> None:
        """Let early results come, if they were asked for: an element has come."""
        if self._options.early is None or self._early_timer.is_set():
            return
        ref, pipeline = weakref.ref(self), self._pipeline

        def fire() -> None:
            if (node := ref()) is not None:
                node._fire_early()

        when = pipeline.clock.time() + self._options.early / SECOND
        self._early_timer.set(pipeline, when, fire)

    def _fire_early(self) -> None:
        self._early_timer.cancel()
        results = self._early_results(changed_only=True)
        if results:
            push_supervised(self._pipeline, self._emit_all, results)
        if self.open_count and not self._ended:
            self._start_early()

    def _stop_background_work(self) -> None:
        self._early_timer.cancel()

    def _on_end(self) -> None:
        self._early_timer.cancel()

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        if self.open_count:
            self._start_early()
