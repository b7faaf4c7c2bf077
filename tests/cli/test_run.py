"""`rapidz run`: what it finds in a script, what it prints, and its exit status."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest
from tests.cli.script import run, write

from rapidz import cli

PIPELINE = """
from rapidz import Stream

source = Stream.from_iterable(range(5))
source.partition(2).sink(print)
"""


def out_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def err_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def rapidz_run(*arguments: object) -> int:
    return cli.main(["run", *map(str, arguments)])


# --- what is run ------------------------------------------------------------------------------


def test_a_script_is_run_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rapidz_run(write(tmp_path, PIPELINE), "--quiet") == 0
    captured = capsys.readouterr()
    assert captured.out == "(0, 1)\n(2, 3)\n(4,)\n"
    assert captured.err == ""


def test_all_pipelines_of_a_script_are_run_each_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    from rapidz import Stream
    first = Stream.from_iterable("a")
    also_first = first.map(str.upper)
    also_first.sink(print)
    others = [Stream.from_iterable(letter) for letter in "bc"]
    for source in others:
        source.sink(print)
    table = {"d": Stream.from_iterable("d")}
    table["d"].sink(print)
    del source
    """
    assert rapidz_run(write(tmp_path, script), "--quiet") == 0
    assert sorted(out_of(capsys).split()) == ["A", "b", "c", "d"]


def test_other_globals_are_not_asked_for_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f"""{PIPELINE}
from collections.abc import Mapping

class Hostile:
    def __getattr__(self, name):
        raise ValueError(name)

class Database(Mapping):
    def __getitem__(self, key):
        raise ValueError(key)
    __iter__ = __len__ = __getitem__

hostile, database, kind, many = Hostile(), Database(), Hostile, [0] * 10**7
mixed = [source, 3]
recursive = [source]
recursive.append(recursive)
"""
    assert rapidz_run(write(tmp_path, script), "--quiet") == 0
    assert out_of(capsys) == "(0, 1)\n(2, 3)\n(4,)\n"


@pytest.mark.parametrize("name", ["source", "pipelines", "make", "make_later", "app.source"])
def test_a_name_selects_what_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    script = """
    from types import SimpleNamespace
    from rapidz import Stream
    other = Stream.from_iterable(["other"])
    other.sink(print)
    source = Stream.from_iterable(["source"])
    source.sink(print)
    pipelines, app = [source], SimpleNamespace(source=source)
    def make():
        return source
    async def make_later():
        return [source]
    """
    path = write(tmp_path, script)
    assert rapidz_run(f"{path}:{name}", "--quiet") == 0
    assert out_of(capsys) == "source\n"


def test_a_module_is_found_in_the_working_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package").mkdir()
    write(tmp_path / "package", PIPELINE, "flow.py")
    monkeypatch.chdir(tmp_path)
    assert rapidz_run("package.flow:source", "--quiet") == 0
    assert out_of(capsys).startswith("(0, 1)")


def test_a_script_that_starts_its_source_is_run_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rapidz_run(write(tmp_path, f"{PIPELINE}\nsource.start()\n"), "--quiet") == 0
    assert out_of(capsys) == "(0, 1)\n(2, 3)\n(4,)\n"


@pytest.mark.parametrize("end", ["source.start()\nsource.join()", "with source: source.start()"])
def test_a_script_that_runs_everything_itself_runs_it_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    assert rapidz_run(write(tmp_path, f"{PIPELINE}\n{end}\n"), "--quiet") == 0
    assert out_of(capsys) == "(0, 1)\n(2, 3)\n(4,)\n"


def test_the_name_of_the_script_is_not_main(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f"{PIPELINE}\nprint(__name__)\nif __name__ == '__main__':\n    source.start()\n"
    assert rapidz_run(write(tmp_path, script), "--quiet") == 0
    assert out_of(capsys).splitlines()[0] == "app"


def test_a_script_with_the_name_of_a_module_replaces_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f"{PIPELINE}\nimport json\nprint(json.dumps(__name__))\n"
    assert rapidz_run(write(tmp_path, script, "queue.py"), "--quiet") == 0
    assert out_of(capsys).splitlines()[0] == '"queue_script"'


def test_the_script_has_its_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, f"{PIPELINE}\nimport sys\nprint(sys.argv[1:])\n")
    for arguments in (("--quiet", path), (path, "--quiet")):
        assert rapidz_run(*arguments, "--", "a", "--b") == 0
        assert out_of(capsys).splitlines()[0] == "['a', '--b']"


@pytest.mark.parametrize("command", ["draw", "check"])
def test_scripts_with_arguments_can_be_looked_at(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """
import sys
from rapidz import Stream
source = Stream.from_iterable(sys.argv[1])
source.sink(print)
"""
    path = write(tmp_path, text)
    assert cli.main([command, str(path), "--", "--b"]) == 0
    assert "from_iterable" in out_of(capsys) or command == "check"


def test_a_script_is_compiled_anew_and_leaves_no_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for letter in "ab":
        path = write(tmp_path, f"from rapidz import Stream\ns = Stream.from_iterable({letter!r})")
        path.write_text(path.read_text() + "\ns.sink(print)\n")
        sys.modules.pop("app", None)
        assert rapidz_run(path, "--quiet") == 0
    assert out_of(capsys) == "a\nb\n"
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]


