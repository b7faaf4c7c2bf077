"""Facts that stand in more than one file agree."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rapidz.kernel.runtime.pipeline_lock import NEWEST_TESTED

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def versions() -> list[tuple[int, int]]:
    """Return the versions of Python that the classifiers name, which are those that nox tests."""
    found = re.findall(r"Python :: 3\.(\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    return [(3, int(minor)) for minor in found]


def test_entries_without_a_lock_are_compiled_for_tested_versions_alone() -> None:
    assert max(versions()) == NEWEST_TESTED


def test_the_oldest_version_is_that_of_the_classifiers() -> None:
    oldest = ".".join(map(str, min(versions())))
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert PROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PROJECT["tool"]["pyright"]["pythonVersion"] == oldest


def test_fragments_are_named_for_a_kind_of_change() -> None:
    kinds = {kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]}
    fragments = set((ROOT / "docs" / "changes").glob("*.md")) - {ROOT / "docs/changes/README.md"}
    assert {path.name.split(".")[1] for path in fragments} <= kinds


def test_the_fragments_make_a_section_of_the_changelog() -> None:
    pytest.importorskip("towncrier")
    command = (sys.executable, "-m", "towncrier", "build", "--draft", "--version", "next")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("## next")


def test_no_file_has_the_marks_of_a_merge() -> None:
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    folders = ("src", "tests", "docs", "examples", "benchmarks", "tools")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    texts = [path for path in [*paths, *ROOT.glob("*.*")] if path.suffix in (".py", ".md", ".toml")]
    assert len(texts) > 500
    found = [
        path
        for path in texts
        if any(line.startswith(marks) for line in path.read_text("utf-8").splitlines())
    ]
    assert found == []
