"""Demo: a pipeline over real data, a year of flights from New York, one record at a time.

Start reading in `rapidz.demo.pipeline`.  ``rapidz demo`` runs it with a progress of its own, and
``rapidz run rapidz.demo:flights`` as every other pipeline.
"""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TextIO

from rapidz import Stream
from rapidz.demo.data import FlightRecord, Flights, read_airlines, read_weather
from rapidz.demo.pipeline import FlightPipeline, build
from rapidz.demo.progress import Progress
from rapidz.demo.report import carrier_table, hour_table, total
from rapidz.runner import run as run_pipelines

EVERY = 1000  # records between two updates of the progress


def run(out: TextIO, err: TextIO | None = None, limit: int | None = None) -> None:
    """Stream the flights, write the tables to *out*, and the progress to *err* if it is given.

    *limit* is the number of flights after which to stop. Raises `MissingDataError` if the
    flights are not installed, KeyboardInterrupt after a signal.
    """
    with closing(Flights()) as flights:
        pipeline = _pipeline_of(flights, limit)
        progress = Progress(err, lambda count: flights.fraction(count, limit), every=EVERY)
        pipeline.records.slice(EVERY - 1, step=EVERY).sink(progress.advance)
        if run_pipelines(pipeline.records) == "signal":
            raise KeyboardInterrupt

    everything = total(pipeline.carriers)
    seconds = progress.finish(count := everything.departed + everything.cancelled)
    print(carrier_table(pipeline.carriers), hour_table(pipeline.hours), sep="\n", file=out)
    print(f"{count:,} flights in {seconds:.1f} s: {count / seconds:,.0f} flights/s", file=out)


def flights() -> Stream[FlightRecord]:
    """Return the source of a pipeline that prints the tables when the flights have ended."""
    pipeline = _pipeline_of(Flights())
    pipeline.named.collect().sink(lambda rows: print(carrier_table(list(rows))))
    pipeline.observed.collect().sink(lambda rows: print(hour_table(list(rows))))
    return pipeline.records


def _pipeline_of(records: Flights, limit: int | None = None) -> FlightPipeline:
    """Return a pipeline over *records*, at most *limit* of them, with its reference tables."""
    source = Stream.from_iterable(islice(records, limit), stream_name="records")
    pipeline = build(source)
    pipeline.airlines.emit(read_airlines())
    pipeline.weather.emit(read_weather())
    return pipeline
