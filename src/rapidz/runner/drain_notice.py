"""Notices of a long drain: what the end of a run still waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rapidz.kernel.graph import shutdown
from rapidz.kernel.runtime.pipeline import Pipeline
from rapidz.kernel.runtime.wait_for_graph import describe_task

logger = logging.getLogger("rapidz.runner")

#: Seconds between two notices.
NOTICE_SECONDS = 10.0
#: How many nodes or functions a notice names.
NAMED = 5


async def note_long_drain(pipelines: Iterable[Pipeline]) -> None:
    """Log what *pipelines* still have in flight and buffer, every ten seconds, until cancelled."""
    seconds = 0.0
    while True:
        await asyncio.sleep(NOTICE_SECONDS)
        seconds += NOTICE_SECONDS
        left = described_rest(pipelines)
        logger.warning("the run has not ended after %g s; in flight: %s", seconds, left)


def described_rest(pipelines: Iterable[Pipeline]) -> str:
    """Return what is in flight in *pipelines*, and what they buffer, in words."""
    functions: dict[str, None] = {}
    buffered: Counter[str] = Counter()
    for pipeline in pipelines:
        for each in list(pipeline.active):
            if text := _described(each):
                functions[text] = None
        for node, count in shutdown.buffered(pipeline).items():
            buffered[str(node)] += count
    parts = [*functions.keys()][:NAMED]
    parts += [
        f"{shutdown.counted(n, 'element')} in {node}" for node, n in buffered.most_common(NAMED)
    ]
    return ", ".join(parts) or "nothing that is known"


def _described(each: Any) -> str:
    """Return which function a call in flight runs, if it is known."""
    with contextlib.suppress(Exception):
        text = describe_task(each)
        return "" if text == "one of its functions" else text
    return ""
