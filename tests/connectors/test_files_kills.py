"""Files in volume: nothing lost or doubled; SIGKILL at random points; memory that stays flat."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.helpers import no_leaks, run_and_kill

from rapidz import Stream

FORMATS = ["textfile", "csv", "jsonlines", "parquet"]
volumes = pytest.mark.parametrize(
    ("count", "kills"),
    [
        pytest.param(3_000, 2, marks=pytest.mark.slow),
        pytest.param(100_000, 10, marks=pytest.mark.soak),
    ],
)


def element(form: str, n: int) -> Any:
    return f"{n:07}" if form == "textfile" else {"n": n, "text": f'x{n},"é\n'}


def options_of(form: str) -> dict[str, Any]:
    return {"follow": False} if form == "textfile" else {}


def number_of(x: Any) -> int:
    return int(x if isinstance(x, str) else x["n"])


def write(form: str, path: Path, count: int, **options: Any) -> None:
    with Stream[Any]() as source:
        getattr(source, f"to_{form}")(path, **{"batch": 1000, **options})
        source.emit_many(element(form, n) for n in range(count))


def read(form: str, path: Path) -> tuple[list[int], int]:
    """Return the numbers in a file, and how many lines cannot be decoded."""
    source = getattr(Stream, f"from_{form}")(path, **options_of(form))
    seen: list[int] = []
    failures = source.errors.sink_to_list()
    numbers = source.map(number_of)
    numbers.sink(seen.append)
    torn = numbers.errors.sink_to_list()
    source.start()
    source.join()
    return seen, len(failures) + len(torn)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.soak)], ids=str)
def test_elements_are_written_and_read_in_order(form: str, count: int, tmp_path: Path) -> None:
    write(form, tmp_path / "x", count)
    assert read(form, tmp_path / "x") == (list(range(count)), 0)


READER = """
import json, os, sys
from rapidz import Stream
form, data, out, state = sys.argv[1:]
source = getattr(Stream, f"from_{form}")(data, **({"follow": False} if form == "textfile" else {}))
if os.path.exists(state):
    with open(state) as file:
        source.seek(json.load(file))
print("ready", flush=True)
written = 0
with open(out, "ab", buffering=0) as file:
    def write(x):
        global written
        file.write(b"%07d\\n" % int(x if isinstance(x, str) else x["n"]))
        written += 1
        if written % 50 == 0:
            with open(state + ".new", "w") as new:
                json.dump(source.position(), new)
            os.replace(state + ".new", state)
    source.sink(write)
    source.start()
    source.join()
"""


@pytest.mark.parametrize("form", FORMATS)
@volumes
def test_a_killed_reader_resumes_at_its_position(
    form: str, count: int, kills: int, tmp_path: Path
) -> None:
    write(form, tmp_path / "x", count)
    out, state = tmp_path / "out", tmp_path / "state"

    def progress() -> int:
        return out.stat().st_size // 8 if out.exists() else 0

    killed = run_and_kill(
        READER, form, tmp_path / "x", out, state, kills=kills, progress=progress, total=count,
        pause=(0, 0.01),
    )  # fmt: skip
    seen = [int(line) for line in out.read_text().split()]
    assert sorted(set(seen)) == list(range(count))
    back = [before + 1 - after for before, after in itertools.pairwise(seen)]
    assert all(0 <= step <= 50 for step in back)  # nothing skipped, at most 50 done again
    assert sum(step > 0 for step in back) <= killed


WRITER = """
import os, sys
from rapidz import Stream
form, out, acks, count = sys.argv[1:]
begin = os.path.getsize(acks) // 8 if os.path.exists(acks) else 0
source = Stream()
getattr(source, f"to_{form}")(out, batch=100)
print("ready", flush=True)
with open(acks, "ab", buffering=0) as file:
    for n in range(begin, int(count), 100):
        numbers = range(n, min(n + 100, int(count)))
        source.emit_many([f"{i:07}" if form == "textfile" else {"n": i, "text": "x" * 50}
                          for i in numbers])
        file.write(b"".join(b"%07d\\n" % i for i in numbers))
source.close()
"""


@pytest.mark.parametrize("form", FORMATS)
@volumes
def test_a_killed_writer_loses_nothing_that_was_accepted(
    form: str, count: int, kills: int, tmp_path: Path
) -> None:
    acks = tmp_path / "acks"
    out = tmp_path / ("{number}.parquet" if form == "parquet" else "x")

    def progress() -> int:
        return acks.stat().st_size // 8 if acks.exists() else 0

    killed = run_and_kill(
        WRITER, form, out, acks, count, kills=kills, progress=progress, total=count,
        pause=(0, 0.01),
    )  # fmt: skip
    seen, torn = read(form, tmp_path / "*.parquet" if form == "parquet" else out)
    assert set(range(count)) <= set(seen)
    assert len(seen) - count <= 100 * killed
    assert torn <= killed


@pytest.mark.slow
def test_memory_is_flat_with_a_slow_sink(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("".join(f"{n:099}\n" for n in range(150_000)))  # 15 MB
    count = 0

    async def slow(x: str) -> None:
        nonlocal count
        count += 1
        await asyncio.sleep(0)

    source = Stream.from_textfile(path, follow=False)
    source.sink(slow)
    tracemalloc.start()
    try:
        source.start()
        source.join()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 150_000
    assert peak < 6_000_000


def test_twenty_starts_and_stops_leave_nothing_behind(tmp_path: Path) -> None:
    for form in FORMATS:
        write(form, tmp_path / form, 3000)
        with no_leaks():
            source = getattr(Stream, f"from_{form}")(tmp_path / form, **options_of(form))
            seen: list[int] = []
            node = source.map(number_of).to_textfile(tmp_path / "out", mode="w")
            source.map(number_of).sink(seen.append)
            node.on_error("skip")
            for _ in range(20):
                source.start()
                source.stop()
                source.join()
            source.start()
            source.join()
            source.close()
            assert seen == list(range(3000))
            del source, node
