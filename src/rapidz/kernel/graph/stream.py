"""Stream: a node of the pipeline graph."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Never, NoReturn, Self, TypeVar

from rapidz.kernel.compile.emit import push_downstream
from rapidz.kernel.compile.emit_many import emit_many
from rapidz.kernel.compile.legacy import call_update
from rapidz.kernel.graph import shutdown
from rapidz.kernel.graph.constructor_arguments import remember
from rapidz.kernel.graph.engine_node import EngineNode
from rapidz.kernel.graph.mixin_names import gives_way, prefer_mixin_names
from rapidz.kernel.graph.registry import APIRegisterMixin
from rapidz.kernel.graph.signals import SignalBarrier
from rapidz.kernel.graph.unused import warn_if_unused
from rapidz.kernel.protocol.checks import read_timeout
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.node import engine_default
from rapidz.kernel.protocol.push import DONE
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.protocol.signatures import refuse_keywords
from rapidz.kernel.runtime import loop
from rapidz.kernel.runtime.failures import Failure, PolicyLike, make_policy
from rapidz.kernel.runtime.loop import IOLoop
from rapidz.kernel.runtime.tasks import detach
from rapidz.kernel.runtime.tracked_element import Metadata

if TYPE_CHECKING:
    from rapidz._menu.fluent import Fluent
    from rapidz._menu.fluent import T as T
else:
    T = TypeVar("T")

    class Fluent(Generic[T]):
        """The operator methods; at run time they come by `Stream.register_api`."""


logger = logging.getLogger("rapidz.core")

_html_update_streams: set[Any] = set()


class Stream(Fluent[T], EngineNode, APIRegisterMixin):
    """An infinite sequence of elements, and a node of a pipeline.

    Streams subscribe to each other: what one emits goes to all those downstream of it.
    `Stream()` is the start of a pipeline, where elements enter by `emit`;
    each operator is a method that returns the next node.

    Parameters
    ----------
    upstream, upstreams : Stream or list of Stream, optional
        The node or nodes upstream.
    stream_name : str, optional
        Shown in pictures and error messages.
    loop : IOLoop or asyncio loop, optional
        The event loop that the nodes shall run on.
    asynchronous : bool, optional
        True: `emit` is called within an event loop and returns an awaitable.
        False: nodes run on a loop in a background thread and `emit` blocks
        while at capacity.  Not given: nodes run in the thread that emits; as
        soon as one needs a loop, on the loop that is running there, or else in
        the background.
    ensure_io_loop : bool
        The pipeline needs a loop even if no node does.

    >>> source = Stream()
    >>> node = source.map(lambda x: x + 1).sink(print)
    >>> source.emit(1)
    2
    """

    _emit_on_other_loop: Callable[[Stream[Any], Any, Any], Awaitable[object] | None] | None = None
    """Emit from a loop that is not the pipeline's, if `_bind_to_loop` has chosen another one;
    returns None where the node may emit directly."""

    _plugins_go_here = True
    _graphviz_shape = "ellipse"
    _graphviz_style = "rounded,filled"
    _graphviz_fillcolor = "white"
    _graphviz_orientation = 0

    _init_args: tuple[Any, ...]
    _init_kwargs: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        prefer_mixin_names(cls, Stream)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        cls.look_for_plugins()
        node = super().__new__(cls)
        remember(node, args, kwargs)
        return node

    def __init__(
        self,
        upstream: Stream[Any] | None = None,
        upstreams: Iterable[Stream[Any] | None] | None = None,
        stream_name: str | None = None,
        loop: Any = None,
        asynchronous: bool | None = None,
        ensure_io_loop: bool = False,
        **unknown: Never,
    ) -> None:
        if unknown:
            refuse_keywords(self, unknown)
        given = [upstream] if upstreams is None else list(upstreams)
        self.name = stream_name
        self._signal_barrier = SignalBarrier()
        self._errors: Stream[Failure] | None = None
        self._build([up for up in given if up is not None], loop, asynchronous, ensure_io_loop)

    def __del__(self) -> None:
        if self._unused:
            warn_if_unused(self)

    # --- elements in -------------------------------------------------------------------

    @engine_default
    def emit(self, x: T, asynchronous: bool = False, metadata: Metadata | None = None) -> Any:
        """Push one element into the pipeline, here.

        Safe from any thread: one element at a time, first come first served.

        Parameters
        ----------
        x : object
            The element.
        asynchronous : bool
            Return an awaitable in any case.
        metadata : list of dict, optional
            Travels with all that results from the element; ``{"ref": RefCounter}``
            tells when that is done.

        Returns
        -------
        None
            in a pipeline that needs no loop, and, once it has capacity for the
            next element, in one whose loop runs in the background;
        awaitable
            in an asynchronous pipeline: it resolves when there is capacity, or
            raises what failed.  To drop it is to lose the back pressure only.

        Raises whatever a node raised for which there is no policy; what failed
        behind a queue is raised here by a later call, which takes no element.
        `StreamClosed` after the end.

        >>> source = Stream()
        >>> shown = source.map(str.upper).sink(print)
        >>> source.emit("hello")
        HELLO
        """
        entry = self._entry
        if entry is None:
            if self._pipeline.lock.busy or not self._pipeline.runs_here():
                return self._emit_slow_path(x, asynchronous, metadata)
            entry = self._compiled_entry()
        return entry.emit(x, asynchronous, metadata)

    def emit_many(self, elements: Iterable[T]) -> Any:
        """Push *elements* one after the other, each as capacity allows.

        Returns and raises what `emit` does.  What comes after an element that
        failed is not taken from *elements*.  A collection goes in as one batch,
        which other threads wait for; what an iterator yields, one by one.  On a loop,
        elements go in at the call as far as there is capacity; await the others.

        >>> source = Stream()
        >>> total = source.accumulate(lambda total, x: total + x).sink(print)
        >>> source.emit_many([1, 2, 3])
        1
        3
        6
        """
        return emit_many(self, elements)

    @engine_default
    def update(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Take one element from *who*: as node classes of the old libraries are called.

        Returns a list of awaitables if something was emitted, else None.
        """
        return call_update(self, x, *args, **kwargs)

    @engine_default
    def _emit(self, x: Any, metadata: Any = None) -> list[Awaitable[object]]:
        """Push *x* downstream, as old node classes do."""
        abroad = self._emit_on_other_loop
        if abroad is not None and (hop := abroad(self, x, metadata)) is not None:
            return [hop]
        wait = detach(self._pipeline, push_downstream(self, x, metadata))  # it may be a batch
        return [] if wait is None else [wait]

    # --- edges ---------------------------------------------------------------------------

    def connect(self, downstream: Stream[Any]) -> None:
        """Let *downstream* get what this node emits, besides what it gets already.

        To connect the same two again has no effect.  Safe while elements flow:
        it takes effect with the next element.

        >>> a, b = Stream(), Stream()
        >>> shown = b.sink(print)
        >>> a.connect(b)
        >>> a.emit(1)
        1
        """
        if not isinstance(downstream, Stream):
            raise TypeError(f"connect: downstream must be a Stream, got {short_repr(downstream)}")
        self._check_edge(downstream)
        pipeline = self._pipeline.absorb(downstream._pipeline)

        def edit() -> None:
            if downstream not in self.downstreams:
                self._add_downstream(downstream)
                downstream._add_upstream(self)
                self._invalidate()
                downstream._invalidate()
                pipeline.realign()

        pipeline.edit(edit)

    def disconnect(self, downstream: Stream[Any]) -> None:
        """Let *downstream* get nothing more from this node, if it does."""

        def edit() -> None:
            if downstream in self.downstreams:
                self._remove_downstream(downstream)
                self._invalidate()
                try:
                    downstream._remove_upstream(self)
                finally:
                    downstream._invalidate()
                    self._pipeline.realign()

        self._pipeline.edit(edit)

    def destroy(self, streams: Iterable[Stream[Any]] | None = None) -> None:
        """Take the node out of the pipeline: away from *streams*, or all its inputs."""
        for upstream in list(self.upstreams if streams is None else streams):
            upstream.disconnect(self)

    def _add_upstream(self, upstream: Stream[Any]) -> None:
        self.upstreams.append(upstream)

    def _remove_upstream(self, upstream: Stream[Any]) -> None:
        while upstream in self.upstreams:
            self.upstreams.remove(upstream)

    def _add_downstream(self, downstream: Stream[Any]) -> None:
        self.downstreams.add(downstream)

    def _remove_downstream(self, downstream: Stream[Any]) -> None:
        self.downstreams.discard(downstream)

    @property
    def upstream(self) -> Stream[Any] | None:
        """The node upstream; None for a source, ValueError if there are several."""
        if len(self.upstreams) > 1:
            raise ValueError("Stream has multiple upstreams: use `upstreams`")
        return self.upstreams[0] if self.upstreams else None

    # --- failures --------------------------------------------------------------------------

    def on_error(self, policy: PolicyLike) -> Self:
        """Say what becomes of elements that fail, here or below, where no nearer policy is.

        Parameters
        ----------
        policy : "raise", "skip", "send", Stream or Retry
            ``"raise"``: the exception reaches the emitter; behind a queue it is
            kept for the next one.  ``"skip"``: continue without the element
            (`skipped` counts).  ``"send"``: a `Failure` goes down `errors`, or
            down the stream given.  `Retry`: try again first.

        Returns the node itself.

        >>> source = Stream()
        >>> inverse = source.map(lambda x: 1 / x).on_error("skip")
        >>> shown = inverse.sink(print)
        >>> source.emit_many([1, 0, 2])
        1.0
        0.5
        """
        made = make_policy(self, policy)
        pipeline = self._pipeline
        pipeline.policies += 1
        self._policy = made
        pipeline.invalidate_all()
        return self

    @property
    def errors(self) -> Stream[Failure]:
        """The failures of this node, and of those below without a nearer policy.

        To ask for it sets the policy ``"send"``, unless another was chosen.

        >>> source = Stream()
        >>> inverse = source.map(lambda x: 1 / x)
        >>> shown = inverse.errors.sink(lambda failure: print(failure.element, failure.exception))
        >>> source.emit(0)
        0 division by zero
        """
        if "errors" in vars(self):  # an old class has an attribute of that name
            return vars(self)["errors"]  # type: ignore[no-any-return]
        if self._policy is None:
            self.on_error("send")
        return self._errors_stream()

    @errors.setter
    def errors(self, value: Any) -> None:
        vars(self)["errors"] = value

    def _errors_stream(self) -> Stream[Failure]:
        if self._errors is None:
            self._errors = Stream(stream_name=f"errors of {self}")
            self._pipeline.absorb(self._errors._pipeline)
        return self._errors

    @property
    def skipped(self) -> int:
        """How many elements the policy ``"skip"`` has left out here."""
        return self._skipped

    # --- the end ---------------------------------------------------------------------------

    def flush(self, _: object = None) -> Any:
        """Emit what this node and all nodes downstream buffer, in order with the elements.

        Returns what `emit` does.

        >>> source = Stream()
        >>> pairs = source.partition(2).sink(print)
        >>> source.emit(1)
        >>> source.flush()
        (1,)
        """
        return shutdown.flush(self)

    def join(self, timeout: Interval | None = None) -> Any:
        """Wait until nothing is in flight in the pipeline any more.

        Raises what failed meanwhile and was not raised yet, TimeoutError after
        *timeout* (seconds, or a string such as ``"2s"``).  In an asynchronous
        pipeline returns an awaitable.
        """
        return shutdown.join(self, read_timeout("join", timeout))

    def close(self, timeout: Interval | None = None) -> Any:
        """End the stream here: flush, wait until all is through, and free the sinks.

        An `emit` after it raises `StreamClosed`.  To close again has no effect.
        Raises and returns what `join` does.  The close of a source that runs
        waits for the end of its data, if they end, for *timeout* seconds at most.
        Called from within a step of the pipeline, or by a signal handler that
        interrupts one, it stops sources and returns at once: the stream ends when
        the element in flight is through.

        >>> source = Stream()
        >>> pairs = source.partition(2).sink(print)
        >>> source.emit(1)
        >>> source.close()
        (1,)
        """
        return shutdown.close(self, read_timeout("close", timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        with shutdown.noted_on(error, self):
            wait = shutdown.close(self, None, at_once=error is not None)
            if wait is None or wait is DONE:
                return
            if loop.running_loop() is not None:
                raise RuntimeError(f"{self}: use `async with` in an asynchronous pipeline")
            wait.result()  # it ends on a loop of another thread

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, _: object) -> None:
        with shutdown.noted_on(error, self):
            if (wait := shutdown.close(self, None, at_once=error is not None)) is not None:
                await wait

    def gather(self) -> Stream[T]:
        """Return the stream itself: its elements are here, and not scattered."""
        return self

    # --- sources and loops -------------------------------------------------------------------

    def start(self) -> Any:
        """Start the sources above."""
        for upstream in self.upstreams:
            upstream.start()

    def stop(self) -> Any:
        """Stop the sources above."""
        for upstream in self.upstreams:
            (Stream.stop if gives_way(upstream, Stream, "stop") else type(upstream).stop)(upstream)

    @property
    def loop(self) -> IOLoop | None:
        """The loop that the nodes run on, or will; None if they need none."""
        pipeline = self._pipeline
        if not pipeline.needs_loop:
            return None
        if pipeline.asynchronous and pipeline.loop is None and loop.running_loop() is None:
            return None
        return loop.io_loop(pipeline.bind())

    @property
    def asynchronous(self) -> bool | None:
        """Whether `emit` returns an awaitable (True) or blocks (False); None without a loop."""
        pipeline = self._pipeline
        if pipeline.asynchronous is None and pipeline.needs_loop and not pipeline.loop_given:
            return pipeline.loop is not None and pipeline.loop is loop.running_loop()
        return pipeline.asynchronous

    # --- looking at it -----------------------------------------------------------------------

    @property
    def current_value(self) -> Any:
        """The last element emitted, from the first time this is asked for; None before."""
        return self._recorded().value

    @current_value.setter
    def current_value(self, value: Any) -> None:
        self._recorded().value = value

    @property
    def current_metadata(self) -> Any:
        """The metadata of the last element, from the first time this is asked for."""
        return self._recorded().metadata

    @current_metadata.setter
    def current_metadata(self, value: Any) -> None:
        self._recorded().metadata = value

    def __iter__(self) -> NoReturn:
        raise TypeError(
            f"{self}: a stream cannot be iterated over; attach a sink, e.g. stream.sink_to_list()"
        )


def _hide_unknown(init: Any) -> None:
    """Leave ``**unknown``, which takes nothing, out of the signature: libraries read that."""
    signature = inspect.signature(init)
    known = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    init.__signature__ = signature.replace(parameters=known)


_hide_unknown(Stream.__init__)
