"""from_http_server: answers after the element is done, limits, and clients that misbehave."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import ssl
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connectors.helpers import no_leaks, run_and_kill, wait_until
from tests.connectors.servers import HOST, Server
from tests.connectors.web import Authority, client, is_closed, running
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, ResponseStartLine
from tornado.netutil import bind_sockets
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from rapidz import Stream
from rapidz.sources.restart import Restart


def request(
    port: int,
    body: bytes | None = b"x",
    method: str = "POST",
    path: str = "/",
    headers: dict[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> tuple[int, bytes, dict[str, str]]:
    """Send one request; return status, body and headers of the answer."""
    made = (
        http.client.HTTPConnection(HOST, port, timeout=30)
        if context is None
        else http.client.HTTPSConnection(HOST, port, timeout=30, context=context)
    )
    try:
        made.request(method, path, body, headers or {})
        answer = made.getresponse()
        return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        made.close()


def status(port: int, body: bytes | None = b"x", **options: Any) -> int:
    return request(port, body, **options)[0]


class Gate:
    """Asynchronous sink that finishes elements on command."""

    def __init__(self) -> None:
        self.entered: list[Any] = []
        self.done: list[Any] = []
        self.open = threading.Event()

    async def __call__(self, x: Any) -> None:
        self.entered.append(x)
        while not self.open.is_set():
            await asyncio.sleep(0.005)
        self.done.append(x)


class Request(threading.Thread):
    """Request in a thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        self.result: tuple[int, bytes, dict[str, str]] | None = None
        self._arguments = args, options
        self.start()

    def run(self) -> None:
        args, options = self._arguments
        self.result = request(*args, **options)

    def status(self) -> int:
        self.join(30)
        assert self.result is not None
        return self.result[0]


# --- answers -------------------------------------------------------------------------------------


def test_from_http_server_emits_bodies_and_answers_200() -> None:
    source = Stream.from_http_server(0)
    bodies = source.sink_to_list()
    with running(source):
        assert request(source.port, b"hello")[:2] == (200, b"OK")
        assert status(source.port, b"", method="PUT") == 200
        assert status(source.port, b"x" * 100_000) == 200
    assert bodies == [b"hello", b"", b"x" * 100_000]


def test_request_is_answered_when_its_element_is_done() -> None:
    source, gate = Stream.from_http_server(0), Gate()
    source.buffer(10).sink(gate)
    with running(source):
        waiting = Request(source.port, b"a")
        wait_until(lambda: gate.entered)
        time.sleep(0.05)
        assert waiting.is_alive()
        assert source.pending == 1
        gate.open.set()
        assert waiting.status() == 200
        assert gate.done == [b"a"]
        wait_until(lambda: source.pending == 0)


def test_requests_of_a_batch_are_answered_when_it_is_written() -> None:
    source = Stream.from_http_server(0)
    batches = source.partition(2).sink_to_list()
    with running(source):
        first = Request(source.port, b"a")
        wait_until(lambda: source.pending == 1)
        assert first.is_alive()
        assert status(source.port, b"b") == 200
        assert first.status() == 200
    assert batches == [(b"a", b"b")]


def test_answer_accepted_does_not_wait_for_the_sinks() -> None:
    source, gate = Stream.from_http_server(0, answer="accepted"), Gate()
    source.buffer(10).sink(gate)
    with running(source):
        assert status(source.port, b"a") == 202
        assert not gate.done
        gate.open.set()
        wait_until(lambda: gate.done)


def test_request_that_is_not_done_in_time_is_answered_503() -> None:
    source, gate = Stream.from_http_server(0, answer_timeout=0.1), Gate()
    source.sink(gate)
    with running(source):
        code, _, headers = request(source.port, b"a")
        assert (code, headers["retry-after"]) == (503, "1")
        gate.open.set()
        wait_until(lambda: gate.done == [b"a"])
        wait_until(lambda: status(source.port, b"b") == 200)  # a slow machine needs longer


def test_failure_is_answered_500_and_the_source_continues(caplog: Any) -> None:
    source = Stream.from_http_server(0)
    numbers = source.map(int).sink_to_list()
    with running(source):
        assert status(source.port, b"1") == 200
        assert status(source.port, b"x") == 500
        assert status(source.port, b"2") == 200
        assert source.state == "running"
    assert numbers == [1, 2]
    assert "a request has failed" in caplog.text


