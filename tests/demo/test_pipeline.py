"""The pipeline of the demo finds what pandas finds in the whole table."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import pandas as pd
import pytest

from rapidz import Stream
from rapidz.demo.data import FlightRecord, Flights, folder, read_airlines, read_weather
from rapidz.demo.model import BUSY, LATE, WORST
from rapidz.demo.pipeline import FlightPipeline, build, last, window_by

PLACE = ["origin", "year", "month", "day", "hour"]


def stream(records: Any) -> FlightPipeline:
    pipeline = build()
    pipeline.airlines.emit(read_airlines())
    pipeline.weather.emit(read_weather())
    with pipeline.records as source:
        source.emit_many(records)
    return pipeline


@pytest.fixture(scope="module", params=[5_000, 336_776])
def limit(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def table(limit: int) -> pd.DataFrame:
    return pd.read_csv(folder() / "flights.csv.zip", nrows=limit)


@pytest.fixture(scope="module")
def outcome(limit: int) -> FlightPipeline:
    flights = Flights()
    try:
        return stream(islice(flights, limit))
    finally:
        flights.close()


def test_carriers_are_those_of_pandas(outcome: FlightPipeline, table: pd.DataFrame) -> None:
    table = table.assign(
        cancelled=table.dep_delay.isna(),
        late=table.dep_delay > LATE,
        name=table.carrier.map(read_airlines()),
    )
    expected = table.groupby("name").agg(
        departed=("dep_delay", "count"),
        cancelled=("cancelled", "sum"),
        late=("late", "sum"),
        minutes=("dep_delay", "sum"),
        worst=("dep_delay", "max"),
        mean=("dep_delay", "mean"),
    )
    found = pd.DataFrame(
        [(carrier.name, *carrier.tally, carrier.tally.mean) for carrier in outcome.carriers],
        columns=["name", *expected.columns],
    ).set_index("name")
    pd.testing.assert_frame_equal(found.sort_index(), expected, check_dtype=False)
    assert list(found["mean"]) == sorted(found["mean"], reverse=True)


def test_worst_hours_are_those_of_pandas(outcome: FlightPipeline, table: pd.DataFrame) -> None:
    hours = table.dropna(subset="dep_delay").groupby(PLACE).dep_delay.agg(["count", "mean", "max"])
    expected = hours[hours["count"] >= BUSY].sort_values("mean", ascending=False).head(WORST)
    found = {
        (hour.origin, *map(int, hour.date.split("-")), hour.hour): hour for hour, _ in outcome.hours
    }
    assert [hour.mean for hour, _ in outcome.hours] == pytest.approx(list(expected["mean"]))
    assert set(found) == set(expected.index)
    rows: Any = expected.loc
    for place, hour in found.items():
        row = rows[place]
        assert (hour.departed, hour.worst) == (row["count"], row["max"])


def test_worst_hours_carry_their_weather(outcome: FlightPipeline) -> None:
    weather = pd.read_csv(folder() / "weather.csv").drop_duplicates(PLACE, keep="last")
    observed: Any = weather.set_index(PLACE)[["wind_speed", "precip", "visib"]].loc
    assert outcome.hours
    for hour, found in outcome.hours:
        place = (hour.origin, *map(int, hour.date.split("-")), hour.hour)
        assert found is not None
        assert list(found) == pytest.approx(list(observed[place]), nan_ok=True)


def record(day: int = 1, carrier: str = "UA", delay: str = "0") -> FlightRecord:
    return ("2013", "7", str(day), "9", "EWR", carrier, delay)


def test_cancelled_flights_are_counted_and_have_no_delay() -> None:
    outcome = stream([record(delay="NA"), record(delay="30"), record(delay="NA")])
    [(name, tally)] = outcome.carriers
    assert name == "United Air Lines Inc."
    assert tally == (1, 2, 1, 30, 30)


def test_a_carrier_that_cancels_all_has_a_row() -> None:
    [(_, tally)] = stream([record(delay="NA")]).carriers
    assert (tally.departed, tally.cancelled, tally.mean) == (0, 1, 0)


def test_an_unknown_carrier_keeps_its_code() -> None:
    [(name, _)] = stream([record(carrier="??")]).carriers
    assert name == "??"


def test_the_order_of_flights_within_a_day_does_not_matter() -> None:
    records = [record(carrier=random.choice("AB"), delay=str(n)) for n in range(50)]
    shuffled = random.sample(records, len(records))
    assert stream(records).hours == stream(shuffled).hours


def test_nothing_gives_no_rows() -> None:
    outcome = stream([])
    assert (outcome.carriers, outcome.hours) == ([], [])


def test_the_failing_record_is_named() -> None:
    with pytest.raises(ValueError, match="soon") as caught:
        stream([record(), record(delay="soon")])
    assert any("parse" in note for note in caught.value.__notes__)


def test_window_by_closes_before_the_new_key_and_at_the_end() -> None:
    source: Stream[str] = Stream()
    windows = window_by(source, key=str.lower).sink_to_list()
    with source:
        source.emit_many("aAbBBa")
    assert [window for window in windows if window] == [("a", "A"), ("b", "B", "B"), ("a",)]


def test_last_emits_once_at_the_end() -> None:
    source: Stream[int] = Stream()
    elements = last(source).sink_to_list()
    source.emit_many(range(5))
    assert elements == []
    source.close()
    assert elements == [4]
