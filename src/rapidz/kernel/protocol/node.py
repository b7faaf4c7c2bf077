"""Node: the contract between a node and the engine, every hook in one place.

The engine calls these names and no others.  A class overrides what it needs.
It calls `super()` only if a base class of its own, such as another operator,
overrides the same hook; what the engine must do besides it does by itself.
Hooks run where the nodes run: on the pipeline's loop if it has one, else in the
thread that emits, and one at a time.  Those marked *compile time* are called
once for each compilation, when the graph was edited, an attribute assigned or a
loop bound, and before the next element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rapidz.kernel.protocol.context import OutletContext, PipelineContext
from rapidz.kernel.protocol.push import Pending, Push, Start, Step, fan_out

if TYPE_CHECKING:
    import weakref
    from asyncio import Future
    from collections.abc import Awaitable, Callable, Sized

N = TypeVar("N", bound="Node")
F = TypeVar("F", bound="Callable[..., Any]")


class Node:
    """Hooks and state of a node, as the engine sees them."""

    # --- state: set by the engine, and for it alone ---------------------------------------

    name: str | None
    upstreams: list[Any]
    downstreams: Any
    """The nodes downstream, in order, weakly referenced."""
    _pipeline: PipelineContext
    """The `Pipeline` that the node shares with all nodes it is connected with."""
    _outlet: OutletContext
    """The `Outlet`: the compiled push of the edges downstream."""
    _serial_queue: Any
    """The `SerialQueue` of what its own function has in flight."""
    _policy_queue: Any
    """The `SerialQueue` of what its failure policy has in flight."""
    _signal_barrier: Any
    """The `SignalBarrier` of its inputs."""
    _policy: Any
    """The failure policy that the user has set here, or None."""
    _effective_policy: Any
    """The policy in force as the node was compiled: its own, or one upstream."""
    _errors: Any
    """The dead-letter stream, if it was asked for."""
    _entry: Any
    """The `CompiledEmit` of `emit`, while it is valid."""
    _record: Any
    """Where the last element is recorded, if it was asked for."""
    _arrivals: dict[int, list[int]] | None
    """By port, in a list of one number, how many elements have arrived; None: not counted."""
    _direct_steps: Any
    """Steps for the calls of `update` by old classes, by port."""
    _wait_for_cache: tuple[int, Any] | None
    """The nodes that an emit here may wait for, at which version of the wait-for graph."""
    _clock: Any
    """The `EventClock` of the node: the watermark of its elements, if that matters here."""
    _side_streams: tuple[Any, ...]
    """Streams that the node sends to besides its edges, such as that of late elements."""
    _compiled: bool
    _feedback_from: weakref.WeakSet[Any] | None
    _closing: bool
    _ended: bool
    _unused: bool
    """Whether neither an element nor a node downstream has ever come."""
    _skipped: int
    """How many elements the policy ``"skip"`` has left out."""

    if TYPE_CHECKING:  # what `EngineNode` and `Stream` define, for lower layers
        emit: Any
        update: Any

        def _emit(self, x: Any, metadata: Any = None) -> list[Awaitable[object]]: ...

        def _emit_slow_path(self, x: Any, asynchronous: bool, metadata: Any) -> Any: ...

        def _compiled_entry(self) -> Any: ...

        def _invalidate(self) -> None: ...

        def _apply_attribute(self, name: str, value: Any) -> None: ...

        def _describe(self) -> str: ...

        def _is_busy(self) -> bool: ...

        def _has_elements_in_flight(self) -> bool: ...

        def _count_buffered(self) -> int: ...

        def _run_in_order(self, action: Callable[[], Pending]) -> Pending: ...

        def _run_in_own_order(self, action: Callable[[], Pending]) -> Pending: ...

        def _loss_reporter(self, *, behind_all: bool = False) -> Callable[[], None] | None: ...

        def _report_loss(self) -> None: ...

        def _loop_changed(self) -> None: ...

        def _errors_stream(self) -> Any: ...

        def _end(self) -> None: ...

    # --- what kind of node it is: class attributes -------------------------------------

    _is_end: ClassVar[bool] = False
    """Whether elements end here: nothing can be downstream.  A sink's is True."""
    _keeps_elements: ClassVar[bool] = False
    """Whether the node keeps elements beyond the step in which they arrive, so that
    their metadata must be kept with them."""
    _combines_elements: ClassVar[bool] = False
    """Whether what the node emits carries more than the element that has just come."""
    _remote: ClassVar[bool] = False
    """Whether the elements that the node emits are with the workers of a backend."""
    _side_ports: frozenset[int] = frozenset()
    """Inputs that steer the node: the stream may end without them."""
    _max_inline_ports: ClassVar[int] = 1
    """How many inputs the node may have for `inline` to do."""
    _emits_one_for_one: ClassVar[bool] = False
    """Whether the node emits one element for each that comes, in order, unless its
    function fails or skips.  A plain `Stream` does; a class that defines `compile`
    or `inline` says so itself, or does not."""
    _passes_elements: ClassVar[bool] = False
    """Whether the node emits elements as they come, if not all of them: they keep their keys."""
    _handles_carry_failures: ClassVar[bool] = False
    """Whether what the node emits tells by itself that the element failed."""
    _is_join: ClassVar[bool] = False
    """Whether the elements of several inputs are partners: `_on_partner_lost` is called."""
    _drops_skipped: ClassVar[bool] = False
    """Whether a join drops the partners of an element for which `SKIP` was returned, as
    it does those of one that failed."""
    _waits_for_partners: ClassVar[bool] = False
    """Whether elements of one input wait here for those of the others."""
    _fusible: ClassVar[bool] = True
    """Whether what `inline` writes may stand in one function with the nodes around."""
    _ends_run: ClassVar[bool] = False
    """Whether the lines of `inline` take the element and pass nothing on: what the node emits
    goes by its outlet."""
    _wraps_edges: ClassVar[bool] = False
    """Whether `_wrap_output_edge` does something."""
    _accepts_handles: ClassVar[bool] = False
    """Whether the node takes what stands for elements on workers, and not the elements."""

    _attributes_failures: ClassVar[bool] = False
    """Whether the step itself attributes what it raises, by `attribution.attribute_to`; else
    the engine does."""
    _needs_local_elements: ClassVar[bool] = False
    """Whether the class, by itself, is a plain operator of the library: it refuses to
    be put downstream of a scattered stream, where its namesake must be."""

    # --- its work ------------------------------------------------------------------------

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any] | Step:
        """Return the step for what arrives at *port*: a closure over values and state.

        Compile time.  The step returns what *push* returned: None, or an
        awaitable that is running already.  It calls *push* with what it emits,
        or ``self._outlet.send`` if it does so later or several times, and does
        not close over the node.  By default, what `inline` writes.
        """
        raise NotImplementedError

    def inline(self, code: Any, port: int = 0) -> None:
        """Write the node's work on ``x`` as lines of a fused function.

        Compile time.  By default no line: elements pass.
        """

    def _can_inline(self) -> bool:
        """Return whether `inline` will do for the node as it is configured now.

        Compile time.  By default, whether the class has no `compile` of its own.
        """
        raise NotImplementedError

    # --- signals and the end ---------------------------------------------------------------

    def _on_input_end(self, port: int) -> None:
        """Note that *port* has ended, while another input may continue.

        Called only for nodes with several inputs.  By default nothing happens.
        """

    def _emit_buffered(self) -> Pending:
        """Emit what the node buffers, by ``self._outlet.send``; return what that returned.

        Called at a flush and at the end, after all elements that are in flight
        in the node.  By default None: nothing is buffered.
        """
        return None

    def _emit_at_end(self) -> Pending:
        """Emit all that will not come later: the stream ends here.

        Called in place of `_emit_buffered` where the signal is the end, perhaps several
        times while elements go round a cycle.  By default the same.
        """
        return self._emit_buffered()

    def _on_end(self) -> None:
        """Free what the node uses: no element will come any more.

        Called once at the end of the stream, after `_emit_buffered`; again at the
        end after a `_on_restart`.
        """

    def _end_of_data(self) -> Future[None] | None:
        """Return what is done when all is emitted, for a source that runs and whose data end.

        Called for the node that is closed, and all upstream of it, in the thread
        that closes it.  By default None: there is nothing to wait for.
        """
        return None

    def _before_end(self, at_once: bool) -> None:
        """Stop what emits by itself: the stream is about to end here.

        Called in the thread that closes the node.  *at_once*: it has not waited
        for the end of the data.
        """

    def _stop_background_work(self) -> None:
        """Emit nothing by itself any more: no timers, no tasks.

        Called ahead of the end, perhaps several times, after `_emit_buffered` and
        with elements yet to come if they go round a cycle.
        """

    def _each_failure(self, failure: Any) -> Sequence[Any]:
        """Return the failures of single elements, where the element of *failure* is a batch.

        Called when a policy settles a failure of this node.  By default the failure itself.
        """
        return (failure,)

    def _on_restart(self) -> None:
        """Take up what `_on_end` has freed.

        Called when a source upstream is started again after its end.
        """

    _loses_queue_with_loop: ClassVar[bool] = False
    """Whether what is in the queue of the node is lost when the loop ends."""

    # --- elements that the node keeps --------------------------------------------------------

    def _has_in_flight(self) -> bool:
        """Return whether elements are in flight in the node, beyond those that it awaits.

        Called when a signal arrives, which waits until they are through.  By
        default False.
        """
        return False

    def _queue_action(self, action: Callable[[], Pending]) -> bool:
        """Queue *action* behind the elements that wait in the node; return whether any do.

        Called for a signal while elements are in flight.  By default False.
        """
        return False

    def _buffered(self) -> int:
        """Return how many elements the node has taken in and will yet emit, now or combined.

        Called now and then, never for each element: at a close, at the exit of
        the program, for metrics.  What was emitted already and is kept, such as
        a window that slides, does not count, nor what waits for an awaitable of
        the node's own function.  By default 0.
        """
        return 0

    def _resumes_queue(self) -> bool:
        """Return whether the node, compiled on another loop, would process the elements it keeps.

        Called when the loop has ended: such nodes are compiled at the next use
        of the pipeline.  By default False.
        """
        return False

    def _retains(self, entry: Any) -> bool:
        """Return whether an element that was emitted is kept, to be emitted again.

        Called after each emission while elements carry metadata.  By default
        False.
        """
        return False

    # --- state ---------------------------------------------------------------------------------

    def _snapshot(self) -> Any:
        """Return the state of the node, to be pickled at once; None for a node without state.

        Called between two elements, when nothing is in flight in the node.  The result may
        refer to what the node goes on with.  What its clock knows is recorded by the caller.
        """
        return None

    def _restore(self, state: Any) -> None:
        """Take up a *state* that `_snapshot` of a node of the same configuration has returned.

        Called before the first element, after the clocks of all nodes know what they knew.  The
        node asks anew for the instants at which it has something to do.
        """

    # --- rows whose elements come from one element ---------------------------------------------

    def _join_queues(self) -> list[Sized] | None:
        """Return the queues of a join that are empty if `inline_row` will do; None: it will not.

        Compile time, and only if `_is_join`.
        """
        return None

    def inline_row(self, code: Any, row: list[str]) -> None:
        """Write ``x = `` what a join makes of the elements in the variables *row*, one a port.

        Compile time, and only if there are `_join_queues`.
        """
        raise NotImplementedError

    # --- elements that were lost ---------------------------------------------------------------

    def _aligned_with(self) -> list[Any]:
        """Return the inputs for each of which a node that emits one for one does so.

        Called when the graph was edited and an element failed, or a join is
        compiled.  By default the only input that does not steer the node.
        """
        raise NotImplementedError

    def _on_partner_lost(self, port: int) -> None:
        """Drop the partners of an element that was lost on its way to *port*.

        Called in the order of the elements, and only if `_is_join`.
        """

    # --- changes at run time -------------------------------------------------------------------

    def _on_attribute_set(self, name: str, value: Any) -> None:
        """Check, or convert, the attribute *name* that was assigned.

        Called before the node is compiled anew.  What it raises undoes the
        assignment.
        """

    def _on_loop_changed(self) -> None:
        """Forget futures, timers and tasks: the pipeline has another loop now.

        Called in the thread of the new loop; the old one has ended.  Elements
        that the node keeps stay.
        """

    # --- edges: for what wraps the elements themselves ---------------------------------------

    def _check_edge(self, downstream: Any) -> None:
        """Refuse an edge from here to *downstream* that cannot work: raise TypeError.

        Called before the edge is made, in the thread that makes it.
        """

    def _wrap_input(self, step: Push[Any], port: int) -> Push[Any]:
        """Wrap the node's own *step* for elements as they come along the edge to *port*.

        Compile time.
        """
        return step

    def _wrap_output_edge(self, step: Push[Any], downstream: Any, port: int) -> Push[Any]:
        """Wrap the *step* of *downstream* for elements as this node emits them.

        Compile time, and only if `_wraps_edges`.
        """
        return step

    def _bind_to_loop(
        self, downstream: Any, call: Callable[[Any], Awaitable[Any]]
    ) -> Callable[[Any], Awaitable[Any]]:
        """Bind *call*, an asynchronous function of *downstream*, to the loop it must run on.

        Compile time, and only if `_wraps_edges`.
        """
        return call

    def _wrap_fan_out(self, pushes: list[Push[Any]], start: Start) -> Push[Any]:
        """Return one push that feeds all branches downstream.

        Compile time.
        """
        return fan_out(pushes, start)

    def _wrap_policy(self, step: Push[Any], policy: Any) -> Push[Any]:
        """Wrap *step* so that *policy* takes the failures of this node.

        Compile time, and only where a policy is in force.
        """
        raise NotImplementedError


def edges(node: N) -> list[tuple[N, int]]:
    """Return the nodes downstream of *node*, each with its first port that *node* feeds."""
    found: list[tuple[N, int]] = []
    for ref in list(node.downstreams.data._od):  # a copy: another thread may build on
        if (down := ref()) is not None:
            port = next((port for port, up in enumerate(down.upstreams) if up is node), 0)
            found.append((down, port))
    return found


def engine_default(method: F) -> F:
    """Mark *method* of `Stream` as the default that classes of users may replace.

    The mark is the function itself: `functools.wraps` copies it to another one.
    """
    method._rapidz_default = method  # type: ignore[attr-defined]
    return method


def is_engine_default(method: Any) -> bool:
    """Return whether *method* is what `Stream` itself defines."""
    return getattr(method, "_rapidz_default", None) is method
