"""Keyed state: one state a key, its bounds, and what leaves by them."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, MutableMapping
from typing import Any, Final

from rapidz.eventtime.clock import END, NEVER
from rapidz.eventtime.wheel import Wheel
from rapidz.kernel.compile.intermediate import MISSING
from rapidz.kernel.protocol.options import value_of
from rapidz.kernel.protocol.short_repr import short_repr

#: Into how many buckets of the timing wheel a time to live is divided.
_BUCKETS: Final = 64
_ATOMS: Final = (type(None), bool, int, float, complex, str, bytes)


def is_immutable(value: Any) -> bool:
    """Return whether *value* may be the first state of all keys, as it is."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(is_immutable, value))
    return type(value) in _ATOMS or value is MISSING


class StateTable:
    """States by key; to read a key that it does not have gives a first state.

    Generated lines use ``states``, for Python is quicker with a plain dict than with a derived one.

    Parameters
    ----------
    start : object
        The first state of a key; what is not immutable is copied for each.
    """

    __slots__ = ("_copied", "on_unbounded", "start", "states")

    def __init__(self, start: Any) -> None:
        self.states: dict[Any, Any] = {}
        self.start = start
        self._copied = not is_immutable(start)
        self.on_unbounded: Callable[[], None] | None = None
        """Called once when there are more keys than `unbounded_keys_warning` says."""

    def __getitem__(self, key: Hashable) -> Any:
        state = self.states.get(key, MISSING)
        return self.first(key) if state is MISSING else state

    def __setitem__(self, key: Hashable, state: Any) -> None:
        self.states[key] = state

    def __contains__(self, key: object) -> bool:
        return key in self.states

    def __iter__(self) -> Iterator[Any]:
        return iter(self.states)

    def __len__(self) -> int:
        return len(self.states)

    def pop(self, key: Hashable) -> Any:
        """Remove and return the state of *key*; None if it has none."""
        return self.states.pop(key, None)

    def clear(self) -> None:
        """Remove all states."""
        self.states.clear()

    def first(self, key: Hashable) -> Any:
        """Return the first state of *key*."""
        if self.on_unbounded is not None:
            most = value_of("unbounded_keys_warning")
            if most is not None and len(self.states) >= most:
                warn, self.on_unbounded = self.on_unbounded, None
                warn()
        return copy.deepcopy(self.start) if self._copied else self.start


class KeyEntry:
    """When the state of a key was written, and whether it is in the timing wheel."""

    __slots__ = ("in_wheel", "key", "written")

    def __init__(self, key: Hashable, written: int) -> None:
        self.key, self.written = key, written
        self.in_wheel = False


