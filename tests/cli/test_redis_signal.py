"""`rapidz run` between real queues: a signal leaves nothing half done."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.script import started, wait_until, write
from tests.connectors.servers import redis_server

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]

SCRIPT = """
import asyncio
from rapidz import Stream

async def work(x):
    await asyncio.sleep(0.001)
    return x

url = "redis://127.0.0.1:{port}"
jobs = Stream.from_redis_stream(url, "jobs", "workers", "one", codec="text", field="n")
done = jobs.buffer(20).map_async(work, parallelism=10).partition(7, timeout="1 min").flatten()
done.to_redis_list(url, "done", codec="text", batch=50, max_wait="1 min")
"""


def test_a_signal_loses_no_message_and_acknowledges_none_too_early(tmp_path: Path) -> None:
    redis = pytest.importorskip("redis")
    with redis_server() as server, redis.Redis(port=server.port, decode_responses=True) as client:
        client.xgroup_create("jobs", "workers", id="0", mkstream=True)
        with client.pipeline() as pipeline:
            for n in range(20_000):
                pipeline.xadd("jobs", {"n": n})
            pipeline.execute()
        path = write(tmp_path, SCRIPT.format(port=server.port))
        with started(path, stderr=subprocess.PIPE) as process:
            wait_until(lambda: client.llen("done") > 500 or process.poll() is not None, "results")
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        done = [int(n) for n in client.lrange("done", 0, -1)]
        entries = client.xpending_range("jobs", "workers", "-", "+", 20_000)
        ids = [entry["message_id"] for entry in entries]
        pending = {int(client.xrange("jobs", each, each)[0][1]["n"]) for each in ids}
    assert done == list(range(len(done)))
    assert 500 < len(done) < 20_000
    delivered = set(range(max(pending, default=len(done) - 1) + 1))
    assert delivered - pending == set(done), "acknowledged is what is done"
    assert f"from_redis_stream {len(done):,} (" in err
