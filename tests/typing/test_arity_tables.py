"""The overloads by number of inputs are those that their generator makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_arity_tables_are_as_generated() -> None:
    command = [sys.executable, "tools/make_arity_tables.py", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"run tools/make_arity_tables.py: {checked.stdout}"
