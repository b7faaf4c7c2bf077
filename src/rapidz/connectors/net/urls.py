"""URLs and headers of HTTP clients: checks, and what messages may show."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from tornado.httputil import HTTPHeaders

from rapidz.connectors.secrets import short_hidden_repr
from rapidz.kernel.protocol.short_repr import short_repr


def check_url(operator: str, url: object) -> SplitResult:
    """Return the parts of an http or https URL; refuse any other one.

    >>> check_url("from_http", "ftp://host/file")
    Traceback (most recent call last):
    ...
    ValueError: from_http: url must be an http or https URL, got 'ftp://host'
    """
    if not isinstance(url, str):
        raise TypeError(f"{operator}: url must be a str, got {short_hidden_repr(url)}")
    rule = f"{operator}: url must be an http or https URL"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{rule}, got one that is malformed") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{rule}, got {short_repr(parts.scheme + '://' + (parts.hostname or ''))}")
    return parts


def shown(url: SplitResult) -> str:
    """Return the server of a URL for messages; the rest may contain secrets, the path too.

    >>> shown(urlsplit("https://me:secret@host:8080/hooks/secret?key=secret"))
    'https://host:8080/...'
    """
    return urlunsplit((url.scheme, host_of(url), "/..." if len(url.path) > 1 else "", "", ""))


def host_of(url: SplitResult) -> str:
    """Return the host, and the port if it is given."""
    return url.netloc.rpartition("@")[2]


def origin_of(url: SplitResult) -> tuple[str, str, int]:
    """Return the scheme, the host and the port: to what a connection leads."""
    return url.scheme, url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def base_headers(
    operator: str, url: SplitResult, headers: Mapping[Any, Any] | None
) -> dict[str, str]:
    """Return the headers of every request, checked."""
    found = HTTPHeaders({"User-Agent": "rapidz"})
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        found["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"{operator}: headers must be a dict of str")
        if any(c in name + value for c in "\r\n\0"):
            raise ValueError(f"{operator}: headers must have no line breaks, got one in {name!r}")
        found[name] = value
    return dict(found)
