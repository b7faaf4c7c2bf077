"""Sinks that write files: lines of text, JSON lines, CSV."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rapidz.connectors.codecs import (
    MAX_SIZE,
    CsvFormat,
    Format,
    StreamDecoder,
    StreamEncoder,
    read_format,
)
from rapidz.connectors.codecs.csv_format import check_encoding
from rapidz.connectors.codecs.errors import describe_unicode_error, unencodable
from rapidz.connectors.files.output import BatchEncodeError, OutputFile, encode_each
from rapidz.connectors.files.writer import Failures, FileWriter, FormattedFile
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_bool
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.failures import Failure
from rapidz.sinks.writer_sink import WriterSink
from rapidz.sources.filesystem import FileSystem, decompressed
from rapidz.sources.textlines import text_decoder

T = TypeVar("T")


class FileSink(WriterSink[T]):
    """Write elements to files; base class of the sinks to files.

    Parameters
    ----------
    upstream : Stream
        The elements.
    path : str or path
        A file, a URL that fsspec knows, or a template with fields in braces.
    open_output : callable
        Opens one file: of the file system, the path, the mode and the compression.
    mode, key, time, roll_bytes, roll_count, roll_every, file_per_batch, fsync, compression, \
storage_options
        See `to_jsonlines`.
    **kwargs
        Options of every `WriterSink`.
    """

    def __init__(
        self,
        upstream: Stream[Any],
        path: Any,
        open_output: Callable[[FileSystem, str, str, str | None], FormattedFile],
        *,
        mode: str = "a",
        key: Any = None,
        time: Any = None,
        roll_bytes: int | None = None,
        roll_count: int | None = None,
        roll_every: Interval | None = None,
        file_per_batch: bool = False,
        fsync: bool = False,
        compression: str | None = "infer",
        storage_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_bool(name, "file_per_batch", file_per_batch)
        check_bool(name, "fsync", fsync)
        writer = FileWriter(
            name,
            path,
            open_output,
            mode=mode,
            key=key,
            time=time,
            roll_bytes=roll_bytes,
            roll_count=roll_count,
            roll_every=roll_every,
            file_per_batch=file_per_batch,
            fsync=fsync,
            compression=compression,
            storage_options=storage_options,
        )
        super().__init__(upstream, writer, **kwargs)

    @property
    def paths(self) -> list[str]:
        """The last thousand files that are complete, in the order in which they were closed."""
        writer: Any = self.writer
        return list(writer.paths)

    def _each_failure(self, failure: Failure) -> Sequence[Failure]:
        error = failure.exception
        if not isinstance(error, BatchEncodeError):
            return super()._each_failure(failure)
        return [Failure(x, each, self, failure.attempts) for x, each in error.failures]


class FormattedOutput(OutputFile):
    """FormattedFile file whose elements a format encodes."""

    def __init__(
        self, form: Format, files: FileSystem, path: str, mode: str, compression: str | None
    ) -> None:
        has_lines = getattr(form, "has_lines", True)
        super().__init__(files, path, mode, compression, has_lines)
        self._encoder = form.encoder()
        if self.begun and isinstance(form, CsvFormat) and form.header and form.names is None:
            self._encoder = CsvFormat(
                names=_names_in(files, path, form, compression),
                **form.options,
                encoding=form.encoding,
            ).encoder()

    def add(self, elements: Sequence[Any], failures: Failures) -> None:
        """Write elements; add those that cannot be encoded to *failures*."""
        if not elements:
            return
        data = encode_each(self._encoder, elements, failures)
        if data:
            begin = b"" if self.begun else self._encoder.begin(elements[0])
            self.write(begin + data)
            self.count += len(elements)


def _names_in(
    files: FileSystem, path: str, form: CsvFormat, compression: str | None
) -> list[str] | None:
    """Return the names in the header of a file that has elements."""
    decoder = form.decoder()
    with files.open(path, "rb") as raw:
        file = decompressed(raw, compression)
        while decoder.names is None and (data := file.read(1 << 16)):
            decoder.feed(data)
    return decoder.names


def _opener(form: Format) -> Callable[[FileSystem, str, str, str | None], FormattedFile]:
    return lambda files, path, mode, compression: FormattedOutput(
        form, files, path, mode, compression
    )


@Stream.register_api()
class to_jsonlines(FileSink[T]):
    r"""Write every element as a line of JSON to a file, or to many files.

    Applies back pressure until the element, or the batch that it completes, is
    written; an element is then done, and survives a kill of the process, and with
    *fsync* a loss of power.  Exceptions are the modes ``"atomic"`` and a compression:
    the file is complete when it is closed; *file_per_batch* closes it with each batch.
    What a killed process has left of a line is ended by a line feed, so that only that
    line cannot be decoded.

    The path may be a template: ``{number}`` counts files that do not exist yet; ``{key}``
    is the key of the element, percent-encoded, so that it never leaves its folder;
    ``{date}``, ``{time}``, ``{year}``, ``{month}``, ``{day}``, ``{hour}`` and
    ``{minute}`` are those of *time*, or of the instant of writing, in UTC.

    Parameters
    ----------
    path : str or path
        A file, a URL that fsspec knows, or a template such as
        ``"out/{date}/{key}-{number}.jsonl"``.  Folders are created.
    codec : str, Codec or pair of functions
        Codec of a line.
    mode : str
        ``"a"`` appends to a file that exists, ``"w"`` overwrites it, ``"atomic"`` writes
        to ``path + "~part"`` and renames that at the end.  With a template, the last two
        never overwrite a file: a number is added to its name.
    key : str, int or callable, optional
        Field, index or function that gives the ``{key}`` of an element.
    time : str, int or callable, optional
        Field, index or function that gives the time of an element: a datetime, or seconds
        since 1970.
    roll_bytes, roll_count : int, optional
        Begin a new ``{number}`` after so many bytes, or elements; a batch is not divided.
    roll_every : float or str, optional
        Begin a new ``{number}`` when the file is so old, at the next write or flush.
    file_per_batch : bool
        Begin a new ``{number}`` with each batch.
    fsync : bool
        Wait after each batch until the disk has it.
    compression : str, optional
        ``"gzip"``, ``"bz2"``, ``"xz"``, ``"zstd"`` or None; by default, what the extension
        says.
    storage_options : dict, optional
        Passed to the file system of fsspec.
    **kwargs
        Options of every `WriterSink`: batch, max_wait, restart.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "x.jsonl")
    ...     with Stream() as source:
    ...         node = source.to_jsonlines(path)
    ...         source.emit_many([{"a": 1}, {"a": 2}])
    ...     path.read_text()
    '{"a":1}\n{"a":2}\n'
    """

    def __init__(
        self,
        upstream: Stream[Any],
        path: str | os.PathLike[str],
        *,
        codec: Any = "json",
        **kwargs: Any,
    ) -> None:
        form = read_format("to_jsonlines", codec)
        super().__init__(upstream, path, _opener(form), **kwargs)


@Stream.register_api()
class to_csv(FileSink[T]):
    r"""Write every element as a row of CSV to a file, or to many files.

    Elements are dicts, objects of a dataclass or Struct, named tuples, or sequences of
    fields.  The header of each new file has *names*, or those of its first element; a
    file that is appended to keeps its own.  An element with another field fails; a
    missing field is empty.  Everything else is as for `to_jsonlines`.

    Parameters
    ----------
    path : str or path
        A file, a URL that fsspec knows, or a template: see `to_jsonlines`.
    header : bool
        Whether to write the names first.
    names : list of str, optional
        Names of the fields, in their order.
    delimiter, quotechar : str
        One character each.
    encoding : str
        One in which a line feed is one byte, as in UTF-8.
    **kwargs
        Options of `to_jsonlines`: mode, key, time, roll_bytes, roll_count, roll_every,
        file_per_batch, fsync, compression, storage_options; and those of every
        `WriterSink`: batch, max_wait, restart.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Stream() as source:
    ...         node = source.to_csv(folder + "/{key}.csv", key="place")
    ...         source.emit_many([{"place": "a/b", "n": 1}, {"place": "c", "n": 2}])
    ...     [(path.name, path.read_text()) for path in sorted(pathlib.Path(folder).iterdir())]
    [('a%2Fb.csv', 'place,n\na/b,1\n'), ('c.csv', 'place,n\nc,2\n')]
    """

    def __init__(
        self,
        upstream: Stream[Any],
        path: str | os.PathLike[str],
        *,
        header: bool = True,
        names: Sequence[str] | None = None,
        delimiter: str = ",",
        quotechar: str = '"',
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        form = CsvFormat(
            header,
            names=names,
            delimiter=delimiter,
            quotechar=quotechar,
            encoding=encoding,
            operator="to_csv",
        )
        super().__init__(upstream, path, _opener(form), **kwargs)


@Stream.register_api()
class to_textfile(FileSink[T]):
    r"""Write every element, a string, as a line of text to a file, or to many files.

    `sink_to_textfile` does less, and takes an open file.  Everything else is as for
    `to_jsonlines`.

    Parameters
    ----------
    path : str or path
        A file, a URL that fsspec knows, or a template: see `to_jsonlines`.
    end : str
        Written after each element.
    encoding : str
        Of the text.
    **kwargs
        Options of `to_jsonlines`: mode, key, time, roll_bytes, roll_count, roll_every,
        file_per_batch, fsync, compression, storage_options; and those of every
        `WriterSink`: batch, max_wait, restart.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Stream() as source:
    ...         node = source.to_textfile(folder + "/{number}.txt", roll_count=2)
    ...         source.emit_many(["one", "two", "three"])
    ...     [(path.name, path.read_text()) for path in sorted(pathlib.Path(folder).iterdir())]
    [('000000.txt', 'one\ntwo\n'), ('000001.txt', 'three\n')]
    """

    def __init__(
        self,
        upstream: Stream[Any],
        path: str | os.PathLike[str],
        *,
        end: str = "\n",
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        if not isinstance(end, str):
            raise TypeError(f"to_textfile: end must be a str, got {short_repr(end)}")
        check_encoding("to_textfile", encoding)
        super().__init__(upstream, path, _opener(TextFormat(end, encoding)), **kwargs)


class TextFormat:
    """Format of strings, each of which is written with an end."""

    name = "text"

    def __init__(self, end: str, encoding: str) -> None:
        self.has_lines = end.endswith("\n")
        self._end, self._encoding = end, encoding

    def begin(self, first: Any) -> bytes:
        """Return nothing: text has no header."""
        return b""

    def encode(self, x: Any) -> bytes:
        """Return one string with its end."""
        if not isinstance(x, str):
            raise unencodable("text", "must be a str", x)
        try:
            return (x + self._end).encode(self._encoding)
        except UnicodeEncodeError as error:
            raise unencodable("text", describe_unicode_error(error), x) from None

    def encode_all(self, elements: Sequence[Any]) -> bytes:
        """Return strings with their ends."""
        end = self._end
        return (end.join(elements) + end).encode(self._encoding) if elements else b""

    def encoder(self) -> StreamEncoder:
        """Return the format itself, which has no state."""
        return self

    def decoder(self) -> StreamDecoder:
        """Return a decoder of lines."""
        return text_decoder(self._encoding, self._end, MAX_SIZE)
