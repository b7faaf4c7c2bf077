"""Process-wide options."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.intervals import Interval, seconds
from rapidz.kernel.protocol.short_repr import short_repr


class OptionValues(TypedDict, total=False):
    """The options there are, and what they may be."""

    pending_failure_log: Interval | None
    unbounded_keys_warning: int | None


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its default, and how a value is read; bad ones are refused."""

    default: Any
    read: Callable[[Any], Any]


def _read_pending_failure_log(value: Any) -> float | None:
    if value is None:
        return None
    name = "pending_failure_log"
    return seconds(value, operator="options", argument=name, allow_zero=True)


def _read_unbounded_keys_warning(value: Any) -> int | None:
    if value is not None:
        check_count("options", "unbounded_keys_warning", value)
    return value  # type: ignore[no-any-return]


OPTIONS: Mapping[str, Option] = {
    "pending_failure_log": Option("2s", _read_pending_failure_log),
    "unbounded_keys_warning": Option(100_000, _read_unbounded_keys_warning),
}

_lock = threading.Lock()
_given: dict[str, Any] = {name: option.default for name, option in OPTIONS.items()}
_read: dict[str, Any] = {name: option.read(option.default) for name, option in OPTIONS.items()}


class options:
    """Set process-wide options; as a context manager, for the length of a block.

    They apply at once, in all threads and for all pipelines, those that run
    already included.  The end of a ``with`` block puts back what the options
    named there were before; blocks of several threads that overlap should not
    name the same options.  Without arguments nothing is set: the result shows
    the present values, which are its attributes.

    Raises `TypeError` for a name that is no option, and `TypeError` or
    `ValueError` for a bad value; then nothing is set.

    Parameters
    ----------
    pending_failure_log : float, str, timedelta or None
        How long a failure that no emitter could take may wait to be
        raised before it is logged too, once, to the logger ``rapidz``.
        None: not before the program ends.  ``"2s"`` by default.
    unbounded_keys_warning : int or None
        At how many keys a node that keeps a state for each, and has no bound
        (``ttl=`` or ``max_keys=``), warns, once.  None: never.  100,000 by default.

    >>> import rapidz
    >>> with rapidz.options(pending_failure_log="1 min"):
    ...     rapidz.options()
    options(pending_failure_log='1 min', unbounded_keys_warning=100000)
    >>> rapidz.options().pending_failure_log
    '2s'
    """

    def __init__(self, **values: Unpack[OptionValues]) -> None:
        self._values = dict(values)
        self._read = {name: _option(name).read(value) for name, value in values.items()}
        self._before: dict[str, Any] | None = None
        self._set()

    def _set(self) -> None:
        with _lock:
            self._before = {name: (_given[name], _read[name]) for name in self._values}
            _given.update(self._values)
            _read.update(self._read)

    def __enter__(self) -> Self:
        if self._before is None:
            self._set()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _lock:
            before, self._before = self._before or {}, None
            for name, (given, read) in before.items():
                _given[name], _read[name] = given, read

    @property
    def pending_failure_log(self) -> Interval | None:
        """The present value, as it was given."""
        value: Interval | None = _given["pending_failure_log"]
        return value

    @property
    def unbounded_keys_warning(self) -> int | None:
        """The present value."""
        value: int | None = _given["unbounded_keys_warning"]
        return value

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={short_repr(value)}" for name, value in _given.items())
        return f"options({shown})"


def _option(name: str) -> Option:
    if name in OPTIONS:
        return OPTIONS[name]
    import difflib  # on demand: only for a message

    close = difflib.get_close_matches(name, OPTIONS, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise TypeError(f"options: names must be among {', '.join(OPTIONS)}, got {name}{hint}")


def value_of(name: str) -> Any:
    """Return the present value of an option, as it was read: durations are in seconds."""
    return _read[name]