def test_failure_behind_a_queue_is_answered_500_to_its_own_request() -> None:
    source = Stream.from_http_server(0)
    numbers = source.buffer(10).map(int).sink_to_list()
    with running(source):
        codes = [status(source.port, body) for body in (b"1", b"x", b"2", b"y", b"3")]
    assert codes == [200, 500, 200, 500, 200]
    assert numbers == [1, 2, 3]


@pytest.mark.parametrize("policy", ["skip", "send"])
def test_failure_that_a_policy_handles_is_answered_200(policy: Any) -> None:
    source = Stream.from_http_server(0)
    node = source.map(int).on_error(policy)
    numbers, failures = node.sink_to_list(), node.errors.sink_to_list()
    with running(source):
        assert [status(source.port, body) for body in (b"1", b"x")] == [200, 200]
    assert numbers == [1]
    assert [failure.element for failure in failures] == ([b"x"] if policy == "send" else [])


def test_undecodable_body_is_answered_400_or_goes_to_the_policy() -> None:
    strict = Stream.from_http_server(0, codec="json")
    elements = strict.sink_to_list()
    with running(strict):
        assert [status(strict.port, body) for body in (b"[1]", b"{", b"2")] == [200, 400, 200]
    assert elements == [[1], 2]
    lenient = Stream.from_http_server(0, codec="json")
    failures = lenient.on_error("send").errors.sink_to_list()
    elements = lenient.sink_to_list()
    with running(lenient):
        assert [status(lenient.port, body) for body in (b"[1]", b"{", b"2")] == [200, 200, 200]
    assert elements == [[1], 2]
    assert [failure.element for failure in failures] == [b"{"]


def test_other_paths_and_methods_are_refused() -> None:
    source = Stream.from_http_server(0, "/in/[a-z]+", methods=("POST",))
    bodies = source.sink_to_list()
    with running(source):
        assert status(source.port, path="/in/abc?query=1") == 200
        assert status(source.port, path="/in/1") == 404
        assert status(source.port, path="/in/abc/more") == 404
        code, _, headers = request(source.port, None, "GET", "/in/abc")
        assert (code, headers["allow"]) == (405, "POST")
        assert request(source.port, None, "HEAD", "/in/abc")[:2] == (405, b"")
    assert bodies == [b"x"]


def test_requests_without_the_token_are_refused() -> None:
    source = Stream.from_http_server(0, token="s3cret")
    bodies = source.sink_to_list()
    with running(source):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
            code, text, answered = request(source.port, headers=headers)
            assert (code, answered["www-authenticate"]) == (401, "Bearer")
            assert b"s3cret" not in text
        assert status(source.port, headers={"Authorization": "Bearer s3cret"}) == 200
    assert bodies == [b"x"]
    assert "s3cret" not in f"{source} {source!r}"


# --- capacity ------------------------------------------------------------------------------------


def test_requests_beyond_the_limit_are_answered_429() -> None:
    source, gate = Stream.from_http_server(0, max_pending=2), Gate()
    source.sink(gate)
    with running(source):
        waiting = [Request(source.port, b"a"), Request(source.port, b"b")]
        wait_until(lambda: source.pending == 2)
        code, _, headers = request(source.port, b"c")
        assert (code, headers["retry-after"]) == (429, "1")
        gate.open.set()
        assert [each.status() for each in waiting] == [200, 200]
        assert status(source.port, b"d") == 200
    assert sorted(gate.done) == [b"a", b"b", b"d"]


def test_requests_beyond_the_limit_wait_on_request() -> None:
    source, gate = Stream.from_http_server(0, max_pending=2, busy="wait"), Gate()
    source.buffer(100).sink(gate)
    with running(source):
        waiting = [Request(source.port, b"%d" % n) for n in range(6)]
        wait_until(lambda: source.pending == 6)
        time.sleep(0.05)
        assert len(gate.entered) <= 2
        gate.open.set()
        assert [each.status() for each in waiting] == [200] * 6
    assert sorted(gate.done) == [b"%d" % n for n in range(6)]


