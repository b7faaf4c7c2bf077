"""The clusters and pools that rows are measured with live as long as the program."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> None:
    """What `benchmarks.workers` has made is there for the next row."""
