"""`rapidz run` with connectors: a signal leaves no message and no request half done."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from tests.cli.script import started, wait_until, write
from tests.connectors.servers import answers as listens
from tests.connectors.servers import free_port, redis_server

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


SERVER = """
from rapidz import Stream

source = Stream.from_http_server({port}, "/")
source.delay(0.5, spaced=False).partition(3, timeout="10 min").sink(lambda batch: None)
source.sink(lambda x: print(x.decode(), flush=True))
"""


def test_requests_in_flight_are_answered_after_a_signal(tmp_path: Path) -> None:
    port, answers = free_port(), []

    def request(n: int) -> None:
        body = str(n).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", body, timeout=60) as answer:
            answers.append(answer.status)

    path = write(tmp_path, SERVER.format(port=port))
    with started(path, "--quiet", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        wait_until(lambda: listens()(port) or process.poll() is not None, "the server")
        threads = [threading.Thread(target=request, args=(n,)) for n in range(10)]
        for thread in threads:
            thread.start()
        arrived = [int(process.stdout.readline()) for _ in threads]
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert (answers, sorted(arrived)) == ([200] * 10, list(range(10)))
