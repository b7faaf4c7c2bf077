"""Three weather stations whose readings arrive out of order: days in a table of SQLite.

The readings of the airports of New York in 2013 arrive in any order within six hours, and
some of them days late.  Days are closed half a day after midnight; what comes later is in a
table of its own, and the day is corrected.

Output::

    1092 days of 26110 readings, none of them lost
    32 days were corrected by 32 late readings
    coldest: EWR on 2013-01-23, 15.5 degrees on average
    windiest: EWR on 2013-02-12, 1048 miles an hour
"""

from __future__ import annotations

import csv
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rapidz import Count, Max, Mean, Stream
from rapidz.demo.data import folder

Reading = dict[str, Any]


def readings() -> Iterator[Reading]:
    """Yield the complete readings of a year, in order."""
    with (folder() / "weather.csv").open() as lines:
        for row in csv.DictReader(lines):
            if "NA" not in (row["temp"], row["wind_speed"]):
                yield {
                    "station": row["origin"],
                    "at": datetime.fromisoformat(row["time_hour"]),
                    "degrees": float(row["temp"]),
                    "wind": float(row["wind_speed"]),
                }


def as_they_arrive(year: list[Reading]) -> list[Reading]:
    """Return the readings of *year* as a bad network delivers them."""
    rng = random.Random(2013)
    delays = [rng.uniform(0, 6) if rng.random() < 0.999 else 60.0 for _ in year]
    order = sorted(range(len(year)), key=lambda i: year[i]["at"].timestamp() / 3600 + delays[i])
    return [year[i] for i in order]


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        path = f"{place}/weather.db"
        with sqlite3.connect(path) as database:
            database.executescript(
                "CREATE TABLE days (station, day, readings, degrees, wind, revision,"
                " PRIMARY KEY (station, day));"
                "CREATE TABLE late (station, at, hours)"
            )
        fill(path)
        report(path)


def fill(path: str) -> None:
    """Write the days, and the readings that came too late for the first result of theirs."""
    with Stream[Reading]() as source:
        timed = source.event_time("at", lag="12h").key_by("station")
        days = timed.tumbling("1 day", lateness="5 days").aggregate(
            readings=Count(), degrees=Mean("degrees"), wind=Max("wind")
        )
        rows = days.map(
            lambda r: {
                "station": r.key,
                "day": r.start.date().isoformat(),
                **r.value,
                "revision": r.revision,
            }
        )
        rows.to_sql(path, "days", key=["station", "day"], batch=100)
        days.late.map(
            lambda late: {
                "station": late.element["station"],
                "at": late.element["at"].isoformat(),
                "hours": late.by.total_seconds() / 3600,
            }
        ).to_sql(path, "late", batch=100)
        source.emit_many(as_they_arrive(list(readings())))


def report(path: str) -> None:
    database = sqlite3.connect(path)

    def one(query: str) -> Any:
        return database.execute(query).fetchone()

    days, total = one("SELECT count(*), sum(readings) FROM days")
    (lost,) = one("SELECT count(*) FROM late")
    print(f"{days} days of {total} readings, {lost or 'none'} of them lost")
    corrected, by = one("SELECT count(*), sum(revision) FROM days WHERE revision")
    print(f"{corrected} days were corrected by {by} late readings")
    station, day, degrees = one("SELECT station, day, degrees FROM days ORDER BY degrees")
    print(f"coldest: {station} on {day}, {degrees:.1f} degrees on average")
    station, day, wind = one("SELECT station, day, wind FROM days ORDER BY wind DESC")
    print(f"windiest: {station} on {day}, {wind:.0f} miles an hour")
    database.close()


if __name__ == "__main__":
    main()
