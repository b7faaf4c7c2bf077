"""Event time on streaming frames: windows whose rows are final, late rows, watermarks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapidz import Collect, Count, Distinct, First, Last, Max, Mean, Min, Quantile, Std, Stream, Sum
from rapidz.dataframe import DataFrame, Series

DAY = pd.Timestamp("2030-05-01")


def rows(*triples: tuple[float, str, float]) -> pd.DataFrame:
    """Rows at some minutes of a day: with a key, and a value."""
    minutes, keys, values = zip(*triples, strict=True)
    times = [DAY + pd.Timedelta(minutes=minute) for minute in minutes]
    return pd.DataFrame({"ts": times, "k": list(keys), "x": list(values)})


EXAMPLE = rows((0, "a", 0.0)).iloc[:0]


def timed(lag: Any = 0, **options: Any) -> tuple[Any, Any]:
    """A streaming frame, and the same with event time."""
    sdf = DataFrame(example=EXAMPLE)
    return sdf, sdf.event_time("ts", lag=lag, **options)


def total(result: Any) -> list[tuple[Any, ...]]:
    """The rows of a result, labels in minutes of the day."""
    frame = result.reset_index()
    return [
        tuple(
            (cell - DAY) / pd.Timedelta(minutes=1) if isinstance(cell, pd.Timestamp) else cell
            for cell in row
        )
        for row in frame.itertuples(index=False)
    ]


def cut(frame: pd.DataFrame, places: list[int]) -> list[pd.DataFrame]:
    borders = [0, *sorted(place % (len(frame) + 1) for place in places), len(frame)]
    return [frame.iloc[i:j] for i, j in pairwise(borders)]


def random_rows(seed: int, size: int = 40) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    minutes = random.integers(0, 60 * 8, size)
    keys, values = random.choice(list("abc"), size), random.integers(0, 9, size) / 2
    return rows(*zip(minutes, keys, values, strict=True))


HOURS = pd.Grouper(freq="1h", key="ts")
BY_HOUR = [HOURS, "k"]
#: The same expression for a frame with event time, and for one of pandas.
SAME: list[Any] = [
    lambda f: f.resample("1h", on="ts")["x"].mean(),
    lambda f: f.resample("30min", on="ts").size(),
    lambda f: f.resample("D", on="ts")["x"].agg(["min", "max"]),
    lambda f: f.resample("1h", on="ts").x.quantile([0.1, 0.9]),
    lambda f: f.groupby(BY_HOUR).agg({"x": ["sum", "first"]}),
    lambda f: f.groupby(["k", HOURS]).x.std(),
    lambda f: f.groupby(HOURS).x.median(),
    lambda f: f.groupby(BY_HOUR)[["x"]].max(),
    lambda f: f.groupby(BY_HOUR).agg(n=("x", "nunique"), own=("x", lambda x: x.max() - x.min())),
    lambda f: f.groupby([pd.Grouper(freq="2h", key="ts"), "k"]).size(),
]


@pytest.mark.parametrize("number", range(len(SAME)))
@settings(max_examples=6)
@given(seed=st.integers(0, 1000), places=st.lists(st.integers(0, 40), max_size=4))
def test_what_pandas_users_write_equals_pandas(number: int, seed: int, places: list[int]) -> None:
    frame = random_rows(seed)
    sdf, with_time = timed(lag="8h")
    seen = SAME[number](with_time).stream.sink_to_list()
    for batch in cut(frame, places):
        sdf.emit(batch)
    sdf.stream.close()
    want = SAME[number](frame.sort_values("ts", kind="stable"))
    same(pd.concat(seen).sort_index() if "k" in want.index.names else pd.concat(seen), want)


def same(got: Any, want: Any) -> None:
    compare: Any = pd.testing.assert_frame_equal
    if isinstance(want, pd.Series):
        compare = pd.testing.assert_series_equal
    compare(got, want, check_freq=False)


def test_resample_needs_no_name_of_the_column_of_event_time() -> None:
    sdf, with_time = timed(lag="8h")
    seen = with_time.resample("1h").sum().stream.sink_to_list()
    frame = random_rows(3)
    sdf.emit(frame)
    sdf.stream.close()
    same(pd.concat(seen), frame.resample("1h", on="ts").sum(numeric_only=True))


def test_a_window_is_emitted_once_when_the_watermark_passes() -> None:
    sdf, with_time = timed(lag="10 min")
    seen = with_time.tumbling("1h").groupby("k").x.sum().stream.sink_to_list()
    sdf.emit(rows((5, "b", 1.0), (62, "a", 2.0)))
    sdf.emit(rows((58, "a", 4.0), (69, "a", 8.0)))
    assert seen == []
    sdf.emit(rows((70, "a", 16.0)))
    assert [total(one) for one in seen] == [[(0, 60, "a", 4.0), (0, 60, "b", 1.0)]]
    sdf.emit(rows((300, "a", 32.0)))
    assert [total(one) for one in seen[1:]] == [[(60, 120, "a", 26.0)]]
    sdf.stream.close()
    assert [total(one) for one in seen[2:]] == [[(300, 360, "a", 32.0)]]


def test_rows_of_one_frame_arrive_together() -> None:
    sdf, with_time = timed()
    sums = with_time.tumbling("1h").x.sum()
    seen = sums.stream.sink_to_list()
    sdf.emit(rows((500, "a", 1.0), (5, "a", 2.0)))
    assert [total(one) for one in seen] == [[(0, 60, 2.0)]]
    assert sums.late_count == 0
    sdf.stream.close()


def test_late_rows_are_a_stream_of_frames_and_counted() -> None:
    sdf, with_time = timed()
    sums = with_time.tumbling("1h").groupby("k").x.sum()
    late = sums.late.stream.sink_to_list()
    seen = sums.stream.sink_to_list()
    sdf.emit(rows((0, "a", 1.0), (130, "a", 2.0)))
    batch = rows((59, "a", 4.0), (120, "b", 8.0), (119, "b", 16.0))
    sdf.emit(batch)
    assert [frame.to_dict("list") for frame in late] == [batch.iloc[[0, 2]].to_dict("list")]
    assert sums.late_count == 2
    sdf.stream.close()
    assert [total(one) for one in seen] == [
        [(0, 60, "a", 1.0)],
        [(120, 180, "a", 2.0), (120, 180, "b", 8.0)],
    ]
    assert list(sums.late.columns) == ["ts", "k", "x"]


def test_late_rows_are_warned_of_once_if_there_is_no_sink() -> None:
    sdf, with_time = timed()
    sums = with_time.tumbling("1h").x.sum()
    seen = sums.stream.sink_to_list()
    sdf.emit(rows((130, "a", 1.0)))
    with pytest.warns(RuntimeWarning, match=r"tumbling.* 2 rows are late .* `\.late`"):
        sdf.emit(rows((1, "a", 2.0), (2, "a", 2.0)))
    sdf.emit(rows((1, "a", 2.0)))
    assert sums.late_count == 3
    assert seen == []
    sdf.stream.close()


def test_rows_without_a_timestamp_are_late() -> None:
    sdf, with_time = timed()
    sums = with_time.tumbling("1h").x.sum()
    late = sums.late.stream.map(len).sink_to_list()
    seen = sums.stream.sink_to_list()
    batch = rows((0, "a", 1.0), (1, "a", 2.0))
    batch.loc[0, "ts"] = pd.NaT
    sdf.emit(batch)
    sdf.emit(batch.iloc[:1])
    sdf.stream.close()
    assert late == [1, 1]
    assert [total(one) for one in seen] == [[(0, 60, 2.0)]]


def test_a_flush_emits_early_rows_and_leaves_windows_open() -> None:
    sdf, with_time = timed()
    sums = with_time.tumbling("1h").groupby("k").x.sum()
    early, final = sums.early.stream.sink_to_list(), sums.stream.sink_to_list()
    sdf.emit(rows((5, "a", 1.0)))
    sdf.stream.flush()
    sdf.emit(rows((6, "a", 2.0)))
    sdf.stream.flush()
    assert final == []
    assert [total(one) for one in early] == [[(0, 60, "a", 1.0)], [(0, 60, "a", 3.0)]]
    sdf.stream.close()
    assert [total(one) for one in final] == [[(0, 60, "a", 3.0)]]
    assert len(early) == 2


def test_aggregators_are_those_of_streams() -> None:
    sdf, with_time = timed()
    result = with_time.tumbling("1h").aggregate(
        n=Count(), some=Count("x"), sum=Sum("x"), mean=Mean("x"), low=Min("x"), high=Max("x"),
        first=First("x"), last=Last("x"), std=Std("x"), wide=Std("x", ddof=0),
        middle=Quantile(0.5, "x"), q=Quantile(0.25, "x"), every=Collect("x"), keys=Distinct("k"),
        names=Distinct("k", values=True), pair=("k", "max"),
    )  # fmt: skip
    seen = result.stream.sink_to_list()
    sdf.emit(rows((9, "a", 1.0), (3, "b", 3.0), (5, "b", float("nan")), (7, "b", 5.0)))
    sdf.stream.close()
    (row,) = seen[0].to_dict("records")
    assert row["every"][:1] == [3.0]
    assert np.isnan(row.pop("every")[1])
    assert row.pop("wide") == pytest.approx(np.std([1.0, 3.0, 5.0]))
    assert row == {
        "n": 4, "some": 3, "sum": 9.0, "mean": 3.0, "low": 1.0, "high": 5.0, "first": 3.0,
        "last": 1.0, "std": 2.0, "middle": 3.0, "q": 2.0, "keys": 2, "names": {"a", "b"},
        "pair": "b",
    }  # fmt: skip


def test_keys_may_come_before_windows() -> None:
    sdf, with_time = timed()
    groups = with_time.groupby("k").x
    kinds = [groups.tumbling("1h"), groups.sliding("1h", "30min"), groups.session("10min")]
    seen = [kind.sum().stream.sink_to_list() for kind in kinds]
    sdf.emit(rows((40, "a", 1.0), (45, "b", 2.0)))
    sdf.stream.close()
    assert [[row for one in each for row in total(one)] for each in seen] == [
        [(0, 60, "a", 1.0), (0, 60, "b", 2.0)],
        [(0, 60, "a", 1.0), (0, 60, "b", 2.0), (30, 90, "a", 1.0), (30, 90, "b", 2.0)],
        [(40, 50, "a", 1.0), (45, 55, "b", 2.0)],
    ]


def test_a_series_is_windowed_by_its_index() -> None:
    heat = pd.Series(
        [1.0, 2.0, 4.0], index=[DAY, DAY + pd.Timedelta("30min"), DAY + pd.Timedelta("1h")]
    )
    sdf = Series(example=heat.iloc[:0])
    with_time = sdf.event_time()
    seen = with_time.tumbling("1h").aggregate(n=Count(), mean=Mean()).stream.sink_to_list()
    resampled = with_time.resample("1h").max().stream.sink_to_list()
    sdf.emit(heat)
    sdf.stream.close()
    assert [total(one) for one in seen] == [[(0, 60, 2, 1.5)], [(60, 120, 1, 4.0)]]
    pd.testing.assert_series_equal(
        pd.concat(resampled), heat.resample("1h").max(), check_freq=False
    )


def test_the_labels_of_an_index_may_be_their_own_times() -> None:
    sdf = DataFrame(example=EXAMPLE.set_index("ts"))
    seen = sdf.index.event_time().tumbling("1h").count().stream.sink_to_list()
    of_frame = sdf.event_time().index.resample("1h").count().stream.sink_to_list()
    sdf.emit(rows((0, "a", 1.0), (30, "a", 2.0), (61, "b", 2.0)).set_index("ts"))
    sdf.stream.close()
    assert [row for one in seen for row in total(one)] == [(0, 60, 2), (60, 120, 1)]
    assert pd.concat(of_frame).tolist() == [2, 1]


def test_sliding_windows_overlap() -> None:
    sdf, with_time = timed()
    seen = with_time.sliding("1h", every="20min").x.sum().stream.sink_to_list()
    sdf.emit(rows((30, "a", 1.0), (50, "a", 2.0)))
    sdf.stream.close()
    assert [row for one in seen for row in total(one)] == [
        (-20, 40, 1.0), (0, 60, 3.0), (20, 80, 3.0), (40, 100, 2.0),
    ]  # fmt: skip


def test_sessions_are_by_key() -> None:
    sdf, with_time = timed(lag="5 min")
    seen = with_time.session("15min").groupby("k").x.sum().stream.sink_to_list()
    sdf.emit(rows((0, "a", 1.0), (20, "a", 2.0), (5, "b", 4.0)))
    sdf.emit(rows((16, "b", 8.0), (60, "b", 16.0)))
    sdf.stream.close()
    assert [row for one in seen for row in total(one)] == [
        (0, 15, "a", 1.0), (5, 31, "b", 12.0), (20, 35, "a", 2.0), (60, 75, "b", 16.0),
    ]  # fmt: skip


def test_windows_of_results_of_windows_are_right_at_their_common_end() -> None:
    sdf, with_time = timed()
    hourly = with_time.tumbling("1h").groupby("k").sum()
    sums = hourly.tumbling("1D").x.sum()
    by_day = with_time.resample("1h").x.sum().resample("D").max()
    seen, largest = sums.stream.sink_to_list(), by_day.stream.sink_to_list()
    for hour in range(50):
        sdf.emit(rows((hour * 60, "a", 1.0), (hour * 60 + 1, "b", 1.0)))
    assert [total(one) for one in seen] == [[(0, 1440, 48.0)], [(1440, 2880, 48.0)]]
    sdf.stream.close()
    assert sums.late_count == by_day.late_count == 0
    assert [total(one) for one in seen[2:]] == [[(2880, 4320, 4.0)]]
    assert [total(one) for one in largest] == [[(0, 2.0)], [(1440, 2.0)], [(2880, 2.0)]]


def test_rowwise_work_lies_between_event_time_and_windows() -> None:
    sdf, with_time = timed()
    chosen = with_time[with_time.x > 1].assign(y=with_time.x * 2)
    seen = chosen.resample("1h").y.sum().stream.sink_to_list()
    sdf.emit(rows((0, "a", 1.0), (1, "a", 2.0), (2, "a", 3.0), (61, "a", 0.0)))
    sdf.emit(rows((200, "a", 0.0)))
    assert [total(one) for one in seen] == [[(0, 10.0)]]
    sdf.emit(rows((210, "a", 5.0)))
    sdf.stream.close()
    assert [total(one) for one in seen[1:]] == [[(60, 0.0), (120, 0.0), (180, 10.0)]]


def test_keys_may_be_streaming_series() -> None:
    sdf, with_time = timed()
    seen = (
        with_time.tumbling("1h")
        .groupby((with_time.x > 1).rename("large"))
        .x.count()
        .stream.sink_to_list()
    )
    sdf.emit(rows((0, "a", 1.0), (1, "a", 2.0), (2, "a", 3.0)))
    sdf.emit(rows((61, "a", 1.0)))
    assert [total(one) for one in seen] == [[(0, 60, False, 1), (0, 60, True, 2)]]
    sdf.stream.close()


def test_results_are_a_streaming_frame_of_known_columns() -> None:
    sdf, with_time = timed()
    hourly = with_time.tumbling("1h").groupby("k").agg(n=("x", "count"), mean=("x", "mean"))
    assert isinstance(hourly, DataFrame)
    assert hourly.dtypes.astype(str).to_dict() == {"n": "int64", "mean": "float64"}
    assert hourly.example.index.names == ["start", "end", "k"]
    seen = (hourly.n * 2).stream.sink_to_list()
    everything = hourly.n.sum().stream.sink_to_list()
    for hour in range(3):
        sdf.emit(rows((hour * 60, "a", 1.0), (hour * 60, "b", 1.0)))
    sdf.stream.close()
    assert [one.tolist() for one in seen] == [[2, 2]] * 3
    assert everything == [2, 4, 6]


def test_numbers_are_timestamps_of_a_unit() -> None:
    frame = pd.DataFrame({"at": [0, 900, 2500], "x": [1, 2, 4]})
    sdf = DataFrame(example=frame)
    seen = sdf.event_time("at", unit="ms").tumbling("1s").sum().stream.sink_to_list()
    sdf.emit(frame)
    sdf.stream.close()
    assert [one.reset_index().to_dict("list") for one in seen] == [
        {"start": [0], "end": [1000], "x": [3]},
        {"start": [2000], "end": [3000], "x": [4]},
    ]


def test_times_with_a_zone_keep_it() -> None:
    frame = rows((30, "a", 1.0), (90, "a", 2.0))
    frame["ts"] = frame["ts"].dt.tz_localize("Asia/Kolkata")
    sdf = DataFrame(example=frame.iloc[:0])
    seen = sdf.event_time("ts").resample("1h").x.sum().stream.sink_to_list()
    sdf.emit(frame)
    sdf.stream.close()
    want = frame.resample("1h", on="ts").x.sum()
    pd.testing.assert_series_equal(pd.concat(seen), want, check_freq=False)


def test_a_frame_that_cannot_be_used_has_no_effect() -> None:
    sdf = DataFrame(example=EXAMPLE)
    with_time = sdf.event_time("ts")
    seen = with_time.tumbling("1h").groupby("k").x.sum().stream.sink_to_list()
    sdf.emit(rows((0, "a", 1.0)))
    bad = rows((500, "a", 1.0))
    bad["x"] = "text"
    with pytest.raises(TypeError):
        sdf.emit(bad)
    sdf.emit(rows((1, "a", 2.0)))
    sdf.stream.close()
    assert [total(one) for one in seen] == [[(0, 60, "a", 3.0)]]


def test_columns_called_as_streams_on_the_side_are_found() -> None:
    frame = pd.DataFrame({"ts": [DAY], "late": [1.0], "early": [2.0], "late_count": [3.0]})
    sdf = DataFrame(example=frame)
    assert sdf.late.name == "late"
    assert sdf.early.name == "early"
    assert sdf.late_count.name == "late_count"
    with pytest.raises(AttributeError):
        _ = DataFrame(example=EXAMPLE).late
    with pytest.raises(AttributeError):
        _ = Series(example=pd.Series([1.0])).early


def test_rows_too_far_in_the_future_are_late_and_move_nothing() -> None:
    now = pd.Timestamp.now("UTC").tz_localize(None)
    frame = pd.DataFrame({"ts": [now, now + pd.Timedelta("3h")], "x": [1.0, 2.0]})
    sdf = DataFrame(example=frame.iloc[:0])
    with_time = sdf.event_time("ts", ahead="1h")
    late, passed = with_time.late.stream.sink_to_list(), with_time.stream.sink_to_list()
    sdf.emit(frame)
    assert [one.x.tolist() for one in late] == [[2.0]]
    assert [one.x.tolist() for one in passed] == [[1.0]]
    assert with_time.late_count == 1
    assert with_time.stream.watermark == now


def test_two_sources_wait_for_each_other() -> None:
    sources = [Stream(), Stream()]
    frames = [source.to_dataframe(EXAMPLE).event_time("ts") for source in sources]
    both = frames[0].stream.union(frames[1].stream).to_dataframe(EXAMPLE)
    sums = both.tumbling("1h").x.sum()
    seen = sums.stream.sink_to_list()
    sources[0].emit(rows((0, "a", 1.0), (200, "a", 2.0)))
    assert seen == []
    sources[1].emit(rows((10, "a", 4.0), (70, "a", 8.0)))
    assert [total(one) for one in seen] == [[(0, 60, 5.0)]]
    sources[1].close()
    assert [total(one) for one in seen[1:]] == [[(60, 120, 8.0)]]


def test_the_watermark_passes_a_buffer_behind_the_rows() -> None:
    source: Stream[Any] = Stream()
    with_time = source.to_dataframe(EXAMPLE).event_time("ts")
    buffered = with_time.stream.buffer(10).to_dataframe(EXAMPLE)
    seen = buffered.tumbling("1h").x.sum().stream.sink_to_list()
    source.emit(rows((0, "a", 1.0), (70, "a", 2.0)))
    source.join()
    assert [total(one) for one in seen] == [[(0, 60, 1.0)]]
    source.close()


def test_frames_of_polars_have_the_columns_of_their_windows() -> None:
    polars = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    frame = polars.DataFrame(EXAMPLE.assign(k=EXAMPLE.k.astype("str")))
    source: Stream[Any] = Stream()
    with_time = source.to_dataframe(frame).event_time("ts")
    counts = with_time.tumbling("1h").groupby("k").agg(n=("x", "count"))
    seen, late = counts.stream.sink_to_list(), counts.late.stream.sink_to_list()
    source.emit(polars.DataFrame(rows((0, "a", 1.0), (61, "b", 2.0))))
    source.emit(polars.DataFrame(rows((5, "a", 1.0))))
    source.close()
    assert [one.columns for one in seen] == [["start", "end", "k", "n"]] * 2
    assert [one["x"].to_list() for one in late] == [[1.0]]


def test_what_keeps_a_window_open_is_said_in_words() -> None:
    sdf, with_time = timed(lag="10 min")
    sums = with_time.tumbling("1h").x.sum()
    seen = sums.stream.sink_to_list()
    sdf.emit(rows((5, "a", 1.0), (62, "a", 2.0)))
    assert sums.stream.why_open() == (
        "the window from 2030-05-01 00:00:00 to 2030-05-01 01:00:00 closes when the watermark is "
        "2030-05-01 01:00:00; the watermark is 2030-05-01 00:52:00: <event_time: 'ts'> has "
        "2030-05-01 01:02:00 as its newest timestamp, and a lag of 0 days 00:10:00"
    )
    assert sums.stream.why_open((DAY, DAY + pd.Timedelta("1h"))) == sums.stream.why_open()
    assert repr(sums.stream) == "<tumbling: 2 open>"
    assert seen == []
    sdf.stream.close()


# --- what is refused ---------------------------------------------------------------------


def test_windows_need_event_time() -> None:
    sdf = DataFrame(example=EXAMPLE)
    for build in (
        lambda: sdf.tumbling("1h"),
        lambda: sdf.resample("1h", on="ts"),
        lambda: sdf.groupby(pd.Grouper(freq="1h", key="ts")),
    ):
        with pytest.raises(ValueError, match=r"needs .*event_time.* upstream"):
            build()


def test_arguments_are_checked_when_the_pipeline_is_built() -> None:
    sdf, with_time = timed()
    windows = with_time.tumbling("1h")
    text = DataFrame(example=rows((0, "a", 0.0)))
    cases: list[tuple[Any, str]] = [
        (lambda: sdf.event_time("when"), "rows must have their time in 'when'"),
        (lambda: text.event_time("k"), "timestamps must be datetimes or numbers"),
        (lambda: sdf.event_time("ts", unit="h"), "unit must be one of"),
        (lambda: sdf.event_time("ts", lag=-1), "lag must be"),
        (lambda: with_time.tumbling(0), "size must be"),
        (lambda: with_time.sliding("1h", "2h"), "every must be at most size"),
        (lambda: with_time.session("-1s"), "gap must be"),
        (lambda: with_time[["x"]].tumbling("1h"), "rows must have their time in 'ts'"),
        (lambda: with_time.tumbling("1h", on="when"), "rows must have their time in 'when'"),
        (lambda: windows.sum(start=1), "start and with_state must be left out"),
        (lambda: windows.groupby("k", observed=False), "observed must be True"),
        (lambda: windows.groupby("k").groupby("k"), "groupby must be called once"),
        (lambda: windows["no"], "no"),
        (lambda: windows.agg(n=Mean("no")), "n must name a column of"),
        (lambda: windows.agg(n=Quantile([0.1], "x")), "n must be one of Count"),
        (lambda: windows.agg("total"), "how must be one of"),
        (lambda: windows.x.quantile([2]), "q must be shares between 0 and 1"),
        (lambda: with_time.resample("7h"), "origin must be"),
    ]
    for build, message in cases:
        with pytest.raises((ValueError, TypeError, KeyError, AttributeError), match=message):
            build()
    with pytest.raises(AttributeError, match=r"groupby\(\[pd.Grouper"):
        with_time.groupby("k").resample("1h")


def test_scattered_frames_have_no_event_time() -> None:
    source: Stream[Any] = Stream()
    scattered = source.scatter("thread").to_dataframe(EXAMPLE)
    with pytest.raises(ValueError, match="event_time: must be called before scatter"):
        scattered.event_time("ts")
    source.close()


def test_times_must_stay_of_one_kind() -> None:
    frame = pd.DataFrame({"ts": [DAY], "x": [1.0]})
    source: Stream[Any] = Stream()
    seen = source.to_dataframe().event_time("ts").tumbling("1h").x.sum().stream.sink_to_list()
    source.emit(frame)
    with pytest.raises((TypeError, ValueError)):
        source.emit(frame.assign(ts=frame["ts"].dt.tz_localize("UTC")))
    source.close()
    assert [total(one) for one in seen] == [[(0, 60, 1.0)]]
