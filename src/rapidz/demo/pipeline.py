"""Pipeline of the demo, from records of text to the rows of two tables.

::

                             ┌─ cancelled ── key ─┐
    records ── parse ── flights                   ├─ union ── accumulate ── join airlines
                             └─ departed ─┬─ key ─┘
                                          └─ window of a day ── accumulate ── join weather
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import NamedTuple, TypeVar

from rapidz import Stream
from rapidz.demo import model
from rapidz.demo.data import Airlines, FlightRecord, Weather
from rapidz.demo.model import CarrierDelays, Flight, WorstHour

T = TypeVar("T")


class FlightPipeline(NamedTuple):
    """Inputs and outputs of the pipeline, and the rows that it has once `records` is closed."""

    records: Stream[FlightRecord]
    airlines: Stream[Airlines]
    weather: Stream[Weather]
    named: Stream[CarrierDelays]
    observed: Stream[WorstHour]
    carriers: list[CarrierDelays]
    hours: list[WorstHour]


def build(records: Stream[FlightRecord] | None = None) -> FlightPipeline:
    """Return a new pipeline; emit the two reference tables into it first, then the records.

    *records* is the source of the records, if they are not to be emitted into the pipeline.
    """
    if records is None:
        records = Stream(stream_name="records")
    airlines = Stream[Airlines](stream_name="airlines")
    weather = Stream[Weather](stream_name="weather")

    # Parse, and branch: a cancelled flight never departed, so it has no delay.
    flights = records.map(Flight.parse)
    cancelled = flights.filter(attrgetter("cancelled"))
    departed = flights.remove(attrgetter("cancelled"))

    # Key each branch by carrier, and merge them into one tally a carrier.
    keyed = departed.map(model.departure).union(cancelled.map(model.cancellation))
    tallies = keyed.accumulate(model.add, start={})

    # Compute the hours in a window for each day, and keep the worst ones.
    days = window_by(departed, key=attrgetter("date"))
    hours = days.map(model.by_hour).flatten().filter(attrgetter("busy"))
    worst = hours.accumulate(model.keep_worst, start=[])

    # At the end, join the results with the latest reference data.
    named = last(tallies).zip_latest(airlines).starmap(model.name_carriers).flatten()
    observed = last(worst).flatten().zip_latest(weather).starmap(model.add_weather)
    carriers, worst_hours = named.sink_to_list(), observed.sink_to_list()
    return FlightPipeline(records, airlines, weather, named, observed, carriers, worst_hours)


def window_by(stream: Stream[T], key: Callable[[T], Hashable]) -> Stream[tuple[T, ...]]:
    """Emit the elements from one change of *key* to the next as one tuple."""
    changed = stream.unique(history=1, key=key)
    window = stream.collect()
    changed.sink(window.flush)  # connected first: the window closes before the new element
    return window


def last(stream: Stream[T]) -> Stream[T]:
    """Emit only the last element, when the stream ends."""
    return stream.collect(cache=deque(maxlen=1)).flatten()
