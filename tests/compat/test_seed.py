"""The page that the library is known by: its examples run as they stand."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.compat.seed_examples import DASK_EXAMPLES, EXAMPLES

INTERVAL = 0.5
#: What `tornado.ioloop.IOLoop()` itself warns of from Python 3.12 on; all else is an error.
OF_TORNADO = "ignore:There is no current event loop:DeprecationWarning:tornado.platform.asyncio"
Lines = list[tuple[float, str]]


def script_output(script: str) -> Lines:
    """Run a script in a fresh interpreter: its lines, and when each of them came."""
    lines: Lines = []
    with subprocess.Popen(
        [sys.executable, "-u", "-W", "error", "-W", OF_TORNADO, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            lines.append((time.monotonic(), line.strip()))
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert errors == ""
    return lines


@pytest.fixture(scope="module")
def outputs() -> Iterator[dict[str, Lines]]:
    """All three at once: each takes the five seconds that its rate asks for."""
    with ThreadPoolExecutor(len(EXAMPLES)) as pool:
        yield dict(zip(EXAMPLES, pool.map(script_output, EXAMPLES.values()), strict=True))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_element_is_written_in_order_before_the_script_ends(
    outputs: dict[str, Lines], example: str
) -> None:
    assert [line for _, line in outputs[example]] == [str(x + 1) for x in range(10)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_rate_is_kept(outputs: dict[str, Lines], example: str) -> None:
    """Lines are read through a pipe, hence a little room for the reader."""
    instants = [instant for instant, _ in outputs[example]]
    assert instants[-1] - instants[0] > 9 * INTERVAL - 0.2
    assert all(b - a > INTERVAL - 0.2 for a, b in itertools.pairwise(instants))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_rate_is_used(outputs: dict[str, Lines], example: str) -> None:
    """0.1 s of work and 0.2 s of writing fit into the interval."""
    instants = [instant for instant, _ in outputs[example]]
    assert instants[-1] - instants[0] < 9 * INTERVAL + 3


@pytest.mark.server
@pytest.mark.parametrize("example", DASK_EXAMPLES)
def test_dask_returns_every_element_in_order_before_the_script_ends(example: str) -> None:
    """Dask warns if the port of its dashboard is taken, and waits for a client left open."""
    done = subprocess.run(
        [sys.executable, "-c", DASK_EXAMPLES[example]], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(x + 1) for x in range(10)]
