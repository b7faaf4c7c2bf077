"""Sources of the rows of CSV files, and of the values in files of JSON lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

from rapidz.connectors.codecs import CsvFormat, Format, read_format
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_bool, check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.sources.filesource import FileSource
from rapidz.sources.filesystem import compression_of, locate
from rapidz.sources.followed import FileReader

T = TypeVar("T")

#: Bytes of a row at most, unless another limit is given.
MAX_ROW = 1 << 24


class RowSource(FileSource[T]):
    """Source of the elements of files in a format; base class of the sources of rows."""

    def __init__(
        self,
        path: Any,
        form: Format,
        *,
        follow: bool,
        from_end: bool,
        poll_interval: Interval,
        compression: Any,
        storage_options: dict[str, Any] | None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_bool(name, "follow", follow)
        check_bool(name, "from_end", from_end)
        files, inner = locate(name, path, storage_options)
        compression_of(name, inner, compression)
        reader = FileReader(
            files,
            inner,
            form.decoder,
            follow=follow,
            from_end=from_end,
            compression=compression,
        )
        super().__init__(reader, follow, poll_interval, **kwargs)


@Stream.register_api(staticmethod)
class from_csv(RowSource[T]):
    r"""Emit the rows of a CSV file, or of all files that match a pattern, as dicts.

    Emits a dict of strings for each row, by the names of the header; with *type* an
    object of that class; without names a list.  Reads and parses in a thread, a chunk
    at a time, while downstream has capacity.  Ends after the last row of the last
    file; with *follow* never: it then polls the files for rows that are appended, and
    for files that appear.  `seek` resumes at a `position`, also in another process.

    A row that cannot be decoded, or has too many or too few fields, goes to the
    policy of the source, with its bytes as the element of the `Failure`.  So do a
    header that has a name more than once, and each row below it.

    Parameters
    ----------
    path : str or path
        A file, a pattern such as ``"data/*.csv"``, or a URL that fsspec knows.
    type : dataclass or Struct, optional
        Class of the elements; fields are converted from text, the empty string to
        None where the annotation allows None.
    header : bool
        Whether the first row of each file has the names.
    names : list of str, optional
        Names of the fields, if the files have none.
    delimiter, quotechar : str
        One character each.
    encoding : str
        One in which a line feed is one byte, as in UTF-8.
    follow : bool
        Whether to wait for more rows at the end.
    poll_interval : float or str
        With *follow*: seconds, or a string such as ``"500ms"``, between two polls.
    max_size : int
        Bytes of a row at most.
    compression : str, optional
        ``"gzip"``, ``"bz2"``, ``"xz"``, ``"zstd"`` or None; by default, what the
        extension says.
    storage_options : dict, optional
        Passed to the file system of fsspec.
    **kwargs
        Options of every `Source`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "x.csv")
    ...     _ = path.write_text('name,text\na,"two\nlines"\n')
    ...     source = Stream.from_csv(path)
    ...     rows = source.sink_to_list()
    ...     source.start()
    ...     source.join()
    >>> rows
    [{'name': 'a', 'text': 'two\nlines'}]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        type: Any = None,
        *,
        header: bool = True,
        names: Sequence[str] | None = None,
        delimiter: str = ",",
        quotechar: str = '"',
        encoding: str = "utf-8",
        follow: bool = False,
        poll_interval: Interval = 0.1,
        max_size: int = MAX_ROW,
        compression: str | None = "infer",
        storage_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        form = CsvFormat(
            header,
            type,
            names=names,
            delimiter=delimiter,
            quotechar=quotechar,
            encoding=encoding,
            max_size=max_size,
            operator="from_csv",
        )
        super().__init__(
            path,
            form,
            follow=follow,
            from_end=False,
            poll_interval=poll_interval,
            compression=compression,
            storage_options=storage_options,
            **kwargs,
        )


@Stream.register_api(staticmethod)
class from_jsonlines(RowSource[T]):
    r"""Emit the values of a file of JSON lines, or of all files that match a pattern.

    Emits the value of each line, or an object of class *type*; skips blank lines.
    Reads and parses in a thread, a chunk at a time, while downstream has capacity, by
    msgspec where it is installed.  Ends after the last line of the last file; with
    *follow* never: it then polls the files for lines that are appended, and for files
    that appear.  `seek` resumes at a `position`, also in another process.

    A line that cannot be decoded goes to the policy of the source, with its bytes as
    the element of the `Failure`.

    Parameters
    ----------
    path : str or path
        A file, a pattern such as ``"data/*.jsonl"``, or a URL that fsspec knows.
    type : dataclass or Struct, optional
        Class of the elements.
    codec : str, Codec or pair of functions
        Codec of a line, which ends with a line feed.
    follow : bool
        Whether to wait for more lines at the end.
    from_end : bool
        Skip the present content of the files.
    poll_interval : float or str
        With *follow*: seconds, or a string such as ``"500ms"``, between two polls.
    max_size : int
        Bytes of a line at most.
    compression : str, optional
        ``"gzip"``, ``"bz2"``, ``"xz"``, ``"zstd"`` or None; by default, what the
        extension says.
    storage_options : dict, optional
        Passed to the file system of fsspec.
    **kwargs
        Options of every `Source`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "x.jsonl")
    ...     _ = path.write_text('{"a": 1}\n{"a": 2}')
    ...     source = Stream.from_jsonlines(path)
    ...     values = source.sink_to_list()
    ...     source.start()
    ...     source.join()
    >>> values
    [{'a': 1}, {'a': 2}]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        type: Any = None,
        *,
        codec: Any = "json",
        follow: bool = False,
        from_end: bool = False,
        poll_interval: Interval = 0.1,
        max_size: int = MAX_ROW,
        compression: str | None = "infer",
        storage_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_count("from_jsonlines", "max_size", max_size)
        super().__init__(
            path,
            read_format("from_jsonlines", codec, type, max_size=max_size),
            follow=follow,
            from_end=from_end,
            poll_interval=poll_interval,
            compression=compression,
            storage_options=storage_options,
            **kwargs,
        )