def test_requests_that_timed_out_keep_their_place() -> None:
    source, gate = Stream.from_http_server(0, max_pending=1, answer_timeout=0.1), Gate()
    source.sink(gate)
    with running(source):
        assert status(source.port, b"a") == 503
        assert status(source.port, b"b") == 429
        gate.open.set()
        wait_until(lambda: status(source.port, b"c") == 200)


# --- limits --------------------------------------------------------------------------------------


def test_body_beyond_the_limit_is_answered_413() -> None:
    source = Stream.from_http_server(0, max_size=1000)
    bodies = source.sink_to_list()
    with running(source):
        assert status(source.port, b"x" * 1000) == 200
        assert status(source.port, b"x" * 1001) == 413
        chunks: Any = iter([b"x" * 600, b"x" * 600])
        assert status(source.port, chunks) == 413
        assert status(source.port, b"y") == 200
    assert bodies == [b"x" * 1000, b"y"]


def test_compressed_body_is_limited_by_its_full_size() -> None:
    options = {"decompress_request": True}
    source = Stream.from_http_server(0, server_kwargs=options, max_size=100_000)
    bodies = source.sink_to_list()
    zipped = {"Content-Encoding": "gzip"}
    with running(source):
        assert status(source.port, gzip.compress(b"x" * 1000), headers=zipped) == 200
        assert status(source.port, gzip.compress(b"x" * 50_000_000), headers=zipped) in (400, 413)
        assert status(source.port, b"no gzip", headers=zipped) == 400
        assert status(source.port, b"y") == 200
    assert bodies == [b"x" * 1000, b"y"]


