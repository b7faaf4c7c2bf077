"""WriterSink: the sink that writes elements to a `Writer`, one by one or in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Self, TypeVar

from rapidz.kernel.compile.async_steps import await_each
from rapidz.kernel.graph import shutdown
from rapidz.kernel.graph.stream import Stream, logger
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.failures import Failure, PolicyLike, Retry, Send, make_policy
from rapidz.operators.transform import map as map_node
from rapidz.operators.window.count import partition
from rapidz.sinks.base import Sink, _global_sinks
from rapidz.sinks.session import WriterSession, needs_loop, run_here
from rapidz.sinks.writer import Writer
from rapidz.sources.restart import Restart, read_restart

T = TypeVar("T")

#: Seconds that the close of one writer may take when the program ends.
CLOSE_SECONDS = 5.0


class WriterSink(Sink[T]):
    """Write every element to a `Writer`; base class of the sinks of connectors.

    Applies back pressure until an element, or the batch that it completes, is written.
    Opens the writer before the first write; flushes and closes it when the stream ends or
    the sink is destroyed.  A batch is written when it is full, when *max_wait* has passed, at a
    flush and at the end.

    After a transient failure of the writer, the sink closes it, waits, opens it again and
    writes again what failed: some elements may be written twice.  Any other failure goes to
    the policy of the sink, for each element of the batch.

    Parameters
    ----------
    upstream : Stream
        The elements.
    writer : Writer
        Where to write them.
    batch : int
        Elements that are written together, at least 1.
    max_bytes : int, optional
        The bytes that are written together at most; a larger element is written alone.
    max_wait : float or str, optional
        Seconds, or a string such as ``"500ms"``: the longest time that an element waits for
        its batch.
    restart : bool or Restart, optional
        Whether, when and how often to write again after a transient failure; by default what
        the writer says in `default_restart`.
    **kwargs
        Options of every `Stream`: stream_name, loop, asynchronous.
    """

    def __init__(
        self,
        upstream: Stream[T],
        writer: Writer[T],
        *,
        batch: int = 1,
        max_bytes: int | None = None,
        max_wait: Interval | None = None,
        restart: bool | Restart | None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_count(name, "batch", batch)
        if max_bytes is not None:
            check_count(name, "max_bytes", max_bytes)
        if not isinstance(writer, Writer):
            raise TypeError(f"{name}: writer must be a Writer, got {short_repr(writer)}")
        if getattr(upstream, "_wraps_edges", False):
            raise TypeError(
                f"{name}: upstream must not be a scattered stream, since the writer is in this "
                f"process: call gather() first, got {upstream}"
            )
        rule = read_restart(name, restart, writer.default_restart)
        self.writer, self.batch = writer, batch
        self._encoder: Stream[Any] | None = None
        self._ahead: list[Stream[Any]] = []
        if type(writer).encode is not Writer.encode:
            self._encoder = _encode(upstream, writer, name)
            self._ahead.append(self._encoder)
        if batch > 1 or max_wait is not None:
            self._ahead.append(partition(self._encoder or upstream, batch, timeout=max_wait))
        self._batches = batch > 1 or max_wait is not None
        kwargs["ensure_io_loop"] = needs_loop(writer) or kwargs.get("ensure_io_loop", False)
        super().__init__(self._ahead[-1] if self._ahead else upstream, **kwargs)
        self._session = WriterSession(str(self), writer, rule, max_bytes)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        pipeline = self._pipeline
        write: Callable[[Any], Coroutine[Any, Any, None]] = self._write
        if not self._batches and self._encoder is None:
            write = self._session.writing()
        step = await_each(self, write)
        if needs_loop(self.writer):
            return step

        def write_here(x: Any) -> Pending:
            if pipeline.needs_loop:
                return step(x)
            run_here(self._session, write(x))
            return None

        return write_here

    async def _write(self, x: Any) -> None:
        if not self._batches:
            await self._session.writing()(x if self._encoder is None else x[1])
        elif self._encoder is None:
            await self._session.write_many(x)
        else:
            await self._session.write_many([payload for _, payload in x])

    def on_error(self, policy: PolicyLike) -> Self:
        """Say what becomes of elements that cannot be encoded or written; see `Stream`."""
        super().on_error(policy)
        if self._encoder is not None:
            made = self._policy
            last = make_policy(self, made.then) if isinstance(made, Retry) else made
            self._encoder.on_error(last.stream if isinstance(last, Send) else last)
        return self

    @property
    def skipped(self) -> int:
        """How many elements the policy ``"skip"`` has left out here."""
        return self._skipped + (0 if self._encoder is None else self._encoder.skipped)

    def _each_failure(self, failure: Failure) -> Sequence[Failure]:
        batch = failure.element if self._batches else (failure.element,)
        elements = batch if self._encoder is None else [x for x, _ in batch]
        return [Failure(x, failure.exception, self, failure.attempts) for x in elements]

    def _on_loop_changed(self) -> None:
        super()._on_loop_changed()
        if needs_loop(self.writer):
            self._session.abandon()

    def _emit_buffered(self) -> Pending:
        return self._run(self._session.flush())

    def _on_end(self) -> None:
        self._run(self._session.close())

    def _run(self, work: Any) -> Pending:
        if self._pipeline.needs_loop:
            return self._pipeline.start(work)
        run_here(self._session, work)
        return None

    def destroy(self, streams: Iterable[Stream[Any]] | None = None) -> None:
        """Disconnect the sink, write what it has buffered, and close the writer."""
        first = self._ahead[0] if self._ahead else self
        if first is self:
            super().destroy(streams)
            if not self.upstreams and not self._ended:
                self._on_end()
        else:
            first.destroy(streams)
            if not first.upstreams and not self._ended and (wait := first.close()) is not None:
                self._pipeline.start(wait)


@Stream.register_api()
class write_to(WriterSink[T]):
    """See `WriterSink`."""


def _encode(upstream: Stream[Any], writer: Writer[Any], sink: str) -> Stream[Any]:
    """Return the node that emits each element with what is to be written for it."""
    encode = writer.encode
    return map_node(upstream, lambda x: (x, encode(x)), stream_name=f"encode for {sink}")


def close_open_writers() -> None:
    """Close, at exit, the writers of streams that were not closed: they may buffer."""
    for sink in list(_global_sinks):
        if isinstance(sink, WriterSink) and sink._session.is_open:
            try:
                _close_now(sink)
            except Exception:
                logger.exception("%s: at the exit of the program:", sink)


def _close_now(sink: WriterSink[Any]) -> None:
    pipeline, closing = sink._pipeline, sink._session.close()
    if not pipeline.needs_loop:
        run_here(sink._session, closing)
    elif pipeline.is_alive():
        asyncio.run_coroutine_threadsafe(closing, pipeline.running_on).result(CLOSE_SECONDS)
    else:
        closing.close()


shutdown.after_drain.append(close_open_writers)
