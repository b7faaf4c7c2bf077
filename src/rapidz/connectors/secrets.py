"""Secrets in addresses and options, hidden from logs, errors and representations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rapidz.kernel.protocol.short_repr import short_repr

HIDDEN = "***"

_SCHEME = re.compile(r"\s*[a-zA-Z][\w+.-]*://")
_OPTION = re.compile(
    r"[\w.-]*(?:pass|secret|token|key|auth|credential)[\w.-]*\s*=\s*"
    r"(?P<value>'(?:[^'\\]|\\.)*(?:'|$)|[^&\s;]+)",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"pass|secret|token|credential|authorization|api.?key|\.key$|^pw$|cookie", re.I
)


def hide(text: object) -> str:
    """Return *text*, an address or a connection string, without passwords and tokens.

    Of an address nothing is shown from the first colon behind its scheme to the last ``@``:
    malformed ones are hidden too, and rather too much than too little.

    >>> hide("redis://me:hunter2@host:6379/0?password=x&db=1")
    'redis://me:***@host:6379/0?password=***&db=1'
    >>> hide("host=db user=me password='it is'")
    'host=db user=me password=***'
    >>> hide("me:hunter2@host:6379"), hide("redis://token@host")
    ('me:***@host:6379', 'redis://***@host')
    """
    shown = str(text)
    spans = [match.span("value") for match in _OPTION.finditer(shown)]
    if (login := _login(shown)) is not None:
        spans.append(login)
    pieces, end = [], 0
    for first, last in sorted(spans):
        if first >= end:
            pieces += [shown[end:first], HIDDEN]
        end = max(end, last)
    return "".join(pieces) + shown[end:]


def short_hidden_repr(value: object) -> str:
    """Return `short_repr` of *value*, which may be an address of a wrong type.

    >>> print(short_hidden_repr(b"redis://me:hunter2@host"), short_hidden_repr(5))
    "b'redis:***@host'" 5
    """
    shown = str(value)
    hidden = hide(shown)
    return short_repr(value if hidden == shown else hidden)


def _login(text: str) -> tuple[int, int] | None:
    """Return where the password of an address begins, and where its last ``@`` is."""
    end = text.rfind("@")
    scheme = _SCHEME.match(text)
    begin = text.find(":", scheme.end() if scheme else 0, max(end, 0))
    if begin >= 0:
        return begin + 1, end
    return (scheme.end(), end) if scheme and scheme.end() <= end else None


def hide_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *options* of a client with the secret values hidden.

    >>> hide_options({"bootstrap.servers": "host:9092", "sasl.password": "hunter2"})
    {'bootstrap.servers': 'host:9092', 'sasl.password': '***'}
    """
    return {
        name: HIDDEN if _SECRET_NAME.search(str(name)) else value for name, value in options.items()
    }