def test_huge_body_is_refused_before_it_is_sent() -> None:
    source = Stream.from_http_server(0)
    source.sink_to_list()
    with running(source), client(source.port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
        assert is_closed(connection)


def test_endless_chunked_body_is_cut_off() -> None:
    source = Stream.from_http_server(0)
    bodies = source.sink_to_list()
    with running(source), client(source.port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent, chunk = 0, b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            while sent < 1 << 27:
                connection.sendall(chunk)
                sent += 65536
        except OSError:
            pass
        assert sent < 1 << 25
    assert bodies == []


def test_slow_headers_and_slow_bodies_are_cut_off() -> None:
    source = Stream.from_http_server(0, timeout=0.3)
    source.sink_to_list()
    with running(source):
        slow: list[socket.socket] = []
        parts = (b"", b"POST / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx")
        for part in parts:
            slow.append(socket.create_connection((HOST, source.port), timeout=30))
            slow[-1].sendall(part)
        assert status(source.port) == 200
        assert all(is_closed(each) for each in slow)
        for each in slow:
            each.close()
        assert status(source.port) == 200


def test_dribbled_headers_are_cut_off() -> None:
    source = Stream.from_http_server(0, timeout=0.3)
    source.sink_to_list()
    with running(source), client(source.port) as connection:
        begin = time.monotonic()
        try:
            connection.sendall(b"POST / HTTP/1.1\r\n")
            while time.monotonic() < begin + 20:
                connection.sendall(b"X-A: b\r\n")
                time.sleep(0.02)
            pytest.fail("the connection stays open")
        except OSError:
            pass
        assert status(source.port) == 200


def test_huge_headers_are_cut_off() -> None:
    source = Stream.from_http_server(0)
    source.sink_to_list()
    with running(source), client(source.port) as connection:
        try:
            connection.sendall(b"POST / HTTP/1.1\r\n")
            for n in range(100_000):
                connection.sendall(b"X-%d: b\r\n" % n)
            pytest.fail("the connection stays open")
        except OSError:
            pass
        assert status(source.port) == 200


def test_further_connections_are_refused_until_one_is_closed() -> None:
    source = Stream.from_http_server(0, max_clients=2)
    source.sink_to_list()
    with running(source):
        kept = [socket.create_connection((HOST, source.port), timeout=30) for _ in range(2)]
        wait_until(lambda: source.server and len(source.server._connections) == 2)
        with client(source.port) as third:
            assert is_closed(third)
        for each in kept:
            each.close()
        wait_until(lambda: not source.server._connections)
        assert status(source.port) == 200


def test_clients_that_leave_before_their_answer_harm_nothing() -> None:
    source, gate = Stream.from_http_server(0), Gate()
    source.sink(gate)
    with running(source):
        for _ in range(5):
            with client(source.port) as connection:
                connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
        wait_until(lambda: source.pending == 5)
        gate.open.set()
        wait_until(lambda: source.pending == 0)
        assert status(source.port) == 200
    assert len(gate.done) == 6


# --- malformed requests --------------------------------------------------------------------------

FUZZED: list[Any] = []


@pytest.fixture
def _fuzzed() -> Any:
    source = Stream.from_http_server(0, codec="json", timeout=1, max_size=1000)
    source.sink_to_list()
    with running(source):
        FUZZED.append(source)
        yield
        assert source.state == "running"
    FUZZED.clear()


LINES = st.sampled_from(
    [
        *(b"POST / HTTP/1.1", b"POST / HTTP/1.0", b"GET /", b"POST /%ff%00 HTTP/1.1", b"\x00"),
        *(b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 1e3", b"Content-Length:"),
        *(b"Content-Length: 99999999999999999999999", b"Transfer-Encoding: chunked", b": x"),
        *(b"Transfer-Encoding: gzip", b"Authorization: Bearer \xff\xfe", b"Expect: 100-continue"),
        *(
            b"Connection: close",
            b"Host: a\x00b",
            b" folded",
            b"",
            b"5",
            b"hello",
            b"0",
            b"ffffffff",
        ),
    ]
)


@pytest.mark.usefixtures("_fuzzed")
@settings(max_examples=80)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(LINES, max_size=8).map(b"\r\n".join),
        st.binary(max_size=50).map(
            lambda body: b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        ),
    )
)
def test_malformed_requests_leave_the_server_alive(data: bytes) -> None:
    (source,) = FUZZED
    with client(source.port) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        is_closed(connection)
    assert status(source.port, b"{}") == 200
    wait_until(lambda: source.pending == 0)


# --- stop and start ------------------------------------------------------------------------------


def test_stop_answers_what_is_in_flight_and_closes_what_is_idle() -> None:
    source, gate = Stream.from_http_server(0), Gate()
    source.sink(gate)
    source.start()
    with client(source.port) as idle:
        waiting = Request(source.port, b"a")
        wait_until(lambda: gate.entered)
        source.stop()
        assert is_closed(idle)
        assert waiting.is_alive()
        gate.open.set()
        assert waiting.status() == 200
        assert waiting.result is not None
        assert waiting.result[2]["connection"] == "close"
        source.join(30)
    assert gate.done == [b"a"]


def test_close_answers_the_requests_of_an_unfinished_batch() -> None:
    source = Stream.from_http_server(0)
    batches = source.partition(100).sink_to_list()
    source.start()
    waiting = [Request(source.port, b"a") for _ in range(3)]
    wait_until(lambda: source.pending == 3)
    source.close()
    assert [each.status() for each in waiting] == [200] * 3
    assert batches == [(b"a", b"a", b"a")]


def test_twenty_starts_and_stops_of_from_http_server_leave_nothing() -> None:
    source = Stream.from_http_server(0)
    bodies = source.sink_to_list()
    with no_leaks():
        for _ in range(20):
            source.start()
            with client(source.port) as idle:
                assert status(source.port) == 200
                source.stop()
                assert is_closed(idle)
            source.join(30)
    assert len(bodies) == 20


def test_http_server_verifies_nothing_less_by_tls() -> None:
    trusted, other = Authority(), Authority()
    source = Stream.from_http_server(0, ssl=trusted.server, timeout=1)
    bodies = source.sink_to_list()
    with running(source):
        assert status(source.port, context=trusted.client) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            request(source.port, context=other.client)
        with client(source.port) as half_open:
            assert is_closed(half_open)
        assert status(source.port, context=trusted.client) == 200
    assert bodies == [b"x", b"x"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "("}, "from_http_server: path must be a regular expression, got '('"),
        ({"methods": "POST"}, "from_http_server: methods must be a tuple of str, got 'POST'"),
        ({"answer": "now"}, "from_http_server: answer must be 'done' or 'accepted', got 'now'"),
        ({"busy": "no"}, "from_http_server: busy must be 'reject' or 'wait', got 'no'"),
        ({"max_pending": 0}, "from_http_server: max_pending must be an int >= 1, got 0"),
        ({"token": "a b"}, "from_http_server: token must be a str of visible ASCII"),
        ({"token": 5}, "from_http_server: token must be a str of visible ASCII"),
        ({"timeout": 0}, "from_http_server: timeout must be"),
    ],
)
def test_from_http_server_refuses_bad_arguments(arguments: Any, message: str) -> None:
    options: Any = {"port": 0, **arguments}
    with pytest.raises((TypeError, ValueError)) as caught:
        Stream.from_http_server(**options)
    assert str(caught.value).startswith(message)


