"""Pages of the documentation show in a notebook what they show in a script."""

from __future__ import annotations

import pytest
from tests.notebooks.notebooks import differences


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/guide.md",
        "docs/execution-modes.md",
        "docs/command-line.md",
        "docs/shutdown.md",
        "docs/failures.md",
        "docs/parallel.md",
        "docs/frames.md",
        "docs/options.md",
        "docs/visualization.md",
        "docs/testing.md",
        "docs/tracking.md",
        "docs/writing-nodes.md",
        "docs/writing-timed-nodes.md",
        "docs/writing-sinks.md",
        "docs/writing-backends.md",
        "docs/sources/from_textfile.md",
        "docs/operators/sink_to_textfile.md",
    ],
)
def test_every_cell_of_a_page_shows_what_a_script_shows(page: str) -> None:
    assert differences(page) == []
