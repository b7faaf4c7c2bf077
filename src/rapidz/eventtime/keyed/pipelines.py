"""pipelines: operators of its own for each key."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from rapidz.eventtime.clock import END, joined
from rapidz.eventtime.event_time import definitions_upstream
from rapidz.eventtime.keyed.chain_record import ChainRecord
from rapidz.eventtime.keyed.fused_chain import FusedChain, chain_of
from rapidz.eventtime.keyed.keyed_node import KeyedNode
from rapidz.eventtime.keyed.sub_pipeline import SubPipeline, SubPipelineTable, make_hub, send_signal
from rapidz.eventtime.keys import key_reader
from rapidz.kernel.compile.fusion import Code
from rapidz.kernel.compile.intermediate import MISSING
from rapidz.kernel.graph import signals
from rapidz.kernel.protocol.checks import check_callable
from rapidz.kernel.protocol.push import SKIP, Pending, Push
from rapidz.kernel.protocol.signatures import check_arguments
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.failures import Retry
from rapidz.kernel.runtime.futures import wait_for

T = TypeVar("T")


class keyed_pipelines(KeyedNode[T]):
    """Give each key operators of its own, and merge what they emit.

    Emits the elements of the nodes that *build* has returned, as they are.  Flush, end, back
    pressure, failures and metadata pass through them as through any operator.  *build* is called
    when the first element of a key comes; where it only chains `map`, `filter` and `accumulate` in
    the same way for each key, it is called once, and all keys share one generated function.  Order
    is kept for each key as far as its operators keep it.

    Parameters
    ----------
    build : callable
        ``build(stream, key)`` returns the node whose elements are emitted, or a sink.
    ttl : float, str or timedelta, optional
        How long the operators of a key live after its last element: by event time where an
        `event_time` is upstream, else by the clock.  Then they are ended as by `close`.
    max_keys : int, optional
        How many keys there are at most; the one without elements for the longest time is ended.
    timestamp : str, int or callable, optional
        Where the timestamp of an element is, if not where the `event_time` upstream found it.

    >>> from rapidz import Stream
    >>> source = Stream()
    >>> def build(stream, key):
    ...     return stream.partition(2).map(lambda pair: (key, pair))
    >>> node = source.key_by(str.isdigit).pipelines(build).sink(print)
    >>> source.emit_many("a1b2c")
    (False, ('a', 'b'))
    (True, ('1', '2'))
    >>> source.close()
    (False, ('c',))
    """

    def __init__(
        self,
        upstream: Any,
        build: Callable[..., Any],
        *,
        ttl: Any = None,
        max_keys: int | None = None,
        timestamp: Any = None,
        **kwargs: Any,
    ) -> None:
        check_callable("pipelines", "build", build)
        check_arguments(self, build, (), {}, elements=2, argument="build")
        self.build = build
        chain = chain_of(build)
        bounded = ttl is not None or max_keys is not None
        self._chain = None if bounded else chain  # a bound counts elements that a filter drops too
        timed = chain is None and bool(definitions_upstream([upstream]))
        start = MISSING if self._chain is None else self._chain.start
        super().__init__(
            "pipelines", upstream, start, ttl, max_keys, timestamp=timestamp, timed=timed, **kwargs
        )
        self._hub: Any = None
        if self._chain is None:
            definition = definitions_upstream([upstream])[0] if timed else None
            self._hub = make_hub(self, definition)
            steps = None if chain is None else chain.steps
            table = SubPipelineTable(build, self._outlet, self._hub, steps)
            table.on_unbounded = self._state.table.on_unbounded
            self._state.table = table
            self._has_timed_hub = timed

    _has_timed_hub = False

    @property
    def keeps_keys(self) -> bool:
        """Whether the node keeps something of each key: not if a shared chain has no state."""
        return self._chain is None or self._chain.count > 0

    # --- one chain for all keys -----------------------------------------------------------------

    def _can_inline(self) -> bool:
        return self._chain is not None

    def inline(self, code: Code, port: int = 0) -> None:
        assert self._chain is not None
        if self._chain.count:
            self._write_read(code)
        self._chain.write(code, lambda new: self._write_write(code, new))

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        chain = self._chain
        if chain is None:
            self._hub._policy = self._effective_policy
            return self._with_owed(self._routing())
        if isinstance(self._effective_policy, Retry):
            return self._whole(chain)
        return self._compile_inline(push, port)

    def _whole(self, chain: FusedChain) -> Push[Any]:
        """Return the step that commits states when the last function has returned: for a retry."""
        ref, outlet, read, write = weakref.ref(self), self._outlet, *self._access()

        def step(x: Any) -> Pending:
            try:
                key, now, state = read(x)
                new, y = chain.run(state, x)
                if chain.count:
                    write(key, new, now)
            except Exception as error:
                attribute_to(error, ref(), x)
                raise
            return None if y is SKIP else outlet.send(y)

        return step

    def _access(self) -> tuple[Callable[[Any], Any], Callable[[Hashable, Any, int], None]]:
        """Return what reads key, time and state of an element, and what writes the state."""
        state, settle = self._state, self._settler()
        read_key, time = key_reader("pipelines", self.key_getter), self._element_time()
        bounded, table = state.bounded, state.table

        def read(x: Any) -> tuple[Hashable, int, Any]:
            key, now = read_key(x), 0 if time is None else time(x)
            if not bounded:
                return key, now, table[key]
            found = state.read(key, now)
            if state.unsettled:
                settle()
            return key, now, found

        def write(key: Hashable, new: Any, now: int) -> None:
            if not bounded:
                table[key] = new
                return
            state.write(key, new, now)
            if state.unsettled:
                settle()

        return read, write

    # --- a graph for each key -------------------------------------------------------------------

    def _routing(self) -> Push[Any]:
        """Return the step that brings an element to the operators of its key."""
        ref, outlet, read, write = weakref.ref(self), self._outlet, *self._access()
        bounded, whole = self._state.bounded, isinstance(self._effective_policy, Retry)

        def step(x: Any) -> Pending:
            try:
                key, now, found = read(x)
                if bounded:
                    write(key, found, now)
                if found.__class__ is not ChainRecord:
                    y = found
                elif whole:
                    changed = ChainRecord(found)
                    y = found[0].run(changed, x)
                    found[:] = changed
                else:
                    y = found[0].run(found, x)
            except Exception as error:
                attribute_to(error, ref(), x)
                raise
            if y is not found:
                return None if y is SKIP else outlet.send(y)
            wait: Pending = found.head._outlet.send(x)
            return wait

        return step

    @property
    def state(self) -> Any:
        """The states by key: a live mapping.

        The state of a key is that of the one `accumulate` of a chain that all keys share, or a
        list if there are several.  Where each key has operators of its own it cannot be
        assigned, and shows the same of a chain of `map`, `filter` and `accumulate`, else what
        *build* returned.
        """
        view = KeyedNode.state.fget(self)  # type: ignore[attr-defined]
        return view if self._hub is None else {key: _shown(sub) for key, sub in view.items()}

    @state.setter
    def state(self, states: Any) -> None:
        if self._hub is not None:
            raise TypeError(
                "pipelines: state must not be assigned where each key has nodes of its own: "
                "assign the state of those"
            )
        KeyedNode.state.fset(self, states)  # type: ignore[attr-defined]

    # --- signals, time and eviction ---------------------------------------------------------------

    def _send_signal(self, signal: signals.Signal) -> Pending:
        """Send *signal* through all sub-pipelines; the node waits until it is through."""
        if self._hub is None or self._hub._ended:
            return None
        wait = send_signal(self._hub, signal)
        if wait is None:
            return None
        queued = self._serial_queue.enqueue(wait_for(wait), self._pipeline)
        self._invalidate()  # elements queue behind it from now on
        return queued

    def _emit_buffered(self) -> Pending:
        return self._send_signal(signals.Signal.FLUSH)

    def _emit_at_end(self) -> Pending:
        wait = self._send_signal(signals.Signal.END)
        return joined(self, [wait, super()._emit_at_end()])

    def _on_time(self, t: int) -> Pending:
        if not self._has_timed_hub or t >= END:
            return super()._on_time(t)
        clock = self._hub._clock
        waits = [clock.advance()]  # with the timer as it was: the watermark waits for the results
        waits.append(super()._on_time(t))
        self._clock.timer = min(self._clock.timer, clock.due)
        return joined(self, waits)

    def _send_evicted(self) -> Pending:
        if self._hub is None:
            return super()._send_evicted()
        waits: list[Any] = []
        evicted: list[Any] = self._state.evicted
        for at, (key, sub) in enumerate(evicted):
            try:
                if isinstance(sub, SubPipeline):
                    waits.append(sub.end())
            except Exception as error:
                self._pipeline.record_failure(error)
            evicted[at] = key, _shown(sub)
        waits.append(super()._send_evicted())
        return joined(self, waits)


def _shown(sub: Any) -> Any:
    """Return what stands for the operators of a key: their states, or the last node."""
    return sub.shown if isinstance(sub, ChainRecord) else sub.node
