"""`rapidz run` and signals: the first one drains, the second one ends the program at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.script import run, size, started, wait_until, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]

#: A source of 100,000 elements, a chain, and a sink that writes lines to a file; the number of
#: elements that were emitted is in another file at the end.
TO_FILE = """
import asyncio, atexit, pathlib, time
from rapidz import Stream
from rapidz.sinks import Writer

folder = pathlib.Path(__file__).parent
emitted = 0

def numbers():
    global emitted
    for n in range(100_000):
        if n % 100 == 0:
            time.sleep(0.005)
        emitted = n + 1
        yield n

async def later(x):
    await asyncio.sleep(0.001)
    return x

source = Stream.from_iterable(numbers(), stream_name="numbers")
out = open(folder / "out.txt", "w")

class Lines(Writer):
    def write_many(self, batch):
        out.write("".join(f"{{x}}\\n" for x in batch))

node = {chain}
atexit.register(lambda: (folder / "emitted.txt").write_text(str(emitted)))
atexit.register(out.close)
"""

CHAINS = {
    "direct": "source.map(lambda x: x)",
    "buffer": "source.buffer(1000)",
    "partition": "source.partition(97).flatten()",
    "partition with a timeout": "source.partition(97, timeout='1 min').buffer(3).flatten()",
    "map_async": "source.map_async(later, parallelism=50)",
    "threads": "source.scatter('thread').map(lambda x: x).gather()",
    "all": "source.buffer(10).scatter('thread').map(int).gather().map_async(later, parallelism=9)"
    ".partition(31).buffer(3).flatten()",
}


TO_SINK = ".sink(lambda x: out.write(f'{x}\\n'))"
#: A sink that writes batches in a thread of its own.
TO_WRITER = ".write_to(Lines(), batch=500, max_wait='1 min')"
TRIED = [*((chain, signal.SIGTERM) for chain in [*CHAINS, "writer"]), ("all", signal.SIGINT)]


@pytest.mark.parametrize(("chain", "number"), TRIED)
def test_a_signal_in_mid_stream_loses_nothing(
    tmp_path: Path, chain: str, number: signal.Signals
) -> None:
    text = f"source{TO_WRITER}" if chain == "writer" else CHAINS[chain] + TO_SINK
    path = write(tmp_path, TO_FILE.format(chain=text))
    with started(path, stderr=subprocess.PIPE) as process:
        wait_until(lambda: size(tmp_path / "out.txt") > 20_000, "some output")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    emitted = int((tmp_path / "emitted.txt").read_text())
    written = [int(line) for line in (tmp_path / "out.txt").read_text().split()]
    assert written == list(range(emitted))
    assert 1000 < emitted < 100_000
    assert f"numbers; from_iterable {emitted:,} (" in err.splitlines()[-1]


@pytest.mark.soak
@pytest.mark.parametrize("attempt", range(20))
def test_a_signal_at_any_instant_loses_nothing(tmp_path: Path, attempt: int) -> None:
    chance = random.Random(attempt)
    chain = chance.choice([*CHAINS.values()]) + TO_SINK
    number = chance.choice([signal.SIGTERM, signal.SIGINT])
    path = write(tmp_path, TO_FILE.format(chain=chain) + "\nprint('loaded', flush=True)\n")
    with started(path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
        time.sleep(chance.choice([0, 0.01, 0.1, 1]) * chance.random())
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    emitted = int((tmp_path / "emitted.txt").read_text())
    written = [int(line) for line in (tmp_path / "out.txt").read_text().split()]
    assert written == list(range(emitted))


HANGING = """
import os, pathlib, threading, time
from rapidz import Sink, Stream

class hangs_at_the_end(Sink):
    def update(self, x, who=None, metadata=None):
        print("element", flush=True)
    def _on_end(self):
        print("closing", flush=True)
        {hang}

