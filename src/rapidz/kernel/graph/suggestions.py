"""Missing methods of a stream: the error suggests close names, and plug-ins to install."""

from __future__ import annotations

from typing import Any

from rapidz.kernel.protocol.short_repr import short_repr


class MissingOperator(AttributeError):
    """A stream has no method of that name; the message suggests close ones.

    The message is made when it is shown: `hasattr` costs nothing more.
    """

    def __init__(self, owner: str, name: str, known: Any) -> None:
        super().__init__(owner, name)
        self._owner, self._missing, self._known = owner, name, known

    def __str__(self) -> str:
        from difflib import get_close_matches  # on demand: `import rapidz` does without it

        message = f"{self._owner} has no attribute {short_repr(self._missing)}"
        names = [name for name in self._known() if not name.startswith("_")]
        close = get_close_matches(self._missing, names, n=3, cutoff=0.6)
        if close:
            return f"{message}; did you mean {' or '.join(close)}?"
        if self._missing.startswith(("from_", "to_")):
            return f"{message}; see `rapidz.connectors.CONNECTORS`, plug-ins add others"
        return message

    def __reduce__(self) -> Any:
        return AttributeError, (str(self),)
