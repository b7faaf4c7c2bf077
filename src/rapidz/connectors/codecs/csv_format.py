"""CSV format: records of fields, with quotes over lines, by the `csv` module."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rapidz.connectors.codecs.errors import describe_unicode_error, undecodable, unencodable
from rapidz.connectors.codecs.framing import MAX_SIZE
from rapidz.connectors.codecs.typed import Mismatch, converter, fields_of, is_record
from rapidz.kernel.protocol.checks import check_bool, check_count
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sources.decoding import TruncatedFrame, Undecoded

#: A record that ends the lines given to `csv.reader`: if it is no row, the last quote is open.
_END = f"end-{os.urandom(8).hex()}"
_BOM = b"\xef\xbb\xbf"


class CsvFormat:
    r"""Format of records of fields; fields in quotes may contain delimiters and line breaks.

    Elements are dicts by the names of the header, lists without names, or objects of *type*.  Blank
    lines are no records.  A record with too few or too many fields is `Undecoded`; so are a header
    that has a name more than once, and all records below it.

    Parameters
    ----------
    header : bool
        Whether the first record has the names of the fields.
    names : list of str, optional
        Names of the fields, in their order: to read data that have no header, or for a header that
        is written.  If not given, the first element that is written has them.
    type : dataclass or Struct, optional
        Of the elements; fields are converted from text, the empty string to None where the
        annotation allows None.
    delimiter, quotechar : str
        One character each.
    encoding : str
        One in which a line feed is one byte, as in UTF-8.
    max_size : int
        Bytes of a record at most.
    operator : str
        For messages about arguments.

    >>> decoder = CsvFormat().decoder()
    >>> decoder.feed(b'name,text\na,"two\n')
    []
    >>> decoder.feed(b'lines"\nb,x\n')
    [{'name': 'a', 'text': 'two\nlines'}, {'name': 'b', 'text': 'x'}]
    """

    name = "csv"

    def __init__(
        self,
        header: bool = True,
        type: Any = None,
        *,
        names: Sequence[str] | None = None,
        delimiter: str = ",",
        quotechar: str = '"',
        encoding: str = "utf-8",
        max_size: int = MAX_SIZE,
        operator: str = "csv",
    ) -> None:
        for argument, value in (("delimiter", delimiter), ("quotechar", quotechar)):
            if not isinstance(value, str) or len(value) != 1:  # type: ignore[redundant-expr]
                raise ValueError(
                    f"{operator}: {argument} must be a str of one character, "
                    f"got {short_repr(value)}"
                )
        if type is not None and not is_record(type):
            raise TypeError(
                f"{operator}: type must be a dataclass or a Struct, got {short_repr(type)}"
            )
        check_encoding(operator, encoding)
        check_count(operator, "max_size", max_size)
        self.header = check_bool(operator, "header", header)
        self.names = None if names is None else list(names)
        self.type, self.encoding, self.max_size = type, encoding, max_size
        self.options: dict[str, Any] = {"delimiter": delimiter, "quotechar": quotechar}
        self._operator = operator

    def decoder(self) -> CsvDecoder:
        if not self.header and (repeated := _repeated(self.names or ())):
            raise ValueError(
                f"{self._operator}: names must be different, got {repeated} more than once"
            )
        return CsvDecoder(self)

    def encoder(self) -> CsvEncoder:
        return CsvEncoder(self)


def check_encoding(operator: str, encoding: Any) -> None:
    """Refuse an encoding that Python does not know, or whose line feed is not one byte.

    >>> check_encoding("csv", "utf-16")
    Traceback (most recent call last):
    ...
    ValueError: csv: encoding must be one with line feeds of one byte, such as utf-8, got 'utf-16'
    """
    try:
        if "\n".encode(encoding) == b"\n":
            return
    except (LookupError, TypeError):
        pass
    raise ValueError(
        f"{operator}: encoding must be one with line feeds of one byte, such as utf-8, "
        f"got {short_repr(encoding)}"
    )


class CsvDecoder:
    """Incremental decoder of a `CsvFormat`."""

    def __init__(self, form: CsvFormat) -> None:
        self.has_failed = False
        self._form = form
        self.names: list[str] | None = None
        """Names of the fields, once they are known; assign them to begin after the header."""
        if not form.header:
            self.names = form.names or (list(fields_of(form.type)) if form.type else [])
        self._carry = b""
        self._open = self._skipping = False
        self._dropped = self._offset = self._start = 0
        self._ends: list[int] = []
        """Offset of the end of each element of the last `feed`; empty: they are in `_block`."""
        self._block, self._count = b"", 0
        self._header_in_block = False

    @property
    def pending(self) -> int:
        return len(self._carry)

    def feed(self, data: bytes) -> list[Any]:
        self._begin()
        if not (self._offset or self._carry) and data.startswith(_BOM):
            self._offset, data = len(_BOM), data[len(_BOM) :]
        end = data.rfind(b"\n") + 1
        if not end or (self._open and self._quote not in data):
            self._carry += data
            return self._limited()
        block, self._carry = self._carry + data[:end], data[end:]
        if self._skipping:
            cut = block.index(b"\n") + 1
            self._offset += self._dropped + cut
            self._skipping, self._dropped, block = False, 0, block[cut:]
        elif (found := self._parse(block)) is not None:
            self._offset += len(block)
            self._block, self._count = block, len(found)
            return found
        return self._parse_each(block) + self._limited()

    def finish(self) -> list[Any]:
        self._begin()
        block, self._carry = self._carry, b""
        if self._skipping:
            self._skipping, self._dropped, block = False, 0, b""
        found: list[Any] = []
        while block:
            found += self._parse_each(block)
            block, self._carry = self._carry, b""
            if block:
                found += self._drop_line(block)
                block, self._carry = self._carry, b""
        self._open = False
        return found

    def offset_after(self, n: int) -> int:
        if n == 0:
            return self._start
        if self._ends:
            return self._ends[n - 1]
        if n == self._count:
            return self._offset
        count = n + self._header_in_block
        offset = self._offset - len(self._block)
        for raw, row in self._split(self._block):
            offset += len(raw)
            count -= bool(row)
            if not count:
                break
        return offset

    @property
    def _quote_char(self) -> str:
        return str(self._form.options["quotechar"])

    @property
    def _quote(self) -> bytes:
        return self._quote_char.encode(self._form.encoding)

    def _begin(self) -> None:
        self._start, self._block, self._ends = self._offset, b"", []
        self._header_in_block = self.has_failed = False

    def _parse(self, block: bytes) -> list[Any] | None:
        """Return the elements of *block*; None if one may be incomplete or undecodable."""
        if len(block) > self._form.max_size:
            return None
        before = self.names
        try:
            lines = io.StringIO(block.decode(self._form.encoding), newline="")
            if before is None and not self._read_names(lines):
                return []
            found = self._elements_of(lines)
        except (csv.Error, TypeError, ValueError):
            found = None
        if found is None:
            self.names, self._header_in_block = before, False
        return found

    def _read_names(self, lines: io.StringIO) -> bool:
        """Read the header; return whether there is one."""
        for line in lines:
            if self._quote_char in line:
                raise ValueError("the header may have several lines")
            if row := next(csv.reader([line], **self._form.options)):
                self.names, self._header_in_block = row, True
                return True
        return False

    def _elements_of(self, lines: io.StringIO) -> list[Any] | None:
        """Return the elements of whole *lines*; None if the last one is incomplete."""
        self._check_names()
        # The last record has as many fields as the others, so that it passes for one of them.
        fields = [_END, *[""] * (len(self.names or ("",)) - 1)]
        end = self._form.options["delimiter"].join(fields)
        reader = csv.reader(itertools.chain(lines, (end,)), **self._form.options)
        rows: Iterator[list[str]] = filter(None, reader)
        if not self.names and self._form.type is None:
            listed = list(rows)
            return listed if listed.pop() == fields else None
        if self._form.type is None:
            make: Callable[[Any], dict[str, str]] = dict
            zipped: Any = zip  # whose overloads `partial` cannot express
            zip_names = functools.partial(zipped, self.names, strict=True)
            found: list[Any] = [*map(make, map(zip_names, rows))]
            return found if list(found.pop().values()) == fields else None
        *records, last = rows
        return list(map(self._builder(), records)) if last == fields else None

    def _builder(self) -> Callable[[list[str]], Any]:
        names, kind = self.names or [], self._form.type
        if kind is None:
            return lambda row: dict(zip(names, row, strict=True))
        build = converter(kind, lax=True)
        optional = {name for name, (_, required) in fields_of(kind).items() if not required}
        if not optional:
            return lambda row: build(dict(zip(names, row, strict=True)))
        return lambda row: build(
            {
                name: text
                for name, text in zip(names, row, strict=False)
                if text or name not in optional
            }
        )

    def _parse_each(self, block: bytes) -> list[Any]:
        """Return the elements of *block*, one by one; keep an incomplete record."""
        found: list[Any] = []
        self._open = False
        for raw, row in self._split(block):
            if row is None:
                self._carry, self._open = raw + self._carry, True
                break
            self._offset += len(raw)
            if row == []:
                continue
            element = self._element(raw, row)
            if element is not None:
                found.append(element)
                self._ends.append(self._offset)
        return found

    def _split(self, block: bytes) -> Iterator[tuple[bytes, list[str] | csv.Error | None]]:
        """Yield each record of *block*, as bytes and as fields; None for an incomplete one."""
        encoding = self._form.encoding
        lines = list(io.StringIO(block.decode(encoding, "surrogateescape"), newline=""))
        reader = csv.reader([*lines, _END], **self._form.options)
        while True:
            first = reader.line_num
            row: list[str] | csv.Error | None
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                row = error
            if first == len(lines) and row == [_END]:
                return
            if reader.line_num > len(lines):
                row = None
            raw = "".join(lines[first : reader.line_num])
            yield raw.encode(encoding, "surrogateescape"), row
            if row is None:
                return

    def _element(self, raw: bytes, row: list[str] | csv.Error) -> Any:
        """Return the element of one record; None for the header."""
        form = self._form
        try:
            if len(raw) > form.max_size:
                raise ValueError("the record is longer than max_size")
            raw.decode(form.encoding)
            if isinstance(row, csv.Error):
                raise ValueError(str(row))
            if self.names is None:
                self.names = row
                self._check_names()
                return None
            self._check_names()
            if not self.names and form.type is None:
                return row
            if len(row) != len(self.names):
                count = len(self.names)
                raise ValueError(f"expected {count} fields, got {len(row)}")
            return self._builder()(row)
        except UnicodeDecodeError as error:
            reason = describe_unicode_error(error)
        except Mismatch as error:
            reason = str(error)
        except (TypeError, ValueError) as error:
            reason = str(error)
        if self.names is None:
            self.names, reason = [""], f"the header is not valid: {reason}"
        return self._undecoded(raw, reason)

    def _check_names(self) -> None:
        """Refuse names of which a dict or an object would keep only some."""
        if repeated := _repeated(self.names or ()):
            raise ValueError(
                f"the header has {repeated} more than once; "
                "header=False and names= give other names"
            )

    def _undecoded(self, raw: bytes, reason: str) -> Undecoded:
        self.has_failed = True
        frame = raw.rstrip(b"\r\n")
        if len(frame) > self._form.max_size:
            frame = TruncatedFrame.of(frame, self._form.max_size)
        return Undecoded(frame, undecodable("csv", reason, frame))

    def _limited(self) -> list[Any]:
        """Return what is too long of the incomplete record, as `Undecoded`."""
        found: list[Any] = []
        if self._skipping:
            self._dropped += len(self._carry)
            self._carry = b""
        while len(self._carry) > self._form.max_size:
            block, self._carry = self._carry, b""
            if b"\n" in block:
                found += self._drop_line(block)
                continue
            found.append(self._undecoded(block, "the record is longer than max_size"))
            self._ends.append(self._offset)
            self._skipping, self._open, self._dropped = True, False, len(block)
        return found

    def _drop_line(self, block: bytes) -> list[Any]:
        """Refuse the first line of a record whose quote is never closed; parse what follows it."""
        cut = block.find(b"\n") + 1 or len(block)
        self._offset += cut
        self._ends.append(self._offset)
        return [
            self._undecoded(block[:cut], "a quote is not closed"),
            *self._parse_each(block[cut:]),
        ]


class CsvEncoder:
    """Encoder of a `CsvFormat`; a header comes first, if the format has one."""

    def __init__(self, form: CsvFormat) -> None:
        self._form = form
        self._names: Sequence[str] | None = form.names
        write_row = csv.writer(_Echo(), lineterminator="\r\n", **form.options).writerow
        self._write: Callable[[Any], str] = write_row
        self._text = io.StringIO(newline="")
        self._write_rows = csv.writer(self._text, lineterminator="\n", **form.options).writerows

    def begin(self, first: Any) -> bytes:
        if self._names is None:
            self._names = _names_of(first)
        return self._line(self._names) if self._form.header and self._names else b""

    def encode(self, x: Any) -> bytes:
        """Return one record: of a dict, a record object, or a sequence of fields."""
        if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
            return self._line(x)
        if self._names is None:
            self._names = _names_of(x)
        names = self._names or ()
        if not isinstance(x, Mapping):
            if not is_record(type(x)) and not hasattr(x, "_fields"):
                raise unencodable("csv", "must be a dict, a record or a sequence of fields", x)
            x = {name: getattr(x, name) for name in names}
        if len(x) > len(names) or not x.keys() <= set(names):
            extra = short_repr(next(iter(x.keys() - set(names))))
            raise unencodable("csv", f"the header has no field {extra}", x)
        return self._line([x.get(name, "") for name in names])

    def encode_all(self, elements: Sequence[Any]) -> bytes:
        """Return records; those of dicts with the fields of the header by compiled code."""
        if self._names is None:
            self._names = _names_of(elements[0])
        names = self._names or ()
        if (
            len(names) > 1
            and {*map(type, elements)} == {dict}
            and {*map(len, elements)} == {len(names)}
        ):
            try:
                self._write_rows(map(operator.itemgetter(*names), elements))
                if "\r" not in (text := self._text.getvalue()):  # which needs quotes
                    return text.encode(self._form.encoding)
            except (KeyError, csv.Error, UnicodeEncodeError):
                pass
            finally:
                self._text.seek(0)
                self._text.truncate()
        return b"".join([self.encode(x) for x in elements])

    def _line(self, fields: Sequence[Any]) -> bytes:
        # "\r\n", so that the writer quotes both characters in a field
        try:
            return (self._write(fields)[:-2] + "\n").encode(self._form.encoding)
        except UnicodeEncodeError as error:
            raise unencodable("csv", describe_unicode_error(error), fields) from None
        except csv.Error as error:
            raise unencodable("csv", error, fields) from None


def _repeated(names: Sequence[str]) -> str:
    """Return what is in *names* more than once, for a message."""
    if len(set(names)) == len(names):
        return ""
    return ", ".join(short_repr(name) for name in dict.fromkeys(names) if names.count(name) > 1)


def _names_of(x: Any) -> list[str] | None:
    if isinstance(x, Mapping):
        return [str(name) for name in x]
    if hasattr(x, "_fields"):
        return list(x._fields)
    return list(fields_of(type(x))) if is_record(type(x)) else None


class _Echo:
    """File of `csv.writer` that returns what is written; `str` returns a str as it is."""

    write = str
