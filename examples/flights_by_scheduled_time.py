"""Flights from New York, reported as they leave: delays by the hour that they were to leave in.

A report arrives at the actual time of departure, its event time is the scheduled one: a late flight
is a late row.  The watermark stays two hours behind, so that the figures of an hour are final two
hours later, without the few flights that left later still.  By the actual time nothing is late.

Output::

    hours with final figures: 589
    reported in time: 26,195 flights; later: 288, among them one 22 hours late
    left in all hours by actual time: 26,483
    worst hour: that of 13 January at 20:00, with 67 minutes in the mean
    worst day: 31 January, with 24 minutes in the mean of its hours, and 53 in the worst
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from rapidz import Count, Max, Mean, Stream
from rapidz.demo.data import folder

COLUMNS = ["year", "month", "day", "hour", "minute", "carrier", "dep_delay"]


def read_reports() -> pd.DataFrame:
    """Return the flights of January that left, in the order in which they did."""
    table = pd.read_csv(folder() / "flights.csv.zip", usecols=COLUMNS)
    table = table[(table["month"] == 1) & table["dep_delay"].notna()]
    scheduled = pd.to_datetime(table[["year", "month", "day", "hour", "minute"]])
    left = scheduled + pd.to_timedelta(table["dep_delay"], unit="min")
    reports = table[["carrier", "dep_delay"]].assign(scheduled=scheduled, left=left)
    return reports.sort_values("left", kind="stable", ignore_index=True)


def by_quarter_of_an_hour(reports: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the reports of each quarter of an hour, as a source would."""
    for _, rows in reports.groupby(reports["left"].dt.floor("15min")):
        yield rows


def main() -> None:
    reports = read_reports()
    source = Stream[pd.DataFrame]()
    flights = source.to_dataframe(example=reports.iloc[:0])

    # By the time that flights were to leave at: late flights are late rows.
    scheduled = flights.event_time("scheduled", lag="2h")
    hourly = scheduled.tumbling("1h").aggregate(n=Count(), delay=Mean("dep_delay"))
    hours = hourly.stream.sink_to_list()
    late = hourly.late.stream.sink_to_list()

    # Windows of the results of windows: the worst hour of each day.
    daily = hourly.resample("D").agg(worst=("delay", "max"), mean=("delay", "mean"))
    days = daily.stream.sink_to_list()

    # By the time that they left at: in order, so that no lag is needed.
    actual = flights.event_time("left").resample("1h").aggregate(n=Count(), most=Max("dep_delay"))
    left = actual.stream.sink_to_list()

    source.emit_many(by_quarter_of_an_hour(reports))
    source.close()

    final, missed = pd.concat(hours), pd.concat(late)
    print(f"hours with final figures: {len(final)}")
    longest = missed["dep_delay"].max() / 60
    print(
        f"reported in time: {final['n'].sum():,} flights; later: {hourly.late_count}, "
        f"among them one {longest:.0f} hours late"
    )
    print(f"left in all hours by actual time: {pd.concat(left)['n'].sum():,}")
    worst = final["delay"].idxmax()[0]
    print(
        f"worst hour: that of {worst:%-d %B at %H:%M}, "
        f"with {final['delay'].max():.0f} minutes in the mean"
    )
    by_day = pd.concat(days)
    day = by_day["mean"].idxmax()
    print(
        f"worst day: {day:%-d %B}, with {by_day['mean'].max():.0f} minutes in the mean of its "
        f"hours, and {by_day['worst'][day]:.0f} in the worst"
    )


if __name__ == "__main__":
    main()
