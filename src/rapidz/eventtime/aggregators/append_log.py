"""Append-only log: an immutable sequence that is cheap to append to.

A log is a tuple of the log of what is older and the newest items, up to `LENGTH` of
them; each older log is `FACTOR` times as long as the one before.  An item is
copied about once per level when it moves to a longer one, so `append` takes
constant time in practice, and the depth grows with the logarithm of the number of
items.  A log is plain data.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Log: TypeAlias = tuple[Any, ...]

#: The log without items.
EMPTY: Log = ((),)

#: How many items the newest part takes, and how much longer each older one is.
LENGTH = 32
FACTOR = 32


def append(log: Log, *items: Any) -> Log:
    """Return *log* with further items.

    >>> append(append(EMPTY, "a"), "b", "c")
    ((), 'a', 'b', 'c')
    """
    if len(log) <= LENGTH:
        return log + items
    return (_push(log[0], log[1:], LENGTH * FACTOR), *items)


def append_lines(append: str, log: str, items: str) -> tuple[str, str]:
    """Return expressions for a log with its first items, and with further ones.

    *append* is the name of the function, *items* the text of a tuple.

    >>> append_lines("append", "log", "(x,)")
    ('((), *(x,))', 'log + (x,) if len(log) <= 32 else append(log, *(x,))')
    """
    further = f"{log} + {items} if len({log}) <= {LENGTH} else {append}({log}, *{items})"
    return f"((), *{items})", further


def concatenate(a: Log, b: Log) -> Log:
    """Return the items of *a*, then those of *b*, which alone are copied one by one.

    >>> items_of(concatenate(append(EMPTY, 1, 2), append(EMPTY, 3)))
    [1, 2, 3]
    """
    return append(a, *items_of(b)) if b != EMPTY else a


def items_of(log: Log) -> list[Any]:
    """Return the items in the order in which they were appended."""
    if log[0] == ():
        return list(log[1:])
    parts = []
    while log:
        parts.append(log)
        log = log[0]
    items: list[Any] = []
    for part in reversed(parts):
        items.extend(part)
        del items[-len(part)]  # the older log, which the part begins with
    return items


def _push(log: Log, items: Log, limit: int) -> Log:
    """Return *log*, which takes up to *limit* items, with *items* behind its own."""
    if not log:
        return ((), *items)
    if len(log) <= limit:
        return log + items
    return (_push(log[0], log[1:], limit * FACTOR), *items)
