"""Writer: what a connector implements so that a sink can write elements to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rapidz.sources.restart import Restart

T = TypeVar("T")


class Writer(Generic[T]):
    """Destination of elements: a file, a table, a topic; `Stream.write_to` writes to it.

    Override `write` or `write_many`, and the others as needed.  Each method may be
    ``async def`` or plain.  A plain one may block: where the pipeline runs on an event
    loop, it is called in a thread of the sink's own, else by whoever emits.  The sink
    calls one method at a time, in the order of the elements.

    >>> class Shout(Writer):
    ...     def open(self):
    ...         print("open")
    ...
    ...     def write_many(self, batch):
    ...         print(", ".join(batch).upper())
    ...
    ...     def close(self):
    ...         print("close")
    >>> from rapidz import Stream
    >>> with Stream() as source:
    ...     node = source.write_to(Shout(), batch=2)
    ...     source.emit_many(["one", "two", "three"])
    open
    ONE, TWO
    THREE
    close
    """

    transient: ClassVar[tuple[type[Exception], ...]] = (OSError, EOFError)
    """Exceptions after which *restart* opens the writer again, and writes again."""

    default_restart: ClassVar[Restart | None] = None
    """The rule if the sink is given no *restart*; None: a failure is final."""

    blocking: ClassVar[bool] = True
    """Whether plain methods may block, and so need a thread on a loop."""

    flush_each: ClassVar[bool] = False
    """Whether an element is done only when `flush` has returned after its write."""

    def open(self) -> Any:
        """Acquire what the writer needs; called before the first write, and after a `close`."""

    def encode(self, x: T) -> Any:
        """Return what is to be written for *x*; an exception is a failure of that element."""
        return x

    def size(self, payload: Any) -> int:
        """Return the bytes of *payload*, which count for ``max_bytes``."""
        return len(payload)

    def write(self, payload: Any) -> Any:
        """Write one element; by default, a batch of one."""
        return self.write_many([payload])

    def write_many(self, payloads: Sequence[Any]) -> Any:
        """Write a batch, in order; raise if not all of it was written."""
        raise NotImplementedError(f"{type(self).__name__}: neither write nor write_many is defined")

    def flush(self) -> Any:
        """Make durable what was written; called at a flush, and before `close`."""

    def close(self) -> Any:
        """Free what `open` acquired; called once for each `open`."""

    def discard(self) -> Any:
        """Free what `open` acquired, after a failure; what follows is `open`.  Else as `close`."""
        return self.close()

    def is_transient(self, error: Exception) -> bool:
        """Return whether the writer may be opened again after *error*, and write again."""
        return isinstance(error, self.transient)
