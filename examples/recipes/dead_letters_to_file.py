"""Dead letters to a file and back: what fails is kept in JSON lines, and tried again later.

Run it as ``rapidz run dead_letters_to_file.py:main -- payments.jsonl failed.jsonl payments.db``.
After a repair the dead letters are the input: ``-- failed.jsonl still-failed.jsonl payments.db``.

Table: ``CREATE TABLE payments (id INTEGER PRIMARY KEY, amount NUMERIC NOT NULL)``.
"""

from __future__ import annotations

import sys
from typing import Any

import rapidz
from rapidz import Failure, Stream


def pipeline(path: str, failed: str, database: str) -> Stream[Any]:
    dead_letters = Stream[Failure](stream_name="dead letters")
    dead_letters.map(as_letter).to_jsonlines(failed)

    payments = Stream.from_jsonlines(path)
    payments.on_error(dead_letters)  # for all nodes downstream, and for lines that are no JSON
    payments.map(unwrap).map(check).to_sql(database, "payments", key="id", batch=100)
    return payments


def as_letter(failure: Failure) -> dict[str, Any]:
    element = failure.element
    if isinstance(element, bytes):
        element = element.decode(errors="replace")
    return {"failed": element, "reason": f"{type(failure.exception).__name__}: {failure.exception}"}


def unwrap(line: Any) -> Any:
    """Return the payment in a line, which may be a dead letter of an earlier run."""
    while isinstance(line, dict) and "failed" in line:
        line = line["failed"]
    return line


def check(payment: Any) -> dict[str, Any]:
    return {"id": int(payment["id"]), "amount": float(payment["amount"])}


def main() -> Stream[Any]:
    return pipeline(*sys.argv[1:])


if __name__ == "__main__":
    rapidz.run(main())
