"""What the tests of Kafka connectors share: clusters, waits, and a program that dies."""

from __future__ import annotations

from typing import Any

from tests.connectors.helpers import wait_until


def config(address: str, group: str = "g", **more: Any) -> dict[str, Any]:
    """Return the configuration of a consumer that begins at the first message."""
    return {
        "bootstrap.servers": address,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 6000,
        "auto.commit.interval.ms": 50,
        **more,
    }


def stop(stream: Any) -> None:
    """Stop the source of a stream, and wait until it has ended."""
    source = stream
    while source.upstreams and source.upstream is not None:
        source = source.upstream
    source.stop()
    run = [run for run in _runs() if run.source is source]
    wait_until(lambda: all(each not in _runs() for each in run), what="the source has ended")


def _runs() -> set[Any]:
    from rapidz.sources.run import active_runs

    return set(active_runs)


def numbers(n: int, begin: int = 0) -> list[bytes]:
    """Return n values."""
    return [b"%d" % x for x in range(begin, begin + n)]
