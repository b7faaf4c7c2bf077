"""Batched writes to a database, the last and incomplete batch included.

Output::

    wrote 3 rows
    wrote 3 rows
    wrote 2 rows
    ann: 3 visits
    bob: 3 visits
    cem: 2 visits
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from rapidz import Stream


def main(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE visits (who TEXT, page TEXT)")

    def write(rows: tuple[tuple[str, str], ...]) -> None:
        with database:
            database.executemany("INSERT INTO visits VALUES (?, ?)", rows)
        print(f"wrote {len(rows)} rows")

    # Closing the stream flushes the partition and waits until all rows are written.
    with Stream[dict[str, str]]() as events:
        events.pluck(["who", "page"]).partition(3).sink(write)
        for n in range(8):
            events.emit({"who": ("ann", "bob", "cem")[n % 3], "page": f"/{n}", "agent": "cat"})

    for who, n in database.execute("SELECT who, count(*) FROM visits GROUP BY who"):
        print(f"{who}: {n} visits")


if __name__ == "__main__":
    with closing(sqlite3.connect(":memory:")) as database:
        main(database)
