"""`rapidz check`: what it finds in the pipelines of a script, and that it finds no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.script import write

from rapidz import cli

GOOD = """
import asyncio
import time
from rapidz import Stream

async def fetch(x):
    await asyncio.to_thread(time.sleep, 0)
    return x

def on_a_worker(x):
    time.sleep(1)
    return x

source = Stream.from_iterable([1, 2, 3])
fetched = source.map(fetch)
fetched.errors.sink(print)
fetched.scatter("thread").map(on_a_worker).gather().sink(print)
plain = Stream()
plain.map(on_a_worker).sink(print)
total = source.accumulate(lambda total, x: total + x)
total.current_value
"""


def check(*arguments: object) -> int:
    return cli.main(["check", *map(str, arguments)])


def found(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, script: str
) -> list[str]:
    """Return what is found in *script*."""
    monkeypatch.chdir(folder)
    assert check(write(folder, script)) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    *lines, count = captured.out.splitlines()
    assert count == f"{len(lines)} found"
    return lines


def test_nothing_is_found_in_a_good_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(write(tmp_path, GOOD)) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("nothing found in 2 pipelines of ")
    assert captured.err == ""


def test_a_branch_without_a_sink_is_found_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"{GOOD}\nodd = source.filter(lambda x: x % 2)\n"
    line = script.splitlines().index("odd = source.filter(lambda x: x % 2)") + 1
    assert found(tmp_path, capsys, monkeypatch, script) == [
        f"app.py:{line}: <filter: <lambda>>: the branch ends here without a sink"
    ]


def test_a_chain_that_is_collected_is_found_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"{GOOD}\nsource.map(str)\n"
    (line,) = found(tmp_path, capsys, monkeypatch, script)
    place = len(script.splitlines())
    assert line.startswith(f"app.py:{place}: <map: str> has no reference and no sink")


def test_a_source_without_anything_downstream_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "from rapidz import Stream\nsource = Stream.from_iterable([1])\n"
    assert found(tmp_path, capsys, monkeypatch, script) == [
        "app.py:2: <from_iterable>: the branch ends here without a sink"
    ]


def test_failures_that_nothing_takes_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"{GOOD}\nnumbers = source.map(int)\nnumbers.sink(print)\nnumbers.errors\n"
    (line,) = found(tmp_path, capsys, monkeypatch, script)
    assert "<errors of <map: int>; Stream>: gets failures, and nothing is downstream" in line


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("def f(x):\n    time.sleep(1)", "time.sleep"),
        ("async def f(x):\n    time.sleep(1)", "time.sleep"),
        ("def f(x):\n    with open(x) as file:\n        return file.read()", "open"),
        ("f = lambda x: time.sleep(x)", "time.sleep"),
        ("f = time.sleep", "time.sleep"),
        ("f = functools.partial(time.sleep)", "time.sleep"),
        ("def helper(x):\n    nap(x)\ndef f(x):\n    helper(x)", "time.sleep through helper"),
    ],
)
def test_a_function_that_blocks_the_loop_is_found(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    name: str,
) -> None:
    imports = "import functools\nfrom time import sleep as nap"
    script = f"{imports}\n{GOOD}\n{function}\nsource.sink(f)\n"
    (line,) = found(tmp_path, capsys, monkeypatch, script)
    assert line.startswith("app.py:")
    assert f"calls {name}, which blocks the event loop: use an `async def` function" in line


def test_methods_of_node_classes_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"""{GOOD}
from rapidz import Source
class polling(Source):
    def _run(self):
        time.sleep(1)
polled = polling()
polled.sink(print)
"""
    (line,) = found(tmp_path, capsys, monkeypatch, script)
    assert "<polling>: calls time.sleep" in line


UNBOUNDED = """
from rapidz import Stream

class Last:
    def on_element(self, key, x, ctx):
        ctx.state = x

source, other = Stream().event_time("at"), Stream().event_time("at")
keyed = source.key_by("user")
keyed.accumulate(lambda n, x: n + 1, start=0).sink(print)
keyed.unique().sink(print)
keyed.process(Last).sink(print)
keyed.pipelines(lambda stream, key: stream.buffer(3)).sink(print)
source.asof_join(other, key="user").sink(print)
keyed.accumulate(lambda n, x: n + 1, start=0, ttl="1h").sink(print)
keyed.unique(within="1h").sink(print)
keyed.process(Last, max_keys=9).sink(print)
keyed.pipelines(lambda stream, key: stream.map(str)).sink(print)
source.asof_join(other, key="user", tolerance="1h").sink(print)
"""


def test_keyed_state_and_joins_without_a_bound_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = "keeps a state of each key for ever: give"
    first = UNBOUNDED.splitlines().index("keyed.unique().sink(print)")
    assert found(tmp_path, capsys, monkeypatch, UNBOUNDED) == [
        f"app.py:{first}: <accumulate: <lambda>>: {state} ttl= or max_keys=",
        f"app.py:{first + 1}: <unique>: {state} within= or maxsize=",
        f"app.py:{first + 2}: <process>: {state} ttl= or max_keys=",
        f"app.py:{first + 3}: <pipelines: <lambda>>: {state} ttl= or max_keys=",
        f"app.py:{first + 4}: <asof_join>: keeps the newest right element of each key for ever: "
        "give tolerance=",
    ]


def test_a_source_that_nothing_starts_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "Stream.from_iterable([1]).sink(print)"
    script = f"{GOOD}\n{lost}\nwith Stream.from_iterable([1]) as short:\n    short.sink(print)\n"
    script += "    short.start()\ndel short\n"
    (line,) = found(tmp_path, capsys, monkeypatch, script)
    place = script.splitlines().index(lost) + 1
    assert line.startswith(f"app.py:{place}: <from_iterable>: is in no global name and is not")


def test_a_script_whose_only_source_is_lost_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "from rapidz import Stream\nStream.from_iterable([1]).sink(print)\n"
    (line,) = found(tmp_path, capsys, monkeypatch, script)
    assert line.startswith("app.py:2: <from_iterable>: is in no global name")


def test_a_connector_without_its_library_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
    from rapidz import Stream
    def from_lacking():
        raise ImportError("from_x: needs lacking: pip install 'rapidz[x]'")
    source = from_lacking()
    """
    assert found(tmp_path, capsys, monkeypatch, script) == [
        "app.py:4: from_x: needs lacking: pip install 'rapidz[x]'"
    ]


def test_a_name_selects_what_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = f"{GOOD}\nbad = Stream.from_iterable([1])\n"
    assert check(f"{write(tmp_path, script)}:source") == 0
    assert capsys.readouterr().out.startswith("nothing found in 1 pipeline of ")


def test_a_script_that_raises_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(write(tmp_path, "1 / 0\n")) == 1
    assert capsys.readouterr().err.endswith("ZeroDivisionError: division by zero\n")


def test_a_script_without_a_pipeline_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(write(tmp_path, "x = 1\n")) == 2
    assert "no pipeline in " in capsys.readouterr().err
