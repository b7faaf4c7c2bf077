"""Class names are unique in the package."""

from __future__ import annotations

from pathlib import Path

from tools.unique_class_names import collisions


def test_no_class_name_is_defined_twice() -> None:
    assert collisions() == {}


def test_a_name_that_is_defined_twice_is_found(tmp_path: Path) -> None:
    for module in ("one", "two"):
        path = tmp_path / "src" / "rapidz" / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "class Token: ...\n\n\nclass Sum: ...\n" if module == "one" else "class Token: ...\n"
        )
    assert collisions(tmp_path) == {
        "Sum": ["src/rapidz/one.py:4"],
        "Token": ["src/rapidz/one.py:1", "src/rapidz/two.py:1"],
    }
