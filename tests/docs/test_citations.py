"""Every document, ruling and defect that code, tests and documentation cite exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RULINGS = (ROOT / "docs" / "rulings.md").read_text("utf-8")
FILES = [
    *(path for folder in ("src", "tests") for path in sorted((ROOT / folder).rglob("*.py"))),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "README.md",
]

DOCUMENT = re.compile(r"\bdocs/[\w/-]+\.md\b|\b[A-Z]+\.md\b")
OUTSIDE = re.compile(r"\b(?:DESIGN|pains\.md|field/api)\b")
RULING = re.compile(r"\brulings? (\d+(?:(?:, | and )\d+)*)", re.IGNORECASE)
KINDS = {
    "promise": re.compile(r"\bpromise (\d+)", re.IGNORECASE),
    "engine rule": re.compile(r"\bengine rule (\d+)", re.IGNORECASE),
    "defect": re.compile(r"\bdefects? D(\d+)", re.IGNORECASE),
}
DEFINED = {
    "ruling": set(re.findall(r"^### Ruling (\d+):", RULINGS, re.MULTILINE)),
    "promise": set(re.findall(r"^\*\*Promise (\d+):", RULINGS, re.MULTILINE)),
    "engine rule": set(re.findall(r"^\*\*Engine rule (\d+):", RULINGS, re.MULTILINE)),
    "defect": set(re.findall(r"^#### D(\d+):", RULINGS, re.MULTILINE)),
}


def test_every_ruling_and_defect_that_is_cited_exists() -> None:
    all_cited = {(file, cited) for file in FILES for cited in citations(file.read_text("utf-8"))}
    assert {(file, (kind, n)) for file, (kind, n) in all_cited if n not in DEFINED[kind]} == set()


def citations(text: str) -> set[tuple[str, str]]:
    """Return what *text* cites of ``docs/rulings.md``, as pairs of a kind and a number."""
    cited = {("ruling", n) for found in RULING.findall(text) for n in re.findall(r"\d+", found)}
    return cited | {(kind, n) for kind, pattern in KINDS.items() for n in pattern.findall(text)}


def test_every_document_that_code_and_tests_cite_exists() -> None:
    code = {file: file.read_text("utf-8") for file in FILES if file.suffix == ".py"}
    del code[Path(__file__).resolve()]
    assert {(file, found) for file in code for found in OUTSIDE.findall(code[file])} == set()
    cited = {(file, name) for file in code for name in DOCUMENT.findall(code[file])}
    missing = {(file, name) for file, name in cited if not (ROOT / name).is_file()}
    assert {(file, name) for file, name in missing if name != "docs/page.md"} == set()


def test_rulings_are_numbered_without_gaps() -> None:
    assert DEFINED["ruling"] == {str(n) for n in range(1, len(DEFINED["ruling"]) + 1)}
    assert DEFINED["defect"] == {str(n) for n in range(1, len(DEFINED["defect"]) + 1)}
