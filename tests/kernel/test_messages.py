"""The usual mistakes are refused by a message with operator, argument, rule, value and remedy."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from tornado import gen

from rapidz import Count, RefCounter, Source, Stream
from rapidz.dataframe import DataFrame, PeriodicDataFrame
from rapidz.testing import run


class forgetful(Stream[Any]):
    def __init__(self, upstream: Stream[Any]) -> None:
        self.up = upstream


class yielding(Stream[Any]):
    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        yield self._emit(x)


class limited(Stream[Any]):
    def __init__(self, upstream: Stream[Any], limit: int = 1, **kwargs: Any) -> None:
        self.limit = limit
        super().__init__(upstream, **kwargs)


class generated(Source[int]):
    def run(self) -> Any:
        yield 1


def written(x: Any) -> Iterator[Any]:
    yield x


MISTAKES: dict[str, tuple[Callable[[Stream[Any]], Any], type[Exception], str]] = {
    "a keyword of an operator": (
        lambda s: s.partition(2, timout=1),  # type: ignore[call-arg]
        TypeError,
        r"partition: keywords must be among n, timeout, key, stream_name, loop, asynchronous, got "
        r"timout \(did you mean timeout\?\)",
    ),
    "a keyword that is like none": (
        lambda s: s.buffer(2, frobnicate=1),  # type: ignore[call-arg]
        TypeError,
        r"buffer: keywords must be among n, stream_name, loop, asynchronous, got frobnicate$",
    ),
    "a keyword of a source": (
        lambda s: Stream.from_iterable([1], strat=True),  # type: ignore[call-arg]
        TypeError,
        r"from_iterable: keywords must be among .*, got strat \(did you mean start\?\)",
    ),
    "a keyword of a class of one's own": (
        lambda s: limited(s, limt=1),
        TypeError,
        r"limited: keywords must be among limit, .* got limt \(did you mean limit\?\)",
    ),
    "a keyword of Stream": (
        lambda s: Stream(asynchronus=True),  # type: ignore[arg-type]
        TypeError,
        r"Stream: keywords must be among .* \(did you mean asynchronous\?\)",
    ),
    "no super().__init__": (
        lambda s: forgetful(s).map(str),
        TypeError,
        r"forgetful: __init__ must call super\(\).__init__\(upstream\)",
    ),
    "an update that yields": (
        lambda s: yielding(s),
        TypeError,
        r"yielding: update must not be a generator function, .* got update: write `async def`",
    ),
    "a sink that yields": (
        lambda s: s.sink(written),
        TypeError,
        r"sink: func must not be a generator function, .* got written: write `async def`",
    ),
    "the run of a source that yields": (
        lambda s: generated(),
        TypeError,
        r"generated: run must not be a generator function, which nothing would run, got run",
    ),
    "a decorator without parentheses": (
        lambda s: Stream.register_api(limited),
        TypeError,
        r"register_api: modifier must be a function .* got the class limited: .* register_api\(\)",
    ),
    "elements that are one": (
        lambda s: s.emit_many(5),  # type: ignore[arg-type]
        TypeError,
        r"emit_many: elements must be an iterable, got 5",
    ),
    "metadata that is no list": (
        lambda s: s.emit(1, metadata={"ref": RefCounter()}),  # type: ignore[arg-type]
        TypeError,
        r"emit: metadata must be a list of dicts, got \{'ref': ",
    ),
    "a sink on a result": (
        lambda s: s.to_dataframe(pd.DataFrame({"x": [1]})).x.sum().sink(print),
        AttributeError,
        r"has no attribute 'sink': it is a method of streams, write .stream.sink\(…\)",
    ),
    "a sink on a frame": (
        lambda s: DataFrame(example=pd.DataFrame({"x": [1]})).sink_to_list(),
        AttributeError,
        r"write .stream.sink_to_list\(…\)",
    ),
    "a timer on a frame": (
        lambda s: DataFrame(example=pd.DataFrame({"x": [1]})).process(print),
        AttributeError,
        r"streams of objects, make rows: \.stream\.map\(.*\)\.flatten\(\)\.process\(…\)",
    ),
    "windows of objects on frames": (
        lambda s: (
            s.to_dataframe(pd.DataFrame({"x": [1]}))
            .event_time("x")
            .stream.tumbling(5)
            .aggregate(n=Count())
        ),
        TypeError,
        r"tumbling: elements must have one timestamp each, got frames of rows: ",
    ),
    "a sink on windows": (
        lambda s: s.event_time("at").tumbling("1 min").sink(print),  # type: ignore[attr-defined]
        AttributeError,
        r"tumbling: windows must be given .* first, got sink: write .*\.sink\(…\)",
    ),
    "an aggregate by its name in pandas": (
        lambda s: s.event_time("at").session("1 min").count(),  # type: ignore[attr-defined]
        AttributeError,
        r"session: windows have aggregate, reduce and collect, got count",
    ),
    "a sink on a batch": (
        lambda s: s.to_batch().sum().sink(print),
        AttributeError,
        r"write .stream.sink\(…\)",
    ),
    "an aggregate that there is not": (
        lambda s: s.to_dataframe(pd.DataFrame({"x": [1]})).groupby("x").agg("summ"),
        ValueError,
        r"agg: how must be one of .*, got 'summ'",
    ),
    "a function of a periodic frame": (
        lambda s: PeriodicDataFrame(lambda now: pd.DataFrame({"x": [1]}), start=False),
        TypeError,
        r"PeriodicDataFrame: keywords must be among those of datafn <lambda>\(now\), got last",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_usual_mistake_is_refused_with_what_to_write(mistake: str) -> None:
    make, kind, said = MISTAKES[mistake]
    with pytest.raises(kind, match=said):
        make(Stream())


def test_a_column_that_there_is_not_is_one_short_error() -> None:
    frame = DataFrame(example=pd.DataFrame({"x": [1]}))
    with pytest.raises(KeyError, match=r"must name columns of \['x'\], got 'y'") as caught:
        frame["y"]
    assert caught.value.__suppress_context__


def test_a_coroutine_of_tornado_is_no_generator_function() -> None:
    seen: list[Any] = []

    @gen.coroutine
    def write(x: Any) -> Iterator[Any]:
        yield gen.moment
        seen.append(x)

    async def main() -> None:
        async with Stream(asynchronous=True) as source:
            source.sink(write)
            await source.emit(1)

    run(main())
    assert seen == [1]


def test_elements_are_taken_from_what_has_items_only() -> None:
    class Items:
        def __getitem__(self, index: int) -> int:
            return [1, 2][index]

    source: Stream[int] = Stream()
    seen = source.sink_to_list()
    source.emit_many(Items())  # type: ignore[arg-type]
    assert seen == [1, 2]


def test_a_misspelled_column_is_suggested_once() -> None:
    frame: Any = DataFrame(example=pd.DataFrame({"price": [1]}))
    with pytest.raises(AttributeError) as caught:
        frame.prise
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.lower().count("did you mean") == 1
