"""Regressions: defects of the old libraries on Dask and threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.parallel import functions as f
from tests.support import bounded, printed_by

from rapidz import Stream


def test_a_task_that_fails_behind_a_buffer_does_not_hang_the_producer(backend: Any) -> None:
    """Defect D38 (docs/rulings.md): results 0-2 arrive, the producer hangs at emit 7."""
    source: Any = Stream()
    seen = source.scatter(backend).map(f.fails_on_hundredths).buffer(3).gather().sink_to_list()
    failures: list[BaseException] = []

    def produce() -> None:
        for x in range(1, 12):
            try:
                source.emit(100 if x == 4 else x)
            except f.Bad as failure:
                failures.append(failure)
        try:
            source.close()
        except f.Bad as failure:
            failures.append(failure)

    bounded(produce)
    assert [failure.args for failure in failures] == [(100,)]
    refused = set(range(1, 12)) - {4} - set(seen)
    assert len(refused) <= 1, "an emit that raises a kept failure does not take its element"
    assert seen == [x for x in range(1, 12) if x != 4 and x not in refused]


def test_a_task_that_fails_without_a_buffer_fails_its_emit_alone(backend: Any) -> None:
    """Defect D39 (docs/rulings.md): keep."""
    source: Any = Stream()
    seen = source.scatter(backend).map(f.fails_on_hundredths).gather().sink_to_list()
    source.emit(1)
    with pytest.raises(f.Bad):
        source.emit(100)
    source.emit(2)
    source.close()
    assert seen == [1, 2]


def test_accumulate_keeps_its_last_good_state_when_a_task_fails(backend: Any) -> None:
    """Defect D40: every later result fails too, as the state is a failed future."""
    source: Any = Stream()
    totals = source.scatter(backend).accumulate(f.add_unless_third, start=0)
    seen = totals.on_error("skip").buffer(10).gather().sink_to_list()
    source.emit_many([1, 2, 3, 4])
    source.close()
    assert seen == [1, 3, 7]


def test_order_is_kept_through_a_buffer_and_join_waits_for_all(backend: Any) -> None:
    """Defect D41: 34 of 40 are there after the last emit, and there is no way to wait."""
    source: Any = Stream()
    seen = source.scatter(backend).map(f.slow_if_even).buffer(8).gather().sink_to_list()
    source.emit_many(range(40))
    source.join()
    assert seen == list(range(40))
    source.close()


def test_filter_pluck_zip_latest_and_unique_work_on_scattered_streams(backend: Any) -> None:
    """Defect D42: TypeError ('Future' ...); `unique` passes duplicates of equal values."""
    source: Any = Stream()
    scattered = source.scatter(backend)
    pairs = scattered.map(f.twice)
    results = [
        scattered.filter(f.even).gather().sink_to_list(),
        pairs.pluck(1).gather().sink_to_list(),
        scattered.unique().gather().sink_to_list(),
        scattered.zip_latest(scattered.map(f.inc)).gather().sink_to_list(),
    ]
    for x in [2, 3, 2]:
        source.emit(x)
    source.close()
    assert results[:3] == [[2, 2], [2, 3, 2], [2, 3]]
    assert [x for x, _ in results[3]] == [2, 3, 2]


def test_closing_an_unrelated_client_leaves_plain_pipelines_alone(client: Any) -> None:
    """Defect D43: a `buffer` made while the client existed hangs, as its loop was borrowed."""
    other = type(client)(client.cluster, set_as_default=False)
    source: Any = Stream(asynchronous=False)
    seen = source.buffer(3).sink_to_list()
    scattered: Any = Stream()
    results = scattered.scatter(client=client).map(f.inc).gather().sink_to_list()
    source.emit(1)
    scattered.emit(1)
    other.close()

    def go_on() -> None:
        source.emit(2)
        scattered.emit(2)
        source.close()
        scattered.close()

    bounded(go_on)
    assert seen == [1, 2]
    assert results == [2, 3]


def test_a_stream_whose_loop_is_older_than_the_client_can_be_scattered() -> None:
    """Defect D44 (docs/rulings.md): nothing arrives, and there is no error."""
    pytest.importorskip("distributed")
    lines = printed_by(
        """