class KeyedState:
    """State of one node by key, with a time to live and a greatest number of keys.

    Instants are in nanoseconds.  A state is gone *ttl* after it was last written: `read` is
    exact, `sweep` removes what is due.  What leaves is in `evicted` until it is taken.

    Parameters
    ----------
    start : object
        The first state of a key.
    ttl : int, optional
        How long a state lives after it was written.
    max_keys : int, optional
        How many keys there are at most; the least recently written one leaves.
    """

    __slots__ = (
        "armed",
        "entries",
        "evicted",
        "latest",
        "max_keys",
        "table",
        "ttl",
        "unsettled",
        "wheel",
    )

    def __init__(
        self, start: Any = MISSING, ttl: int | None = None, max_keys: int | None = None
    ) -> None:
        self.table = StateTable(start)
        self.ttl, self.max_keys = ttl, max_keys
        self.entries: OrderedDict[Hashable, KeyEntry] = OrderedDict()
        """By key, the least recently written first if there is a greatest number."""
        self.wheel: Wheel[KeyEntry] = Wheel(1 if ttl is None else max(1, ttl // _BUCKETS))
        self.evicted: list[tuple[Hashable, Any]] = []
        self.unsettled = False
        """Whether the node has something to do: send what was evicted, or ask for an instant."""
        self.armed = NEVER
        """The instant that the node has asked for."""
        self.latest = -END
        """The latest instant of a write."""

    @property
    def bounded(self) -> bool:
        return self.ttl is not None or self.max_keys is not None

    def read(self, key: Hashable, now: int) -> Any:
        """Return the state of *key*; the first one if it has none at *now*."""
        entry = self.entries.get(key)
        if entry is not None and self.ttl is not None:
            if entry.written == -END:  # it was assigned before time began
                entry.written = now
            elif now - entry.written >= self.ttl:
                self.evict(key)
        return self.table[key]

    def write(self, key: Hashable, state: Any, now: int) -> None:
        """Set the state of *key*, written at *now*."""
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = KeyEntry(key, now)
        elif now > entry.written:
            entry.written = now
        if now > self.latest:
            self.latest = now
        if self.ttl is not None and not entry.in_wheel and entry.written != -END:
            self._time(entry)
        self.table[key] = state
        if self.max_keys is not None:
            self.entries.move_to_end(key)
            if len(self.entries) > self.max_keys:
                self.evict(next(iter(self.entries)))

    def _time(self, entry: KeyEntry) -> None:
        assert self.ttl is not None
        entry.in_wheel = True
        due = entry.written + self.ttl
        self.wheel.add(due, entry)
        if due < self.armed:
            self.unsettled = True

    def drop(self, key: Hashable) -> None:
        """Remove the state of *key*, which does not count as evicted."""
        self.table.pop(key)
        self.entries.pop(key, None)

    def evict(self, key: Hashable) -> None:
        """Remove the state of *key*, and note that it was evicted."""
        del self.entries[key]
        self.evicted.append((key, self.table.pop(key)))
        self.unsettled = True

    def sweep(self, now: int) -> None:
        """Evict all states that are gone at *now*, in the order in which they went."""
        if self.ttl is None or now < self.wheel.next():
            return
        due: list[tuple[int, KeyEntry]] = []
        for _, entry in self.wheel.take(now):
            if self.entries.get(entry.key) is not entry:
                continue  # it has left otherwise
            until = entry.written + self.ttl
            if until <= now:
                due.append((until, entry))
            else:
                self.wheel.add(until, entry)
        due.sort(key=_instant)
        for _, entry in due:
            self.evict(entry.key)

    def take_evicted(self) -> list[tuple[Hashable, Any]]:
        """Return what was evicted since the last call."""
        evicted, self.evicted = self.evicted, []
        return evicted

    def is_alive(self, key: Any, now: int) -> bool:
        """Return whether *key* has a state at *now*."""
        if key not in self.table:
            return False
        entry = self.entries.get(key)
        if self.ttl is None or entry is None or entry.written == -END:
            return True
        return now - entry.written < self.ttl

    def clear(self) -> None:
        """Remove all states; none of them counts as evicted."""
        self.table.clear()
        self.entries.clear()
        self.wheel.clear()
        self.armed = NEVER

    def snapshot(self) -> tuple[dict[Any, Any], dict[Any, int], int]:
        """Return the states, when they were written in what order, and the latest instant."""
        written = {key: entry.written for key, entry in self.entries.items()}
        return dict(self.table.states), written, self.latest

    def restore(self, snapshot: tuple[dict[Any, Any], dict[Any, int], int]) -> None:
        """Have the states of a `snapshot` and no others."""
        self.clear()
        states, written, self.latest = snapshot
        self.table.states.update(states)
        for key, at in written.items():
            entry = self.entries[key] = KeyEntry(key, at)
            if self.ttl is not None and at != -END:
                self._time(entry)

    def resume(self, now: int) -> None:
        """Note the present time, by a clock that may be another one than before."""
        ahead = self.latest - now
        if self.latest == -END or ahead <= 0:
            return
        self.wheel.clear()
        self.latest, self.armed = now, NEVER
        for entry in self.entries.values():
            if entry.written != -END:
                entry.written -= ahead
                self._time(entry)


def _instant(timed: tuple[int, KeyEntry]) -> int:
    return timed[0]


class StateView(MutableMapping[Any, Any]):
    """Live mapping of keys to states, as the node has them now.

    What is assigned counts as written now.

    Parameters
    ----------
    state : KeyedState
        The states.
    now : callable
        Returns the present time of the node in nanoseconds; -END if it is not known.
    """

    def __init__(self, state: KeyedState, now: Callable[[], int]) -> None:
        self._state, self._now = state, now

    def __getitem__(self, key: Hashable) -> Any:
        if not self._state.is_alive(key, self._now()):
            raise KeyError(key)
        return self._state.table[key]

    def __setitem__(self, key: Hashable, state: Any) -> None:
        if self._state.bounded:
            self._state.write(key, state, self._now())
        else:
            self._state.table[key] = state

    def __delitem__(self, key: Hashable) -> None:
        if not self._state.is_alive(key, self._now()):
            raise KeyError(key)
        self._state.drop(key)

    def __iter__(self) -> Iterator[Any]:
        now = self._now()
        return iter([key for key in self._state.table if self._state.is_alive(key, now)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return self._state.is_alive(key, self._now())

    def replace(self, states: Mapping[Any, Any]) -> None:
        """Have *states* and no others."""
        copied = dict(states)
        self._state.clear()
        self.update(copied)

    def __repr__(self) -> str:
        return short_repr(dict(self))
