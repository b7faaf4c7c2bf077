"""Append-only log: an immutable sequence that is cheap to append to.

A log is a pair of a chunk, the newest entries, and the log of what is older, whose
chunks are `FACTOR` times as long.  An entry is copied into a longer chunk about
once per level, so `append` takes constant time in practice, and the depth of the
pairs grows with the logarithm of the number of entries.  A log is plain data.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Log: TypeAlias = tuple[Any, ...]

#: The log without entries.
EMPTY: Log = ((), ())

#: Length of the first chunk, and how much longer each further one is.
FACTOR = 32


def append(log: Log, entry: Any) -> Log:
    """Return *log* with one more entry.

    >>> append(append(EMPTY, "a"), "b")
    (('a', 'b'), ())
    """
    chunk, older = log
    if len(chunk) < FACTOR:
        return chunk + (entry,), older  # noqa: RUF005 - twice as quick as unpacking
    return (entry,), _push(older, chunk, FACTOR * FACTOR)


def concatenate(a: Log, b: Log) -> Log:
    """Return the entries of *a*, then those of *b*.

    >>> entries(concatenate(((1, 2), ()), ((3,), ())))
    [1, 2, 3]
    """
    if a == EMPTY or b == EMPTY:
        return b if a == EMPTY else a
    return ((), ((*entries(a), *entries(b)), ()))


def entries(log: Log) -> list[Any]:
    """Return the entries in the order in which they were appended."""
    chunks = []
    while log:
        chunk, log = log
        chunks.append(chunk)
    return [entry for chunk in reversed(chunks) for entry in chunk]


def _push(log: Log, entries: Log, limit: int) -> Log:
    """Return *log*, whose first chunk has up to *limit* entries, with *entries* behind it."""
    if not log:
        return entries, ()
    chunk, older = log
    if len(chunk) < limit:
        return chunk + entries, older
    return entries, _push(older, chunk, limit * FACTOR)
