"""from_http, to_http: polls with validators, requests that are repeated, and what stays secret."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.helpers import no_leaks, wait_until
from tests.connectors.servers import HOST, Server, free_port
from tests.connectors.web import Authority, Handler, WebServer, running, web_server

from rapidz import Stream
from rapidz.connectors.net.http_client import HttpStatusError
from rapidz.sources.restart import Restart

FAST = Restart(wait=0.01, limit=0.05)


def collect(stream: Stream[Any]) -> list[Any]:
    elements: list[Any] = []
    stream.sink(elements.append)
    return elements


# --- from_http -----------------------------------------------------------------------------------


class Document:
    """Document of a web server, with a validator."""

    def __init__(self, body: bytes = b"one", kind: str = "ETag") -> None:
        self.body, self.kind = body, kind
        self.statuses: list[int] = []
        self.asked: list[dict[str, str]] = []
        self.failing: list[int] = []

    def __call__(self, handler: Handler) -> None:
        self.asked.append(dict(handler.headers))
        if self.failing:
            self.statuses.append(self.failing[0])
            handler.reply(self.failing.pop(0))
            return
        ask = "If-None-Match" if self.kind == "ETag" else "If-Modified-Since"
        tag = f'"{self.body.decode()}"'
        found = 304 if handler.headers.get(ask) == tag else 200
        self.statuses.append(found)
        handler.reply(found, self.body if found == 200 else b"", **{self.kind: tag})


@pytest.mark.parametrize("kind", ["ETag", "Last_Modified"])
def test_from_http_emits_a_document_when_it_changes(kind: str) -> None:
    document = Document(kind=kind)
    with web_server(document) as server:
        source = Stream.from_http(server.url, 0.01)
        bodies = collect(source)
        with running(source):
            wait_until(lambda: document.statuses.count(304) >= 2)
            document.body = b"two"
            wait_until(lambda: len(bodies) == 2 and document.statuses[-1] == 304)
        position = source.position()
        again = Stream.from_http(server.url, 0.01)
        again.seek(position)
        repeated = collect(again)
        count = len(document.statuses)
        with running(again):
            wait_until(lambda: len(document.statuses) > count + 2)
    assert bodies == [b"one", b"two"]
    assert repeated == []


def test_from_http_keeps_one_connection() -> None:
    connections: set[Any] = set()

    def answer(handler: Handler) -> None:
        connections.add(handler.client_address)
        handler.reply(200, b"x")

    with web_server(answer) as server:
        source = Stream.from_http(server.url, 0.001)
        bodies = collect(source)
        with running(source):
            wait_until(lambda: len(bodies) >= 20)
    assert len(connections) == 1


def test_from_http_connects_again_after_an_idle_connection_was_closed() -> None:
    document = Document(kind="X")
    with web_server(document) as server:
        source = Stream.from_http(server.url, 0.05, restart=False)
        bodies = collect(source)
        with running(source):
            for count in (1, 2, 3):
                wait_until(lambda count=count: len(bodies) >= count)  # type: ignore[misc]
                server.drop()
            assert source.state == "running"


def test_from_http_tries_again_after_transient_answers(caplog: Any) -> None:
    document = Document()
    with web_server(document) as server:
        source = Stream.from_http(server.url, 0.01, restart=FAST)
        bodies = collect(source)
        with running(source):
            wait_until(lambda: bodies == [b"one"])
            document.failing = [503, 429, 500]
            document.body = b"two"
            wait_until(lambda: bodies == [b"one", b"two"])
            assert source.exception is None
    assert "answered with 503" in caplog.text


def test_from_http_fails_for_good_after_other_errors() -> None:
    document = Document()
    document.failing = [404]
    with web_server(document) as server:
        source = Stream.from_http(server.url, 0.01)
        collect(source)
        source.start()
        with pytest.raises(HttpStatusError, match="404 Not Found") as caught:
            source.join(30)
    assert caught.value.status == 404
    assert source.state == "failed"


def test_from_http_fails_at_once_without_a_server() -> None:
    source = Stream.from_http(f"http://{HOST}:{free_port()}/")
    collect(source)
    source.start()
    with pytest.raises(OSError, match="refused"):
        source.join(30)


def test_from_http_survives_a_server_that_starts_again(tmp_path: Path) -> None:
    with echo_server(tmp_path / "written") as server:
        source = Stream.from_http(f"http://{HOST}:{server.port}/", 0.01, restart=FAST)
        bodies = collect(source)
        with running(source):
            wait_until(lambda: bodies)
            server.kill()
            wait_until(lambda: source.state == "restarting")
            server.start()
            count = len(bodies)
            wait_until(lambda: len(bodies) > count)
            assert source.state == "running"


def test_from_http_waits_for_a_slow_sink() -> None:
    document, gate = Document(kind="X"), threading.Event()
    seen: list[bytes] = []

    async def write(x: bytes) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.005)
        seen.append(x)

    with web_server(document) as server:
        source = Stream.from_http(server.url, 0.001)
        source.sink(write)
        with running(source):
            wait_until(lambda: document.statuses)
            time.sleep(0.1)
            assert len(document.statuses) == 1
            gate.set()
            wait_until(lambda: len(seen) > 2)


def test_from_http_decodes_and_decompresses() -> None:
    def answer(handler: Handler) -> None:
        assert handler.headers["Accept-Encoding"] == "gzip"
        handler.reply(200, gzip.compress(b'{"a": 1}'), Content_Encoding="gzip")

    with web_server(answer) as server:
        source = Stream.from_http(server.url, 0.01, codec="json")
        elements = collect(source)
        with running(source):
            wait_until(lambda: elements)
    assert elements[0] == {"a": 1}


def test_from_http_gives_an_undecodable_body_to_the_policy() -> None:
    document = Document(b"{")
    with web_server(document) as server:
        source = Stream.from_http(server.url, 0.01, codec="json")
        failures = collect(source.on_error("send").errors)
        elements = collect(source)
        with running(source):
            wait_until(lambda: failures)
            document.body = b"[1]"
            wait_until(lambda: elements)
    assert ([f.element for f in failures], elements) == ([b"{"], [[1]])


@pytest.mark.parametrize("zipped", [False, True])
def test_from_http_refuses_a_huge_answer(zipped: bool) -> None:
    def answer(handler: Handler) -> None:
        body = b"x" * 10_000_000
        if zipped:
            handler.reply(200, gzip.compress(body), Content_Encoding="gzip")
        else:
            handler.reply(200, body)

    with web_server(answer) as server:
        source = Stream.from_http(server.url, max_size=1_000_000, restart=False)
        collect(source)
        source.start()
        with pytest.raises(OSError, match=r"no complete answer|closed the connection|longer than"):
            source.join(30)


def test_from_http_limits_the_time_of_an_answer() -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        source = Stream.from_http(f"http://{HOST}:{port}/", timeout=0.2)
        collect(source)
        source.start()
        with pytest.raises(TimeoutError, match="did not answer in time"):
            source.join(30)


def test_redirect_to_another_server_gets_no_credentials() -> None:
    document = Document()
    with web_server(document) as target:

        def answer(handler: Handler) -> None:
            path = "/second" if handler.path == "/first" else target.url
            handler.reply(302, Location=path)

        with web_server(answer) as server:
            private = {"Authorization": "Bearer s3cret", "Cookie": "s3cret", "X-Mine": "kept"}
            source = Stream.from_http(f"{server.url}/first", 0.01, headers=private)
            bodies = collect(source)
            with running(source):
                wait_until(lambda: bodies)
    assert "s3cret" not in str(document.asked)
    assert document.asked[0]["X-Mine"] == "kept"


def test_redirects_are_bounded() -> None:
    with web_server(lambda handler: handler.reply(302, Location="/again")) as server:
        source = Stream.from_http(server.url, restart=False)
        collect(source)
        source.start()
        with pytest.raises(ConnectionError, match="redirects too often"):
            source.join(30)


def test_twenty_starts_and_stops_of_from_http_leave_nothing() -> None:
    document = Document(kind="X")
    with web_server(document) as server:
        source = Stream.from_http(server.url, 0.01)
        bodies = collect(source)
        before = threading.active_count()
        with no_web_leaks(server):
            for n in range(20):
                source.start()
                wait_until(lambda n=n: len(bodies) > n)  # type: ignore[misc]
                source.stop()
                source.join(30)
            wait_until(lambda: threading.active_count() <= before)


@contextlib.contextmanager
def no_web_leaks(server: WebServer) -> Any:
    """Check for leaks, once the threads of the server have ended."""
    with no_leaks():
        yield
        wait_until(lambda: not server._open)


# --- to_http -------------------------------------------------------------------------------------


class Store:
    """Keeps the bodies that it accepts; answers by a script of statuses first."""

    def __init__(self, *script: int) -> None:
        self.script = list(script)
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.peers: set[Any] = set()
        self.extra: dict[str, str] = {}

    def __call__(self, handler: Handler) -> None:
        body = handler.read_body()
        self.headers.append({k.lower(): v for k, v in handler.headers.items()})
        self.headers[-1][":method"] = handler.command
        self.peers.add(handler.client_address)
        code = self.script.pop(0) if self.script else 200
        if code == 200:
            self.bodies.append(body)
        handler.reply(code, b"answer", **self.extra)


def test_to_http_sends_elements_in_order_over_one_connection() -> None:
    store = Store()
    with web_server(store) as server, Stream() as stream:
        stream.to_http(server.url, "PUT", headers={"X-Key": "k"})
        stream.emit_many([b"a", "b", b""])
    assert store.bodies == [b"a", b"b", b""]
    assert len(store.peers) == 1
    assert store.headers[0][":method"] == "PUT"
    assert store.headers[0]["content-type"] == "application/octet-stream"
    assert store.headers[0]["x-key"] == "k"


@pytest.mark.parametrize(
    ("options", "bodies", "kind"),
    [
        ({"codec": "json"}, [b"1", b"2", b"3"], "application/json"),
        ({"codec": "json", "batch": 2}, [b"1\n2\n", b"3\n"], "application/x-ndjson"),
        (
            {"codec": "json", "batch": 2, "batch_format": "array"},
            [b"[1,2]", b"[3]"],
            "application/json",
        ),
        (
            {"codec": "json", "headers": {"content-type": "x/y"}},
            [b"1", b"2", b"3"],
            "x/y",
        ),
    ],
)
def test_to_http_encodes_and_batches(options: Any, bodies: list[bytes], kind: str) -> None:
    store = Store()
    with web_server(store) as server, Stream() as stream:
        stream.to_http(server.url, **options)
        stream.emit_many([1, 2, 3])
        stream.close()
    assert store.bodies == bodies
    assert {headers["content-type"] for headers in store.headers} == {kind}


def test_to_http_repeats_after_transient_answers(caplog: Any) -> None:
    store = Store(503, 429, 500, 200, 408)
    with web_server(store) as server, Stream() as stream:
        stream.to_http(server.url, restart=FAST)
        stream.emit_many([b"a", b"b", b"c"])
    assert store.bodies == [b"a", b"b", b"c"]
    assert caplog.text.count("writes again") == 4


def test_to_http_waits_as_long_as_the_server_asks() -> None:
    store = Store(429)
    store.extra = {"Retry-After": "1"}
    with web_server(store) as server, Stream() as stream:
        stream.to_http(server.url, restart=FAST)
        begin = time.monotonic()
        stream.emit(b"a")
        assert time.monotonic() - begin >= 0.99
    assert store.bodies == [b"a"]


def test_to_http_gives_refused_elements_to_the_policy() -> None:
    store = Store(200, 422)
    with web_server(store) as server, Stream() as stream:
        node = stream.to_http(server.url, codec="json", batch=2).on_error("send")
        failures = collect(node.errors)
        stream.emit_many([1, 2, 3, 4, 5])
        stream.close()
    assert store.bodies == [b"1\n2\n", b"5\n"]
    assert [f.element for f in failures] == [3, 4]
    assert {f.exception.status for f in failures} == {422}
    assert {f.exception.body for f in failures} == {b"answer"}


def test_to_http_gives_what_it_cannot_encode_to_the_policy() -> None:
    store = Store()
    with web_server(store) as server, Stream() as stream:
        node = stream.to_http(server.url, codec="json").on_error("send")
        failures = collect(node.errors)
        stream.emit_many([1, {1, 2}, 3])
    assert store.bodies[:1] + store.bodies[-1:] == [b"1", b"3"]
    assert len(store.bodies) + len(failures) == 3


def test_to_http_raises_without_a_policy() -> None:
    with web_server(Store(400)) as server:
        stream = Stream()
        stream.to_http(server.url)
        with pytest.raises(HttpStatusError, match=r"POST .* was answered with 400 Bad Request"):
            stream.emit(b"a")
        stream.emit(b"b")
        stream.close()


def test_to_http_fails_at_once_without_a_server() -> None:
    stream = Stream()
    stream.to_http(f"http://{HOST}:{free_port()}/")
    with pytest.raises(OSError, match="refused"):
        stream.emit(b"a")


def test_to_http_repeats_after_lost_connections() -> None:
    dropped = [0]
    store = Store()

    def answer(handler: Handler) -> None:
        store(handler)
        if len(store.bodies) % 50 == 0:
            dropped[0] += 1
            handler.server.drop()

    def late(handler: Handler) -> None:
        if handler.headers.get("Content-Length") and len(store.bodies) % 50 == 25:
            store.bodies.append(b"cut")
            dropped[0] += 1
            handler.server.drop()
            return
        answer(handler)

    with web_server(late) as server, Stream() as stream:
        stream.map(str).to_http(server.url, restart=FAST)
        stream.emit_many(range(300))
    found = Counter(body for body in store.bodies if body != b"cut")
    assert sorted(map(int, found)) == list(range(300))
    assert sum(found.values()) - 300 <= dropped[0]


ECHO = """
import sys
from rapidz import Stream
port, path = int(sys.argv[1]), sys.argv[2]
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
file = open(path, "ab", buffering=0)
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.reply(b"x")
    def do_POST(self):
        file.write(self.rfile.read(int(self.headers["Content-Length"])) + b"\\n")
        self.reply(b"")
    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def echo_server(path: Path) -> Server:
    def command(port: int, folder: Path) -> list[str]:
        return [sys.executable, "-c", ECHO, str(port), str(path)]

    return Server("echo", command)


