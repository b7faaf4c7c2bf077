"""Source of the rows of Parquet files, one by one or in tables."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from rapidz.connectors.extras import require
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_bool, check_choice, check_count
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import cut
from rapidz.sources.decoding import DecodeError
from rapidz.sources.filesource import FileSource
from rapidz.sources.filesystem import FileSystem, hide_credentials, is_pattern, locate
from rapidz.sources.followed import FileBatch, resolve, unreadable

T = TypeVar("T")


class ParquetFileReader:
    """Reader of one Parquet file in batches of rows, and the position behind the last one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.mark: Any = None
        self.is_done = False
        self.skip = 0
        """How many rows to leave out."""
        self._batches: Iterator[Any] | None = None
        self._file: Any = None
        self._about: dict[str, Any] = {}

    def read(self, files: FileSystem, open_file: Callable[[Any], Any], options: Any) -> Any:
        """Return the next batch, None after the last one."""
        if self._batches is None:
            self._file = files.open(self.path, "rb")
            parquet = open_file(self._file)
            self._about = _describe(files, self.path, parquet)
            known = resolve(self.mark)
            if known is not None and known["head"] != self._about["head"]:
                self.skip = 0  # another file
            self._batches = _from_row(parquet, self.skip, options)
        return next(self._batches, None)

    def position(self, row: int) -> dict[str, Any]:
        """Return the position behind *row* rows."""
        return {"offset": row, **self._about}

    def close(self) -> None:
        """Close the file; reading continues behind the last batch."""
        file, self._file, self._batches = self._file, None, None
        if file is not None:
            file.close()


class ParquetReader:
    """Reader of all Parquet files that match a pattern, one after the other."""

    has_positions = True

    def __init__(
        self,
        files: FileSystem,
        path: str,
        open_file: Callable[[Any], Any],
        options: dict[str, Any],
        convert: Callable[[Any], Sequence[Any]],
    ) -> None:
        self.followed: dict[str, ParquetFileReader] = {}
        self._files, self._path = files, path
        self._open_file, self._options, self._convert = open_file, options, convert
        self._queue: deque[ParquetFileReader] | None = None

    def read(self) -> FileBatch | None:
        """Return the next elements; None once all files are read."""
        if self._queue is None:
            paths = self._files.glob(self._path) if is_pattern(self._path) else [self._path]
            for path in paths:
                self.followed.setdefault(path, ParquetFileReader(path))
            self._queue = deque(self.followed[path] for path in paths)
        while self._queue:
            file = self._queue[0]
            if not file.is_done and (batch := self._read_file(file)) is not None:
                return batch
            self._queue.popleft()
        self._queue = None
        return None

    def decode_next(self) -> FileBatch | None:
        """Return None: what was read is decoded."""
        return None

    def _read_file(self, file: ParquetFileReader) -> FileBatch | None:
        begin = file.skip
        try:
            table = file.read(self._files, self._open_file, self._options)
            if table is None:
                file.is_done = True
                file.close()
                return None
            elements = self._convert(table)
        except FileNotFoundError:
            raise
        except Exception as error:
            file.is_done = True
            file.close()
            text = hide_credentials(cut(f"{type(error).__name__}: {error}"))
            reason = DecodeError(f"parquet: cannot read the file: {text}")
            return unreadable(file, reason)
        file.skip += table.num_rows
        each = 1 if len(elements) == table.num_rows else table.num_rows
        return FileBatch(list(elements), False, file, lambda n: file.position(begin + n * each))

    def position(self) -> Any:
        """Return the positions of all files behind the elements that were emitted."""
        followed = list(self.followed.items())  # a read that is in flight may add some
        marks = {path: resolve(file.mark) for path, file in followed}
        return {path: mark for path, mark in marks.items() if mark is not None}

    def resume_at(self, position: Any) -> None:
        """Continue at *position*, a result of `position`."""
        self.reset()
        for path, place in position.items():
            file = self.followed[path] = ParquetFileReader(path)
            file.mark, file.skip = place, place["offset"]

    def reset(self) -> None:
        """Forget all files: the next `read` begins anew."""
        self.close()
        self.followed.clear()
        self._queue = None

    def close(self) -> None:
        """Close all files."""
        for file in self.followed.values():
            file.close()

    def finish_incomplete(self) -> list[FileBatch]:
        """Return nothing: a file is complete, or cannot be read."""
        return []


