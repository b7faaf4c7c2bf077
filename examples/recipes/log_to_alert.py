"""Log tail to alert: follow a log file, and report errors, at most one request in ten seconds.

Run it as ``rapidz run log_to_alert.py:main -- /var/log/app.log https://alerts.example.org/hook``.
"""

from __future__ import annotations

import sys
from typing import Any

import rapidz
from rapidz import Restart, Stream


def pipeline(path: str, hook: str, every: str = "10s") -> Stream[str]:
    lines = Stream.from_textfile(path, from_end=True)  # follows rotation, too
    errors = lines.filter(lambda line: " ERROR " in line).map(str.strip)
    reports = errors.partition(1000, timeout=every).map(summarize)
    reports.to_http(hook, codec="json", restart=Restart(at_start=True))
    return lines


def summarize(errors: tuple[str, ...]) -> dict[str, Any]:
    return {"errors": len(errors), "first": errors[0], "last": errors[-1]}


def main() -> Stream[str]:
    return pipeline(*sys.argv[1:])


if __name__ == "__main__":
    rapidz.run(main())
