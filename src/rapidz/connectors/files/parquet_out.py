"""Sink that writes rows, or tables, to Parquet files."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rapidz.connectors.codecs.errors import unencodable
from rapidz.connectors.codecs.typed import fields_of, is_record
from rapidz.connectors.extras import require
from rapidz.connectors.files.output import OutputFile
from rapidz.connectors.files.sinks import FileSink
from rapidz.connectors.files.template import FileTemplate
from rapidz.connectors.files.writer import Failures, FormattedFile
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.checks import check_choice
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.filesystem import FileSystem, locate

T = TypeVar("T")

_CODECS = ("snappy", "zstd", "gzip", "lz4", "brotli", "none")


class ParquetOutput(OutputFile):
    """Output file whose elements are rows or tables of one schema; complete when it is closed."""

    def __init__(self, files: FileSystem, path: str, mode: str, schema: Any, codec: str) -> None:
        super().__init__(files, path, mode)
        self._schema, self._codec = schema, codec
        self._writer: Any = None
        self.can_resume = self._is_torn = False

    def cut_back(self) -> bool:
        """Return False: a part of a Parquet file cannot be cut off."""
        return False

    def add(self, elements: Sequence[Any], failures: Failures) -> None:
        """Write elements; add those that do not fit the schema to *failures*."""
        pyarrow: Any = require("to_parquet", "pyarrow", extra="parquet", package="pyarrow")
        rows: list[Any] = []
        for x in elements:
            if (table := _as_table(pyarrow, x)) is None:
                rows.append(x)
                continue
            self._write_rows(pyarrow, rows, failures)
            rows = []
            try:
                self._write_table(table if self._schema is None else _cast(table, self._schema))
            except (TypeError, ValueError, KeyError) as error:
                failures.append((x, unencodable("parquet", error, x)))
        self._write_rows(pyarrow, rows, failures)

    def flush(self, sync: bool) -> None:
        """Do nothing: a part of a Parquet file cannot be read."""

    def finish(self, sync: bool) -> None:
        """Write the end of the file, close it, and give it its final name."""
        if self._is_torn:
            raise OSError(errno.EIO, "file is incomplete: an earlier write failed", self._name)
        if self._writer is not None:
            self._writer.close()
        super().finish(sync)

    def _write_rows(self, pyarrow: Any, elements: list[Any], failures: Failures) -> None:
        pairs = []
        for x in elements:
            try:
                pairs.append((x, _as_row(x, self._schema)))
            except (TypeError, ValueError) as error:
                failures.append((x, error))
        if not pairs:
            return
        try:
            self._write_table(_table_of(pyarrow, [row for _, row in pairs], self._schema))
        except (TypeError, ValueError, OverflowError):
            self._write_each(pyarrow, pairs, failures)

    def _write_each(
        self, pyarrow: Any, pairs: list[tuple[Any, dict[str, Any]]], failures: Failures
    ) -> None:
        """Write the rows that fit the schema, that of the first row if there is none yet."""
        good: list[dict[str, Any]] = []
        schema = self._schema
        for x, row in pairs:
            try:
                table = _table_of(pyarrow, [_as_row(row, schema)], schema)
            except (TypeError, ValueError, OverflowError) as error:
                failures.append((x, unencodable("parquet", error, x)))
                continue
            schema = schema or table.schema
            good.append(row)
        if good:
            self._write_table(_table_of(pyarrow, good, schema))

    def _write_table(self, table: Any) -> None:
        if self._writer is None:
            parquet: Any = require(
                "to_parquet", "pyarrow.parquet", extra="parquet", package="pyarrow"
            )
            self._schema = table.schema
            self._writer = parquet.ParquetWriter(
                self._ready(), table.schema, compression=self._codec
            )
        try:
            self._writer.write_table(table)
        except OSError:
            self._is_torn = True
            raise
        self.count += table.num_rows
        self.size = self._raw.tell()


@Stream.register_api()
class to_parquet(FileSink[T]):
    """Write rows, or tables, to a Parquet file, or to many files.

    Elements are dicts, objects of a dataclass or Struct, named tuples, Arrow tables and
    record batches, or frames of pandas and polars.  A file has the *schema*, or that of its
    first batch; an element that does not fit, or has another field, fails; a missing field
    is null.

    A Parquet file is complete when it is closed: it is written to ``path + "~part"``, and
    renamed.  With ``{number}`` in the path, each batch is a file of its own, unless a limit
    says otherwise: an element is then done when its file is complete.  With any other path
    the file is complete at the end, and a process that is killed before loses it.

    Parameters
    ----------
    path : str or path
        A file, a URL that fsspec knows, or a template such as
        ``"out/{date}/{key}-{number}.parquet"``: see `to_jsonlines`.
    schema : pyarrow.Schema, optional
        Of the files.
    codec : str
        Compression inside the file: ``"snappy"``, ``"zstd"``, ``"gzip"``, ``"lz4"``,
        ``"brotli"`` or ``"none"``.
    batch : int
        Elements that are written together.
    **kwargs
        Options of `to_jsonlines`: key, time, roll_bytes, roll_count, roll_every,
        file_per_batch, fsync, storage_options; and those of every `WriterSink`: max_wait,
        restart.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Stream() as source:
    ...         node = source.to_parquet(folder + "/{key}-{number}.parquet", key="k")
    ...         source.emit_many([{"k": "a", "n": 1}, {"k": "b", "n": 2}])
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['a-000000.parquet', 'b-000000.parquet']
    """

    def __init__(
        self,
        upstream: Stream[Any],
        path: str | os.PathLike[str],
        *,
        schema: Any = None,
        codec: str = "snappy",
        batch: int = 10_000,
        file_per_batch: bool | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("to_parquet", "codec", codec, _CODECS)
        pyarrow: Any = require("to_parquet", "pyarrow", extra="parquet", package="pyarrow")
        if schema is not None and not isinstance(schema, pyarrow.Schema):
            raise TypeError(
                f"to_parquet: schema must be a pyarrow.Schema, got {short_repr(schema)}"
            )
        for argument in ("mode", "compression"):
            if argument in kwargs:
                raise TypeError(f"to_parquet: {argument} is no option of Parquet files")
        if file_per_batch is None:
            inner = locate("to_parquet", path, kwargs.get("storage_options"))[1]
            rolls = any(kwargs.get(f"roll_{limit}") for limit in ("bytes", "count", "every"))
            file_per_batch = "number" in FileTemplate("to_parquet", inner).fields and not rolls

        def open_output(
            files: FileSystem, name: str, mode: str, compression: str | None
        ) -> FormattedFile:
            return ParquetOutput(files, name, mode, schema, codec)

        super().__init__(
            upstream,
            path,
            open_output,
            mode="atomic",
            compression=None,
            batch=batch,
            file_per_batch=file_per_batch,
            **kwargs,
        )


def _as_table(pyarrow: Any, x: Any) -> Any:
    """Return the Arrow table of a table or frame; None for a row."""
    if isinstance(x, pyarrow.Table):
        return x
    if isinstance(x, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([x])
    module = type(x).__module__.partition(".")[0]
    if module == "polars" and hasattr(x, "to_arrow"):
        return x.to_arrow()
    if module == "pandas" and hasattr(x, "columns"):
        return pyarrow.Table.from_pandas(x, preserve_index=False)
    return None


def _table_of(pyarrow: Any, rows: list[dict[str, Any]], schema: Any) -> Any:
    """Return rows as a table; without a schema with the fields of all of them."""
    if schema is not None:
        return pyarrow.Table.from_pylist(rows, schema)
    names = dict.fromkeys(name for row in rows for name in row)
    return pyarrow.table({name: [row.get(name) for row in rows] for name in names})


def _cast(table: Any, schema: Any) -> Any:
    return table.select(schema.names).cast(schema) if table.schema != schema else table


def _as_row(x: Any, schema: Any) -> dict[str, Any]:
    """Return an element as a dict; raise for what is no row, or has another field."""
    if isinstance(x, Mapping):
        row = dict(x)
    elif is_record(type(x)):
        row = {name: getattr(x, name) for name in fields_of(type(x))}
    elif hasattr(x, "_asdict"):
        row = x._asdict()
    else:
        raise unencodable("parquet", "must be a dict, a record or a table", x)
    if schema is not None and not row.keys() <= set(schema.names):
        extra = short_repr(next(iter(row.keys() - set(schema.names))))
        raise unencodable("parquet", f"the schema has no field {extra}", x)
    return row
