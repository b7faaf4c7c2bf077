"""The architecture pages list every module, and name only files that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "architecture").glob("*.md"))
PACKAGES = {
    "engine": "kernel",
    "parallel": "parallel",
    "frames": "dataframe",
    "event-time": "eventtime",
}


def test_tables_of_modules_are_up_to_date() -> None:
    """`python tools/module_tables.py` rewrites them."""
    tool = ROOT / "tools" / "module_tables.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_the_page_names_exist(page: Path) -> None:
    prose = page.read_text("utf-8").partition("## Modules")[0]
    named = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.py)?)`", prose)
    package = ROOT / "src" / "rapidz" / PACKAGES.get(page.stem, "")
    places = (package, ROOT / "src" / "rapidz", ROOT)
    assert [name for name in named if not any((place / name).exists() for place in places)] == []
