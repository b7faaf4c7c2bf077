"""Secrets in addresses and options, hidden from logs, errors and representations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

_PASSWORD = re.compile(r"(?P<user>[a-zA-Z][\w+.-]*://[^/?#\s@:]*):[^/?#\s]*@")
_OPTION = re.compile(
    r"(?P<name>[\w.-]*(?:pass|secret|token|key|auth|credential)[\w.-]*)(?P<sep>\s*=\s*)"
    r"(?P<value>'(?:[^'\\]|\\.)*'|[^&\s;]+)",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"pass|secret|token|credential|authorization|api.?key|\.key$|^pw$|cookie", re.I
)


def hide(text: object) -> str:
    """Return *text*, an address or a connection string, without passwords and tokens.

    >>> hide("redis://me:hunter2@host:6379/0?password=x&db=1")
    'redis://me:***@host:6379/0?password=***&db=1'
    >>> hide("host=db user=me password='it is'")
    'host=db user=me password=***'
    """
    hidden = _PASSWORD.sub(rf"\g<user>:{HIDDEN}@", str(text))
    return _OPTION.sub(rf"\g<name>\g<sep>{HIDDEN}", hidden)


def hide_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *options* of a client with the secret values hidden.

    >>> hide_options({"bootstrap.servers": "host:9092", "sasl.password": "hunter2"})
    {'bootstrap.servers': 'host:9092', 'sasl.password': '***'}
    """
    return {
        name: HIDDEN if _SECRET_NAME.search(str(name)) else value for name, value in options.items()
    }
