"""What became of an element on a worker, where that is not simply a value.

These travel between processes and are told apart by their type, never by
``==``: a value may be an array.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Final

from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.parallel.wire.pickling import pickled, travels


class _Single:
    """One of a kind, also after a journey."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name


class _Nothing(_Single):
    __slots__ = ()


class _Pending(_Single):
    __slots__ = ()


class _Elsewhere(_Single):
    __slots__ = ()


#: The element was filtered out.
NOTHING: Final = _Nothing("NOTHING")
#: The element failed, and that was dealt with: its partners in other branches are dropped.
FAILED: Final = _Nothing("FAILED")
#: Not known yet.
PENDING: Final = _Pending("PENDING")
#: There is a value, and it has stayed on the workers.
ELSEWHERE: Final = _Elsewhere("ELSEWHERE")


class _Untold(_Single):
    __slots__ = ()


#: Stands for the element of a failure that was found out too late to know it.
UNTOLD: Final = _Untold("UNTOLD")


class Restart:
    """Stands among the elements for: go on with this state."""

    __slots__ = ("state",)

    def __init__(self, state: Any) -> None:
        self.state = state


class Many:
    """An element that was flattened: what became of each of its items."""

    __slots__ = ("outcomes",)

    def __init__(self, outcomes: list[Any]) -> None:
        self.outcomes = outcomes


class Bad:
    """An element that failed, and where."""

    __slots__ = ("at", "attempts", "chain", "element", "error", "text")

    def __init__(
        self, chain: str, at: int, element: Any, error: Exception, attempts: int = 1
    ) -> None:
        self.chain, self.at = chain, at
        self.element, self.error = element, error
        self.attempts = attempts
        self.text = ""
        """The traceback, which does not travel with the error."""

    def prepared(self) -> Bad:
        """The same, such that it can travel: what cannot is replaced by a description."""
        self.text = "".join(traceback.format_exception(self.error)).rstrip()
        if not travels(self.error):
            self.error = RuntimeError(f"{type(self.error).__name__}: {self.error}")
        if not travels(self.element):
            self.element = short_repr(self.element)
        return self

    def arrived(self) -> Exception:
        """The error, with the traceback that it had on the worker as its cause."""
        if self.text and self.error.__cause__ is None:
            cause: Any = BaseException.__cause__  # past the class, which may be frozen
            cause.__set__(self.error, RemoteTraceback(self.text))
            self.text = ""
        return self.error


class RemoteTraceback(Exception):
    """The traceback of an error on a worker, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}\n"""'


#: What a place in a list of outcomes may hold besides a value.
SPECIAL: Final = frozenset({_Nothing, _Pending, _Elsewhere, Restart, Many, Bad})


class Result:
    """What a task gives back, in a wrapping that Dask does not look into."""

    __slots__ = ("chain", "outcomes", "seconds", "special", "state", "state_given")

    chain: tuple[str, int]
    """The chain that was done, and the place of its last operator."""

    def __init__(self, outcomes: list[Any], special: bool, seconds: float) -> None:
        self.outcomes = outcomes
        self.special = special
        """Whether any of *outcomes* is not a value."""
        self.seconds = seconds
        self.state: Any = None
        self.state_given = False
        self.chain = "", 0

    def __reduce__(self) -> Any:
        """Pickle the outcomes apart: one that cannot travel is a failure of its own."""
        special = self.special
        try:
            data = pickled(self.outcomes)
        except Exception:
            special = True
            data = pickled([self._travelling(outcome) for outcome in self.outcomes])
        state = pickled(self.state) if self.state_given else None
        return _arrived, (data, special, self.seconds, state, self.chain)

    def _travelling(self, outcome: Any) -> Any:
        try:
            pickled(outcome)
        except Exception as error:
            uid, last = self.chain
            return Bad(uid, last, UNTOLD, TypeError(f"the result cannot be sent: {error}"))
        return outcome


def _arrived(
    data: bytes, special: bool, seconds: float, state: bytes | None, chain: tuple[str, int]
) -> Result:
    result = Result(pickle.loads(data), special, seconds)
    result.chain = chain
    if state is not None:
        result.state, result.state_given = pickle.loads(state), True
    return result


def each_value(outcome: Any) -> Iterator[Any]:
    """The values that came of an element: one, none, or several."""
    kind = type(outcome)
    if kind is Many:
        for item in outcome.outcomes:
            yield from each_value(item)
    elif kind not in SPECIAL:
        yield outcome


def through(
    function: Callable[[list[Any]], tuple[list[Any], bool]], outcomes: list[Any]
) -> tuple[list[Any], bool]:
    """Apply *function*, from values to outcomes, to the values among *outcomes*."""
    values: list[Any] = []
    for outcome in outcomes:
        values.extend(each_value(outcome))
    new = iter(function(values)[0])

    def put(outcome: Any) -> Any:
        kind = type(outcome)
        if kind is Many:
            return Many([put(item) for item in outcome.outcomes])
        return outcome if kind in SPECIAL else next(new)

    return [put(outcome) for outcome in outcomes], True


def stripped(outcome: Any) -> Any:
    """The outcome without its values: only that there are some."""
    kind = type(outcome)
    if kind is Many:
        return Many([stripped(item) for item in outcome.outcomes])
    return outcome if kind in SPECIAL else ELSEWHERE
