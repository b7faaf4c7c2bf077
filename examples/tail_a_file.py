"""Tail of a growing log file: report errors as they are written.

Output::

    error: disk full
    error: no route to host
    levels: ERROR 2, INFO 2, WARNING 1
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from rapidz import Stream


def main(log: Path) -> None:
    log.write_text("INFO started\n")

    lines = Stream.from_textfile(str(log), poll_interval=0.01)
    entries = lines.map(lambda line: line.rstrip().split(" ", 1))
    errors = entries.filter(lambda entry: entry[0] == "ERROR")
    errors.sink(lambda entry: print("error:", entry[1]))
    levels = entries.pluck(0).frequencies().sink_to_list()

    lines.start()
    with log.open("a") as file:  # usually another program writes the file
        for line in ("ERROR disk full", "INFO", "WARNING hot", "ERROR no route to host"):
            print(line, file=file, flush=True)
            time.sleep(0.01)

    deadline = time.monotonic() + 10
    while len(levels) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    lines.stop()
    print("levels:", ", ".join(f"{level} {n}" for level, n in sorted(levels[-1].items())))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder, "server.log"))
