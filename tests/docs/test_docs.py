"""The documentation is complete, its links lead somewhere, and its code runs or at least compiles.

The examples themselves run as doctests: pytest collects every page under ``docs`` and the README.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rapidz
import rapidz.operators
import rapidz.sinks
import rapidz.sources
from rapidz import Stream

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

LINK = re.compile(r"\[[^\]\[]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CITED = re.compile(r"`(test_\w+)`")
MOVED = re.compile(r"This page is now \[[^\]]+\]\(([^()\s]+)\)\.\n")
"""The whole text of a page that has moved: links from outside still find it."""

METHODS = ("concat", "frequencies", "remove", "scan", "sink_to_list")
"""Operators that are no classes of their own."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


class Fence(NamedTuple):
    """A block of code on a page."""

    language: str
    text: str
    line: int


def fences(page: Path) -> list[Fence]:
    text = page.read_text("utf-8")
    return [
        Fence(found[1], found[2], text[: found.start()].count("\n") + 1)
        for found in FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """The text of a page without its code."""
    return FENCE.sub("", page.read_text("utf-8"))


def node_classes(package: Any) -> Iterator[str]:
    """The public names of the node classes that are defined in *package*."""
    modules = [package]
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        modules.append(importlib.import_module(info.name))
    for module in modules:
        for name, value in vars(module).items():
            is_node = isinstance(value, type) and issubclass(value, Stream)
            if is_node and name == value.__name__ and name[0].islower():
                yield name


def operators() -> list[str]:
    found = {*node_classes(rapidz.operators), *node_classes(rapidz.sinks), *METHODS}
    return sorted(found)


def sources() -> list[str]:
    return sorted({*node_classes(rapidz.sources), "PeriodicCallback"})


@pytest.mark.parametrize("name", operators())
def test_every_operator_has_a_page_that_the_overview_names(name: str) -> None:
    page = DOCS / "operators" / f"{name}.md"
    assert page.is_file()
    assert page.read_text("utf-8").startswith(f"# {name}\n")
    assert f"({name}.md)" in (DOCS / "operators" / "index.md").read_text("utf-8")


@pytest.mark.parametrize("name", sources())
def test_every_source_has_a_page_that_the_overview_names(name: str) -> None:
    page = DOCS / "sources" / f"{name}.md"
    assert page.is_file()
    assert page.read_text("utf-8").startswith(f"# {name}\n")
    assert f"({name}.md)" in (DOCS / "sources" / "index.md").read_text("utf-8")


PAGES_OF_NODES = [
    page
    for folder in ("operators", "sources")
    for page in sorted((DOCS / folder).glob("*.md"))
    if page.stem != "index"
]

every_page_of_a_node = pytest.mark.parametrize(
    "page", PAGES_OF_NODES, ids=lambda page: f"{page.parent.name}/{page.stem}"
)


@every_page_of_a_node
def test_every_page_of_a_node_is_about_one_that_exists(page: Path) -> None:
    assert hasattr(Stream, page.stem) or hasattr(rapidz, page.stem)


@every_page_of_a_node
def test_every_page_of_a_node_has_all_parts(page: Path) -> None:
    text = page.read_text("utf-8")
    parts = [
        "**Emits**",
        "**Applies back pressure**",
        "**Ends**",
        "**Errors.**",
        "**In other libraries:**",
    ]
    parts += ["**Code**", "**See also**"]
    assert [part for part in parts if part not in text] == []
    assert [fence.language for fence in fences(page)][:3] == ["text", "text", "python"]


@every_page_of_a_node
def test_every_page_of_a_node_shows_the_signature(page: Path) -> None:
    """Each parameter of the class stands in the signature, with its default."""
    shown = parameters(fences(page)[0].text)
    node = getattr(rapidz, page.stem, None)
    if node is None:
        node = getattr(Stream, page.stem)
    mine = list(inspect.signature(node).parameters.values())
    for parameter in mine[page.parent.name == "operators" :]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in ("loop", "asynchronous"):
            continue
        assert parameter.name in shown, parameter
        default = shown[parameter.name]
        if isinstance(parameter.default, (bool, int, float, type(None))):
            assert default == repr(parameter.default), parameter
        elif parameter.default is parameter.empty:
            assert default is None, parameter


def parameters(signature: str) -> dict[str, str | None]:
    """The parameters in a call as it is written, with the text of their defaults."""
    call = ast.parse(signature.strip(), mode="eval").body
    assert isinstance(call, ast.Call)
    shown: dict[str, str | None] = {
        argument.id: None for argument in call.args if isinstance(argument, ast.Name)
    }
    shown |= {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}
    return shown


@every_page
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        if not aim.exists() or (anchor and anchor not in anchors(aim)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """What a link may point to within *page*, made of its headings as usual."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in words}


def test_every_page_can_be_reached_from_the_first() -> None:
    reached: set[Path] = set()
    ahead = [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        for target in LINK.findall(prose(page)):
            if "://" not in target:
                ahead.append((page.parent / target.partition("#")[0]).resolve())
    changes = {page for page in PAGES if page.parent.name == "changes"}
    exempt = {ROOT / "README.md", *changes, *moved()}
    assert set(PAGES) - reached - exempt == set()


def moved() -> set[Path]:
    """Return the pages that only lead to their new place."""
    return {page for page in PAGES if MOVED.fullmatch(page.read_text("utf-8"))}


@every_page
def test_no_link_leads_to_a_page_that_has_moved(page: Path) -> None:
    targets = {target.partition("#")[0] for target in LINK.findall(prose(page))}
    assert {page.parent / target for target in targets if target} & moved() == set()


@every_page
def test_every_block_of_python_runs_as_a_doctest_or_compiles(page: Path) -> None:
    for fence in fences(page):
        if fence.language != "python":
            assert ">>>" not in fence.text, f"{page.name}:{fence.line} must be marked python"
        elif ">>>" not in fence.text:
            compile(
                "\n" * fence.line + fence.text,
                str(page),
                "exec",
                flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                dont_inherit=True,
            )
        else:
            assert doctest.DocTestParser().get_examples(fence.text)
            assert fence.text.endswith("\n\n"), (
                f"{page.name}:{fence.line}: an empty line must end the block, "
                "else doctest takes the fence for output"
            )


def test_every_page_is_collected(request: pytest.FixtureRequest) -> None:
    """The globs of the configuration reach the README and every folder of ``docs``."""
    globs = request.config.getoption("doctestglob") or []
    missed = [
        str(page.relative_to(ROOT))
        for page in PAGES
        if any(">>>" in fence.text for fence in fences(page))
        and not any(is_matched(page, glob) for glob in globs)
    ]
    assert missed == []


def is_matched(page: Path, glob: str) -> bool:
    """As pytest matches: a pattern with a slash is about the whole path, folders included."""
    return fnmatch(str(page), f"*/{glob}") if "/" in glob else fnmatch(page.name, glob)


def test_every_test_that_is_cited_exists() -> None:
    cited = set(CITED.findall((DOCS / "migrating.md").read_text("utf-8")))
    assert cited
    defined: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        defined.update(re.findall(r"def (test_\w+)\(", file.read_text("utf-8")))
    assert cited - defined == set()


def test_the_performance_page_has_the_markers_of_the_benchmarks() -> None:
    from benchmarks.table import END, START

    text = (DOCS / "performance.md").read_text("utf-8")
    assert text.index(START) < text.index(END)
