"""``import rapidz`` in a fresh process, without the start-up time of Python itself.

All modules have bytecode, as in an installed package: a first run, which is not counted,
writes it.
"""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.model import Reach, Row, Sample, Side

PROGRAM = """
from time import perf_counter_ns
began = perf_counter_ns()
import {}
print(perf_counter_ns() - began)
"""


ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}


def imported(name: str, modules: str, needs: str = "") -> Side:
    def run(n: int) -> Sample:
        ns = 0
        for _ in range(n):
            command = [sys.executable, "-c", PROGRAM.format(modules)]
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env=ENVIRONMENT
            )
            ns += int(done.stdout)
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
