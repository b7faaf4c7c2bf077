"""Calls in the cells of a notebook: they block as in a script."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.compat.seed_examples import (
    ASYNC_AWAIT,
    SEPARATE_THREAD,
    TOYS,
    WITHIN_THE_LOOP,
)
from tests.notebooks.notebooks import Shown, executed, for_notebooks

pytestmark = pytest.mark.slow

TEN = "".join(f"{x}\n" for x in range(1, 11))


def in_a_hurry(example: str) -> str:
    """The same example, a hundred times as fast."""
    example = example.replace("0.500", "0.005").replace("500ms", "5ms")
    return example.replace("time.sleep(0.1)", "time.sleep(0.001)").replace(
        "gen.sleep(0.2)", "gen.sleep(0.002)"
    )


CELLS: dict[str, tuple[str, str]] = {
    "a blocking stream": (
        "source = Stream(asynchronous=False)\n"
        "node = source.map(lambda x: x + 1).rate_limit('1ms').sink(write)\n"
        "source.emit(1)",
        "2\n",
    ),
    "one that was not told": (
        "source = Stream(); node = source.delay('1ms').sink(print)\nsource.emit(1)\nsource.join()",
        "1\n",
    ),
    "what emit returns can be awaited": (
        "source = Stream(); node = source.map(slow).sink(print)\nawait source.emit(1)",
        "1\n",
    ),
    "a queue and a block": (
        "with Stream() as source:\n"
        "    node = source.buffer(2).map(slow).sink(print)\n"
        "    source.emit_many(range(3))",
        "0\n1\n2\n",
    ),
    "a run of a source": (
        "import rapidz\n"
        "source = Stream.from_iterable(range(3))\n"
        "node = source.buffer(2).map(slow).sink(print)\n"
        "print(rapidz.run(source))",
        "0\n1\n2\ndone\n",
    ),
    "a run that is awaited": (
        "source = Stream.from_iterable(range(3))\n"
        "node = source.buffer(2).map(slow).sink(print)\n"
        "print(await rapidz.run_async(source))",
        "0\n1\n2\ndone\n",
    ),
    "a generator": (
        "with Stream() as source:\n"
        "    node = source.map(slow).sink(print)\n"
        "    source.emit_many(x for x in range(3))",
        "0\n1\n2\n",
    ),
    "an asynchronous stream is awaited": (
        "async def main():\n"
        "    async with Stream(asynchronous=True) as source:\n"
        "        node = source.map(slow).buffer(2).sink(here)\n"
        "        for x in range(2): await source.emit(x)\n"
        "await main()",
        "0 True\n1 True\n",
    ),
    "asyncio.run in a thread": (
        "async def main():\n"
        "    source = Stream()\n"
        "    node = source.map(slow).sink(print)\n"
        "    await source.emit(1)\n"
        "    await source.close()\n"
        "await asyncio.to_thread(asyncio.run, main())",
        "1\n",
    ),
    "a source": (
        "source = Stream.from_iterable([1, 2, 3]); node = source.map(slow).sink(print)\n"
        "source.start(); source.join(); source.state",
        "1\n2\n3\n'done'\n",
    ),
    "a source in a with block": (
        "with Stream.from_iterable([1, 2, 3]) as source:\n"
        "    node = source.map(slow).partition(2).sink(print)\n"
        "    source.start()",
        "(1, 2)\n(3,)\n",
    ),
    "the close of a source": (
        "source = Stream.from_iterable([1, 2, 3])\n"
        "node = source.map(slow).partition(2).sink(print); source.start(); source.close()",
        "(1, 2)\n(3,)\n",
    ),
    "scatter": (
        "with Stream() as source:\n"
        "    node = source.scatter('thread').map(lambda x: x + 1).buffer(8).gather().sink(print)\n"
        "    source.emit_many(range(3))",
        "1\n2\n3\n",
    ),
    "a plain pipeline": (
        "source = Stream(); node = source.map(lambda x: x + 1).sink(print)\nsource.emit(1)",
        "2\n",
    ),
    "an old node class": (
        "class Node(Stream):\n"
        "    async def update(self, x, who=None):\n"
        "        await asyncio.sleep(0.001)\n"
        "        await asyncio.gather(*self._emit(x))\n"
        "source = Stream(); node = Node(source); sink = node.sink(print)\nsource.emit(1)",
        "1\n",
    ),
    "emit in virtual time": (
        "import rapidz.testing\n"
        "async def main():\n"
        "    async with Stream(asynchronous=True) as source:\n"
        "        node = source.delay('1h').sink(print)\n"
        "        await source.emit(1)\n"
        "    return asyncio.get_running_loop().time()\n"
        "rapidz.testing.run(main())",
        "1\n3600.0\n",
    ),
    "the same pipeline on several ways": (
        "from rapidz.testing import assert_equivalent\n"
        "def total(stream): return stream.map(abs).accumulate(lambda total, x: total + x)\n"
        "assert_equivalent(total, [1, -2], on=['inline', 'loop', 'background', 'thread'])\n"
        "print('equal')",
        "equal\n",
    ),
    "flush and close": (
        "source = Stream(asynchronous=False); node = source.partition(2).map(slow).sink(print)\n"
        "source.emit(1); source.flush()\n"
        "source.emit(2); source.close()\n"
        "await source.close()",
        "(1,)\n(2,)\n",
    ),
}

FAILURES: dict[str, tuple[str, str]] = {
    "a function": (
        "source = Stream(); node = source.map(slow).sink(lambda x: 1 / x)\nsource.emit(0)",
        "ZeroDivisionError: division by zero",
    ),
    "behind a queue": (
        "source = Stream(asynchronous=False)\n"
        "node = source.buffer(2).sink(lambda x: 1 / x)\n"
        "source.emit(0)\nsource.join()",
        "ZeroDivisionError: division by zero",
    ),
    "at the end": (
        "with Stream() as source:\n"
        "    node = source.partition(2).map(slow).sink(lambda x: 1 / 0)\n"
        "    source.emit(0)",
        "ZeroDivisionError: division by zero",
    ),
    "a wait for oneself": (
        "a, b = Stream(asynchronous=False), Stream(asynchronous=False)\n"
        "node = a.zip(b, maxsize=1).sink(print)\n"
        "a.emit(1)\na.emit(2)",
        "BackPressureError",
    ),
}

HEAD = """
import asyncio, threading
from rapidz import Stream
async def slow(x):
    await asyncio.sleep(0.001)
    return x
