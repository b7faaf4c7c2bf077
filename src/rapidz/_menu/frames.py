"""Typed methods that turn a stream into a streaming collection."""

# The methods have no bodies, as in a stub.
# mypy: disable-error-code="empty-body"
# pyright: reportReturnType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidz._menu.types import ElementType, T

if TYPE_CHECKING:
    from rapidz.dataframe.frames.batch import Batch
    from rapidz.dataframe.frames.dataframe import DataFrame


class FrameMethods(ElementType[T]):
    """Batches and data frames."""

    def to_batch(self, **kwargs: Any) -> Batch:
        """Treat the elements as batches, and apply methods to their items."""

    def to_dataframe(self, example: Any = None) -> DataFrame:
        """Treat the elements as parts of one data frame, and apply its methods."""
