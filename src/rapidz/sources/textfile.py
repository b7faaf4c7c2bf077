"""Source of the lines of files that grow; and the old way to write a file."""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Iterator
from typing import Any, TextIO

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.filesource import FileSource
from rapidz.sources.filesystem import compression_of, locate
from rapidz.sources.followed import FileReader, ObjectReader
from rapidz.sources.tail import FileTail
from rapidz.sources.textlines import AnyTextDecoder, text_decoder

#: Bytes of a line at most, unless another limit is given.
MAX_LINE = 1 << 24


class _BuildsBuffer:
    """What the attribute `buffer` is: the old libraries have text there, which hid the operator."""

    source: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return Stream.buffer(self.source, *args, **kwargs)


class IncompleteLine(_BuildsBuffer, str):
    """Text without a delimiter yet."""


class IncompleteBytes(_BuildsBuffer, bytes):
    """Bytes without a delimiter yet."""


@Stream.register_api(staticmethod)
class from_textfile(FileSource[str]):
    r"""Follow a file, and emit its lines and those that are appended to it.

    Emits each line with its delimiter, as soon as downstream has capacity;
    reads in a thread, when it is started and then at every interval.  Buffers
    an incomplete line until its delimiter is written; `stop`, `flush` and
    `close` emit it as it is.  Never ends by itself, unless *follow* is False.

    A path is followed: when the file is replaced or truncated, the source emits
    the incomplete line and continues at the beginning; a file that was renamed is
    read to its end first.  A pattern follows all files that match it, now or
    later, each in turn.  The file is open while the source runs; `start` after a
    stop resumes at the same position, and `seek` at one that `position` returned
    in another process.  The run fails if no file exists at the start.

    A line that cannot be decoded goes to the policy of the source, with its
    bytes as the element of the `Failure`; so does the beginning of a line that is
    too long.

    Parameters
    ----------
    f : str, path or file object
        The file, a pattern such as ``"logs/*.log"``, or a URL that fsspec knows.
        A file object is not closed.
    poll_interval : float or str
        Seconds, or a string such as ``"500ms"``, above 0.  May be changed while
        the source runs.
    delimiter : str
        End of a line; not empty.
    from_end : bool
        Skip the present content of the files.
    encoding : str
        Encoding of a file given as a path.
    follow : bool
        False: end at the end of the files, after the last line, complete or not.
    max_size : int
        Bytes of a line at most.
    compression : str, optional
        ``"gzip"``, ``"bz2"``, ``"xz"``, ``"zstd"`` or None; by default, what the
        extension says.  A compressed file is not followed.
    storage_options : dict, optional
        Passed to the file system of fsspec.
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

    def __init__(
        self,
        f: str | os.PathLike[str] | TextIO | Any,
        poll_interval: Interval = 0.1,
        delimiter: str = "\n",
        from_end: bool = False,
        *,
        encoding: str = "utf-8",
        follow: bool = True,
        max_size: int = MAX_LINE,
        compression: str | None = "infer",
        storage_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.delimiter = _check_delimiter(delimiter)
        check_count("from_textfile", "max_size", max_size)
        self.from_end = from_end
        reader: FileReader | ObjectReader
        if isinstance(f, (str, os.PathLike)) and isinstance(os.fspath(f), str) and os.fspath(f):
            _check_encoding(encoding)
            files, path = locate("from_textfile", f, storage_options, "f")
            compression_of("from_textfile", path, compression)
            reader = FileReader(
                files,
                path,
                lambda: text_decoder(encoding, delimiter, max_size),
                follow=follow,
                from_end=from_end,
                compression=compression,
            )
        elif callable(getattr(f, "read", None)):
            decoder = AnyTextDecoder("utf-8", delimiter, max_size)
            reader = ObjectReader(FileTail(f, from_end), decoder)
        else:
            raise TypeError(
                f"from_textfile: f must be a path or a file object, got {short_repr(f)}"
            )
        super().__init__(reader, follow, poll_interval, **kwargs)

    @property
    def file(self) -> Any:
        """The file object; None if a path was given and the source does not run."""
        if isinstance(self._reader, ObjectReader):
            return self._reader.tail.file
        followed = list(self._reader.followed.values())
        return followed[0].tail.file if followed else None

    @property
    def buffer(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The incomplete line, text without a delimiter yet; called, the operator `buffer`."""
        if isinstance(self._reader, ObjectReader):
            text = self._reader.decoder.text
        else:
            decoders: list[Any] = [file.decoder for file in self._reader.followed.values()]
            text = "".join(decoder.text for decoder in decoders)
        incomplete = IncompleteLine(text) if isinstance(text, str) else IncompleteBytes(text)
        incomplete.source = self
        return incomplete


def _check_encoding(encoding: Any) -> None:
    try:
        codecs.lookup(encoding)
    except (LookupError, TypeError):
        raise ValueError(
            f"from_textfile: encoding must be one that Python knows, got {short_repr(encoding)}"
        ) from None


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
