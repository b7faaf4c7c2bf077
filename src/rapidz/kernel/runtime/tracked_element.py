"""Elements with their metadata, as nodes keep them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

from rapidz.kernel.protocol.short_repr import short_repr

Metadata: TypeAlias = list[dict[str, Any]]

metadata_of_element: ContextVar[Metadata] = ContextVar("metadata_of_element")
_NONE: Metadata = []


def refs(metadata: Iterable[Any] | None) -> Iterator[Any]:
    """Yield the counters in *metadata*."""
    for item in metadata or ():
        if isinstance(item, dict) and "ref" in item:
            yield item["ref"]


def retain(metadata: Iterable[Any] | None, n: int = 1) -> None:
    """Retain *n* references for every counter in *metadata*."""
    for item in metadata or ():  # written out, as in `release`: it is done for every element
        if isinstance(item, dict) and "ref" in item:
            item["ref"].retain(n)


def release(metadata: Iterable[Any] | None, n: int = 1) -> None:
    """Release *n* references for every counter in *metadata*."""
    for item in metadata or ():
        if isinstance(item, dict) and "ref" in item:
            item["ref"].release(n)


def mark_failed(
    metadata: Iterable[Any] | None, error: BaseException, handled: bool = False
) -> None:
    """Report *error* to every counter in *metadata*; *handled*: a policy handles it."""
    for ref in refs(metadata):
        if hasattr(ref, "fail"):
            if handled:
                ref.fail(error, handled=True)
            else:
                ref.fail(error)


def current_metadata() -> Metadata:
    """Return the metadata of the element in flight."""
    return metadata_of_element.get(_NONE)


class TrackedElement:
    """An element that a node keeps, with its metadata."""

    __slots__ = ("metadata", "x")

    def __init__(self, x: Any, metadata: Metadata | None = None) -> None:
        self.x = x
        self.metadata = current_metadata() if metadata is None else metadata
        retain(self.metadata)

    def release(self) -> None:
        """Release the metadata: the node is done with the element."""
        metadata, self.metadata = self.metadata, _NONE
        release(metadata)

    __del__ = release

    def __repr__(self) -> str:
        return f"TrackedElement({short_repr(self.x)})"


def unbox(kept: Any) -> Any:
    """Return the element in an entry, or *kept* itself."""
    return kept.x if type(kept) is TrackedElement else kept


def rebox(kept: Any, result: Any) -> Any:
    """Return *result*, with the metadata of the entry that it results from, if any."""
    return TrackedElement(result, kept.metadata) if type(kept) is TrackedElement else result
