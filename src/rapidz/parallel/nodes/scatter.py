"""Where a stream iter_leaves the process, and where it comes back: scatter and gather."""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from rapidz.kernel.compile.fusion import EDITED
from rapidz.kernel.graph.stream import Stream, T
from rapidz.kernel.protocol.push import BulkSlice, Pending, Push, Step
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.tasks import SerialQueue, detached_push
from rapidz.parallel.backends.registry import find_backend
from rapidz.parallel.nodes.remote_operators import Head, followers
from rapidz.parallel.nodes.resolution import bring, each_of, in_order, new_line
from rapidz.parallel.nodes.stream import ParallelStream
from rapidz.parallel.scheduling.dispatcher import Dispatcher
from rapidz.parallel.scheduling.handles import HandleRange, LocalHandle, RemoteHandle
from rapidz.parallel.wire.outcomes import SPECIAL


@Stream.register_api()
class scatter(Head[T]):
    """Send elements to a cluster or a pool, where the operators below work on them.

    Emits at once.  What stands below, up to `gather`, looks as if it worked on
    elements, and sends functions to where these are: neighbouring `map`,
    `filter` and the like as one task, and elements that wait together in one
    batch.  Holds back while what is below does: put a `buffer` above `gather`
    to let so many elements be under way.

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

    Raises ValueError or TypeError for a backend that is not there, and
    RuntimeError for ``"dask"`` if there is no client.

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
        self._found = Dispatcher(find_backend(backend, client), batch=batch, ordered=ordered)
        super().__init__(upstream, **kwargs)

    def _new_dispatcher(self) -> Dispatcher:
        return self._found

    def _on_end(self) -> None:
        super()._on_end()
        self._dispatcher.close_when_idle()

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any] | Step:
        push = detached_push(self._pipeline, push)  # it may be on a worker, and in a state, already
        ops = followers(self)
        if not ops:
            self._here()
            return lambda x: push(LocalHandle(x))
        batcher = self._batcher_of(ops, raw=True)
        add = batcher.add

        def step(x: Any) -> Pending:
            return push(add(x))

        further, room = self._outlet.push_many, self._outlet.capacity
        if further is not None and room is not None:

            def many(several: BulkSlice) -> Pending:
                while several.at < several.stop:
                    start = several.at
                    stop = min(several.stop, start + room())
                    if start == stop:  # one by one waits outside until there is room again
                        several.at += 1
                        return step(several.items[start])
                    several.at = stop
                    further(batcher.add_many(several.items[start:stop]))
                return None

            return Step(step, many)
        return step


class gather(Stream[T]):
    """Bring the elements of a scattered stream back.

    Emits them in the order in which they were scattered, unless that was done
    with ``ordered=False``.  Holds back until the element is there and
    downstream has room; a `buffer` above lets so many be under way.  An
    element that failed is dealt with as the policy of the operator says that
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
        self._serial_queue = new_line(self._dispatcher)

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        self._serial_queue = new_line(self._dispatcher)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any] | Step:
        dispatcher, line, outlet, ref = (
            self._dispatcher,
            self._serial_queue,
            self._outlet,
            weakref.ref(self),
        )
        found = functools.partial(bring, dispatcher=dispatcher)

        def lost() -> None:
            if (node := ref()) is not None:
                node._report_loss()

        def arrive(x: Any) -> Coroutine[Any, Any, None]:
            return each_of(x, found, outlet.send, lost, line)

        later = in_order(line, self._pipeline, arrive)

        def step(x: Any) -> Pending:
            if type(x) is RemoteHandle and line.last is None:
                value = x.batch.outcomes[x.index]
                if type(value) not in SPECIAL:
                    return push(value)
            return later(x)

        return Step(step, in_bulk(weakref.ref(self), step, line))


def in_bulk(
    ref: weakref.ref[gather[Any]], step: Push[Any], line: SerialQueue
) -> Callable[[HandleRange], Pending]:
    """Make what takes a span of elements as far as they are there: all of them at once, if so."""

    def many(span: HandleRange) -> Pending:
        node = ref()
        while node is not None and span.at < span.stop:
            stop = span.values_stop()
            if stop == span.at or line.last is not None:
                wait = step(span.next())
            else:
                values = iter(span.items.outcomes[span.at : stop])
                try:
                    wait = node._compiled_entry().bulk()(values)
                finally:
                    span.at = stop - operator.length_hint(values)
            if wait is not None and wait is not EDITED:
                return wait
        return None

    return many


ParallelStream.register_api()(gather)
