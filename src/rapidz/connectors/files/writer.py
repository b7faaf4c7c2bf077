"""File writer: batches of elements go to files, which roll by size, count, time and key."""

from __future__ import annotations

import datetime
import operator
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from rapidz.connectors.files.output import BatchEncodeError
from rapidz.connectors.files.template import FileTemplate, numbered
from rapidz.kernel.protocol.checks import check_choice, check_count, read_interval
from rapidz.kernel.protocol.intervals import Interval
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.sinks.writer import Writer
from rapidz.sources.filesystem import FileSystem, compression_of, locate

#: How many files are open at most.
MAX_OPEN = 64

Failures = list[tuple[Any, Exception]]


class FormattedFile(Protocol):
    """Open file of elements."""

    path: str
    size: int
    count: int
    opened_at: float
    exists: bool
    can_resume: bool

    def begin_batch(self) -> None:
        """Remember the state, for `cut_back`."""
        ...

    def cut_back(self) -> bool:
        """Cut off what was written since `begin_batch`; return whether the file can go on."""
        ...

    def suspend(self) -> None:
        """Close the file as it is; the next write opens it again."""
        ...

    def add(self, elements: Sequence[Any], failures: Failures) -> None:
        """Write elements; add those that cannot be encoded to *failures*."""
        ...

    def flush(self, sync: bool) -> None:
        """Pass on what is buffered; with *sync*, wait until the disk has it."""
        ...

    def finish(self, sync: bool) -> None:
        """Close the file, and give it its final name."""
        ...


class Place(NamedTuple):
    """Elements of a batch for one file."""

    name: str
    """Name of the file, with the number 0."""
    when: datetime.datetime | None
    key: Any
    elements: Any


