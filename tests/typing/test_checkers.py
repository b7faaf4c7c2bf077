"""What a user reads when mypy or pyright finds a mistake in a pipeline."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SNIPPET = """\
from __future__ import annotations

import rapidz
from rapidz import Stream

source = Stream[int]()
words = source.map(str)
reveal_type(words)
reveal_type(source.zip(words, 1.5))
reveal_type(rapidz.zip(source, words))
words.map(abs)
source.emit("one")
source.no_such_operator()
"""

WRONG = {11: "map", 12: '"int"', 13: "no_such_operator"}


@pytest.fixture
def snippet(tmp_path: Path) -> Path:
    """A user's file, in a directory with strict settings of its own."""
    path = tmp_path / "pipeline.py"
    path.write_text(SNIPPET)
    return path


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def mypy(path: Path) -> dict[int, list[str]]:
    """The messages of mypy --strict for a file, by line."""
    pytest.importorskip("mypy")
    (path.parent / "mypy.ini").write_text(
        f"[mypy]\nstrict = true\nmypy_path = {ROOT / 'src'}\n"
        "[mypy-rapidz.*]\nfollow_imports = silent\n"
    )
    messages: dict[int, list[str]] = {}
    for line in run("mypy", "--no-incremental", path.name, cwd=path.parent).splitlines():
        if found := re.match(rf"{re.escape(path.name)}:(\d+): (.*)", line):
            messages.setdefault(int(found[1]), []).append(found[2])
    return messages


def pyright(path: Path, **settings: object) -> dict[int, list[str]]:
    """The messages of pyright for a file, by line."""
    pytest.importorskip("pyright")
    config = {"extraPaths": [str(ROOT / "src"), str(ROOT)], "typeCheckingMode": "standard"}
    (path.parent / "pyrightconfig.json").write_text(
        json.dumps({**config, "include": [path.name], **settings})
    )
    command = ("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", ".")
    messages: dict[int, list[str]] = {}
    for one in json.loads(run(*command, cwd=path.parent))["generalDiagnostics"]:
        line = one["range"]["start"]["line"] + 1
        messages.setdefault(line, []).append(f"{one['severity']}: {one['message']}")
    return messages


def errors(messages: dict[int, list[str]]) -> dict[int, str]:
    found = {line: [m for m in said if m.startswith("error")] for line, said in messages.items()}
    return {line: " ".join(said) for line, said in found.items() if said}


@pytest.mark.timeout(120)
def test_mypy_infers_elements_and_finds_errors(snippet: Path) -> None:
    messages = mypy(snippet)
    assert "Stream[str]" in messages[8][0].replace("builtins.", "")
    assert "Stream[tuple[int, str, float]]" in messages[9][0].replace("builtins.", "")
    assert "Any, ...]" in messages[10][0] or "zip" in messages[10][0]
    wrong = errors(messages)
    assert set(wrong) == set(WRONG)
    assert [line for line, word in WRONG.items() if word not in wrong[line]] == []


@pytest.mark.timeout(120)
def test_pyright_infers_elements_and_finds_errors(snippet: Path) -> None:
    messages = pyright(snippet)
    assert "Stream[str]" in messages[8][0]
    assert "Stream[tuple[int, str, float]]" in messages[9][0]
    wrong = errors(messages)
    assert set(wrong) == set(WRONG)
    assert [line for line, word in WRONG.items() if word not in wrong[line]] == []


@pytest.mark.timeout(120)
def test_pyright_refuses_all_that_test_inference_says(tmp_path: Path) -> None:
    path = tmp_path / "inference.py"
    path.write_text((Path(__file__).parent / "test_inference.py").read_text())
    messages = pyright(
        path, reportUnnecessaryTypeIgnoreComment="error", enableTypeIgnoreComments=False
    )
    assert errors(messages) == {}
