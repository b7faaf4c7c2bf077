"""Tours of aircraft: sessions of their departures, with the aircraft from a table.

A tour ends when an aircraft has not left New York for eighteen hours.  The watermark stays six
hours behind, as a departure is reported when the flight has left, and some leave late.

Output::

    16653 tours of 26483 flights, 0 flights came too late
    longest: N739MQ left 30 times, first for CMH, last for RDU
    BOEING: 6597 flights
    EMBRAER: 5201 flights
    AIRBUS: 3907 flights
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from rapidz import Count, First, Last, Stream
from rapidz.demo.data import folder

Flight = dict[str, Any]


def departures() -> Iterator[Flight]:
    """Yield the flights of January 2013 in the order in which they left, by scheduled time."""
    flights = []
    with (
        zipfile.ZipFile(folder() / "flights.csv.zip") as archive,
        archive.open(archive.namelist()[0]) as lines,
    ):
        for row in csv.DictReader(io.TextIOWrapper(lines, "utf-8")):
            if row["month"] == "1" and row["dep_delay"] != "NA":
                at = datetime.fromisoformat(row["time_hour"])
                at += timedelta(minutes=int(row["minute"]))
                left = at + timedelta(minutes=float(row["dep_delay"]))
                flights.append((left, {"at": at, "plane": row["tailnum"], "to": row["dest"]}))
    return (flight for _, flight in sorted(flights, key=lambda pair: pair[0]))


def planes() -> Iterator[dict[str, str]]:
    with (folder() / "planes.csv").open() as lines:
        yield from csv.DictReader(lines)


def main() -> None:
    tours, late, makers = list[Any](), list[Any](), Counter[str]()
    with Stream[Flight]() as source, Stream[dict[str, str]]() as table:
        timed = source.event_time("at", lag="6h").key_by("plane")
        sessions = timed.session("18h").aggregate(
            flights=Count(), first=First("to"), last=Last("to")
        )
        sessions.late.sink(late.append)
        sessions.sink(tours.append)
        known = sessions.lookup(table, key=("key", "tailnum"), how="inner")
        known.sink(lambda pair: makers.update({pair[1]["manufacturer"]: pair[0].value["flights"]}))
        table.emit_many(planes())
        source.emit_many(departures())
    flights = sum(tour.value["flights"] for tour in tours)
    print(f"{len(tours)} tours of {flights} flights, {len(late)} flights came too late")
    longest = max(tours, key=lambda tour: tour.value["flights"])
    print(
        f"longest: {longest.key} left {longest.value['flights']} times, first for "
        f"{longest.value['first']}, last for {longest.value['last']}"
    )
    for maker, count in makers.most_common(3):
        print(f"{maker}: {count} flights")


if __name__ == "__main__":
    main()
