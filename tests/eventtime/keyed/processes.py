"""Classes and streams for the tests of `process`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rapidz import Stream


class Scripted:
    """A class for `process` whose methods are given as functions of ``(key, x or t, ctx)``."""

    def __init__(self, on_element: Callable[..., Any], on_timer: Callable[..., Any]) -> None:
        self.element, self.timer = on_element, on_timer

    def on_element(self, key: Any, x: Any, ctx: Any) -> Any:
        return self.element(key, x, ctx)

    def on_timer(self, key: Any, t: Any, ctx: Any) -> Any:
        return self.timer(key, t, ctx)


def shown(key: Any, t: Any, ctx: Any) -> list[Any]:
    return [(key, t, ctx.name)]


def timed(source: Any = None, **options: Any) -> Any:
    """A stream of ``(timestamp, key, ...)``, keyed."""
    source = Stream() if source is None else source
    return source, source.event_time(0, **options).key_by(1)


def outputs(on_element: Any, on_timer: Any, elements: list[Any], **options: Any) -> list[Any]:
    source, keyed = timed()
    seen = keyed.process(Scripted, on_element, on_timer, **options).sink_to_list()
    source.emit_many(elements)
    source.close()
    return list(seen)
