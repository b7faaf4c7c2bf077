"""Typed methods of the connectors: kafka."""

# The methods have no bodies, as in a stub.  Overloads overlap on purpose:
# a type checker takes the first one that fits, the most precise.
# mypy: disable-error-code="empty-body, overload-overlap, overload-cannot-match"
# pyright: reportReturnType=false
# pyright: reportOverlappingOverload=false, reportInconsistentOverload=false

from __future__ import annotations

from rapidz._menu.types import ElementType, T


class KafkaSources(ElementType[T]):
    """Sources, as static methods: ``Stream.from_x(...)``."""


class KafkaSinks(ElementType[T]):
    """Sinks, as methods of the stream that they consume."""
