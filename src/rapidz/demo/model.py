"""Elements of the demo's pipeline, and the functions that it applies to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from heapq import nlargest
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from rapidz.demo.data import Airlines, FlightRecord, Observed, Weather, date

LATE = 15  # minutes after which the airlines themselves count a departure as late
BUSY = 15  # departures below which the mean of an hour says little
WORST = 10  # hours to show


class Flight(NamedTuple):
    """Scheduled flight; a cancelled one has no delay."""

    date: str
    hour: int
    origin: str
    carrier: str
    cancelled: bool
    delay: int

    @classmethod
    def parse(cls, record: FlightRecord) -> Flight:
        """Return the flight that a record of texts describes.

        >>> Flight.parse(("2013", "1", "1", "5", "EWR", "UA", "2")).date
        '2013-01-01'
        >>> Flight.parse(("2013", "1", "1", "5", "EWR", "UA", "NA")).cancelled
        True
        """
        year, month, day, hour, origin, carrier, delay = record
        cancelled = delay == "NA"
        minutes = 0 if cancelled else int(delay)
        return cls(date(year, month, day), int(hour), origin, carrier, cancelled, minutes)


class DelayTally(NamedTuple):
    """Counts and delays of several flights."""

    departed: int = 0
    cancelled: int = 0
    late: int = 0
    minutes: int = 0
    worst: int = 0

    def merge(self, other: DelayTally) -> DelayTally:
        """Return the tally of the flights of both.

        >>> DelayTally(1, 0, 1, 20, 20).merge(DelayTally(1, 0, 0, 4, 4)).mean
        12.0
        """
        return DelayTally(
            self.departed + other.departed,
            self.cancelled + other.cancelled,
            self.late + other.late,
            self.minutes + other.minutes,
            max(self.worst, other.worst),
        )

    @property
    def mean(self) -> float:
        """The mean delay in minutes; 0 if nothing departed."""
        return self.minutes / self.departed if self.departed else 0.0


DelayTallies: TypeAlias = dict[str, DelayTally]


class CarrierDelays(NamedTuple):
    """Delays of one airline: a row of the first table."""

    name: str
    tally: DelayTally


class Hour(NamedTuple):
    """Departures that an airport had scheduled for one hour."""

    date: str
    hour: int
    origin: str
    departed: int
    mean: float
    worst: int

    @property
    def busy(self) -> bool:
        return self.departed >= BUSY


class WorstHour(NamedTuple):
    """Hour with its weather: a row of the second table."""

    hour: Hour
    weather: Observed | None


def departure(flight: Flight) -> tuple[str, DelayTally]:
    """Key a flight that departed by its carrier."""
    delay = flight.delay
    return flight.carrier, DelayTally(1, 0, delay > LATE, delay, delay)


def cancellation(flight: Flight) -> tuple[str, DelayTally]:
    """Key a cancelled flight by its carrier."""
    return flight.carrier, DelayTally(cancelled=1)


def add(tallies: DelayTallies, keyed: tuple[str, DelayTally]) -> DelayTallies:
    """Return a copy of *tallies* with one more under its key."""
    key, tally = keyed
    before = tallies.get(key)
    return {**tallies, key: tally if before is None else before.merge(tally)}


def by_hour(flights: Iterable[Flight]) -> list[Hour]:
    """Return the hours of one day, in order, airport by airport."""
    delays: defaultdict[tuple[str, int, str], list[int]] = defaultdict(list)
    for flight in flights:
        delays[flight.date, flight.hour, flight.origin].append(flight.delay)
    return [
        Hour(*place, len(group), sum(group) / len(group), max(group))
        for place, group in sorted(delays.items())
    ]


def keep_worst(worst: list[Hour], hour: Hour) -> list[Hour]:
    """Return the hours with the highest mean delay so far, in descending order.

    The earlier one of two equal hours comes first.
    """
    return nlargest(WORST, [*worst, hour], key=attrgetter("mean"))


def name_carriers(tallies: DelayTallies, airlines: Airlines) -> list[CarrierDelays]:
    """Return the carriers with their names, in descending order of mean delay."""
    carriers = [CarrierDelays(airlines.get(code, code), tally) for code, tally in tallies.items()]
    return sorted(carriers, key=lambda carrier: carrier.tally.mean, reverse=True)


def add_weather(hour: Hour, weather: Weather) -> WorstHour:
    """Return *hour* with the weather at its airport, if that was observed."""
    return WorstHour(hour, weather.get((hour.origin, hour.date, hour.hour)))
