"""Getter: reads a timestamp, a key or a value of an element."""

from __future__ import annotations

import keyword
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal

from rapidz.kernel.protocol.short_repr import short_repr

if TYPE_CHECKING:
    from rapidz.eventtime.domain import TimeDomain
    from rapidz.kernel.compile.fusion import Code


class Getter:
    """Reads something of an element: by a callable, a key or index, or the name of an attribute.

    A string is a key if the first element it is read from has such a key, else the
    name of an attribute; None reads the element itself.  Generated lines use `write`.

    Parameters
    ----------
    of : object
        The callable, key, index or name; None for the element.
    operator, argument : str
        Who reads, and by which argument, for errors.

    >>> Getter("ts", "event_time", "timestamp")({"ts": 5})
    5
    """

    __slots__ = ("argument", "mode", "of", "operator")

    def __init__(self, of: Any, operator: str, argument: str) -> None:
        self.of, self.operator, self.argument = of, operator, argument
        self.mode: Literal["call", "item", "attribute", "element"] | None = None
        if of is None:
            self.mode = "element"
        elif callable(of):
            self.mode = "call"
        elif not (isinstance(of, str) and of.isidentifier() and not keyword.iskeyword(of)):
            self.mode = "item"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Getter) and self.of is other.of

    def __hash__(self) -> int:
        return id(self.of)

    def __call__(self, x: Any) -> Any:
        """Read it from *x*."""
        if self.mode is None:
            self._look(x)
        try:
            if self.mode == "item":
                return x[self.of]
            if self.mode == "attribute":
                return getattr(x, self.of)
        except (KeyError, IndexError, AttributeError, TypeError) as error:
            raise self.failure(x, error) from error
        return x if self.mode == "element" else self.of(x)

    def _look(self, x: Any) -> None:
        """Decide from a first element what a string is: a key, or the name of an attribute."""
        try:
            x[self.of]
        except Exception:
            if not hasattr(x, self.of):
                raise self.failure(x) from None
            self.mode = "attribute"
        else:
            self.mode = "item"

    def failure(self, x: Any, error: Exception | None = None) -> Exception:
        """Return the error of an element that it cannot be read from."""
        kind = type(error) if isinstance(error, (KeyError, TypeError)) else ValueError
        if kind is KeyError:
            kind = ValueError
        return kind(
            f"{self.operator}: {self.argument} must name something in the element, "
            f"{short_repr(self.of)} is not in {short_repr(x)}"
        )

    def write(self, code: Code) -> str:
        """Return the source of what reads it from ``x``."""
        if self.mode == "element":
            return "x"
        if self.mode == "call":
            return f"{code.bind('getter', self.of)}(x)"
        if self.mode == "item" and isinstance(self.of, (str, int)):
            return f"x[{self.of!a}]"
        if self.mode == "item":
            return f"x[{code.bind('item', self.of)}]"
        if self.mode == "attribute":
            return f"x.{self.of}"
        return f"{code.bind('getter', self)}(x)"


def caused(error: Exception, cause: Exception) -> Exception:
    """Return *error*, with its cause, unless it has one.

    >>> caused(ValueError(), KeyError()).__cause__
    KeyError()
    """
    if error is not cause and error.__cause__ is None:
        error.__cause__ = cause
    return error


class TimestampGetter(Getter):
    """Reads the timestamp of an element; a datetime in UTC, so that it compares by the instant."""

    __slots__ = ("domain",)

    def __init__(self, of: Any, operator: str, domain: TimeDomain) -> None:
        super().__init__(of, operator, "timestamp")
        self.domain = domain

    def __call__(self, x: Any) -> Any:
        """Read it from *x*."""
        ts = super().__call__(x)
        return self.domain.in_utc(ts) if self.domain.has_wall_clocks else ts

    def write(self, code: Code) -> str:
        """Return the source of what reads it from ``x``."""
        source = super().write(code)
        if not self.domain.has_wall_clocks:
            return source
        utc, in_utc = code.bind("utc", UTC), code.bind("in_utc", self.domain.in_utc)
        return f"t if (t := {source}).tzinfo is {utc} else {in_utc}(t)"
