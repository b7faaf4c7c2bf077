"""Demo: a pipeline over real data, a year of flights from New York, one record at a time.

Start reading in `rapidz.demo.pipeline`.
"""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TextIO

from rapidz.demo.data import Flights, read_airlines, read_weather
from rapidz.demo.pipeline import build
from rapidz.demo.progress import Progress
from rapidz.demo.report import carrier_table, hour_table, total

EVERY = 1000  # records between two updates of the progress


def run(out: TextIO, err: TextIO | None = None, limit: int | None = None) -> None:
    """Stream the flights, write the tables to *out*, and the progress to *err* if it is given.

    *limit* is the number of flights after which to stop. Raises `MissingDataError` if the
    flights are not installed.
    """
    with closing(Flights()) as flights:
        pipeline = build()
        pipeline.airlines.emit(read_airlines())
        pipeline.weather.emit(read_weather())
        progress = Progress(err, lambda count: flights.fraction(count, limit), every=EVERY)
        pipeline.records.slice(EVERY - 1, step=EVERY).sink(progress.advance)
        with pipeline.records as records:
            records.emit_many(islice(flights, limit))

    everything = total(pipeline.carriers)
    seconds = progress.finish(count := everything.departed + everything.cancelled)
    print(carrier_table(pipeline.carriers), hour_table(pipeline.hours), sep="\n", file=out)
    print(f"{count:,} flights in {seconds:.1f} s: {count / seconds:,.0f} flights/s", file=out)
