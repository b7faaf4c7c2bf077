"""A year of flights from New York, one frame a day: delays by hour of the day and by week.

Pass a file name to draw the figure of the page on streaming frames::

    python examples/flights_by_the_hour.py docs/figures/flights-by-the-hour.svg

Output::

    UA: 5 minutes late at 8, 23 at 19
    B6: 3 minutes late at 8, 25 at 19
    EV: 8 minutes late at 8, 36 at 19
    DL: 1 minutes late at 8, 19 at 19
    AA: 2 minutes late at 8, 21 at 19
    worst seven days: those up to 1 July, with 41 minutes
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from rapidz import Stream
from rapidz.demo.data import folder

COLUMNS = ["year", "month", "day", "hour", "carrier", "dep_delay"]
LARGEST = {"UA": "#0072b2", "B6": "#d55e00", "EV": "#009e73", "DL": "#cc79a7", "AA": "#b8860b"}
"""Carriers with the most flights, and their colours."""


def read_flights() -> pd.DataFrame:
    """Return all flights, indexed by the scheduled hour of departure."""
    table = pd.read_csv(folder() / "flights.csv.zip", usecols=COLUMNS)
    hours = pd.to_datetime(table[["year", "month", "day", "hour"]])
    return table[["hour", "carrier", "dep_delay"]].set_index(pd.DatetimeIndex(hours))


def by_day(flights: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield one frame for each day, as a source would."""
    for _, rows in flights.groupby(pd.DatetimeIndex(flights.index).date):
        yield rows


def main(picture: Path | None = None) -> None:
    flights = read_flights()
    source = Stream[pd.DataFrame]()
    sdf = source.to_dataframe(example=flights.iloc[:0])

    # Aggregates of all flights so far, and of those of the last seven days.
    delays = sdf.groupby(["hour", "carrier"]).dep_delay.agg(["mean", "count"]).stream.sink_to_list()
    week = sdf.window(value="7D").dep_delay.mean().stream.sink_to_list()

    days = list(by_day(flights))
    source.emit_many(days)

    for carrier in LARGEST:
        means = delays[-1]["mean"].xs(carrier, level="carrier")
        print(f"{carrier}: {means[8]:.0f} minutes late at 8, {means[19]:.0f} at 19")
    worst = max(range(6, len(week)), key=week.__getitem__)
    until = days[worst].index[0]
    print(f"worst seven days: those up to {until:%-d %B}, with {week[worst]:.0f} minutes")
    if picture is not None:
        picture.write_text(draw(delays[-1]), "utf-8")


# --- the figure ---------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 48, 40, 48, 48
FIRST, LAST = 6, 21  # the hours between which most flights leave
LEAST, MOST = -5, 40  # minutes
FEWEST = 100  # the minimum number of flights of a mean


def draw(delays: pd.DataFrame) -> str:
    """Return the mean delay by hour as SVG, the largest carriers in colour."""
    hours = delays.index.get_level_values("hour")
    shown = (delays["count"] >= FEWEST) & (hours >= FIRST) & (hours <= LAST)
    known = delays.loc[shown, "mean"]
    lines = {str(name): means.droplevel("carrier") for name, means in known.groupby("carrier")}
    grey = [line(means, "#ccc", 1) for name, means in lines.items() if name not in LARGEST]
    colour = [line(lines[name], colour, 2.5) for name, colour in LARGEST.items()]
    shapes = "\n".join([*axes(), *grey, *colour, *labels(lines)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13" fill="#444">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{shapes}\n</svg>\n'
    )


def x_of(hour: float) -> float:
    return LEFT + (hour - FIRST) / (LAST - FIRST) * (WIDTH - LEFT - RIGHT)


def y_of(minutes: float) -> float:
    return HEIGHT - BOTTOM - (minutes - LEAST) / (MOST - LEAST) * (HEIGHT - TOP - BOTTOM)


def line(means: pd.Series[float], colour: str, width: float) -> str:
    places = zip(means.index, means, strict=True)
    points = " ".join(f"{x_of(hour):.1f},{y_of(mean):.1f}" for hour, mean in places)
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" '
        'stroke-linejoin="round"/>'
    )


def text(x: float, y: float, words: str, options: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {options}>{words}</text>'


def axes() -> Iterator[str]:
    bold = 'font-size="15" font-weight="bold" fill="#222"'
    yield text(LEFT, 26, "Minutes that flights from New York left late in 2013", bold)
    for minutes in range(0, MOST + 1, 10):
        y = y_of(minutes)
        yield f'<path d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>'
        yield text(LEFT - 8, y + 4, str(minutes), 'text-anchor="end"')
    for hour in range(FIRST, LAST + 1, 3):
        yield text(x_of(hour), HEIGHT - BOTTOM + 20, f"{hour}:00", 'text-anchor="middle"')
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield text(middle, HEIGHT - 8, "hour that they were to leave in", 'text-anchor="middle"')


def labels(lines: Mapping[str, pd.Series[float]]) -> Iterator[str]:
    """Yield the names of the largest carriers at the ends of their lines, without overlap."""
    ends = sorted((y_of(lines[name].iloc[-1]), name) for name in LARGEST)
    lowest = 0.0
    for y, name in ends:
        lowest = max(y, lowest + 15)
        x = x_of(float(lines[name].index[-1])) + 6
        yield text(x, lowest + 4, name, f'font-weight="bold" style="fill:{LARGEST[name]}"')


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
