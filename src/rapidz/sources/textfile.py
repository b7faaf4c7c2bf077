"""Source of the lines of a file that grows; and the old way to write a file."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar, TextIO

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.push import Pending, await_result
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.base import LiveInterval, Source
from rapidz.sources.run import ResumableWait
from rapidz.sources.tail import FileTail, PathTail


@Stream.register_api(staticmethod)
class from_textfile(Source[str]):
    r"""Follow a file, and emit its lines and those that are appended to it.

    Emits each line with its delimiter, as soon as downstream has capacity;
    reads in a thread, when it is started and then at every interval.  Buffers
    an incomplete line until its delimiter is written; `stop`, `flush` and
    `close` emit it as it is.  Never ends by itself.

    A path is followed: when the file is replaced or truncated, the source emits
    the incomplete line and continues at the beginning.  The file is open while
    the source runs; `start` after a stop resumes at the same position.  The run
    fails if no file exists at the start.

    Parameters
    ----------
    f : str, path or file object
        The file.  A file object is not closed.
    poll_interval : float or str
        Seconds, or a string such as ``"500ms"``, above 0.  May be changed while
        the source runs.
    delimiter : str
        End of a line; not empty.
    from_end : bool
        Skip the present content of the file.
    encoding : str
        Encoding of a file given as a path.
    **kwargs
        Options of every `Source`.

    >>> import io
    >>> source = Stream.from_textfile(io.StringIO("one\ntwo\nthr"))
    >>> seen = source.sink_to_list()
    >>> last = source.filter(lambda x: x == "two\n").sink(lambda _: source.stop())
    >>> source.start()
    >>> source.join()
    >>> seen
    ['one\n', 'two\n', 'thr']
    """

    infinite: ClassVar[bool | None] = True
    poll_interval: LiveInterval = LiveInterval()

    def __init__(
        self,
        f: str | os.PathLike[str] | TextIO | Any,
        poll_interval: Interval = 0.1,
        delimiter: str = "\n",
        from_end: bool = False,
        *,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        self.poll_interval = poll_interval
        self.delimiter = _check_delimiter(delimiter)
        self.from_end = from_end
        self.buffer: Any = ""
        """The incomplete line: text without a delimiter yet."""
        self._at_end = False
        self._tail = _tail_of(f, encoding, from_end)
        self._lines: deque[Any] = deque()
        self._reading = ResumableWait()
        super().__init__(**kwargs)

    @property
    def file(self) -> Any:
        """The file object; None if a path was given and the source does not run."""
        return self._tail.file

    async def run(self) -> None:
        clock = self._pipeline.clock
        try:
            while self._may_emit():
                due = clock.time() + self.poll_interval
                await self._apply_policy(self._emit_new_lines)
                await asyncio.sleep(max(0.0, due - clock.time()))
        finally:
            self._reading.when_done(self._tail.close)

    async def _emit_new_lines(self) -> None:
        """Emit the lines that are complete."""
        loop = asyncio.get_running_loop()
        while True:
            while self._lines:
                if not self._may_emit():
                    return
                for wait in self._emit(self._lines.popleft()):
                    await wait
            if not self._may_emit():
                return
            chunk = await self._reading.result(lambda: loop.run_in_executor(None, self._tail.read))
            text, self._at_end = chunk.text, chunk.at_end
            if chunk.restarted and self.buffer:
                self._lines.append(self.buffer)
                self.buffer = text[:0]
            if not text and not self._lines:
                return
            self._split(text)

    def _split(self, text: Any) -> None:
        delimiter: Any = self.delimiter.encode() if isinstance(text, bytes) else self.delimiter
        *lines, self.buffer = ((self.buffer or text[:0]) + text).split(delimiter)
        self._lines.extend(line + delimiter for line in lines)

    def _emit_buffered(self) -> Pending:
        if not self._at_end or self._lines:  # the rest of the line may follow, or other lines
            return None
        rest, self.buffer = self.buffer, self.buffer[:0]
        if not rest:
            return None
        return await_result(self._emit(rest), self._pipeline.start)


def _tail_of(f: Any, encoding: str, from_end: bool) -> PathTail | FileTail:
    if isinstance(f, (str, os.PathLike)) and isinstance(path := os.fspath(f), str) and path:
        try:
            codecs.lookup(encoding)
        except (LookupError, TypeError):
            raise ValueError(
                f"from_textfile: encoding must be one that Python knows, got {short_repr(encoding)}"
            ) from None
        return PathTail(path, encoding, from_end)
    if callable(getattr(f, "read", None)):
        return FileTail(f, from_end)
    raise TypeError(f"from_textfile: f must be a path or a file object, got {short_repr(f)}")


def _check_delimiter(delimiter: Any) -> str:
    if isinstance(delimiter, str) and delimiter:
        return delimiter
    kind = ValueError if delimiter == "" else TypeError
    raise kind(
        f"from_textfile: delimiter must be a str that is not empty, got {short_repr(delimiter)}"
    )


@contextlib.contextmanager
def sink_to_file(
    filename: str | os.PathLike[str],
    upstream: Stream[Any],
    mode: str = "w",
    prefix: str = "",
    suffix: str = "\n",
    flush: bool = False,
) -> Iterator[Any]:
    r"""Write the elements to a file within a ``with`` block, which yields the file.

    At the end of the block the elements in flight are written, then the file is
    closed.  `Stream.sink_to_textfile` does the same without a block.

    Parameters
    ----------
    filename : str or path
        The file.
    upstream : Stream
        The elements.
    mode : str
        Mode of `open`.
    prefix, suffix : str
        Written before and after each element.
    flush : bool
        Flush the file after each element.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "lines")
    ...     source = Stream()
    ...     with sink_to_file(path, source, prefix="- "):
    ...         source.emit("one")
    ...     path.read_text()
    '- one\n'
    """
    if not isinstance(upstream, Stream):
        raise TypeError(f"sink_to_file: upstream must be a Stream, got {short_repr(upstream)}")
    with open(filename, mode=mode) as file:

        def write(x: str) -> None:
            file.write(prefix + x + suffix)
            if flush:
                file.flush()

        node: Any = upstream.sink(write)
        try:
            yield file
            if not upstream.asynchronous:
                upstream.join()
        finally:
            node.destroy()