# --- load, and kills -----------------------------------------------------------------------------


async def load(port: int, clients: int, count: int) -> list[float]:
    """Send *count* numbered requests over *clients* connections; return the latencies."""
    latencies: list[float] = []
    numbers = iter(range(count))

    async def work() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        for number in numbers:
            body = b"%d" % number
            begin = time.perf_counter()
            writer.write(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(2)
            latencies.append(time.perf_counter() - begin)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(work() for _ in range(clients)))
    return latencies


def test_10_000_requests_of_one_client_are_processed_in_order() -> None:
    source = Stream.from_http_server(0)
    numbers = source.map(int).sink_to_list()
    with running(source):
        asyncio.run(load(source.port, 1, 10_000))
    assert numbers == list(range(10_000))


def test_10_000_requests_of_50_clients_are_processed_once_each() -> None:
    source = Stream.from_http_server(0)
    numbers = source.map(int).sink_to_list()
    with running(source):
        begin = time.perf_counter()
        latencies = asyncio.run(load(source.port, 50, 10_000))
        seconds = time.perf_counter() - begin
    p99 = statistics.quantiles(latencies, n=100)[98]
    median = statistics.median(latencies)
    print(f"{10_000 / seconds:.0f} requests/s, median {median:.4f} s, p99 {p99:.4f} s")
    assert sorted(numbers) == list(range(10_000))


SERVER = """
import sys, os
from rapidz import Stream
port, path = int(sys.argv[1]), sys.argv[2]
file = open(path, "ab", buffering=0)
source = Stream.from_http_server(port)
source.sink(lambda x: file.write(x + b"\\n"))
source.start()
print("ready", flush=True)
source.join()
"""

SLOW_SERVER = """
import asyncio, sys
from rapidz import Stream
port, path = int(sys.argv[1]), sys.argv[2]
file = open(path, "ab", buffering=0)
async def write(batch):
    await asyncio.sleep(0.002)
    file.write(b"".join(x + b"\\n" for x in batch))
source = Stream.from_http_server(port)
source.buffer(100).partition(5, timeout=0.02).sink(write)
source.start()
source.join()
"""

CLIENT = """
import sys, pathlib
from rapidz import Stream
url, total, progress = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
done = int(progress.read_text()) if progress.exists() else 0
stream = Stream()
stream.map(str).to_http(url)
print("ready", flush=True)
for n in range(done, total):
    stream.emit(n)               # returns when the server has answered
    temporary = progress.with_suffix(".new")
    temporary.write_text(str(n + 1))
    temporary.replace(progress)
stream.close()
"""


def http_server(path: Path, program: str = SERVER) -> Server:
    def command(port: int, folder: Path) -> list[str]:
        return [sys.executable, "-c", program, str(port), str(path)]

    return Server("http", command)


def counts(path: Path) -> Counter[int]:
    return Counter(map(int, path.read_bytes().split())) if path.exists() else Counter()


@pytest.mark.server
@pytest.mark.slow
def test_client_that_is_killed_and_repeats_loses_nothing(tmp_path: Path) -> None:
    written = tmp_path / "written"
    with http_server(written) as server:
        kills = run_and_kill(
            CLIENT,
            f"http://{HOST}:{server.port}/",
            500,
            tmp_path / "progress",
            kills=4,
            progress=lambda: len(counts(written)),
            total=500,
            pause=(0.0, 0.02),
        )
    found = counts(written)
    print(f"{kills} kills, {sum(found.values()) - len(found)} requests twice")
    assert set(found) == set(range(500))
    assert sum(found.values()) - len(found) <= kills


