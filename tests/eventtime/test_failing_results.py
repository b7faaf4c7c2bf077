"""What fails when results leave by the watermark."""

from __future__ import annotations

from typing import Any

import pytest

from rapidz import Count, Stream


def refuse_one(seen: list[Any]) -> Any:
    def write(result: Any) -> None:
        if result.key == 1:
            raise OSError("disk full")
        seen.append(result.key)

    return write


@pytest.mark.parametrize("bulk", [False, True])
def test_the_next_emit_raises_what_a_result_failed_with(bulk: bool) -> None:
    source, seen = Stream[Any](), list[Any]()
    node = source.event_time(0).key_by(1).tumbling(10).aggregate(n=Count())
    node.sink(refuse_one(seen))
    for key in range(3):
        source.emit((1, key))
    source.emit((20, 0))
    assert seen == [0, 2]  # all results are tried
    with pytest.raises(OSError, match="disk full"):
        source.emit_many([(21, 0), (22, 0)]) if bulk else source.emit((21, 0))
    source.emit_many([(23, 0), (24, 0)])
    source.close()
    assert seen == [0, 2, 0]
    assert node.open_count == 0


def test_the_element_after_the_failure_is_refused_and_none_is_lost() -> None:
    source, seen = Stream[Any](), list[Any]()
    node = source.event_time(0).key_by(1).tumbling(10).aggregate(n=Count())
    node.sink(refuse_one(seen))
    elements = iter([(1, 1), (20, 0), (21, 0), (22, 0)])
    with pytest.raises(OSError, match="disk full"):
        source.emit_many(elements)
    assert list(elements) == [(22, 0)]
    source.close()
    assert seen == [0]


def test_a_policy_takes_the_failure_of_a_result() -> None:
    source, seen = Stream[Any](), list[Any]()
    node = source.event_time(0).key_by(1).tumbling(10).aggregate(n=Count())
    sink = node.sink(refuse_one(seen))
    failures = sink.errors.sink_to_list()
    source.emit_many([(1, 1), (1, 2), (20, 0)])
    source.close()
    assert seen == [2, 0]
    assert [failure.element.key for failure in failures] == [1]
