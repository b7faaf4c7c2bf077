"""Equivalence of execution modes: synchronous, loops, threads, processes, Dask."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.loop import in_notebook
from rapidz.testing.loop import in_own_thread, run

if TYPE_CHECKING:
    from rapidz.kernel.graph.stream import Stream

__all__ = ["assert_equivalent"]

Build: TypeAlias = "Callable[[Any], Stream[Any]]"

_PLAIN: Final = ("inline", "loop", "background")
_SHOWN: Final = 1000
"""Maximum number of characters of outputs in a message."""


class _Outcome:
    """Outputs and failures of a pipeline in one execution mode."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.outputs: list[Any] = []
        self.failures: list[BaseException] = []

    def failed(self, error: BaseException) -> None:
        if isinstance(error, BaseExceptionGroup):
            for part in error.exceptions:
                self.failed(part)
        else:
            self.failures.append(error)


def assert_equivalent(
    pipeline: Callable[[Any], Stream[Any]],
    elements: Iterable[Any],
    *,
    on: Sequence[Any] = ("inline", "loop", "thread"),
    ordered: bool = True,
    batch: int | str = "auto",
    buffer: int | None = 100,
) -> None:
    """Check that a pipeline has the same outputs in every execution mode.

    For each mode, `pipeline(stream)` builds nodes on a stream and returns the last one; all
    *elements* are emitted, in order, and the stream is closed. The outputs are compared with those
    of the first mode, and so are the types of the exceptions that no policy of the pipeline
    handles.

    Parameters
    ----------
    pipeline : callable
        Builds a node on a stream, which is scattered or not. Called once for each mode.
    elements : iterable
        The elements to emit. Every mode receives the same objects: functions must not change them.
    on : sequence
        At least two modes: "inline" (synchronous), "loop" (inside an asyncio loop, in virtual
        time), "background" (blocking, with the loop in another thread), "thread", "process",
        "dask" (with the current client), the name of a registered backend, an Executor, a Client
        or a Backend. With a backend, the stream is scattered, and the output of the last node is
        gathered.
    ordered : bool
        False: scatter with ``ordered=False``, and compare the outputs without regard to order.
    batch : "auto" or int
        As for `scatter`.
    buffer : int or None
        Number of elements in flight while the stream is scattered, so that they are sent in
        batches; None: one at a time.

    Raises an AssertionError that shows the outputs of each mode that differs. The outputs of
    operators that depend on the time of arrival, such as `latest` or `timed_window`, cannot be
    compared.

    >>> from rapidz.testing import assert_equivalent
    >>> def totals(stream):
    ...     return stream.filter(lambda x: x % 2).accumulate(lambda total, x: total + x, start=0)
    >>> assert_equivalent(totals, range(10))
    >>> import threading
    >>> def runs_where_it_is_built(stream):
    ...     builder = threading.current_thread()
    ...     return stream.map(lambda x: threading.current_thread() is builder)
    >>> assert_equivalent(runs_where_it_is_built, [1, 2], on=["inline", "thread"])
    Traceback (most recent call last):
    ...
    AssertionError: the pipeline differs on 'thread' from what it gives on 'inline'
      at output 0: False, not True
      'inline': [True, True]
      'thread': [False, False]
    """
    modes = list(on)
    if len(modes) < 2:
        raise ValueError(f"assert_equivalent: on must be at least two modes, got {short_repr(on)}")
    for mode in modes:
        if isinstance(mode, str) and mode not in _PLAIN:
            _check_backend_name(mode)
    notebook = in_notebook()
    if not notebook:
        _refuse_a_running_loop()
    inputs = list(elements)
    options = {"batch": batch, "ordered": ordered}

    def run_all() -> list[_Outcome]:
        return [_outcome(pipeline, inputs, mode, options, buffer) for mode in modes]

    outcomes = in_own_thread(run_all) if notebook else run_all()
    reports = [_difference(outcomes[0], other, ordered) for other in outcomes[1:]]
    if found := [report for report in reports if report]:
        raise AssertionError("\n".join(found))


def _check_backend_name(name: str) -> None:
    from rapidz.parallel.backends.registry import backend_names  # only here: slow to import

    if name not in (names := backend_names()):
        known = ", ".join(map(repr, (*_PLAIN, *names)))
        raise ValueError(
            f"assert_equivalent: on must be of {known}, Executors, Clients and Backends, "
            f"got {short_repr(name)}"
        )


def _refuse_a_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("assert_equivalent: it blocks, so call it where no event loop runs")


# --- running ---------------------------------------------------------------------------------


