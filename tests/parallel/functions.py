"""Small functions at module level, so that they can be sent to another process.

They take numbers, and tuples, lists and dicts of numbers: any operator may follow any other.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

from rapidz import SKIP


class Bad(ValueError):
    """What failing functions raise."""


def number(x: Any) -> int:
    """The sum of all numbers in *x*."""
    if isinstance(x, dict):
        return sum(number(key) * number(value) for key, value in x.items())
    if isinstance(x, (tuple, list)):
        return sum(number(item) for item in x)
    return int(x)


def inc(x: Any) -> int:
    return number(x) + 1


def double(x: Any) -> int:
    return 2 * number(x)


def plus(x: Any, y: int, *, factor: int = 1) -> int:
    return number(x) + y * factor


def add(x: Any, y: Any) -> int:
    return number(x) + number(y)


def even(x: Any) -> bool:
    return number(x) % 2 == 0


def third(x: Any) -> int:
    return number(x) % 3


def twice(x: Any) -> tuple[Any, Any]:
    return x, number(x)


def alone(x: Any) -> list[Any]:
    """A list of *x*, whatever that is."""
    return [x]


def paired(before: Any, x: Any) -> tuple[Any, Any]:
    """The last element and this one."""
    return (before[1] if before else None), x


def few(x: Any) -> list[int]:
    """No item, one or two."""
    return [number(x)] * third(x)


def fails_on_thirds(x: Any) -> int:
    if third(x) == 0:
        raise Bad(number(x))
    return number(x)


def even_unless_third(x: Any) -> bool:
    if third(x) == 0:
        raise Bad(number(x))
    return even(x)


def skips_odd(x: Any) -> Any:
    return number(x) if even(x) else SKIP


async def inc_later(x: Any) -> int:
    await asyncio.sleep(0)
    return number(x) + 1


async def even_later(x: Any) -> bool:
    await asyncio.sleep(0)
    return even(x)


async def fails_later(x: Any) -> int:
    await asyncio.sleep(0)
    return fails_on_thirds(x)


async def add_later(total: Any, x: Any) -> int:
    await asyncio.sleep(0)
    return add(total, x)


def add_unless_third(total: Any, x: Any) -> int:
    return number(total) + fails_on_thirds(x)


def add_even(total: Any, x: Any) -> Any:
    return number(total) + number(x) if even(x) else SKIP


def running(state: Any, x: Any) -> tuple[int, tuple[int, int]]:
    """The new state, and the pair of the old state and the element."""
    return number(state) + 1, (number(state), number(x))


def running_skips(state: Any, x: Any) -> Any:
    return number(state) + 1, number(x) if even(x) else SKIP


def slow_if_even(x: int) -> int:
    """The first is the last to be done, if order is not kept."""
    time.sleep(0.02 if x % 2 == 0 else 0)
    return x


def process_id(x: object) -> int:
    return os.getpid()


def fails_on_hundredths(x: int) -> int:
    if x % 100 == 0:
        raise Bad(x)
    return x


def raises(x: object) -> Any:
    raise Bad(x)


def passed(x: Any) -> Any:
    return x


def ends_the_program(error: type[BaseException], x: int) -> int:
    if x == 2:
        raise error
    return x


def lock_of_two(x: int) -> Any:
    return threading.Lock() if x == 2 else x


def length_of(x: int, data: bytes) -> int:
    return len(data)


class Stubborn:
    """Can be pickled, and not unpickled."""

    def __reduce__(self) -> Any:
        return stay, ()


def stay() -> Any:
    raise ValueError("stays where it is")


def latest(_: Any, x: Any) -> Any:
    """The newest element, as a state."""
    return x


def slowly(x: Any) -> Any:
    time.sleep(0.002)
    return x
