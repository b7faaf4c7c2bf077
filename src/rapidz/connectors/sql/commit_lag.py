"""Commit lag: a bound on what is read, so that transactions with lower keys can commit first."""

from __future__ import annotations

from collections import deque

from rapidz.connectors.sql.selection import Key


class CommitLag:
    """The newest key that was already seen a given time ago.

    A transaction takes its key before it commits, so the rows of two transactions can become
    visible in the opposite order of their keys.  A source that reads only up to this bound misses
    none of a transaction that commits within *lag* of the first row with a greater key.

    >>> lag = CommitLag(5.0)
    >>> lag.see((10,), 100.0)
    >>> lag.see((12,), 103.0)
    >>> lag.bound(104.0), lag.bound(105.0), lag.bound(108.0)
    (None, (10,), (12,))
    >>> lag.wait(106.0)
    2.0
    """

    def __init__(self, lag: float) -> None:
        self._lag = lag
        self._seen: deque[tuple[float, Key]] = deque()

    def see(self, key: Key, now: float) -> None:
        """Note that *key* is the newest at the instant *now*."""
        if not self._seen or self._seen[-1][1] != key:
            self._seen.append((now, key))

    def bound(self, now: float) -> Key | None:
        """Return the newest key that was seen at least the lag ago; None: none was."""
        seen = self._seen
        while len(seen) > 1 and seen[1][0] <= now - self._lag:
            seen.popleft()
        return seen[0][1] if seen and seen[0][0] <= now - self._lag else None

    def wait(self, now: float) -> float | None:
        """Return the seconds until `bound` changes; None: not before another key is seen."""
        due = [at + self._lag - now for at, _ in self._seen]
        return next((seconds for seconds in due if seconds > 0), None)
