"""Report of the demo: two tables."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from rapidz.demo.data import Observed
from rapidz.demo.model import BUSY, LATE, CarrierDelays, DelayTally, Hour, WorstHour
from rapidz.demo.table import TableColumn, render

CARRIERS = (
    TableColumn("Airline"),
    TableColumn("Flights", ",d"),
    TableColumn("Cancelled", ".1%"),
    TableColumn("Late", ".1%"),
    TableColumn("Mean delay", ".1f"),
    TableColumn("Worst", ",d"),
)

HOURS = (
    TableColumn("Date"),
    TableColumn("Hour"),
    TableColumn("Airport"),
    TableColumn("Departures", "d"),
    TableColumn("Mean delay", ".1f"),
    TableColumn("Worst", ",d"),
    TableColumn("Wind (mph)", ".0f"),
    TableColumn("Rain (in)", ".2f"),
    TableColumn("Sight (mi)", ".1f"),
)


def total(carriers: Iterable[CarrierDelays]) -> DelayTally:
    """Return the total over all carriers."""
    return reduce(DelayTally.merge, (carrier.tally for carrier in carriers), DelayTally())


def carrier_table(carriers: list[CarrierDelays]) -> str:
    """Return the delays of each carrier, and the total, as text."""
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
        return f"{title}: none\n"
    return f"{title}\n\n{render(HOURS, [_hour_row(*row) for row in hours])}\n"


def _carrier_row(name: str, tally: DelayTally) -> tuple[object, ...]:
    flights = tally.departed + tally.cancelled
    cancelled = tally.cancelled / flights if flights else None
    if not tally.departed:
        return name, flights, cancelled, None, None, None
    return name, flights, cancelled, tally.late / tally.departed, tally.mean, tally.worst


def _hour_row(hour: Hour, weather: Observed | None) -> tuple[object, ...]:
    scheduled = f"{hour.hour:02}:00"
    observed = weather or (None, None, None)
    return hour.date, scheduled, hour.origin, hour.departed, hour.mean, hour.worst, *observed
