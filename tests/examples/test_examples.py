"""Every example runs by itself, quickly, and prints what its docstring says."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLES = sorted(Path(__file__).parents[2].joinpath("examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_its_docstring_says(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    _, found, expected = docstring.partition("Output::\n\n")
    assert found, "the docstring tells the output"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)], capture_output=True, text=True, timeout=30
    )
    assert done.stderr == ""
    assert done.stdout == textwrap.dedent(expected) + "\n"
    assert done.returncode == 0


def test_examples_are_found() -> None:
    assert len(EXAMPLES) >= 6
