"""An element that is acknowledged when it is done is done when its windows are."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from rapidz import Count, RefCounter, Stream


async def run(make: Any, times: list[int]) -> tuple[list[Any], list[int], list[list[int]]]:
    """Emit elements at *times*; return the results, and what is done after each element."""
    source = Stream[Any](asynchronous=True)
    done: list[int] = []
    after: list[list[int]] = []
    node = make(source.event_time(0).key_by(1)).aggregate(n=Count())
    node.late.sink(lambda late: None)
    results = node.sink_to_list()
    for t in times:
        counter = RefCounter(cb=functools.partial(done.append, t))
        await source.emit((t, "a"), metadata=[{"ref": counter}])
        await asyncio.sleep(0)
        after.append(sorted(done))
    await source.close()
    await asyncio.sleep(0)
    return results, sorted(done), after


@pytest.mark.parametrize(
    ("make", "times", "expected"),
    [
        (lambda s: s.tumbling(10), [1, 2, 12, 25], [[], [], [1, 2], [1, 2, 12]]),
        (lambda s: s.sliding(10, 5), [1, 7, 12, 25], [[], [], [1], [1, 7, 12]]),
        (lambda s: s.session(5), [1, 2, 12, 25], [[], [], [1, 2], [1, 2, 12]]),
    ],
    ids=["tumbling", "sliding", "session"],
)
async def test_elements_are_done_when_their_last_window_is(
    make: Any, times: list[int], expected: list[list[int]]
) -> None:
    results, done, after = await run(make, times)
    assert after == expected
    assert done == times
    plain = Stream[Any]()
    seen = make(plain.event_time(0).key_by(1)).aggregate(n=Count()).sink_to_list()
    plain.emit_many([(t, "a") for t in times])
    plain.close()
    assert results == seen


async def test_a_late_element_is_done_at_once() -> None:
    _, done, after = await run(lambda s: s.tumbling(10), [1, 25, 2])
    assert after[-1] == [1, 2]
    assert done == [1, 2, 25]


async def test_an_element_fails_with_the_result_that_it_is_in() -> None:
    failed: list[str] = []

    def refuse(result: Any) -> None:
        raise OSError("disk full")

    source = Stream[Any](asynchronous=True)
    source.event_time(0).tumbling(10).aggregate(n=Count()).sink(refuse)
    counter = RefCounter(on_failure=lambda error: failed.append(str(error)))
    await source.emit((1,), metadata=[{"ref": counter}])
    await source.emit((11,))
    with pytest.raises(OSError, match="disk full"):
        await source.join()
    with pytest.raises(OSError, match="disk full"):
        await source.close()
    assert failed == ["disk full"]
