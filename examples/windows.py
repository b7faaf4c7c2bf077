"""Count and time windows, and a rate limit, for the requests to a web server.

Output::

    slow: 120 ms on average over the last 3
    slow: 160 ms on average over the last 3
    3 requests in the first window, the slowest took 260 ms
    2 requests in the second window, the slowest took 180 ms
    5 alerts, none closer to the last than 20 ms
"""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

from rapidz import Stream


def mean(times: tuple[int, ...]) -> float:
    return sum(times) / len(times)


def by_count() -> None:
    """Report when the moving average of the latency is high."""
    requests = Stream[int]()
    average = requests.sliding_window(3).map(mean)
    average.filter(lambda ms: ms > 100).sink(
        lambda ms: print(f"slow: {ms:.0f} ms on average over the last 3")
    )
    requests.emit_many([40, 60, 40, 260, 180])


async def by_time() -> None:
    """Collect the requests of each 100 ms in a list; `close` emits the last, incomplete window."""
    windows: asyncio.Queue[list[int]] = asyncio.Queue()
    async with Stream[int](asynchronous=True) as requests:
        requests.timed_window("100ms", emit_empty=False).sink(windows.put)
        for ms in (40, 260, 60):
            await requests.emit(ms)
        first = await windows.get()
        for ms in (90, 180):
            await requests.emit(ms)
    second = await windows.get()
    for name, window in (("first", first), ("second", second)):
        print(f"{len(window)} requests in the {name} window, the slowest took {max(window)} ms")


def at_a_rate() -> None:
    """Buffer alerts and limit their rate."""
    left: list[float] = []
    with Stream[str]() as alerts:
        alerts.buffer(10).rate_limit("20ms").sink(lambda alert: left.append(time.monotonic()))
        for n in range(5):
            alerts.emit(f"alert {n}")
    gaps = [after - before for before, after in pairwise(left)]
    if min(gaps) >= 0.019:
        print(f"{len(left)} alerts, none closer to the last than 20 ms")


if __name__ == "__main__":
    by_count()
    asyncio.run(by_time())
    at_a_rate()
