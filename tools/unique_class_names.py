"""Check that no class name is defined twice in the package: one word, one meaning.

``python tools/unique_class_names.py`` prints the names that are, with their places, and exits
with 1 if any is.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Public names of the old libraries: compatibility modules define them a second time.
COMPATIBILITY_MODULES = ("rapidz.dask", "rapidz.dataframe.legacy")

#: Packages whose classes may have the name of an operator, each for a reason.
OPERATOR_FORMS = {
    "rapidz.operators": "the operator itself",
    "rapidz.parallel.nodes": "the form of the operator for scattered streams",
    "rapidz._menu": "the operator as type checkers see it",
}

#: Single names that may be defined twice.
ALLOWED = {
    "Fluent": "`kernel.graph.stream` has an empty class in its place at run time",
}

#: Public names of aggregators by event time.
RESERVED = frozenset(
    {"Count", "Sum", "Mean", "Min", "Max", "First", "Last", "Std", "Quantile"}
    | {"Collect", "Distinct"}
)
RESERVED_FOR = "rapidz.eventtime"


def definitions(root: Path = ROOT) -> dict[str, list[tuple[str, str]]]:
    """Return where every class is defined: its module, and the place as ``path:line``."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    source = root / "src"
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                place = f"{path.relative_to(root)}:{node.lineno}"
                found[node.name].append((module, place))
    return found


def collisions(root: Path = ROOT) -> dict[str, list[str]]:
    """Return the places of every class name that is ambiguous."""
    found = {}
    for name, places in sorted(definitions(root).items()):
        counted = [
            (module, place)
            for module, place in places
            if name.startswith("_") or not module.startswith(COMPATIBILITY_MODULES)
        ]
        if name in RESERVED:
            counted = [each for each in counted if not each[0].startswith(RESERVED_FOR)]
        ambiguous = len(counted) > (0 if name in RESERVED else 1)
        if ambiguous and name not in ALLOWED and not _are_forms_of_one_operator(counted):
            found[name] = [place for _, place in counted]
    return found


def _are_forms_of_one_operator(places: list[tuple[str, str]]) -> bool:
    packages = [_package(module) for module, _ in places]
    return "rapidz.operators" in packages and len({*packages}) == len(packages)


def _package(module: str) -> str:
    return next((package for package in OPERATOR_FORMS if module.startswith(package)), "")


def main() -> int:
    """Print the ambiguous names."""
    found = collisions()
    for name, places in found.items():
        print(f"{name}: {', '.join(places)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
