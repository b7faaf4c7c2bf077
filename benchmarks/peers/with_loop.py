"""Loop by hand, as the program that the others are compared with."""

from __future__ import annotations

from benchmarks.event_time import loops
from benchmarks.peers.program import main

if __name__ == "__main__":
    main(
        "",
        {
            "tumbling": loops.tumbling,
            "sliding": loops.sliding,
            "session": loops.session,
            "sum": loops.running_sum,
        },
    )
