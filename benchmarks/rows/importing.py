"""``import rapidz`` in a fresh process, without the time that Python itself takes to start."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.model import Reach, Row, Sample, Side

PROGRAM = """
from time import perf_counter_ns
began = perf_counter_ns()
import {}
print(perf_counter_ns() - began)
"""


def imported(name: str, modules: str, needs: str = "") -> Side:
    def run(n: int) -> Sample:
        ns = 0
        for _ in range(n):
            command = [sys.executable, "-c", PROGRAM.format(modules)]
            ns += int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return Sample(ns, None)

    return Side(name, run, needs=needs)


ROW = Row(
    name="import",
    what="`import rapidz` in a fresh process; against `import asyncio, tornado.ioloop`",
    n=1,
    reach=Reach("ratio", 1.5),
    baseline=imported("asyncio and tornado.ioloop", "asyncio, tornado.ioloop", "tornado"),
    rapidz=imported("rapidz", "rapidz", "rapidz"),
    others=(imported("streamz", "streamz", "streamz"),),
)
