"""Typed methods of event time: timestamps, windows, keyed streams, joins."""

# The methods have no bodies, as in a stub.
# mypy: disable-error-code="empty-body"
# pyright: reportReturnType=false

from __future__ import annotations

from rapidz._menu.types import ElementType, T


class EventTimeMethods(ElementType[T]):
    """Operators that know when things happened."""
