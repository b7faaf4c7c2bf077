"""KeyedStream: stream whose elements have keys, with the methods that keep one state a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rapidz.eventtime.getter import Getter
from rapidz.eventtime.keyed.accumulate import keyed_accumulate, map_with_state
from rapidz.eventtime.keyed.unique import keyed_unique
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import no_default

if TYPE_CHECKING:
    from rapidz.kernel.protocol.intervals import Interval

T = TypeVar("T")


class KeyedStream(Stream[T]):
    """Stream whose elements have keys: its windows, joins and state are one for each key."""

    key_getter: Getter

    def accumulate(  # type: ignore[override]
        self,
        func: Callable[..., Any],
        start: Any = no_default,
        returns_state: bool = False,
        with_state: bool = False,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> keyed_accumulate:
        """Fold every element into the state of its key, and emit ``(key, result)``.

        See `keyed_accumulate`.
        """
        return keyed_accumulate(
            self,
            func,
            start,
            returns_state,
            with_state,
            ttl=ttl,
            max_keys=max_keys,
            timestamp=timestamp,
            stream_name=stream_name,
            **kwargs,
        )

    scan = accumulate  # type: ignore[assignment]

    def map_with_state(
        self,
        func: Callable[..., Any],
        start: Any = None,
        *,
        ttl: Interval | None = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        stream_name: str | None = None,
        **kwargs: Any,
    ) -> map_with_state:
        """Apply ``func(state, x) -> (state, result)``, and emit ``(key, result)``.

        See `map_with_state`.
        """
        return map_with_state(
            self,
            func,
            start,
            ttl=ttl,
            max_keys=max_keys,
            timestamp=timestamp,
            stream_name=stream_name,
            **kwargs,
        )

    def unique(  # type: ignore[override]
        self,
        history: int | None = None,
        maxsize: int | None = None,
        within: Interval | None = None,
        *,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> keyed_unique[T]:
        """Drop elements whose key has occurred before.

        See `keyed_unique`.
        """
        return keyed_unique(self, history, maxsize, within, timestamp=timestamp, **kwargs)