def test_time_limit_and_idle_limit_end_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    from rapidz import Stream
    source = Stream.from_periodic(lambda: 1, poll_interval={interval})
    source.partition(1000).sink(lambda batch: print(len(batch)))
    """
    assert rapidz_run(write(tmp_path, script.format(interval=0.05)), "--for", "0.3s") == 0
    sys.modules.pop("app")
    assert int(out_of(capsys)) >= 1
    path = write(tmp_path, script.format(interval=100))
    assert rapidz_run(path, "--quiet", "--until-idle", "0.2") == 0
    assert out_of(capsys) == "1\n"


def test_pipelines_without_a_source_are_closed_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    from rapidz import Stream
    source = Stream()
    source.partition(5).sink(print)
    source.emit(1)
    """
    assert rapidz_run(write(tmp_path, script)) == 0
    captured = capsys.readouterr()
    assert captured.out == "(1,)\n"
    assert captured.err.startswith("rapidz run: no pipeline has a source: all are closed\n")


def test_pipelines_of_all_modes_and_frames_are_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    script = """
    import asyncio
    import pandas as pd
    from rapidz import Stream
    async def later(x):
        await asyncio.sleep(0)
        return x
    blocking = Stream.from_iterable(["blocking"], asynchronous=False)
    blocking.map(later).buffer(2).sink(print)
    awaited = Stream.from_iterable(["awaited"], asynchronous=True)
    awaited.map(later).buffer(2).sink(print)
    frame = pd.DataFrame({"x": [1, 2]})
    total = Stream.from_iterable([frame, frame]).to_dataframe(example=frame).x.sum()
    total.stream.sink(lambda x: print("sum", x))
    cycle = Stream.from_iterable([1])
    again = cycle.map(lambda x: x + 1).filter(lambda x: x < 9)
    again.partition(20).sink(lambda batch: print("cycle", len(batch)))
    again.connect(cycle)
    """
    assert rapidz_run(write(tmp_path, script), "--quiet") == 0
    lines = out_of(capsys).splitlines()
    assert sorted(lines) == ["awaited", "blocking", "cycle 7", "sum 3", "sum 6"]


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing.py", "there is no file nothing.py"),
        ("no/where", "there is no file no/where"),
        ("nowhere_to_be_found", "there is no module nowhere_to_be_found"),
        ("email.nowhere", "there is no module email.nowhere"),
        ("APP:source_", "app.py has no source_; did you mean source?"),
        ("APP:zzz", "app.py has no zzz; it has source"),
        ("APP:a:b", "the name after the colon must be one name, as in app.py:source, got 'a:b'"),
        ("APP:", "the name after the colon must be one name, as in app.py:source, got ''"),
        ("APP:number", "app.py:number must be a stream, a list of streams, or a function that"),
        ("APP:needs", "app.py:needs is called without arguments: missing a required argument: 'x'"),
        ("a b", "the target must be FILE.py, FILE.py:name, module or module:name, got 'a b'"),
        ("email", "no pipeline in email: assign its source to a global name, or name a function"),
    ],
)
def test_a_wrong_target_is_explained_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    message: str,
) -> None:
    write(tmp_path, f"{PIPELINE}\nnumber = 3\ndef needs(x): ...\n")
    monkeypatch.chdir(tmp_path)
    assert rapidz_run(target.replace("APP", "app.py")) == 2
    err = err_of(capsys)
    assert err.startswith("rapidz run: ")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("value", ["x", "-1", "0", "nan"])