if __name__ == "__main__":
    import warnings
    from rapidz import Stream
    source = Stream(asynchronous=False)
    seen = source.buffer(2).sink_to_list()
    source.emit(0)
    from distributed import Client
    with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
        results = source.scatter().map(abs).gather().sink_to_list()
        source.emit(-1)
        source.close()
        print(seen, results)
"""
    )
    assert lines == ["[0, -1] [1]"]


def test_the_form_in_the_documentation_delivers_without_a_loop() -> None:
    """Defect D45 (docs/rulings.md): silently delivers nothing."""
    source: Any = Stream()
    seen: list[int] = []
    source.scatter(backend="thread").map(f.inc).gather().sink(seen.append)
    source.emit(1)
    assert seen == [2]
    source.close()


def test_the_form_in_the_documentation_reports_errors() -> None:
    """Defect D45 (docs/rulings.md): silently delivers nothing, errors included."""
    source: Any = Stream()
    source.scatter(backend="thread").map(f.raises).gather().sink(print)
    with pytest.raises(f.Bad):
        source.emit(1)
    source.close()


def test_a_scattered_stream_takes_elements_from_another_thread() -> None:
    """Defect D45 (docs/rulings.md): RuntimeError."""
    source: Any = Stream()
    seen = source.scatter(backend="thread").map(f.inc).gather().sink_to_list()
    bounded(lambda: source.emit(1))
    source.emit(2)
    source.close()
    assert seen == [2, 3]


def halved(x: Any) -> Any:
    return x / 2


def long(x: Any) -> bool:
    return len(x) > 2


def test_arrays_can_be_elements(backend: Any) -> None:
    """Defect D46 (docs/rulings.md): the node dies, as the truth of an array is asked for."""
    source: Any = Stream()
    scattered = source.scatter(backend).filter(long).map(halved)
    seen = scattered.zip(scattered, 1).pluck(0).buffer(4).gather().sink_to_list()
    source.emit_many([np.arange(3), np.arange(2), np.arange(4)])
    source.close()
    assert [x.tolist() for x in seen] == [[0, 0.5, 1], [0, 0.5, 1, 1.5]]


def test_zip_takes_literals_on_scattered_streams(backend: Any) -> None:
    """Defect D47 (docs/rulings.md): BadYieldError, silent."""
    source: Any = Stream()
    seen = source.scatter(backend).zip("x", None).buffer(2).gather().sink_to_list()
    source.emit_many([1, 2])
    source.close()
    assert seen == [(1, "x", None), (2, "x", None)]


def test_pluck_takes_a_string_as_one_key(backend: Any) -> None:
    """Defect D48 (docs/rulings.md): it is taken for a list of keys."""
    source: Any = Stream()
    seen = source.scatter(backend).pluck("name").gather().sink_to_list()
    source.emit({"name": "a", "n": 1})
    source.close()
    assert seen == ["a"]


def test_threads_need_no_dask() -> None:
    """Defect D48 (docs/rulings.md): ModuleNotFoundError."""
    lines = printed_by(
        """
import sys
for name in ("dask", "distributed", "cloudpickle"):
    sys.modules[name] = None
from rapidz import Stream
import rapidz.clients
source = Stream()
seen = source.scatter(backend="thread").map(abs).gather().sink_to_list()
source.emit(-1)
print(seen)
try:
    source.scatter()
except RuntimeError as error:
    print(error)
source.close()
"""
    )
    assert lines[0] == "[1]"
    assert "needs Dask" in lines[1]


def test_a_scattered_stream_names_its_backend_as_it_was_given() -> None:
    """Defect D48 (docs/rulings.md): the colour key is "threads", the backend "thread"."""
    source: Any = Stream()
    assert source.scatter(backend="thread").map(f.inc).backend == "thread"
    source.close()
