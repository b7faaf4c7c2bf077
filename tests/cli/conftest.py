from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore what a script may change in the process of the tests."""
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules, handlers, level = set(sys.modules), list(logging.root.handlers), logging.root.level
    yield
    for name in set(sys.modules) - modules:
        if not name.startswith("rapidz") and "." not in name:
            del sys.modules[name]
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
