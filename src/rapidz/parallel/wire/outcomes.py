"""Outcomes: the values, or markers, that the elements of a task result in.

Markers travel between processes and are distinguished by their type, never
by ``==``: a value may be an array.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Final

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.parallel.wire.pickling import dumps, is_picklable


class Marker:
    """Singleton in the place of a value; it unpickles to itself."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name


#: The element was filtered out.
DROPPED: Final = Marker("DROPPED")
#: The element failed, and a policy has handled that: its partners in other branches are dropped.
FAILURE_HANDLED: Final = Marker("FAILURE_HANDLED")
#: The outcome is not known yet.
PENDING: Final = Marker("PENDING")
#: The element has a value, which has stayed on the workers.
REMOTE: Final = Marker("REMOTE")
#: Stands for the element in a `FailedElement` that does not know it: the sender fills it in.
UNKNOWN_ELEMENT: Final = Marker("UNKNOWN_ELEMENT")


class SetState:
    """Control element of an accumulation: the state is to be this one from here on."""

    __slots__ = ("state",)

    def __init__(self, state: Any) -> None:
        self.state = state


class Expanded:
    """Outcome of an element that was flattened: the outcomes of its items."""

    __slots__ = ("outcomes",)

    def __init__(self, outcomes: list[Any]) -> None:
        self.outcomes = outcomes


class FailedElement:
    """Outcome of an element that failed: the error, and the operator that raised it."""

    __slots__ = ("at", "attempts", "chain", "element", "error", "text")

    def __init__(
        self, chain: str, at: int, element: Any, error: Exception, attempts: int = 1
    ) -> None:
        self.chain, self.at = chain, at
        self.element, self.error = element, error
        self.attempts = attempts
        self.text = ""
        """The traceback, which does not travel with the error."""

    def make_picklable(self) -> None:
        """Record the traceback; replace by a description what cannot be pickled."""
        self.text = "".join(traceback.format_exception(self.error)).rstrip()
        if not is_picklable(self.error):
            self.error = RuntimeError(f"{type(self.error).__name__}: {self.error}")
        if not is_picklable(self.element):
            self.element = short_repr(self.element)

    def restore_error(self) -> Exception:
        """Return the error, with the traceback that it had on the worker as its cause."""
        if self.text and self.error.__cause__ is None:
            cause: Any = BaseException.__cause__  # past the class, which may be frozen
            cause.__set__(self.error, RemoteTraceback(self.text))
            self.text = ""
        return self.error


class RemoteTraceback(Exception):
    """Traceback of an error on a worker, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}\n"""'


#: The types of outcomes that are not values.
SPECIAL: Final = frozenset({Marker, SetState, Expanded, FailedElement})


class TaskResult:
    """Result of a task: one outcome an element, in a wrapping that Dask does not look into."""

    __slots__ = ("chain", "has_state", "outcomes", "seconds", "special", "state")

    chain: tuple[str, int]
    """The chain that has run, and the index of its last operator."""

    def __init__(self, outcomes: list[Any], special: bool, seconds: float) -> None:
        self.outcomes = outcomes
        self.special = special
        """Whether any of *outcomes* is not a value."""
        self.seconds = seconds
        self.state: Any = None
        self.has_state = False
        self.chain = "", 0

    def __reduce__(self) -> Any:
        """Pickle the outcomes apart: one that cannot be pickled fails alone."""
        special = self.special
        try:
            data = dumps(self.outcomes)
        except Exception:
            special = True
            data = dumps([self._picklable(outcome) for outcome in self.outcomes])
        state = dumps(self.state) if self.has_state else None
        return _load_result, (data, special, self.seconds, state, self.chain)

    def _picklable(self, outcome: Any) -> Any:
        try:
            dumps(outcome)
        except Exception as error:
            uid, last = self.chain
            cause = TypeError(f"the result cannot be sent: {error}")
            return FailedElement(uid, last, UNKNOWN_ELEMENT, cause)
        return outcome


def _load_result(
    data: bytes, special: bool, seconds: float, state: bytes | None, chain: tuple[str, int]
) -> TaskResult:
    result = TaskResult(pickle.loads(data), special, seconds)
    result.chain = chain
    if state is not None:
        result.state, result.has_state = pickle.loads(state), True
    return result


def iter_values(outcome: Any) -> Iterator[Any]:
    """Yield the values in *outcome*: one, none, or those of the items."""
    kind = type(outcome)
    if kind is Expanded:
        for item in outcome.outcomes:
            yield from iter_values(item)
    elif kind not in SPECIAL:
        yield outcome


def map_values(
    function: Callable[[list[Any]], tuple[list[Any], bool]], outcomes: list[Any]
) -> tuple[list[Any], bool]:
    """Apply *function*, from values to outcomes, to all the values among *outcomes* at once."""
    values: list[Any] = []
    for outcome in outcomes:
        values.extend(iter_values(outcome))
    new = iter(function(values)[0])

    def replace(outcome: Any) -> Any:
        kind = type(outcome)
        if kind is Expanded:
            return Expanded([replace(item) for item in outcome.outcomes])
        return outcome if kind in SPECIAL else next(new)

    return [replace(outcome) for outcome in outcomes], True


def strip_values(outcome: Any) -> Any:
    """Return *outcome* with `REMOTE` in the place of each value."""
    if type(outcome) is Expanded:
        return Expanded([strip_values(item) for item in outcome.outcomes])
    return outcome if type(outcome) in SPECIAL else REMOTE
