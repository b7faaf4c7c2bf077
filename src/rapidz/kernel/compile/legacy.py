"""Legacy node classes, written for rapidz 0.2 and streamz: interpreted, not compiled.

Such a class overrides ``update(self, x, who=None)``, with or without
``metadata``, and calls ``self._emit(x)``; it may return None, an awaitable, or
lists of them.  Compiled and interpreted nodes mix freely in one graph.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

from rapidz.kernel.compile.async_steps import bind_call, starter
from rapidz.kernel.protocol.checks import check_writes
from rapidz.kernel.protocol.node import Node, is_engine_default
from rapidz.kernel.protocol.push import Pending, Push, await_result, step_of
from rapidz.kernel.runtime import attribution
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.attribution import failure_test, is_attributed_to
from rapidz.kernel.runtime.tracked_element import current_metadata
from rapidz.kernel.runtime.tracking import boxing, tracked_push, unboxing


def interpreted(node: Node) -> bool:
    """Return whether the node's work is in an ``update`` of its own."""
    if "update" in node.__dict__:
        return True
    for cls in type(node).__mro__:
        names = cls.__dict__
        if "update" in names:
            return not is_engine_default(names["update"])
        if "compile" in names or "inline" in names:
            return False
    return False


def has_async_update(node: Node) -> bool:
    """Return whether the node's work is in an asynchronous ``update``: it needs a loop."""
    if is_engine_default(type(node).update) and "update" not in node.__dict__:
        return False
    check_writes(type(node).__name__, "update", node.update)
    return interpreted(node) and loops.is_async(node.update)


def overridden_emit(node: Node) -> bool:
    """Return whether elements are to go through the node's own ``_emit``."""
    return not is_engine_default(type(node)._emit) or "_emit" in node.__dict__


def takes_keyword(func: Callable[..., Any], name: str) -> bool:
    """Return whether *func* may be called with the keyword *name*."""
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(
        parameter.kind is parameter.VAR_KEYWORD
        or (parameter.name == name and parameter.kind is not parameter.POSITIONAL_ONLY)
        for parameter in parameters
    )


def interpret(node: Node, port: int) -> Push[Any]:
    """Return a step that calls the node's ``update`` as the old libraries did."""
    ref = weakref.ref(node)
    upstream = node.upstreams[port] if port < len(node.upstreams) else None
    above: Callable[[], Any] = weakref.ref(upstream) if upstream is not None else lambda: None
    update = node.update
    with_who, with_metadata = takes_keyword(update, "who"), takes_keyword(update, "metadata")
    pipeline, line, start = node._pipeline, node._serial_queue, starter(node)
    del node, upstream, update

    def call(x: Any) -> Any:
        node = ref()
        if node is None:
            return None
        extra: dict[str, Any] = {}
        if with_who:
            extra["who"] = above()
        if with_metadata:
            extra["metadata"] = list(current_metadata())
        since = attribution.last_serial
        try:
            return node.update(x, **extra)
        except Exception as error:
            is_attributed_to(error, node, x, since)
            raise

    if loops.is_async(ref().update):  # type: ignore[union-attr]
        begin = bind_call(ref(), call)  # type: ignore[arg-type]

        async def in_order(x: Any) -> None:
            since = attribution.last_serial
            try:
                result: Any = begin(x)
                if result is not None:
                    await result
            except Exception as error:
                is_attributed_to(error, ref(), x, since)
                raise

        return lambda x: line.enqueue(in_order(x), pipeline)

    def step(x: Any) -> Pending:
        result = call(x)
        return None if result is None else await_result(result, start)

    return step


def call_update(node: Node, x: Any, who: Node | None = None, metadata: Any = None) -> Any:
    """Call a compiled node as an old subclass does: ``super().update(x, who)``.

    What it emits goes through the node's own ``_emit``.  Returns a list of
    awaitables if it emitted, else what it returned.
    """
    ports = [port for port, up in enumerate(node.upstreams) if up is who]
    port = ports[0] if ports else 0
    steps = node._direct_steps
    if steps is None:
        steps = node._direct_steps = {}
    if port not in steps:
        emitted: list[Any] = []
        steps[port] = (emitted, _step_by_hand(node, port, emitted))
    emitted, step = steps[port]
    emitted.clear()
    if metadata and node._pipeline.tracked:
        wait = tracked_push(lambda: step(x), metadata)
    else:
        wait = step(x)
    result: list[Any] = [item for item in emitted if item is not None]
    if wait is not None and wait not in result:
        result.append(wait)
    return result if emitted or wait is not None else None


def _step_by_hand(node: Node, port: int, emitted: list[Any]) -> Push[Any]:
    ref, start = weakref.ref(node), node._pipeline.start

    def push(x: Any) -> Pending:
        node = ref()
        if node is None:
            return None
        waits = node._emit(x)
        emitted.extend(waits)
        emitted.append(None)  # something was emitted, though nothing may be pending
        return await_result(waits, start)

    if not (node._pipeline.tracked and node._keeps_elements):
        return step_of(node.compile(push, port)).push

    def still_holds(entry: Any) -> bool:
        node = ref()
        return node is not None and node._retains(entry)

    step = step_of(node.compile(unboxing(push, still_holds), port)).push
    return boxing(step, failure_test(node))