class FileWriter(Writer[Any]):
    """Writer of files; `open_output` says of which format.

    See `to_jsonlines` for the parameters.
    """

    def __init__(
        self,
        name: str,
        path: Any,
        open_output: Callable[[FileSystem, str, str, str | None], FormattedFile],
        *,
        mode: str,
        key: Any,
        time: Any,
        roll_bytes: int | None,
        roll_count: int | None,
        roll_every: Interval | None,
        file_per_batch: bool,
        fsync: bool,
        compression: str | None,
        storage_options: dict[str, Any] | None,
    ) -> None:
        self._name, self._open_output = name, open_output
        check_choice(name, "mode", mode, ("a", "w", "atomic"))
        self._files, inner = locate(name, path, storage_options)
        self._template = FileTemplate(name, inner)
        self._mode, self._fsync, self._file_per_batch = mode, fsync, file_per_batch
        self.flush_each = fsync  # type: ignore[misc]
        self._compression = compression_of(name, inner, compression)
        for argument, value in (("roll_bytes", roll_bytes), ("roll_count", roll_count)):
            if value is not None:
                check_count(name, argument, value)
        self._roll_bytes, self._roll_count = roll_bytes, roll_count
        self._roll_seconds = (
            None if roll_every is None else read_interval(name, roll_every, argument="roll_every")
        )
        self._key = self._getter("key", key, self._template.has_key)
        self._time = None if time is None else self._getter("time", time, self._template.has_time)
        self._check_rolls()
        self._outputs: dict[str, FormattedFile] = {}
        self._batch: list[tuple[str, FormattedFile]] = []
        """Files with elements of the last batch, as long as that may be cut off."""
        self._process = os.getpid()
        self._next_number = 0
        self._refused: tuple[Any, BatchEncodeError] | None = None
        self.paths: list[str] = []
        """Files that are complete, in the order in which they were closed."""

    def open(self) -> None:
        """Check that the open files are of this process: a forked child shares what is buffered."""
        if self._process == os.getpid():
            return
        if self._outputs and (self._mode != "a" or self._compression is not None):
            raise RuntimeError(
                f"{self._name}: the file was opened by another process, of which this one is a "
                "fork: a file that is compressed, or written with mode 'w' or 'atomic', "
                "is for one process"
            )
        self._process = os.getpid()
        for output in self._outputs.values():
            output.suspend()
        self._outputs.clear()

    def write_many(self, payloads: Sequence[Any]) -> None:
        """Write a batch; raise `BatchEncodeError` for the elements that cannot be written."""
        if self._refused is not None and self._refused[0] is payloads:
            raise self._refused[1]  # tried again: the other elements are written already
        failures: Failures = []
        self._batch = []
        try:
            for place in self._by_place(payloads, failures).values():
                output = self._output(place)
                output.begin_batch()
                self._batch.append((place.name, output))
                output.add(place.elements, failures)
                output.flush(sync=False)
                self._roll_if_due(place.name, output)
            if self._file_per_batch:
                self.close()
        except OSError:
            self._cut_back()
            raise
        self._refused = None
        if failures:
            error = BatchEncodeError(failures)
            self._refused = payloads, error
            raise error

    def flush(self) -> None:
        """Pass on what is buffered; roll the files that are old enough."""
        try:
            for name, output in list(self._outputs.items()):
                output.flush(self._fsync)
                self._roll_if_due(name, output)
        except OSError:
            if self.flush_each:
                self._cut_back()  # the batch is not done, and may be written again
            raise
        self._batch = []

    def close(self) -> None:
        """Close all files."""
        failures = []
        for name in list(self._outputs):
            try:
                self._finish(name)
            except OSError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def discard(self) -> None:
        """Close the files as they are; the next write continues them."""
        for name, output in list(self._outputs.items()):
            output.suspend()
            if not output.can_resume:
                del self._outputs[name]

    def is_transient(self, error: Exception) -> bool:
        """Return whether *error* is of the system, and no file lost what it had before."""
        return super().is_transient(error) and all(
            output.can_resume for output in self._outputs.values()
        )

    def _cut_back(self) -> None:
        """Cut off what was written of the last batch."""
        for name, output in self._batch:
            if not output.cut_back() and self._file_per_batch:
                output.suspend()
                self._outputs.pop(name, None)
        self._batch = []

    def size(self, payload: Any) -> int:
        """Return the size of the text of an element, for ``max_bytes``."""
        return len(payload if isinstance(payload, (str, bytes)) else str(payload))

    def _by_place(self, payloads: Sequence[Any], failures: Failures) -> dict[str, Place]:
        """Return the elements by what the name of their file depends on."""
        template = self._template
        if not (template.has_key or template.has_time):
            return {"": Place("", None, None, payloads)}
        places: dict[str, Place] = {}
        now = datetime.datetime.now(datetime.UTC)
        for x in payloads:
            try:
                key = self._key(x)
                when = now if self._time is None else _as_datetime(self._time(x))
                name = template.path(when, key, 0)
            except Exception as error:
                failures.append((x, error))
                continue
            if name not in places:
                places[name] = Place(name, when, key, [])
            places[name].elements.append(x)
        return places

    def _output(self, place: Place) -> FormattedFile:
        """Return the open file of a place; open it if necessary."""
        output = self._outputs.pop(place.name, None)
        if output is None:
            if len(self._outputs) >= MAX_OPEN:
                self._finish(next(iter(self._outputs)))
            path = self._new_path(place)
            try:
                output = self._open_output(self._files, path, self._mode, self._compression)
            except ValueError as error:
                raise ValueError(f"{self._name}: {error}") from None
        self._outputs[place.name] = output  # the last one that was used
        return output

    def _new_path(self, place: Place) -> str:
        """Return the name of the next file of a place: one that may be continued, or is free."""
        template, number = self._template, 0
        if "number" in template.fields:
            number = self._next_number
            while self._exists(path := template.path(place.when, place.key, number)):
                number += 1
            if not (template.has_key or template.has_time):
                self._next_number = number + 1
            return path
        path = template.path(place.when, place.key, 0)
        if template.is_fixed or self._mode == "a":
            return path
        while self._exists(free := numbered(path, number) if number else path):
            number += 1
        return free

    def _exists(self, path: str) -> bool:
        try:
            self._files.status(path)
        except FileNotFoundError:
            return False
        return True

    @property
    def _rolls(self) -> bool:
        limits = (self._roll_bytes, self._roll_count, self._roll_seconds)
        return self._file_per_batch or any(limit is not None for limit in limits)

    def _roll_if_due(self, name: str, output: FormattedFile) -> None:
        age = time.monotonic() - output.opened_at
        if (
            (self._roll_bytes is not None and output.size >= self._roll_bytes)
            or (self._roll_count is not None and output.count >= self._roll_count)
            or (self._roll_seconds is not None and age >= self._roll_seconds)
        ):
            self._finish(name)

    def _finish(self, name: str) -> None:
        output = self._outputs[name]
        try:
            output.finish(self._fsync)
        except BaseException:
            output.suspend()
            if not output.can_resume:
                del self._outputs[name]
            raise
        del self._outputs[name]
        if output.exists:
            self.paths.append(output.path)
        del self.paths[:-1000]

    def _getter(self, argument: str, value: Any, is_used: bool) -> Callable[[Any], Any]:
        rule = f"{self._name}: {argument} must be a name or a function"
        if value is None:
            if is_used and argument == "key":
                raise ValueError(f"{rule}, as the path has {{key}}, got None")
            return lambda x: None
        if not is_used:
            field = "{key}" if argument == "key" else "{date} or another time"
            raise ValueError(f"{self._name}: {argument} needs a path with {field}")
        if callable(value):
            found: Callable[[Any], Any] = value
            return found
        if isinstance(value, str):
            return lambda x: x[value] if isinstance(x, dict) else getattr(x, value)
        if isinstance(value, int):
            return operator.itemgetter(value)
        raise TypeError(f"{rule}, got {short_repr(value)}")

    def _check_rolls(self) -> None:
        if self._rolls and "number" not in self._template.fields:
            raise ValueError(
                f"{self._name}: path must have {{number}} for files that roll, "
                f"got {short_repr(self._template.text)}"
            )


def _as_datetime(value: Any) -> datetime.datetime:
    """Return a time in UTC: of a datetime, or of seconds since 1970."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC) if value.tzinfo is not None else value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    raise TypeError(f"time must be a datetime or a number of seconds, got {short_repr(value)}")