async def write(x):
    await asyncio.sleep(0.001)
    print(x)
def here(x):
    print(x, threading.current_thread() is threading.main_thread())
"""

TAIL = """
import gc
gc.collect()
await asyncio.sleep(0.05)
print("end")
"""


@pytest.fixture(scope="module")
def shown() -> dict[str, Shown]:
    """All cells in one notebook."""
    cells = {name: source for name, (source, _) in {**CELLS, **FAILURES}.items()}
    every = {
        "head": HEAD,
        "toys": in_a_hurry(TOYS),
        "within": for_notebooks(in_a_hurry(WITHIN_THE_LOOP)),
        "async": for_notebooks(in_a_hurry(ASYNC_AWAIT)),
        "separate": in_a_hurry(SEPARATE_THREAD),
        "head again": HEAD,
        **cells,
        "tail": TAIL,
    }
    return dict(zip(every, executed(list(every.values())), strict=True))


@pytest.mark.parametrize("example", ["within", "async", "separate"])
def test_the_examples_of_the_seed_page_print_in_their_cell(
    shown: dict[str, Shown], example: str
) -> None:
    assert shown[example] == Shown(TEN, "", "")


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_shows_what_a_script_would(shown: dict[str, Shown], cell: str) -> None:
    assert shown[cell] == Shown(CELLS[cell][1], "", "")


@pytest.mark.parametrize("cell", FAILURES)
def test_a_cell_raises_what_failed_in_it(shown: dict[str, Shown], cell: str) -> None:
    assert re.match(FAILURES[cell][1], shown[cell].error), shown[cell]
    assert shown[cell].warnings == ""


def test_nothing_is_said_afterwards(shown: dict[str, Shown]) -> None:
    assert shown["tail"] == Shown("end\n", "", "")


DASK = """
from dask.distributed import Client
client = Client(processes=False, dashboard_address=None)
from rapidz import Stream
source = Stream()
(source.scatter()
       .map(increment)
       .buffer(5)
       .gather()
       .sink(write))
for x in range(10):
    source.emit(x)
"""

DASK_END = """
source.close()
client.close()
"""

ASYNC_DASK = """
from tornado.ioloop import IOLoop
async def f():
    client = await Client(processes=False, asynchronous=True, dashboard_address=None)
    source = Stream(asynchronous=True)
    source.scatter().map(increment).rate_limit('5ms').gather().sink(write)
    for x in range(10):
        await source.emit(x)
    await source.close()
    await client.close()
IOLoop().run_sync(f)
"""


def test_the_examples_with_dask_print_in_a_notebook() -> None:
    pytest.importorskip("distributed")
    # What is in flight when the cell ends is shown there later, where this test does not look.
    all_of_it = f"{DASK}\nsource.join()"
    cells: Any = [in_a_hurry(TOYS), all_of_it, DASK_END, for_notebooks(ASYNC_DASK)]
    toys, plain, end, asynchronous = executed(cells)
    assert toys == Shown("", "", "")
    assert plain.error == end.error == asynchronous.error == ""
    assert plain.text == TEN
    assert asynchronous.text == TEN