def kill_server(tmp_path: Path, count: int, kills: int) -> None:
    path = tmp_path / "written"
    with echo_server(path) as server:
        stream = Stream()
        stream.map(str).to_http(f"http://{HOST}:{server.port}/", restart=FAST)
        thread = threading.Thread(target=lambda: stream.emit_many(range(count)))
        thread.start()
        for n in range(kills):
            least = (n + 1) * count // (kills + 1)
            wait_until(lambda least=least: len(path.read_bytes().split()) >= least)  # type: ignore[misc]
            server.kill()
            time.sleep(0.05)
            server.start()
        thread.join(60)
        stream.close()
    found = Counter(map(int, path.read_bytes().split()))
    print(f"{kills} kills, {sum(found.values()) - count} requests twice")
    assert set(found) == set(range(count))
    assert sum(found.values()) - count <= kills
    assert list(found) == list(range(count))


@pytest.mark.server
@pytest.mark.slow
def test_to_http_loses_nothing_when_the_server_is_killed(tmp_path: Path) -> None:
    kill_server(tmp_path, 600, 3)


@pytest.mark.soak
@pytest.mark.server
def test_to_http_loses_nothing_when_the_server_is_killed_ten_times(tmp_path: Path) -> None:
    kill_server(tmp_path, 10_000, 10)


