"""rapidz: the same windows and the same sum."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.event_time import pipelines
from benchmarks.event_time.data import Element
from benchmarks.peers.program import Program, main
from benchmarks.sides import new_stream


def run(build: pipelines.Build) -> Program:
    """Return the program that emits everything into a pipeline and closes it."""

    def program(data: list[Element], out: Callable[[Any], object]) -> int:
        source = new_stream("rapidz")
        node = build(source)
        node.sink(out)
        source.emit_many(data)
        source.close()
        late: int = getattr(node, "late_count", 0)
        return late

    return program


def plain(x: Any) -> tuple[Any, ...]:
    return pipelines.plain(x) if hasattr(x, "start") else tuple(x)


PROGRAMS = {
    "tumbling": run(pipelines.tumbling),
    "sliding": run(pipelines.sliding),
    "session": run(pipelines.session),
    "sum": run(pipelines.running_sum),
}

if __name__ == "__main__":
    main(import_module("rapidz").__version__, PROGRAMS, plain)