@Stream.register_api(staticmethod)
class from_parquet(FileSource[T]):
    """Emit the rows of a Parquet file, or of all files that match a pattern.

    Reads a batch of rows at a time, in a thread, while downstream has capacity.  Ends after
    the last row of the last file; with *follow* never: it then polls for files that
    appear.  `seek` resumes at a `position`, which counts rows, also in another process.

    A file that cannot be read goes to the policy of the source, with its path as the
    element of the `Failure`; the source continues with the next file.

    Parameters
    ----------
    path : str or path
        A file, a pattern such as ``"data/*.parquet"``, or a URL that fsspec knows.
    output : str
        What an element is: ``"row"``, a dict for each row; ``"rows"``, a list of dicts for
        each batch; ``"arrow"``, a record batch; ``"pandas"`` or ``"polars"``, a frame.
    batch_rows : int
        Rows that are read at once at most.
    columns : list of str, optional
        Columns to read; all by default.
    follow : bool
        Whether to wait for more files at the end.
    poll_interval : float or str
        With *follow*: seconds, or a string such as ``"500ms"``, between two polls.
    storage_options : dict, optional
        Passed to the file system of fsspec.
    **kwargs
        Options of every `Source`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Stream() as out:
    ...         node = out.to_parquet(folder + "/x.parquet")
    ...         out.emit_many([{"a": 1}, {"a": 2}])
    ...     source = Stream.from_parquet(folder + "/*.parquet")
    ...     rows = source.sink_to_list()
    ...     source.start()
    ...     source.join()
    >>> rows
    [{'a': 1}, {'a': 2}]
    """

    seekable: ClassVar[bool] = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        output: str = "row",
        batch_rows: int = 10_000,
        columns: Sequence[str] | None = None,
        follow: bool = False,
        poll_interval: Interval = 1.0,
        storage_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("from_parquet", "output", output, _OUTPUTS)
        check_count("from_parquet", "batch_rows", batch_rows)
        check_bool("from_parquet", "follow", follow)
        files, inner = locate("from_parquet", path, storage_options)
        parquet = require("from_parquet", "pyarrow.parquet", extra="parquet", package="pyarrow")
        if output == "polars":
            require("from_parquet", "polars", extra="polars", package="polars")
        options = {
            "batch_size": batch_rows,
            "columns": None if columns is None else list(columns),
        }
        reader: Any = ParquetReader(files, inner, parquet.ParquetFile, options, _OUTPUTS[output])
        super().__init__(reader, follow, poll_interval, **kwargs)


def _to_polars(batch: Any) -> Sequence[Any]:
    polars: Any = require("from_parquet", "polars", extra="polars", package="polars")
    return [polars.from_arrow(batch)]


_OUTPUTS: dict[str, Callable[[Any], Sequence[Any]]] = {
    "row": lambda batch: batch.to_pylist(),
    "rows": lambda batch: [batch.to_pylist()],
    "arrow": lambda batch: [batch],
    "pandas": lambda batch: [batch.to_pandas()],
    "polars": _to_polars,
}


def _from_row(parquet: Any, skip: int, options: dict[str, Any]) -> Iterator[Any]:
    """Yield the batches of a file, without its first *skip* rows."""
    groups = list(range(parquet.num_row_groups))
    while groups and (rows := parquet.metadata.row_group(groups[0]).num_rows) <= skip:
        skip -= rows
        del groups[0]
    if not groups:
        return
    for batch in parquet.iter_batches(row_groups=groups, **options):
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        yield batch.slice(skip) if skip else batch
        skip = 0


def _describe(files: FileSystem, path: str, parquet: Any) -> dict[str, Any]:
    """Return what identifies the file in a position."""
    status = files.status(path)
    text = f"{status.size} {parquet.metadata.num_rows} {parquet.schema_arrow}"
    return {
        "identity": None if status.identity is None else list(status.identity),
        "head": hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
        "tail": "",
    }