def test_to_http_sends_10_000_elements_once_each_in_order() -> None:
    source = Stream.from_http_server(0)
    numbers = collect(source.map(int))
    with running(source), Stream() as stream:
        stream.map(str).to_http(f"http://{HOST}:{source.port}/")
        stream.emit_many(range(10_000))
    assert numbers == list(range(10_000))


def test_twenty_sinks_to_http_leave_nothing() -> None:
    store = Store()
    with web_server(store) as server, no_web_leaks(server):
        for n in range(20):
            with Stream() as stream:
                stream.to_http(server.url)
                stream.emit(b"%d" % n)
    assert len(store.bodies) == 20


# --- TLS and secrets -----------------------------------------------------------------------------


def test_http_clients_verify_certificates() -> None:
    trusted, other = Authority(), Authority()
    store = Store()
    with web_server(store, trusted.server) as server:
        with Stream() as good:
            good.to_http(server.url, ssl=trusted.client)
            good.emit(b"a")
        for context in (other.client, None):
            bad = Stream()
            bad.to_http(server.url, ssl=context, restart=Restart(at_start=True))
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                bad.emit(b"secret")
            bad.close()
        source = Stream.from_http(server.url, ssl=other.client)
        collect(source)
        source.start()
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            source.join(30)
    assert store.bodies == [b"a"]