def _outcome(
    pipeline: Build, inputs: list[Any], mode: Any, options: dict[str, Any], buffer: int | None
) -> _Outcome:
    outcome = _Outcome(repr(mode) if isinstance(mode, str) else type(mode).__name__)

    def built(root: Any) -> list[Any]:
        """Build the pipeline on *root*; return the list of its outputs."""
        root.errors.sink(lambda failure: outcome.failed(failure.exception))
        if isinstance(mode, str) and mode in _PLAIN:
            top, depth = root.map(_same), None
        else:
            top, depth = root.scatter(mode, **options), buffer
        seen: list[Any] = _gathered(pipeline(top), depth).sink_to_list()
        return seen

    try:
        if mode == "loop":
            outcome.outputs = run(_in_a_loop(built, inputs, outcome))
        else:
            outcome.outputs = _in_calls(built, inputs, outcome, background=mode == "background")
    except Exception as error:
        error.add_note(f"in the mode {outcome.label}")
        raise
    return outcome


def _same(x: Any) -> Any:
    """Return the element: the substitute of `scatter` in modes without workers."""
    return x


def _gathered(last: Any, buffer: int | None) -> Any:
    from rapidz.parallel import ParallelStream  # only here, as it is slow to import

    if buffer is not None and isinstance(last, ParallelStream):
        last = last.buffer(buffer)
    return last.gather()


def _in_calls(
    built: Callable[[Any], list[Any]], inputs: list[Any], outcome: _Outcome, *, background: bool
) -> list[Any]:
    from rapidz.kernel.graph.stream import Stream

    root: Stream[Any] = Stream(asynchronous=False) if background else Stream()
    try:
        seen = built(root)
        for x in inputs:
            try:
                root.emit(x)
            except Exception as error:
                outcome.failed(error)
    finally:
        try:
            root.close()
        except Exception as error:
            outcome.failed(error)
    return list(seen)


async def _in_a_loop(
    built: Callable[[Any], list[Any]], inputs: list[Any], outcome: _Outcome
) -> list[Any]:
    from rapidz.kernel.graph.stream import Stream

    root: Stream[Any] = Stream(asynchronous=True)
    try:
        seen = built(root)
        for x in inputs:
            await _settled(root.emit, outcome, x)
    finally:
        await _settled(root.close, outcome)
    return list(seen)


async def _settled(call: Callable[..., Any], outcome: _Outcome, *args: Any) -> None:
    try:
        wait = call(*args)
        if inspect.isawaitable(wait):
            await wait
    except Exception as error:
        outcome.failed(error)


# --- comparing -------------------------------------------------------------------------------


def _difference(first: _Outcome, other: _Outcome, ordered: bool) -> str:
    """Return a report of the differences of two modes, "" if they do not differ."""
    lines: list[str] = []
    if where := (_first_difference if ordered else _surplus)(other.outputs, first.outputs):
        shown = [f"  {mode.label}: {_shown(mode.outputs)}" for mode in (first, other)]
        lines += [f"  {where}", *shown]
    if _types(first.failures) != _types(other.failures):
        shown = [f"  {mode.label}: {_shown(mode.failures)}" for mode in (first, other)]
        lines += ["  failures differ", *shown]
    if not lines:
        return ""
    head = f"the pipeline differs on {other.label} from what it gives on {first.label}"
    return "\n".join([head, *lines])


def _types(failures: Iterable[BaseException]) -> list[str]:
    return sorted(f"{type(error).__module__}.{type(error).__qualname__}" for error in failures)


def _first_difference(outputs: list[Any], wanted: list[Any]) -> str:
    for at, (x, y) in enumerate(zip(outputs, wanted, strict=False)):
        if not _alike(x, y):
            return f"at output {at}: {_shown(x)}, not {_shown(y)}"
    if len(outputs) != len(wanted):
        return f"{len(outputs)} outputs, not {len(wanted)}"
    return ""


def _surplus(outputs: list[Any], wanted: list[Any]) -> str:
    missing = list(wanted)
    unexpected = []
    for x in outputs:
        at = next((at for at, y in enumerate(missing) if _alike(x, y)), None)
        if at is None:
            unexpected.append(x)
        else:
            del missing[at]
    if not missing and not unexpected:
        return ""
    return f"missing: {_shown(missing)}, unexpected: {_shown(unexpected)}"


def _alike(x: Any, y: Any) -> bool:
    """Return whether two outputs are equal; NaN equals NaN, arrays compare as a whole."""
    if x is y:
        return True
    if type(x) is not type(y):
        return bool(isinstance(x, (int, float)) and isinstance(y, (int, float)) and x == y)
    if isinstance(x, (list, tuple)):
        return len(x) == len(y) and all(map(_alike, x, y))
    if isinstance(x, dict):
        return x.keys() == y.keys() and all(_alike(x[key], y[key]) for key in x)
    if isinstance(x, float):
        return x == y or (x != x and y != y)
    if hasattr(x, "equals"):  # frames, series, indexes
        return bool(x.equals(y))
    if hasattr(x, "dtype") and hasattr(x, "tobytes"):  # arrays, as a list has no dtype
        return bool(x.shape == y.shape and x.dtype == y.dtype and _alike(x.tolist(), y.tolist()))
    return bool(x == y)


def _shown(x: Any) -> str:
    text = repr(x)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
