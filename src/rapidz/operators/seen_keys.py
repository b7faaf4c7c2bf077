"""Seen keys: bounded sets of keys in order, by number and by time."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any


class SeenKeys:
    """Bounded set of keys in order of occurrence; keys need not be hashable."""

    def __init__(self, most: int | None, refresh: bool) -> None:
        self.most = most
        self.refresh = refresh
        self.hashed: OrderedDict[Hashable, None] = OrderedDict()
        self.listed: list[Any] = []
        """All keys in the same order, after the first one that is not hashable."""

    def is_new(self, key: Any) -> bool:
        """Add *key*; return whether it was not in the set."""
        if not self.listed:
            try:
                return self._is_new_hashed(key)
            except TypeError:
                self.listed = list(self.hashed)
                self.hashed.clear()
        if key in self.listed:
            if self.refresh:
                self.listed.remove(key)
                self.listed.append(key)
            return False
        self.listed.append(key)
        if self.most is not None and len(self.listed) > self.most:
            del self.listed[0]
        return True

    def _is_new_hashed(self, key: Hashable) -> bool:
        hashed = self.hashed
        if key in hashed:
            if self.refresh:
                hashed.move_to_end(key)
            return False
        hashed[key] = None
        if self.most is not None and len(hashed) > self.most:
            hashed.popitem(last=False)
        return True


class RecentKeys:
    """Set of the keys that were added within a span of time; keys need not be hashable."""

    __slots__ = ("hashed", "instants", "keys", "most")

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        """How many keys to remember, first in, first out; None: no limit."""
        self.keys: deque[Any] = deque()
        """The keys, in order, each once."""
        self.instants: deque[float] = deque()
        """When they were added."""
        self.hashed: set[Hashable] | None = set()
        """The keys; None after the first one that is not hashable."""

    def tester(self, span: float) -> Callable[[Any, float], bool]:
        """Return the function that adds a key at an instant, and whether it was not in the set."""
        instants, keys, most = self.instants, self.keys, self.most

        def is_new(key: Any, now: float) -> bool:
            if instants and instants[0] <= now - span:
                self._forget_until(now - span)
            hashed = self.hashed
            try:
                if key in (keys if hashed is None else hashed):
                    return False
                if hashed is not None:
                    hashed.add(key)
            except TypeError:
                if self.is_known(key):
                    return False
            keys.append(key)
            instants.append(now)
            if most is not None and len(keys) > most:
                self._forget()
            return True

        return is_new

    def is_known(self, key: Any) -> bool:
        """Return whether *key* is in the set."""
        if self.hashed is not None:
            try:
                return key in self.hashed
            except TypeError:
                self.hashed = None
        return key in self.keys

    def resume(self, now: float) -> None:
        """Note the present time, by a clock that may be another one than before."""
        if self.instants and self.instants[-1] > now:
            ahead = self.instants[-1] - now
            for _ in range(len(self.instants)):
                self.instants.append(self.instants.popleft() - ahead)

    def clear(self) -> None:
        """Forget all keys."""
        self.keys.clear()
        self.instants.clear()
        self.hashed = set()

    def _forget_until(self, instant: float) -> None:
        """Forget the keys that were added at *instant* or before."""
        instants = self.instants
        while instants and instants[0] <= instant:
            self._forget()

    def _forget(self) -> None:
        self.instants.popleft()
        key = self.keys.popleft()
        if self.hashed is not None:
            self.hashed.discard(key)

    def __contains__(self, key: object) -> bool:
        return self.is_known(key)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self.keys))

    def __len__(self) -> int:
        return len(self.keys)
