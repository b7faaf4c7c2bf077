"""Layout of the test suite: the folders of `src`, and names of tests that fit on a line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / "src" / "rapidz"

#: Folders of tests that concern the whole library, or what lies next to it.
CROSS_CUTTING = {
    *("benchmarks", "compat", "conformance", "connectors", "docs", "examples", "models"),
    *("notebooks", "repository", "typing"),
}
#: Scripts that tests run in other processes as they stand.
PROGRAMS = TESTS / "compat" / "programs"

FILES = [path for path in sorted(TESTS.rglob("*.py")) if PROGRAMS not in path.parents]
FOLDERS = sorted({path.parent.relative_to(TESTS) for path in FILES})

LENGTH = 70


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_folder_of_tests_is_named_after_a_package(folder: Path) -> None:
    assert CROSS_CUTTING.intersection(folder.parts[:1]) or (PACKAGE / folder).is_dir()


@pytest.mark.parametrize("folder", sorted(CROSS_CUTTING))
def test_a_cross_cutting_folder_has_tests(folder: str) -> None:
    assert list((TESTS / folder).glob("test_*.py"))


def test_names_of_tests_are_short() -> None:
    names = {(path.name, name) for path in FILES for name in functions(path)}
    assert {(file, name) for file, name in names if len(name) > LENGTH} == set()


def functions(path: Path) -> list[str]:
    """Return the names of all functions and methods that a file defines."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
