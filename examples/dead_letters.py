"""Dead-letter stream: failing orders go to a list; a busy shop is retried.

Output::

    shipped 2 x tea
    shipped 1 x jam
    returned 'three,tea': ValueError in parse, attempts: 1
    returned Order(n=5, what='gold'): BusyError in ship, attempts: 3
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from rapidz import Failure, Retry, Stream


class Order(NamedTuple):
    n: int
    what: str


class BusyError(Exception):
    pass


tried: Counter[str] = Counter()


def parse(line: str) -> Order:
    n, what = line.split(",")
    return Order(int(n), what)


def ship(order: Order) -> str:
    """Ship an order: jam at the second attempt, gold never."""
    tried[order.what] += 1
    if order.what == "gold" or (order.what == "jam" and tried["jam"] < 2):
        raise BusyError(order.what)
    return f"shipped {order.n} x {order.what}"


def describe(failure: Failure) -> str:
    error = type(failure.exception).__name__
    node = getattr(failure.node, "func").__name__  # noqa: B009
    return f"returned {failure.element!r}: {error} in {node}, attempts: {failure.attempts}"


def main() -> None:
    dead_letters = Stream[Failure]()
    returned = dead_letters.map(describe).sink_to_list()

    lines = Stream[str](stream_name="lines")
    lines.on_error(dead_letters)  # for all nodes downstream without a policy of their own
    shipped = lines.map(parse).map(ship)
    shipped.on_error(Retry(times=2, wait=0.01, factor=2, then=dead_letters))
    shipped.sink(print)

    with lines:
        lines.emit_many(["2,tea", "three,tea", "1,jam", "5,gold"])
    print(*returned, sep="\n")


if __name__ == "__main__":
    main()