source = Stream.from_periodic(lambda: 1, poll_interval=0.05)
node = hangs_at_the_end(source)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_second_signal_ends_a_close_that_hangs(tmp_path: Path, number: signal.Signals) -> None:
    path = write(tmp_path, HANGING.format(hang="time.sleep(1000)"))
    with started(path, "--quiet", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "element\n"
        process.send_signal(number)
        for line in process.stdout:
            if line == "closing\n":
                break
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert process.returncode == 128 + number
    assert err == "\nrapidz run: ended at once by a second signal\n"


#: Lines of progress that come often.
OFTEN = ("--interval", "0.05s")


def wait_for_phase(process: subprocess.Popen[str]) -> None:
    """Wait until the first signal was handled: two signals at once would be one."""
    assert process.stderr is not None
    for line in process.stderr:
        if "  stopping  " in line or "  closing  " in line:
            return
    raise AssertionError("the run has ended")


BLOCKED = {
    "a source that blocks the loop": "print('element', flush=True); time.sleep(1000)",
    "a source that ignores its end": "print('element', flush=True); await forever()",
}


@pytest.mark.parametrize("body", BLOCKED.values(), ids=BLOCKED)
def test_a_second_signal_ends_a_source_that_does_not_stop(tmp_path: Path, body: str) -> None:
    script = f"""
    import asyncio, time
    from rapidz import Source
    async def forever():
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                print("cancelled", flush=True)
    class stubborn(Source):
        async def run(self):
            {body}
    source = stubborn()
    """
    path = write(tmp_path, script)
    with started(path, *OFTEN, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "element\n"
        process.send_signal(signal.SIGTERM)
        wait_for_phase(process)
        if "forever" in body:
            assert process.stdout.readline() == "cancelled\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT


def test_a_second_signal_ends_worker_processes_too(tmp_path: Path) -> None:
    script = """
    import os, time
    from rapidz import Stream
    def work(x):
        print(os.getpid(), flush=True)
        time.sleep(1000)
    source = Stream.from_iterable([1])
    source.scatter("process").map(work).gather().sink(print)
    """
    path = write(tmp_path, script)
    with started(path, *OFTEN, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        wait_for_phase(process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    wait_until(lambda: not is_alive(worker), "the end of the worker")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " not in stat.read_text()  # a zombie has ended


# --- signals before the run -------------------------------------------------------------------


def test_a_signal_while_the_script_is_loaded_ends_it(tmp_path: Path) -> None:
    script = """
    import os, signal
    os.kill(os.getpid(), signal.SIGTERM)
    print("not reached")
    """
    done = run(write(tmp_path, script))
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


def test_a_signal_before_the_loop_runs_starts_nothing(tmp_path: Path) -> None:
    script = """
    import os, signal
    from rapidz import Stream
    source = Stream.from_iterable(range(1000))
    source.sink(print)
    early = Stream()
    early.partition(10).sink(print)
    early.emit("drained")
    os.kill(os.getpid(), signal.SIGINT)
    """
    done = run(write(tmp_path, script), "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "('drained',)\n", "")


def test_a_signal_ends_a_script_that_waits_by_itself(tmp_path: Path) -> None:
    script = """
    from rapidz import Stream
    source = Stream.from_periodic(lambda: 1, poll_interval=0.01)
    source.partition(10**6).sink(lambda batch: print("drained", len(batch) > 0))
    source.sink(lambda x: print("element", flush=True))
    source.start()
    source.join()
    """
    with started(write(tmp_path, script), "--quiet", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "element\n"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[-1] == "drained True"


LOOPS = {
    "run_async": "asyncio.run(rapidz.run_async(source))",
    "async with": "asyncio.run(main())",
}


@pytest.mark.parametrize("end", LOOPS.values(), ids=LOOPS)
def test_a_signal_ends_a_script_with_a_loop_of_its_own(tmp_path: Path, end: str) -> None:
    script = f"""
    import asyncio, atexit, itertools, pathlib
    import rapidz
    out = open(pathlib.Path(__file__).parent / "out.txt", "w")
    atexit.register(out.close)
    emitted = 0
    def numbers():
        global emitted
        for emitted in itertools.count(1):
            yield emitted
    async def write(x):
        await asyncio.sleep(0)
        print(x, file=out)
    async def main():
        async with source:
            source.start()
            await asyncio.sleep(1000)
    source = rapidz.Stream.from_iterable(numbers(), asynchronous=True)
    source.buffer(50).partition(7).flatten().sink(write)
    atexit.register(lambda: print(emitted))
    {end}
    """
    with started(write(tmp_path, script), "--quiet", stdout=subprocess.PIPE) as process:
        wait_until(lambda: size(tmp_path / "out.txt") > 20_000, "some output")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    written = [int(line) for line in (tmp_path / "out.txt").read_text().split()]
    assert written == list(range(1, int(out) + 1))


def test_a_script_keeps_its_own_signal_handler(tmp_path: Path) -> None:
    script = """
    import signal
    from rapidz import Stream
    source = Stream.from_periodic(lambda: 1, poll_interval=0.01)
    source.sink(lambda x: print("element", flush=True))
    def handle(number, frame):
        print("own handler", flush=True)
        source.stop()
    signal.signal(signal.SIGTERM, handle)
    """
    with started(write(tmp_path, script), "--quiet", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "element\n"
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "own handler" in out


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    script = """
    import os, signal
    from rapidz import Stream
    source = Stream.from_iterable(range(3))
    source.sink(lambda x: os.kill(os.getpid(), signal.SIGINT))
    source.sink(print)
    """
    path = write(tmp_path, script)
    command = f"trap '' INT; exec '{sys.executable}' -m rapidz run --quiet '{path}'"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n1\n2\n", "")
