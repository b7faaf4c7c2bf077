"""Pipeline: what connected nodes share, and how two pipelines become one.

Its base class `PipelineExecution` (`runtime.execution`) runs the nodes and waits for them.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from rapidz.kernel.runtime import loop as loops
from rapidz.kernel.runtime.execution import PipelineExecution
from rapidz.kernel.runtime.loop_end import has_queued_work, report_loop_end
from rapidz.kernel.runtime.pipeline_lock import PipelineLock

_pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()


class NodeSet(weakref.WeakSet[Any]):
    """A set of nodes; to iterate over it is safe while other threads build some."""

    data: set[weakref.ref[Any]]

    def __iter__(self) -> Iterator[Any]:
        for ref in self.data.copy():
            if (node := ref()) is not None:
                yield node


class Pipeline(PipelineExecution):
    """Shared by all nodes that were ever connected.

    Two pipelines whose nodes are connected become one: from then on they have one
    ``__dict__``.  So a task, or other code, that still refers to the absorbed one
    sees the state of the other, and an attribute costs what it always does.
    """

    def __init__(self, loop: Any = None, asynchronous: bool | None = None) -> None:
        super().__init__(loop, asynchronous)
        self.nodes: weakref.WeakSet[Any] = NodeSet()
        self.joins: weakref.WeakSet[Any] = NodeSet()
        """Nodes that pair the elements of several inputs."""
        self.edits = 0
        """Version of the graph: counts its edits."""
        self.alignment: tuple[int, Any] | None = None
        """The alignment of the joins, at which version: `compile.loss_alignment` keeps it here."""
        self.time: Any = None
        """The `TimeGraph`, if elements have timestamps."""
        self.policies = 0
        """How many failure policies were set."""
        self._loop_end: object = None
        _pipelines.add(self)

    # --- membership ----------------------------------------------------------------------

    def is_one_with(self, other: object) -> bool:
        """Return whether *other* is this pipeline, or was merged with it."""
        return vars(other) is vars(self)

    def check_compatible(self, other: Pipeline) -> None:
        """Refuse to merge two pipelines that run differently."""
        if None is not self.asynchronous is not other.asynchronous is not None:
            raise ValueError(
                "Stream: asynchronous must be the same in all of a pipeline, got True and False"
            )
        mine, theirs = self.loop, other.loop
        if mine is None or theirs is None or mine is theirs:
            return
        both_run = mine.is_running() and theirs.is_running()
        if (self.loop_given and other.loop_given) or (
            both_run and self.asynchronous and other.asynchronous
        ):
            raise ValueError(
                f"Stream: loop must be one in all of a pipeline, got {mine} and {theirs}: elements "
                "go from one loop to another by first.sink(second.emit)"
            )

    def absorb(self, other: Pipeline) -> Pipeline:
        """Merge with *other*; return the pipeline of the nodes of both."""
        if self.is_one_with(other):
            return self
        self.check_compatible(other)
        if len(other.nodes) > len(self.nodes):
            return other.absorb(self)
        self.invalidate_all()  # what was compiled in either is not for both
        other.invalidate_all()
        if self.loop is None or (other.loop_given and not self.loop_given):
            self.loop = other.loop if other.loop is not None else self.loop
        if self.asynchronous is None:
            self.asynchronous = other.asynchronous
        self.loop_given |= other.loop_given
        self.needs_loop |= other.needs_loop
        self.tracked |= other.tracked
        self.policies += other.policies
        self.joins |= other.joins
        self.time = self.time if other.time is None else other.time
        self.edits += other.edits + 1
        self.absorb_runs(other)
        for node in other.nodes:
            node._pipeline = self
            self.nodes.add(node)
        other.__dict__ = self.__dict__
        return self

    def edit(self, action: Callable[[], object]) -> None:
        """Change the graph by *action*, between two elements."""

        def change() -> None:
            action()

        if self.needs_loop and self.is_alive() and not self.runs_here():
            self.call(change)
        else:
            with self.lock:
                action()

    # --- what compilation depends on -------------------------------------------------------

    def invalidate_all(self) -> None:
        if self.compiled:
            self.compiled = False
            for node in list(self.nodes):
                node._invalidate()

    def enable_tracking(self) -> None:
        """Let elements carry metadata from now on."""
        if not self.tracked:
            self.tracked = True
            self.invalidate_all()

    def realign(self) -> None:
        """Note an edit of an edge: joins and watermarks far downstream may depend on it."""
        if self.joins or self.time is not None:
            self.invalidate_all()

    # --- another loop ------------------------------------------------------------------

    def _leave_loop(self) -> None:
        super()._leave_loop()
        for node in list(self.nodes):
            node._loop_changed()

    def _resume_on(self, loop: asyncio.AbstractEventLoop) -> None:
        def link_all() -> None:
            for node in list(self.nodes):
                if has_queued_work(node) and not node._ended:
                    for up in node.upstreams:
                        up._outlet.link()

        if loops.running_loop() is loop:
            link_all()
        else:
            loop.call_soon_threadsafe(link_all)

    def has_queued_elements(self) -> bool:
        """Return whether an ended loop has left elements in queues that resume by themselves."""
        loop = self.loop
        if loop is None or (loop.is_running() and not loops.has_ended(loop)):
            return False
        return any(has_queued_work(node) for node in list(self.nodes))

    def needs_running_loop(self) -> bool:
        """Return whether only a loop that is not running here can take queued elements."""
        return (
            bool(self.asynchronous) and loops.running_loop() is None and self.has_queued_elements()
        )

    def loop_ended(self, end: object) -> None:
        """Log what is left, as the loop of the pipeline ends and runs no more tasks."""
        if self._loop_end is end or self.loop is not loops.running_loop():
            return
        self._loop_end = end  # a pipeline that was merged is called for each part
        self._fail_loop_calls()
        report_loop_end(self.nodes)


def all_pipelines() -> list[Pipeline]:
    """Return all pipelines, those that were merged once."""
    return list({id(vars(pipeline)): pipeline for pipeline in list(_pipelines)}.values())


def _reset_after_fork() -> None:
    """Replace the locks: a forked child has none of the threads that may have taken them."""
    for pipeline in all_pipelines():
        pipeline.lock = PipelineLock()
        pipeline.trampoline.belong_to(pipeline.lock)
        pipeline.reentry.belong_to(pipeline.lock)
        pipeline.compiled = True
        pipeline.invalidate_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