def test_a_wrong_time_is_refused(capsys: pytest.CaptureFixture[str], value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        rapidz_run("app.py", f"--for={value}")
    assert caught.value.code == 2
    assert "TIME must be a number of seconds > 0" in err_of(capsys)


# --- what fails -------------------------------------------------------------------------------


def test_a_script_that_raises_shows_its_own_frames_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    from rapidz import Stream
    def make():
        return Stream().map(3)
    make()
    """
    path = write(tmp_path, script)
    assert rapidz_run(path) == 1
    err = err_of(capsys)
    assert err.startswith(f"rapidz run: {path} failed:\nTraceback (most recent call last):\n")
    assert re.findall(r'File "(.*)", line \d+, in (.*)', err) == [
        (str(path), "<module>"),
        (str(path), "make"),
    ]
    assert err.endswith("TypeError: map: func must be callable, got 3\n")


def test_a_script_with_an_error_of_syntax_shows_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rapidz_run(write(tmp_path, "x = = 1\n")) == 1
    err = err_of(capsys)
    assert "    x = = 1\n" in err
    assert err.endswith("SyntaxError: invalid syntax\n")
    assert "importlib" not in err


def test_a_module_that_the_script_lacks_is_a_failure_of_the_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "import lacking_module\n")
    monkeypatch.chdir(tmp_path)
    for target in ("app.py", "app"):
        sys.modules.pop("app", None)
        assert rapidz_run(target) == 1
        assert "ModuleNotFoundError: No module named 'lacking_module'" in err_of(capsys)


def test_what_a_script_has_started_is_drained_when_it_raises(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    import threading
    from rapidz import Stream
    begun = threading.Event()
    def numbers():
        while True:
            yield 1
            begun.set()
    source = Stream.from_iterable(numbers())
    source.partition(10**9).sink(lambda batch: print("drained"))
    source.start()
    begun.wait(30)
    raise ValueError("enough")
    """
    assert rapidz_run(write(tmp_path, script), "--quiet") == 1
    captured = capsys.readouterr()
    assert captured.out == "drained\n"
    assert captured.err.endswith("ValueError: enough\n")


@pytest.mark.parametrize(("call", "status"), [("3", 3), ("", 0), ("'a reason'", 1)])
def test_the_exit_status_of_a_script_is_kept(tmp_path: Path, call: str, status: int) -> None:
    path = write(tmp_path, f"{PIPELINE}\nimport sys\nsys.exit({call})\n")
    assert rapidz_run(path, "--quiet") == status


def test_a_failure_is_shown_once_with_node_and_element(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    from rapidz import Stream
    def invert(x):
        return 1 / x
    source = Stream.from_iterable([1, 0])
    source.map(invert, stream_name="inverse").sink(print)
    """
    path = write(tmp_path, script)
    done = run(path, "--quiet")
    assert done.returncode == 1
    assert done.stdout == "1.0\n"
    assert done.stderr.count("Traceback") == 1
    assert re.findall(r'File "(.*)"', done.stderr) == [str(path)]
    assert done.stderr.endswith(
        "rapidz run: failed:\n"
        "ZeroDivisionError: division by zero\n"
        "raised in <inverse; map: invert> for element 0\n"
    )


def test_one_of_two_pipelines_fails_and_the_other_one_is_drained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    import threading
    from rapidz import Stream
    begun = threading.Event()
    def numbers():
        n = 0
        while True:
            yield n
            begun.set()
            n += 1
    def wait_and_fail(x):
        begun.wait(30)
        raise ValueError(x)
    good, bad = Stream.from_iterable(numbers()), Stream.from_iterable(["bad"])
    good.partition(10**9).sink(lambda batch: print(batch == tuple(range(len(batch)))))
    bad.scatter("thread").map(wait_and_fail).gather().sink(print)
    """
    assert rapidz_run(write(tmp_path, script), "--quiet", "--for", "1s") == 1
    captured = capsys.readouterr()
    assert captured.out == "True\n"
    assert "ValueError: bad" in captured.err


def test_failures_behind_a_queue_are_reported_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    from rapidz import Stream
    source = Stream.from_iterable([1, 0, 2])
    source.buffer(5).map(lambda x: 1 / x).sink(print)
    """
    assert rapidz_run(write(tmp_path, script), "--quiet") == 1
    captured = capsys.readouterr()
    assert captured.out == "1.0\n0.5\n"
    assert "raised in <map: <lambda>> for element 0" in captured.err


# --- log and progress -------------------------------------------------------------------------

LOGGING = f"""
import logging
{{configure}}
{PIPELINE}
def log(x):
    logging.getLogger("app").info("at %s", x)
source.sink(log)
"""


def test_the_level_of_the_log_is_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    path = write(tmp_path, LOGGING.format(configure=""))
    assert rapidz_run(path, "--quiet", "--log-level", "info") == 0
    assert "INFO app: at 4\n" in err_of(capsys)


def test_a_script_may_configure_the_log_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    configure = "logging.basicConfig(level='INFO', format='mine %(message)s')"
    assert rapidz_run(write(tmp_path, LOGGING.format(configure=configure)), "--quiet") == 0
    assert err_of(capsys) == "".join(f"mine at {n}\n" for n in range(5))


def test_a_pipe_gets_plain_lines_with_counts_and_rates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    from rapidz import Stream
    source = Stream.from_periodic(lambda: 1, poll_interval=0.01, stream_name="ticks")
    source.filter(lambda x: False).sink(print, stream_name="never")
    """
    options = ("--for", "1.2s", "--interval", "0.4s")
    assert rapidz_run(write(tmp_path, script), *options) == 0
    lines = err_of(capsys).splitlines()
    flow = r"ticks; from_periodic (\d+) \(\d+/s\) -> never; sink: print 0 \(0/s\)"
    line = rf"rapidz: 00:0\d  (?:\w+  )?{flow}"
    counts = [int(found[1]) for found in map(re.compile(line).fullmatch, lines) if found]
    assert len(counts) == len(lines) >= 2
    assert counts == sorted(counts)
    assert counts[-1] >= 1
