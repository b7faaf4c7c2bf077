"""Scatter and gather: where a stream leaves the process, and where it returns."""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from rapidz.kernel.compile.fusion import EDITED
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.push import BulkSlice, Pending, Push, Step
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.serial_queue import SerialQueue
from rapidz.kernel.runtime.tasks import detached_push
from rapidz.parallel.backends.registry import find_backend
from rapidz.parallel.nodes.queues import enqueue_each, new_queue
from rapidz.parallel.nodes.remote_operators import ChainHead, followers
from rapidz.parallel.nodes.resolution import find_values, push_resolved
from rapidz.parallel.nodes.stream import ParallelStream
from rapidz.parallel.scheduling.dispatcher import Dispatcher
from rapidz.parallel.scheduling.handles import HandleRange, LocalHandle, RemoteHandle
from rapidz.parallel.wire.outcomes import SPECIAL


@Stream.register_api()
class scatter(ChainHead[T]):
    """Send elements to a cluster or a pool, where the operators downstream process them.

    Emits at once.  The nodes downstream, up to `gather`, are used like those
    of a plain stream, and send functions to where the elements are:
    neighbouring `map`, `filter` and the like as one task, and elements that
    wait together in one batch.  Applies back pressure when downstream does: a
    `buffer` upstream of `gather` lets so many elements be in flight.

    Parameters
    ----------
    backend : "dask", "thread", "process", Executor, Client or callable
        A Dask cluster; a pool of threads that all pipelines share; a pool of
        processes for this stream alone, one a processor; an executor; or a
        function that returns an executor or a client.
    client : distributed.Client, optional
        The client of the cluster; the current one by default.
    batch : "auto" or int
        How many elements go in one task at most.  "auto": one while the
        workers are idle, and as many as take a twentieth of a second if they
        have to wait.  Large arrays, frames and strings go in batches of at
        most four megabytes in any case.
    ordered : bool
        Whether elements keep their order.
    partitions : int, optional
        Only on a keyed stream: the number of lanes, see `scatter_lanes`.

    Raises ValueError or TypeError for an unknown backend, and RuntimeError
    for ``"dask"`` without a client.

    >>> source = Stream()
    >>> words = source.scatter("thread").map(str.upper).buffer(10).gather().sink_to_list()
    >>> source.emit_many(["a", "b"])
    >>> source.join()
    >>> words
    ['A', 'B']
    """

    _graphviz_shape = "hexagon"
    _emits_one_for_one: ClassVar[bool] = True

    def __init__(
        self,
        upstream: Stream[T],
        backend: Any = "dask",
        *,
        client: Any = None,
        batch: int | str = "auto",
        ordered: bool = True,
        partitions: int | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(upstream, ParallelStream):
            raise TypeError(
                f"scatter: upstream must not be scattered already, got {short_repr(upstream)}"
            )
        if batch != "auto" and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 1):
            raise ValueError(
                f"scatter: batch must be 'auto' or a count of at least 1, got {short_repr(batch)}"
            )
        if not isinstance(ordered, bool):
            raise TypeError(f"scatter: ordered must be True or False, got {short_repr(ordered)}")
        if partitions is not None:
            raise TypeError(
                f"scatter: partitions needs key_by(...) upstream, got {short_repr(upstream)}"
            )
        self._dispatcher = Dispatcher(find_backend(backend, client), batch=batch, ordered=ordered)
        super().__init__(upstream, **kwargs)

    def _make_dispatcher(self) -> Dispatcher:
        return self._dispatcher

    def _on_end(self) -> None:
        self._dispatcher.close_when_idle()

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any] | Step:
        # Detached: a cancelled emit must not withdraw an element that was submitted.
        push = detached_push(self._pipeline, push)
        ops = followers(self)
        if not ops:
            self._bound_dispatcher()
            return lambda x: push(LocalHandle(x))
        batcher = self._batcher_of(ops, raw=True)
        add = batcher.add

        def step(x: Any) -> Pending:
            return push(add(x))

        push_many, capacity = self._outlet.push_many, self._outlet.capacity
        if push_many is None or capacity is None:
            return step

        def many(elements: BulkSlice) -> Pending:
            while elements.at < elements.stop:
                start = elements.at
                stop = min(elements.stop, start + capacity())
                if start == stop:  # at capacity: one by one, with back pressure
                    elements.at += 1
                    return step(elements.items[start])
                elements.at = stop
                push_many(batcher.add_many(elements.items[start:stop]))
            return None

        return Step(step, many)


class gather(Stream[T]):
    """Return the elements of a scattered stream to the process.

    Emits them in the order in which they were scattered, unless that was done
    with ``ordered=False``.  Applies back pressure until the element has
    arrived and downstream has capacity; a `buffer` upstream lets so many be in
    flight.  The failure of an element goes to the policy of the operator that
    failed.

    >>> source = Stream()
    >>> squares = source.scatter("thread").map(pow, 2).buffer(8).gather()
    >>> shown = squares.sink_to_list()
    >>> source.emit_many(range(5))
    >>> source.join()
    >>> shown
    [0, 1, 4, 9, 16]
    """

    _graphviz_shape = "hexagon"
    _emits_one_for_one: ClassVar[bool] = True
    _attributes_failures: ClassVar[bool] = True
    _fusible: ClassVar[bool] = False
    _accepts_handles: ClassVar[bool] = True

    def __init__(self, upstream: Stream[T], **kwargs: Any) -> None:
        kwargs.pop("backend", None)  # it is that of the upstream
        if not isinstance(upstream, ParallelStream):
            raise TypeError(f"gather: upstream must be scattered, got {short_repr(upstream)}")
        self._dispatcher = upstream._dispatcher
        super().__init__(upstream, **kwargs)
        self._serial_queue = new_queue(self._dispatcher.ordered)

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._serial_queue = new_queue(self._dispatcher.ordered)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any] | Step:
        queue = self._serial_queue
        ref: weakref.ref[gather[Any]] = weakref.ref(self)
        begin = functools.partial(
            push_resolved,
            find=functools.partial(find_values, dispatcher=self._dispatcher),
            push=self._outlet.send,
            on_loss=functools.partial(_report_loss, ref),
            queue=queue,
        )
        fetch_later = enqueue_each(queue, self._pipeline, begin)

        def step(x: Any) -> Pending:
            if type(x) is RemoteHandle and queue.last is None:
                value = x.batch.outcomes[x.index]
                if type(value) not in SPECIAL:
                    return push(value)
            return fetch_later(x)

        return Step(step, push_known_values(ref, step, queue))


def _report_loss(ref: weakref.ref[gather[Any]]) -> None:
    if (node := ref()) is not None:
        node._report_loss()


def push_known_values(
    ref: weakref.ref[gather[Any]], step: Push[Any], queue: SerialQueue
) -> Callable[[HandleRange], Pending]:
    """Make the bulk step of a `gather`: values that are known go downstream all at once."""

    def many(handles: HandleRange) -> Pending:
        node = ref()
        while node is not None and handles.at < handles.stop:
            stop = handles.values_stop()
            if stop == handles.at or queue.last is not None:
                wait = step(handles.next())
            else:
                values = iter(handles.items.outcomes[handles.at : stop])
                try:
                    wait = node._compiled_entry().bulk()(values)
                finally:
                    handles.at = stop - operator.length_hint(values)
            if wait is not None and wait is not EDITED:
                return wait
        return None

    return many


ParallelStream.register_api()(gather)
