"""Module tables of the architecture pages, generated from the docstrings of the modules.

``python tools/module_tables.py`` rewrites the tables; with ``--check`` it only reports whether
they are up to date, by its exit code.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "architecture"
TABLE = re.compile(r"(<!-- modules: (?P<package>[\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def summary(module: Path) -> str:
    """Return the first line of the docstring of *module*, without its full stop."""
    docstring = ast.get_docstring(ast.parse(module.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")


def table(package: str) -> str:
    """Return a Markdown table of the modules of *package*, one part for each subpackage."""
    top = ROOT / "src" / package.replace(".", "/")
    folders = [
        folder for folder in (top, *sorted(top.rglob("*"))) if (folder / "__init__.py").exists()
    ]
    rows = ["| module | contents |", "| --- | --- |"]
    for folder in folders:
        here = folder.relative_to(top.parent).as_posix()
        rows.append(f"| **`{here}/`** | {summary(folder / '__init__.py')} |")
        for module in sorted(folder.glob("*.py")):
            if module.name != "__init__.py":
                link = f"../../src/rapidz/{here}/{module.name}"
                rows.append(f"| [`{module.stem}`]({link}) | {summary(module)} |")
    return "\n".join(rows) + "\n"


def regenerated(page: str) -> str:
    """Return the text of *page* with its tables made anew."""
    return TABLE.sub(lambda match: match[1] + table(match["package"]) + match[3], page)


def main() -> int:
    """Rewrite the tables, or check them; return the exit code."""
    stale = []
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text("utf-8")
        if (new := regenerated(text)) != text:
            stale.append(page)
            if "--check" not in sys.argv[1:]:
                page.write_text(new, "utf-8")
    if "--check" in sys.argv[1:] and stale:
        print("run python tools/module_tables.py:", *(page.relative_to(ROOT) for page in stale))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
