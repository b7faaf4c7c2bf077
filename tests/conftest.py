"""Configuration of all tests. Async tests run in virtual time: see `rapidz.testing.plugin`."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.support")

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_collection_finish() -> None:
    """Let collections of garbage, of which tests ask for many, leave out what is there for good."""
    gc.collect()
    gc.freeze()


#: Parts of the suite that start processes or clusters, work with frames, or draw many programs.
SLOW = (
    *("tests/benchmarks/test_benchmark_rows.py", "tests/kernel/compile/test_feedback.py"),
    *("tests/kernel/runtime/test_interrupts.py", "tests/models/test_graph_edits.py"),
    *("tests/models/test_shutdown.py", "tests/models/test_joins.py", "docs/writing-backends.md"),
    *("tests/kernel/compile/test_diamond.py", "tests/kernel/compile/test_alignment.py"),
    *("tests/parallel", "tests/dataframe", "tests/typing", "tests/demo", "tests/examples"),
    *("tests/compat/test_seed.py", "tests/compat/test_programs.py", "tests/notebooks"),
    *("tests/graph/test_walk.py", "src/rapidz/dataframe", "src/rapidz/parallel", "src/rapidz/demo"),
    *("docs/parallel.md", "docs/frames.md"),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is slow, and leave out what is to soak unless it is asked for by ``-m``."""
    for item in items:
        if item.path.relative_to(config.rootpath).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    if "soak" not in config.option.markexpr:
        soak = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if item not in set(soak)]


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(no_leaks: None) -> None:
    """Tasks and threads that a test leaves behind fail it."""