def test_secrets_show_in_no_message(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    store = Store(500, 500, 403)
    with web_server(store) as server:
        url = f"http://user:s3cret@{HOST}:{server.port}/hooks/s3cret?key=s3cret"
        stream = Stream()
        node = stream.to_http(url, headers={"X-Key": "s3cret"}, restart=FAST)
        with pytest.raises(HttpStatusError) as caught:
            stream.emit(b"a")
        stream.close()
    source = Stream.from_http(f"http://user:s3cret@{HOST}:{free_port()}/s3cret?key=s3cret")
    collect(source)
    source.start()
    with pytest.raises(OSError, match="refused") as refused:
        source.join(30)
    shown = [caught.value, refused.value, node, source]
    text = caplog.text + "".join(f"{each} {each!r}" for each in shown)
    assert "s3cret" not in text
    assert "dXNlcjpzM2NyZXQ" not in text  # the header of basic authentication
    assert store.headers[0]["authorization"] == "Basic dXNlcjpzM2NyZXQ="


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Stream.from_http("ftp://x"), "from_http: url must be an http or https URL"),
        (lambda: Stream.from_http("http://"), "from_http: url must be an http or https URL"),
        (lambda: Stream.from_http("http://a:b/"), "from_http: url must be an http or https URL"),
        (lambda: Stream.from_http("http://a/", 0), "from_http: poll_interval must be"),
        (
            lambda: Stream.from_http("http://a/", headers={"A": "b\r\nC: d"}),
            "from_http: headers must have no line breaks, got one in 'A'",
        ),
        (lambda: Stream().to_http("http://a/", "GET"), "to_http: method must be 'POST' or"),
        (
            lambda: Stream().to_http("http://a/", batch_format="array"),
            "to_http: batch_format 'array' needs codec 'json', got 'raw'",
        ),
        (lambda: Stream().to_http("http://a/", batch=0), "to_http: batch must be"),
    ],
)
def test_http_clients_refuse_bad_arguments(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_json_written_by_to_http_is_read_by_from_http_server() -> None:
    source = Stream.from_http_server(0, codec="json")
    elements = collect(source)
    with running(source), Stream() as stream:
        stream.to_http(f"http://{HOST}:{source.port}/", codec="json")
        stream.emit({"a": [1, None]})
    assert elements == [json.loads('{"a": [1, null]}')]
