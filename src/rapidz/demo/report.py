"""The two tables that the demo ends with."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from rapidz.demo.data import Observed
from rapidz.demo.model import BUSY, LATE, Carrier, Hour, Tally, WorstHour
from rapidz.demo.table import Column, render

CARRIERS = (
    Column("Airline"),
    Column("Flights", ",d"),
    Column("Cancelled", ".1%"),
    Column("Late", ".1%"),
    Column("Mean delay", ".1f"),
    Column("Worst", ",d"),
)

HOURS = (
    Column("Date"),
    Column("Hour"),
    Column("Airport"),
    Column("Departures", "d"),
    Column("Mean delay", ".1f"),
    Column("Worst", ",d"),
    Column("Wind (mph)", ".0f"),
    Column("Rain (in)", ".2f"),
    Column("Sight (mi)", ".1f"),
)


def total(carriers: Iterable[Carrier]) -> Tally:
    """Return the tally of all carriers together."""
    return reduce(Tally.merge, (carrier.tally for carrier in carriers), Tally())


def carrier_table(carriers: list[Carrier]) -> str:
    """Return the delays of each carrier, and of all together, as text."""
    rows = [_carrier_row(*carrier) for carrier in carriers]
    rows.append(_carrier_row("All airlines", total(carriers)))
    return (
        f"Departure delay by carrier, in minutes (late: more than {LATE})\n\n"
        f"{render(CARRIERS, rows)}\n"
    )


def hour_table(hours: list[WorstHour]) -> str:
    """Return the worst hours and their weather as text."""
    title = f"The worst hours at an airport, of those with at least {BUSY} departures"
    if not hours:
        return f"{title}: there is none\n"
    return f"{title}\n\n{render(HOURS, [_hour_row(*row) for row in hours])}\n"


def _carrier_row(name: str, tally: Tally) -> tuple[object, ...]:
    flights = tally.departed + tally.cancelled
    cancelled = tally.cancelled / flights if flights else None
    if not tally.departed:
        return name, flights, cancelled, None, None, None
    return name, flights, cancelled, tally.late / tally.departed, tally.mean, tally.worst


def _hour_row(hour: Hour, weather: Observed | None) -> tuple[object, ...]:
    scheduled = f"{hour.hour:02}:00"
    observed = weather or (None, None, None)
    return hour.date, scheduled, hour.origin, hour.departed, hour.mean, hour.worst, *observed