@pytest.mark.soak
@pytest.mark.server
def test_client_that_is_killed_ten_times_loses_nothing_of_10_000(tmp_path: Path) -> None:
    written = tmp_path / "written"
    with http_server(written) as server:
        url = f"http://{HOST}:{server.port}/"
        kills = run_and_kill(
            CLIENT,
            *(url, 10_000, tmp_path / "progress"),
            kills=10,
            progress=lambda: len(counts(written)),
            total=10_000,
        )
    found = counts(written)
    assert (kills, set(found)) == (10, set(range(10_000)))
    assert sum(found.values()) - len(found) <= kills


def kill_server(tmp_path: Path, count: int, kills: int) -> None:
    """Kill a server that writes in batches, behind a queue, while four clients send."""
    written = tmp_path / "written"
    fast = Restart(wait=0.01, limit=0.05)

    def send(part: int) -> None:
        stream = Stream()
        stream.map(str).to_http(f"http://{HOST}:{server.port}/", restart=fast)
        stream.emit_many(range(part, count, 4))
        stream.close()

    with http_server(written, SLOW_SERVER) as server:
        threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for n in range(kills):
            least = (n + 1) * count // (kills + 1)
            wait_until(lambda least=least: len(counts(written)) >= least)  # type: ignore[misc]
            server.kill()
            server.start()
        for thread in threads:
            thread.join(60)
    found = counts(written)
    print(f"{kills} kills, {sum(found.values()) - len(found)} requests twice")
    assert set(found) == set(range(count)), "nothing unfinished was acknowledged"
    assert sum(found.values()) - len(found) <= 4 * kills


@pytest.mark.server
@pytest.mark.slow
def test_server_that_is_killed_has_acknowledged_nothing_unfinished(tmp_path: Path) -> None:
    kill_server(tmp_path, 400, 2)


@pytest.mark.soak
@pytest.mark.server
def test_server_that_is_killed_ten_times_loses_nothing_of_10_000(tmp_path: Path) -> None:
    kill_server(tmp_path, 10_000, 10)


def test_load_of_json_bodies_is_decoded() -> None:
    source = Stream.from_http_server(0, codec="json")
    elements = source.sink_to_list()
    with running(source):
        for n in range(20):
            assert status(source.port, json.dumps({"n": n}).encode()) == 200
    assert elements == [{"n": n} for n in range(20)]


async def by_connectors(count: int) -> float:
    """Send requests one by one by `to_http` to `from_http_server`; return the processor time."""
    source = Stream.from_http_server(0, asynchronous=True)
    bodies = source.sink_to_list()
    source.start()
    stream: Any = Stream(asynchronous=True)
    stream.to_http(f"http://{HOST}:{source.port}/")
    begin = time.process_time()
    async with stream:
        for n in range(count):
            await stream.emit(b"%d" % n)
    seconds = time.process_time() - begin
    assert len(bodies) == count
    source.stop()
    await source.join()
    return seconds


async def by_tornado(count: int) -> float:
    """Send the same by Tornado's client to a bare server of Tornado."""
    bodies: list[bytes] = []

    def answer(request: Any) -> None:
        bodies.append(request.body)
        headers = HTTPHeaders({"Content-Length": "2"})
        request.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers, b"OK")
        request.connection.finish()

    server, sockets = HTTPServer(answer), bind_sockets(0, HOST)
    server.add_sockets(sockets)
    url = f"http://{HOST}:{sockets[0].getsockname()[1]}/"
    made = SimpleAsyncHTTPClient(force_instance=True)
    begin = time.process_time()
    for n in range(count):
        await made.fetch(url, method="POST", body=b"%d" % n)
    seconds = time.process_time() - begin
    assert len(bodies) == count
    made.close()
    server.stop()
    await server.close_all_connections()
    return seconds


@pytest.mark.soak
def test_http_costs_no_more_than_bare_tornado() -> None:
    own, bare = [], []
    for _ in range(5):
        own.append(asyncio.run(by_connectors(2000)))
        bare.append(asyncio.run(by_tornado(2000)))
    ratio = min(own) / min(bare)
    print(f"{min(own) / 2000 * 1e6:.0f} us a request, {ratio:.2f} of bare Tornado")
    assert ratio <= 1.1
