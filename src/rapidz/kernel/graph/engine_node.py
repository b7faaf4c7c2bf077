"""Engine node: what the engine does in every node, besides its hooks."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from threading import get_ident
from typing import Any, ClassVar

from rapidz.kernel.compile import feedback, loss_alignment
from rapidz.kernel.compile.compiler import Outlet
from rapidz.kernel.compile.emit import CompiledEmit, emit_later, emit_within, push_in
from rapidz.kernel.compile.fusion import fuse
from rapidz.kernel.compile.intermediate import FusedRun
from rapidz.kernel.compile.legacy import has_async_update
from rapidz.kernel.graph.edges import Downstreams, Upstreams
from rapidz.kernel.protocol.checks import check_metadata
from rapidz.kernel.protocol.node import Node, is_engine_default
from rapidz.kernel.protocol.push import Pending, Push, Step
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.failures import guard
from rapidz.kernel.runtime.pipeline import Pipeline
from rapidz.kernel.runtime.serial_queue import SerialQueue
from rapidz.kernel.runtime.tracked_element import Metadata, current_metadata, release, retain

#: Methods that old code replaces on an instance.
_REPLACED = frozenset({"_emit", "update"})


class Record:
    """The last element of a node, from the first time that it was asked for."""

    __slots__ = ("metadata", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.metadata: Any = None

    def take(self, x: Any) -> None:
        self.value, self.metadata = x, current_metadata()


class EngineNode(Node):
    """Base class of `Stream`: compilation, order, failures and description of one node."""

    _emits_one_for_one: ClassVar[bool] = True

    _pipeline: Pipeline
    _serial_queue: SerialQueue
    _policy_queue: SerialQueue
    _policy: Any = None
    _effective_policy: Any = None
    _record: Record | None = None
    _entry: CompiledEmit | None = None
    _arrivals: dict[int, list[int]] | None = None
    _direct_steps: Any = None
    _clock: Any = None
    _side_streams: tuple[Any, ...] = ()
    _compiled = _closing = _ended = False
    _wait_for_cache: tuple[int, Any] | None = None
    _feedback_from: weakref.WeakSet[Any] | None = None
    """The nodes whose edges to this one lead back."""
    _unused = False
    _warns_if_unused = True
    """Whether nodes downstream warn when they are collected unused."""
    _skipped = 0
    str_list: ClassVar[list[str]] = ["func", "predicate", "n", "interval"]

    # --- construction ---------------------------------------------------------------------

    def _build(
        self, upstreams: list[Any], loop: Any, asynchronous: bool | None, ensure_io_loop: bool
    ) -> None:
        """Make the state of the node, and its edges upstream."""
        self.upstreams: list[Any] = Upstreams(self._checked(up) for up in upstreams)
        self.downstreams = Downstreams(weakref.WeakMethod(self._invalidate))
        self._serial_queue, self._policy_queue = SerialQueue(), SerialQueue()
        self._outlet = Outlet(self)  # pyright: ignore[reportAttributeAccessIssue] - slots
        self._join_pipeline(loop, asynchronous)
        if ensure_io_loop or has_async_update(self):
            self._pipeline.require_loop()
        for up in self.upstreams:
            up._check_edge(self)
        warns = bool(self.upstreams)
        for up in self.upstreams:
            up.downstreams.add(self)
            up._unused = False
            warns = warns and up._warns_if_unused
        self._unused = warns
        if not warns and self.upstreams:
            self._warns_if_unused = False

    def _checked(self, upstream: object) -> Node:
        if isinstance(upstream, Node):
            if not hasattr(upstream, "_pipeline"):
                raise TypeError(
                    f"{type(upstream).__name__}: __init__ must call super().__init__(upstream), "
                    "got a node without it"
                )
            return upstream
        raise TypeError(
            f"{type(self).__name__}: upstream must be a Stream, got {short_repr(upstream)}"
        )

    def _join_pipeline(self, loop: Any, asynchronous: bool | None) -> None:
        """Become a node of the pipeline of the nodes upstream."""
        if asynchronous not in (None, True, False):
            raise TypeError(
                f"{type(self).__name__}: asynchronous must be True, False or None, "
                f"got {short_repr(asynchronous)}"
            )
        own = Pipeline(loop, asynchronous)
        for up in self.upstreams:
            up._pipeline.check_compatible(own)
        pipeline = own
        if self.upstreams:
            pipeline = self.upstreams[0]._pipeline
            if loop is not None or asynchronous is not None:
                pipeline = pipeline.absorb(own)
        for up in self.upstreams[1:]:
            pipeline = pipeline.absorb(up._pipeline)
        self._pipeline = pipeline  # pyright: ignore[reportIncompatibleVariableOverride]
        pipeline.nodes.add(self)  # where another thread finds it
        if asynchronous or loop is not None:
            pipeline.bind_to_running_loop()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _REPLACED and "_pipeline" in self.__dict__:
            if has_async_update(self):
                self._pipeline.require_loop()
            self._invalidate()

    # --- entry --------------------------------------------------------------------------

    def _emit_slow_path(self, x: Any, asynchronous: bool, metadata: Metadata | None) -> Any:
        pipeline = self._pipeline
        if not isinstance(asynchronous, bool) and asynchronous is not None:
            raise TypeError(
                f"emit: asynchronous must be True or False, got {short_repr(asynchronous)}"
            )
        if metadata is not None:
            check_metadata(metadata)
            pipeline.enable_tracking()
        if pipeline.lock.inside == get_ident():
            later = functools.partial(emit_later, self, x, metadata)
            if pipeline.lock.defer(later):
                return pipeline.as_awaitable(None) if asynchronous or pipeline.needs_loop else None
            return emit_within(self, x, asynchronous, metadata)
        return pipeline.run(lambda: push_in(self, x, metadata), asynchronous=asynchronous)

    def _compiled_entry(self) -> CompiledEmit:
        """Return the compiled entry, made now if need be; `emit` is set on the instance then."""
        entry = self._entry
        if entry is None:
            with self._pipeline.lock:
                version = self._outlet.version
                self._entry = entry = CompiledEmit(self)
                if (
                    is_engine_default(type(self).emit)
                    and "emit" not in self.__dict__
                    and entry.compiled
                ):
                    vars(self)["emit"] = functools.update_wrapper(entry.emit, type(self).emit)
                if self._outlet.version != version:  # another thread has edited the graph
                    self._invalidate()
        return entry

    # --- compilation ----------------------------------------------------------------------

    def _can_inline(self) -> bool:
        return type(self).compile is EngineNode.compile

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any] | Step:
        """Return the step for what arrives at *port*: see `rapidz.kernel.protocol.node`."""
        return self._compile_inline(push, port)

    def _compile_inline(self, push: Push[Any] | None, port: int = 0) -> Push[Any]:
        """Compile what `inline` writes into a step of its own."""
        run = FusedRun()
        run.nodes.append((weakref.ref(self), port))
        run.tail = push
        run.counts_arrivals = False  # the step is wrapped
        return fuse(run)

    def _wrap_policy(self, step: Push[Any], policy: Any) -> Push[Any]:
        return guard(self, step, policy)

    def _apply_attribute(self, name: str, value: Any) -> None:
        """Compile the node anew: attribute *name* was assigned."""
        self._on_attribute_set(name, value)
        if callable(value) and loops.is_async(value):
            self._pipeline.require_loop()
        self._invalidate()

    def _invalidate(self) -> None:
        """Compile anew before the next element: something changed here or downstream."""
        self._pipeline.edits += 1
        feedback.Version.now += 1
        stack: list[Any] = [self]
        while stack:
            node = stack.pop()
            node._direct_steps = None
            entry = node._entry
            if entry is not None:
                entry.retire()
                node._entry = None
                if node.__dict__.get("emit") is entry.emit:
                    del node.__dict__["emit"]
            if node._outlet.linked:
                node._outlet.invalidate()
            else:
                node._outlet.version += 1  # it may be in the midst of being linked
            if node._compiled:
                node._compiled = False
                stack.extend(up for up in node.upstreams if up is not None)

    # --- order ------------------------------------------------------------------------------

    def _is_busy(self) -> bool:
        """Return whether elements are in flight in this node."""
        return self._policy_queue.busy() or self._serial_queue.busy() or self._has_in_flight()

    def _has_elements_in_flight(self) -> bool:
        """Return whether elements are in flight in this node, and not signals alone."""
        queued = self._policy_queue.has_elements() or self._serial_queue.has_elements()
        return queued or self._has_in_flight()

    def _count_buffered(self) -> int:
        """Return how many elements the node has taken in and not emitted yet."""
        return max(self._policy_queue.count(), self._serial_queue.count()) + self._buffered()

    def _run_in_order(self, action: Callable[[], Pending]) -> Pending:
        """Run *action* after all elements that are in flight in this node."""
        if self._policy_queue.busy():
            behind = functools.partial(self._run_in_own_order, action)
            return self._policy_queue.enqueue_signal(behind, self._pipeline)
        return self._run_in_own_order(action)

    def _run_in_own_order(self, action: Callable[[], Pending]) -> Pending:
        """Run *action* after what the node's own function has in flight."""
        if self._queue_action(action):
            return None
        if self._serial_queue.busy():
            return self._serial_queue.enqueue_signal(action, self._pipeline)
        return action()

    def _loop_changed(self) -> None:
        """Drop what belonged to the loop that the pipeline has left."""
        self._serial_queue, self._policy_queue = SerialQueue(), SerialQueue()
        self._on_loop_changed()

    def _end(self) -> None:
        """End the stream here."""
        self._ended = True
        self._on_end()
        if self._clock is not None:
            self._clock.end()
        self._invalidate()

    # --- elements that are lost ---------------------------------------------------------------

    def _aligned_with(self) -> list[Any]:
        ups = [up for port, up in enumerate(self.upstreams) if port not in self._side_ports]
        return ups if len(ups) == 1 else []

    def _report_loss(self) -> None:
        """Report that the node has lost an element: its function failed for good."""
        if not self._handles_carry_failures:
            loss_alignment.report_loss(self)

    def _loss_reporter(self, *, behind_all: bool = False) -> Callable[[], None] | None:
        """Return what reports the loss of an element here; None if no join depends on it.

        *behind_all*: the element was outside, behind all that is in flight in the node.
        """
        if not self._pipeline.joins:
            return None
        ref = weakref.ref(self)

        def lost() -> None:
            if (node := ref()) is None:
                return
            if behind_all:
                node._run_in_own_order(node._report_loss)
            else:
                node._report_loss()

        return lost

    def _skip_reporter(self) -> Callable[[], None] | None:
        """Return what reports an element that `SKIP` leaves out; None if no join drops partners.

        See `_drops_skipped`.
        """
        if not any(join._drops_skipped for join in self._pipeline.joins):
            return None
        ref = weakref.ref(self)

        def skipped() -> None:
            if (node := ref()) is not None:
                loss_alignment.report_loss(node, skipped=True)

        return skipped

    # --- the last element ---------------------------------------------------------------------

    def _recorded(self) -> Record:
        """Return the record of the last element, which is kept from now on."""
        if self._record is None:
            self._record = Record()
            if "_outlet" in vars(self):
                self._invalidate()
        return self._record

    # --- counts -------------------------------------------------------------------------------

    def _count_arrivals(self) -> dict[int, list[int]]:
        """Count the elements that arrive at each port from now on; return the counts."""
        if self._arrivals is None:
            self._arrivals = {port: [0] for port in range(len(self.upstreams))}
            self._invalidate()
        return self._arrivals

    def _retain_refs(self, metadata: Any, n: int = 1) -> None:
        retain(metadata, n)

    def _release_refs(self, metadata: Any, n: int = 1) -> None:
        release(metadata, n)

    # --- description ----------------------------------------------------------------------------

    def __str__(self) -> str:
        name = f"{self.name}; " if self.name else ""
        what = ""
        for attribute in self.str_list:
            value = self.__dict__.get(attribute)
            if value:
                what = f": {short_name(value)}"
                break
        return f"<{name}{type(self).__name__}{what}>"

    __repr__ = __str__

    def _describe(self) -> str:
        """Return the node and its function, for error messages."""
        for attribute in ("func", "predicate", "key"):
            func = self.__dict__.get(attribute)
            if callable(func) and short_name(func) not in str(self):
                return f"{self} ({attribute}: {short_name(func)})"
        return str(self)


def short_name(value: Any) -> str:
    """Return a short name for what a node was configured with."""
    if not callable(value):
        return str(value)
    name = getattr(value, "__name__", None)
    return str(name) if name else type(value).__name__
