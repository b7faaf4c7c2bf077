"""Programs written for the old libraries: each runs as it stands and prints what it says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted(Path(__file__).parent.joinpath("programs").glob("*.py"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_of_old_runs_as_it_stands(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    _, _, expected = docstring.partition("\n\n")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=50)
    assert (done.stdout.strip(), done.returncode) == (expected, 0), done.stderr
