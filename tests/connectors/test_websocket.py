"""from_websocket, from_websocket_client, to_websocket: messages, limits, and lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connectors.helpers import no_leaks, wait_until
from tests.connectors.proxy import CuttingProxy
from tests.connectors.servers import HOST, Server, free_port
from tests.connectors.web import Authority, client, is_closed, running

from rapidz import Stream
from rapidz.sources.restart import Restart

pytest.importorskip(
    "websockets.asyncio.server", reason="needs websockets 13: pip install websockets"
)
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

FAST = Restart(wait=0.01, limit=0.05)


def collect(stream: Stream[Any]) -> list[Any]:
    elements: list[Any] = []
    stream.sink(elements.append)
    return elements


def uri(port: int) -> str:
    return f"ws://{HOST}:{port}/"


def talk(port: int, *messages: Any, **options: Any) -> None:
    """Connect, send messages, and close in order."""

    async def send() -> None:
        async with connect(uri(port), **options) as connection:
            for message in messages:
                await connection.send(message)

    asyncio.run(send())


def code_of(port: int, *messages: Any, **options: Any) -> int | None:
    """Send messages, and return the code with which the server closes."""

    async def send() -> int | None:
        async with connect(uri(port), **options) as connection:
            with contextlib.suppress(ConnectionClosed):
                for message in messages:
                    await connection.send(message)
                async with asyncio.timeout(30):
                    await connection.recv()
            return connection.protocol.close_code

    return asyncio.run(send())


def skip_version_13() -> None:
    if importlib.metadata.version("websockets").startswith("13."):
        pytest.skip("websockets 13 drops what was not read when the other side closes")


class Feed:
    """WebSocket server in a thread; each connection gets the messages that `handler` sends."""

    def __init__(self, handler: Callable[[Any], Coroutine[Any, Any, None]], **options: Any) -> None:
        self._handler, self._options = handler, options
        self.port, self.connections = 0, 0

    def __enter__(self) -> Feed:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)))
        self._thread.start()
        assert started.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(30)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        options: dict[str, Any] = {"close_timeout": 0.5, "ping_interval": None, **self._options}
        async with serve(self._handle, HOST, self.port, **options) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            started.set()
            await self._closing.wait()

    async def _handle(self, connection: Any) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionClosed):
            await self._handler(connection)

    async def hold(self, connection: Any) -> None:
        await connection.wait_closed()


# --- from_websocket ------------------------------------------------------------------------------


def test_from_websocket_emits_text_as_str_and_binary_as_bytes() -> None:
    source = Stream.from_websocket(HOST, 0)
    messages = collect(source)
    with running(source):
        talk(source.port, "text", b"binary", "", b"")
        wait_until(lambda: len(messages) == 4)
    assert messages == ["text", b"binary", "", b""]


def test_websocket_source_and_sink_work_together() -> None:
    source = Stream.from_websocket(HOST, 0)
    messages = collect(source)
    with running(source):
        with Stream() as stream:
            stream.to_websocket(uri(source.port))
            stream.emit_many(["a", b"b"])
        wait_until(lambda: len(messages) == 2)
    assert messages == ["a", b"b"]


def test_100_000_messages_arrive_once_each_in_order() -> None:
    count = 100_000
    source = Stream.from_websocket(HOST, 0)
    numbers = collect(source.map(int))

    async def send() -> None:
        async with connect(uri(source.port), compression=None, ping_interval=None) as connection:
            for n in range(count):
                await connection.send(b"%d" % n)

    with running(source):
        asyncio.run(send())
        wait_until(lambda: len(numbers) == count)
    assert numbers == list(range(count))


def test_from_websocket_does_not_read_while_the_sink_is_slow() -> None:
    source, gate, seen = Stream.from_websocket(HOST, 0), threading.Event(), []
    sent = [0]

    async def write(x: Any) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        seen.append(x)

    async def send() -> None:
        async with connect(uri(source.port), compression=None, ping_interval=None) as connection:
            for _ in range(5000):
                await connection.send(b"x" * 10_000)
                sent[0] += 1

    source.sink(write)
    with running(source):
        thread = threading.Thread(target=lambda: asyncio.run(send()))
        thread.start()
        before = -1
        while sent[0] != before or not before:
            before = sent[0]
            time.sleep(0.3)
        assert before < 2500, "the rest waits in the client"
        gate.set()
        thread.join(60)
        wait_until(lambda: len(seen) == 5000)


def test_back_pressure_disconnects_no_client() -> None:
    source, gate, seen = Stream.from_websocket(HOST, 0, timeout=0.5), threading.Event(), []

    async def write(x: Any) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        seen.append(x)

    async def send() -> None:
        async with connect(uri(source.port), ping_interval=None) as connection:
            for n in range(100):
                await connection.send(b"%d" % n)
            await asyncio.sleep(1.2)  # more than two timeouts: of the ping and of its answer
            gate.set()
            await connection.send(b"100")

    source.sink(write)
    with running(source):
        asyncio.run(send())
        wait_until(lambda: len(seen) == 101)


def test_from_websocket_decodes_messages_by_a_codec() -> None:
    source = Stream.from_websocket(HOST, 0, codec="json")
    elements = collect(source)
    with running(source):
        talk(source.port, '{"a": 1}', b"[2]")
        wait_until(lambda: len(elements) == 2)
    assert elements == [{"a": 1}, [2]]


def test_undecodable_message_disconnects_its_client_or_goes_to_the_policy() -> None:
    strict = Stream.from_websocket(HOST, 0, codec="json")
    elements = collect(strict)
    with running(strict):
        assert code_of(strict.port, "1", "{") == 1007
        talk(strict.port, "2")
        wait_until(lambda: elements == [1, 2])
    lenient = Stream.from_websocket(HOST, 0, codec="json")
    failures = collect(lenient.on_error("send").errors)
    elements = collect(lenient)
    with running(lenient):
        talk(lenient.port, "1", "{", "2")
        wait_until(lambda: elements == [1, 2])
    assert [failure.element for failure in failures] == [b"{"]


def test_from_websocket_that_starts_after_a_failure_loses_nothing() -> None:
    source = Stream.from_websocket(HOST, 0)
    seen = source.map(int).sink_to_list()
    source.start()
    talk(source.port, "x")
    wait_until(lambda: source.state == "failed")
    source.start()
    talk(source.port, "5", "6")
    wait_until(lambda: seen == [5, 6])
    assert source.state == "running"
    source.stop()
    with pytest.raises(ValueError, match="x"):
        source.join(30)


def test_failure_downstream_fails_from_websocket() -> None:
    source = Stream.from_websocket(HOST, 0)
    source.map(int).sink(lambda x: 1 // x)
    source.start()
    assert code_of(source.port, "0") in (1000, 1001)
    with pytest.raises(ZeroDivisionError):
        source.join(30)
    assert source.state == "failed"


# --- hostile clients -----------------------------------------------------------------------------


def test_oversize_message_disconnects_its_client_alone() -> None:
    source = Stream.from_websocket(HOST, 0, max_size=1000)
    messages = collect(source)
    with running(source):
        assert code_of(source.port, "a", b"x" * 1001) == 1009
        assert code_of(source.port, "x" * 100_000_000) == 1009  # which compresses to little
        talk(source.port, "b")
        wait_until(lambda: messages == ["a", "b"])


def test_slow_and_half_open_handshakes_are_cut_off() -> None:
    source = Stream.from_websocket(HOST, 0, timeout=1)
    messages = collect(source)
    with running(source):
        with client(source.port) as silent, client(source.port) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            talk(source.port, "a")
            assert is_closed(silent)
            assert is_closed(slow)
        talk(source.port, "b")
        wait_until(lambda: messages == ["a", "b"])


def test_half_open_clients_are_limited_too() -> None:
    source = Stream.from_websocket(HOST, 0, max_clients=2, timeout=0.5)
    messages = collect(source)
    with running(source), contextlib.ExitStack() as opened:
        half_open = [opened.enter_context(client(source.port)) for _ in range(20)]
        begin = time.monotonic()
        assert all(is_closed(each) for each in half_open[-10:])
        assert time.monotonic() - begin < 20
        assert all(is_closed(each) for each in half_open)
        talk(source.port, "a")
        wait_until(lambda: messages == ["a"])


def test_client_that_does_not_answer_pings_is_disconnected() -> None:
    source = Stream.from_websocket(HOST, 0, timeout=0.5)
    messages = collect(source)
    with running(source), CuttingProxy(source.port) as proxy:

        async def stall() -> None:
            async with connect(uri(proxy.port), ping_interval=None) as connection:
                await connection.send("a")
                await asyncio.to_thread(wait_until, lambda: messages == ["a"])
                proxy.stall()
                await asyncio.to_thread(wait_until, lambda: source._clients == 0)
                proxy.stall(False)

        asyncio.run(stall())


def test_further_clients_are_answered_503_until_one_leaves() -> None:
    source = Stream.from_websocket(HOST, 0, max_clients=1)
    messages = collect(source)

    async def try_two() -> None:
        async with connect(uri(source.port)) as first:
            await first.send("a")
            await asyncio.to_thread(wait_until, lambda: messages == ["a"])
            with pytest.raises(InvalidStatus) as caught:
                await connect(uri(source.port))
            assert caught.value.response.status_code == 503

    with running(source):
        asyncio.run(try_two())
        wait_until(lambda: source._clients == 0)
        talk(source.port, "b")
        wait_until(lambda: messages == ["a", "b"])


def test_clients_without_the_token_are_refused(caplog: Any) -> None:
    source = Stream.from_websocket(HOST, 0, token="s3cret")
    messages = collect(source)
    with running(source):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(InvalidStatus) as caught:
                talk(source.port, "a", additional_headers=headers)
            assert caught.value.response.status_code == 401
        with Stream() as stream:
            stream.to_websocket(uri(source.port), headers={"Authorization": "Bearer s3cret"})
            stream.emit("b")
        wait_until(lambda: messages == ["b"])
    assert "s3cret" not in f"{source!r} {caplog.text}"


def test_own_check_of_requests_and_origins_are_respected() -> None:
    seen: list[str] = []

    def check(connection: Any, request: Any) -> Any:
        seen.append(request.path)
        return connection.respond(404, "no\n") if request.path == "/no" else None

    options: Any = {"process_request": check, "origins": ["https://good.example"]}
    source = Stream.from_websocket(HOST, 0, options)
    messages = collect(source)

    async def try_all() -> None:
        with pytest.raises(InvalidStatus, match="404"):
            await connect(uri(source.port) + "no", origin=Origin("https://good.example"))
        with pytest.raises(InvalidStatus, match="403"):
            await connect(uri(source.port), origin=Origin("https://evil.example"))
        async with connect(uri(source.port), origin=Origin("https://good.example")) as connection:
            await connection.send("a")

    with running(source):
        asyncio.run(try_all())
        wait_until(lambda: messages == ["a"])
    assert seen[0] == "/no"


FUZZED: list[Any] = []
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def _fuzzed() -> Iterator[None]:
    source = Stream.from_websocket(HOST, 0, codec="json", timeout=1, max_size=1000)
    collect(source)
    with running(source):
        FUZZED.append(source)
        yield
        assert source.state == "running"
        wait_until(lambda: source._clients == 0)
        talk(source.port, "1")
    FUZZED.clear()


def frame(opcode: int, payload: bytes, final: bool = True, masked: bool = True) -> bytes:
    head = bytes([opcode | (0x80 if final else 0), len(payload) | (0x80 if masked else 0)])
    return head + (b"\0\0\0\0" if masked else b"") + payload


FRAMES = st.builds(
    frame,
    st.integers(0, 127),
    st.binary(max_size=20),
    st.booleans(),
    st.sampled_from([True, False]),
)


@pytest.mark.usefixtures("_fuzzed")
@settings(max_examples=80)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda data: HANDSHAKE + data),
        st.lists(FRAMES, max_size=5).map(lambda frames: HANDSHAKE + b"".join(frames)),
        st.integers(0, len(HANDSHAKE)).map(lambda n: HANDSHAKE[:n] + b"\xff\r\n\r\n"),
    )
)
def test_malformed_frames_leave_the_server_alive(data: bytes) -> None:
    (source,) = FUZZED
    with client(source.port) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        is_closed(connection)
    assert source.state == "running"


# --- from_websocket_client -----------------------------------------------------------------------


def numbers(count: int, end: bool = False) -> Callable[[Any], Coroutine[Any, Any, None]]:
    async def send(connection: Any) -> None:
        for n in range(count):
            await connection.send(str(n))
        if not end:
            await connection.wait_closed()

    return send


def test_from_websocket_client_emits_100_000_messages_in_order() -> None:
    with Feed(numbers(100_000), compression=None) as feed:
        source = Stream.from_websocket_client(uri(feed.port), {"compression": None})
        found = collect(source.map(int))
        with running(source):
            wait_until(lambda: len(found) == 100_000)
    assert found == list(range(100_000))


def test_from_websocket_client_subscribes_after_every_connection() -> None:
    async def echo(connection: Any) -> None:
        await connection.send(await connection.recv() + " 1")
        await connection.send(await connection.recv())

    with Feed(echo) as feed:
        source = Stream.from_websocket_client(
            uri(feed.port), subscribe=["topic", "second"], restart=FAST
        )
        messages = collect(source)
        with running(source):
            wait_until(lambda: len(messages) >= 4)
    assert messages[:4] == ["topic 1", "second", "topic 1", "second"]


def test_from_websocket_client_connects_again_after_losses(caplog: Any) -> None:
    with Feed(numbers(10)) as feed, CuttingProxy(feed.port) as proxy:
        source = Stream.from_websocket_client(uri(proxy.port), restart=FAST)
        messages = collect(source)
        with running(source):
            for n in (1, 2, 3):
                wait_until(lambda n=n: len(messages) >= 10 * n)  # type: ignore[misc]
                proxy.drop()
            wait_until(lambda: len(messages) >= 40)
            assert source.state == "running"
    assert messages[:40] == [str(n) for n in range(10)] * 4
    assert "starts again" in caplog.text


def test_from_websocket_client_ends_with_the_server_without_restart() -> None:
    skip_version_13()
    with Feed(numbers(5, end=True)) as feed:
        source = Stream.from_websocket_client(uri(feed.port), restart=False)
        batches = source.partition(3).sink_to_list()
        source.start()
        source.join(30)
    assert (source.state, batches) == ("done", [("0", "1", "2"), ("3", "4")])


SERVER = """
import asyncio, sys
from websockets.asyncio.server import serve
async def send(connection):
    for n in range(1000000):
        await connection.send(str(n))
        await asyncio.sleep(0.001)
async def receive(connection):
    with open(sys.argv[2], "ab", buffering=0) as file:
        async for message in connection:
            file.write(message + b"\\n")
async def main():
    handler = receive if len(sys.argv) > 2 else send
    async with serve(handler, "127.0.0.1", int(sys.argv[1])):
        await asyncio.Event().wait()
asyncio.run(main())
"""


def server(*args: str) -> Server:
    def command(port: int, folder: Path) -> list[str]:
        return [sys.executable, "-c", SERVER, str(port), *args]

    return Server("websocket", command)


@pytest.mark.server
def test_from_websocket_client_survives_a_server_that_is_killed() -> None:
    with server() as feed:
        source = Stream.from_websocket_client(uri(feed.port), restart=FAST)
        messages = collect(source)
        with running(source):
            for _ in range(2):
                count = len(messages)
                wait_until(lambda count=count: len(messages) > count + 5)  # type: ignore[misc]
                feed.kill()
                wait_until(lambda: source.state == "restarting")
                feed.start()
            count = len(messages)
            wait_until(lambda: len(messages) > count)
    assert messages.count("0") == 3


@pytest.mark.server
def test_to_websocket_loses_only_what_was_in_flight_at_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "written"
    with server(str(path)) as feed:
        stream = Stream()
        stream.to_websocket(uri(feed.port), restart=FAST)
        for n in range(3000):
            stream.emit(b"%d" % n)
            if n % 1000 == 500:
                wait_until(lambda: path.exists() and path.read_bytes().split())
                feed.kill()
                feed.start()
        stream.close()
        wait_until(lambda: b"2999" in path.read_bytes().split())
    found = [int(x) for x in path.read_bytes().split()]
    print(f"lost {3000 - len(set(found))}, twice {len(found) - len(set(found))}")
    assert found == sorted(found)
    assert len(found) - len(set(found)) <= 3
    assert len(set(found)) > 1000


def test_from_websocket_client_fails_at_once_without_a_server() -> None:
    source = Stream.from_websocket_client(uri(free_port()))
    collect(source)
    source.start()
    with pytest.raises(OSError, match=r"refused|[Cc]onnect"):
        source.join(30)


def test_from_websocket_client_fails_for_good_when_it_is_refused() -> None:
    async def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(403, "no\n")

    with Feed(numbers(1), process_request=refuse) as feed:
        source = Stream.from_websocket_client(uri(feed.port), restart=Restart(at_start=True))
        collect(source)
        source.start()
        with pytest.raises(InvalidStatus, match="403"):
            source.join(30)


def test_from_websocket_client_refuses_a_huge_message() -> None:
    async def send(connection: Any) -> None:
        await connection.send("x" * 1_000_000)
        await connection.wait_closed()

    with Feed(send) as feed:
        source = Stream.from_websocket_client(uri(feed.port), max_size=1000)
        collect(source)
        source.start()
        with pytest.raises(ConnectionClosed, match="1009"):
            source.join(30)


def test_from_websocket_client_notices_a_server_that_is_silent() -> None:
    with Feed(numbers(1)) as feed, CuttingProxy(feed.port) as proxy:
        source = Stream.from_websocket_client(uri(proxy.port), timeout=0.2, restart=FAST)
        messages = collect(source)
        with running(source):
            wait_until(lambda: messages)
            proxy.stall()
            wait_until(lambda: proxy.accepted >= 2)
            proxy.stall(False)
            wait_until(lambda: len(messages) >= 2)


def test_failure_downstream_fails_from_websocket_client() -> None:
    with Feed(numbers(5)) as feed:
        source = Stream.from_websocket_client(uri(feed.port))
        source.map(int).sink(lambda x: 1 // (x - 3))
        source.start()
        with pytest.raises(ZeroDivisionError):
            source.join(30)
    assert source.state == "failed"


# --- to_websocket --------------------------------------------------------------------------------


def test_to_websocket_encodes_json_as_text_and_msgpack_as_binary() -> None:
    source = Stream.from_websocket(HOST, 0)
    messages = collect(source)
    with running(source):
        for codec in ("json", "text", "raw"):
            with Stream() as stream:
                stream.to_websocket(uri(source.port), codec=codec)
                stream.emit("a")
        wait_until(lambda: len(messages) == 3)
    assert messages == ['"a"', "a", b"a"]


def test_to_websocket_gives_what_is_no_message_to_the_policy() -> None:
    source = Stream.from_websocket(HOST, 0)
    messages = collect(source)
    with running(source):
        with Stream() as stream:
            node = stream.to_websocket(uri(source.port)).on_error("send")
            failures = collect(node.errors)
            stream.emit_many(["a", 5, ["b", "c"], "d"])
        wait_until(lambda: len(messages) == 2)
    assert messages == ["a", "d"]
    assert [failure.element for failure in failures] == [5, ["b", "c"]]


def test_to_websocket_discards_what_the_server_sends() -> None:
    skip_version_13()
    seen: list[Any] = []

    async def chat(connection: Any) -> None:
        async for message in connection:
            seen.append(message)
            with contextlib.suppress(ConnectionClosed):
                for _ in range(50):
                    await connection.send("x" * 1000)

    with Feed(chat) as feed:
        with Stream() as stream:
            stream.to_websocket(uri(feed.port))
            stream.emit_many(["a"] * 200)
        wait_until(lambda: len(seen) == 200)


def test_to_websocket_connects_again_after_losses() -> None:
    source = Stream.from_websocket(HOST, 0)
    found = collect(source.map(int))
    with running(source), CuttingProxy(source.port) as proxy:
        stream = Stream()
        stream.to_websocket(uri(proxy.port), restart=FAST)
        for n in range(600):
            stream.emit(str(n))
            if n % 200 == 100:
                proxy.drop()
        stream.close()
        wait_until(lambda: 599 in found)
    print(f"lost {600 - len(set(found))}, twice {len(found) - len(set(found))}")
    assert len(found) - len(set(found)) <= 3


def test_end_of_the_stream_waits_until_the_server_has_read_all() -> None:
    source = Stream.from_websocket(HOST, 0)
    found = collect(source)
    with running(source):
        with Stream() as stream:
            stream.to_websocket(uri(source.port))
            stream.emit_many(["x" * 1000] * 2000)
        wait_until(lambda: len(found) == 2000)


def test_to_websocket_fails_at_once_without_a_server() -> None:
    stream = Stream()
    stream.to_websocket(uri(free_port()))
    with pytest.raises(OSError, match=r"refused|[Cc]onnect"):
        stream.emit("a")


# --- resources, TLS, secrets ---------------------------------------------------------------------


def test_twenty_starts_and_stops_of_from_websocket_leave_nothing() -> None:
    source = Stream.from_websocket(HOST, 0)
    messages = collect(source)

    async def cycle(n: int) -> None:
        async with connect(uri(source.port)) as connection:
            await connection.send("a")
            await asyncio.to_thread(wait_until, lambda: len(messages) == n + 1)
            source.stop()
            with pytest.raises(ConnectionClosed):
                await connection.recv()
            assert connection.protocol.close_code == 1001

    with no_leaks():
        for n in range(20):
            source.start()
            if n % 5 == 4:
                with client(source.port):
                    asyncio.run(cycle(n))
                    source.join(30)
            else:
                asyncio.run(cycle(n))
                source.join(30)


def test_twenty_starts_and_stops_of_a_client_leave_nothing() -> None:
    with Feed(numbers(3)) as feed:
        source = Stream.from_websocket_client(uri(feed.port))
        messages = collect(source)
        with no_leaks():
            for _ in range(20):
                count = len(messages)
                source.start()
                wait_until(lambda count=count: len(messages) > count)  # type: ignore[misc]
                source.stop()
                source.join(30)


def test_twenty_sinks_to_websocket_leave_nothing() -> None:
    source = Stream.from_websocket(HOST, 0)
    messages = collect(source)
    with running(source):
        talk(source.port, "a")
        wait_until(lambda: messages)  # the source, which is no leak, runs
        with no_leaks():
            for _ in range(20):
                with Stream() as stream:
                    stream.to_websocket(uri(source.port))
                    stream.emit("a")
            wait_until(lambda: source._clients == 0)
        assert len(messages) == 21


def test_websockets_verify_certificates() -> None:
    trusted, other = Authority(), Authority()
    source = Stream.from_websocket(HOST, 0, ssl=trusted.server, timeout=1)
    messages = collect(source)
    with running(source):
        address = f"wss://{HOST}:{source.port}/"
        with Stream() as good:
            good.to_websocket(address, ssl=trusted.client)
            good.emit("a")
        for context in (other.client, None):
            bad = Stream()
            bad.to_websocket(address, ssl=context, restart=Restart(at_start=True))
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                bad.emit("secret")
            bad.close()
        reader = Stream.from_websocket_client(address, ssl=other.client)
        collect(reader)
        reader.start()
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            reader.join(30)
        with client(source.port) as half_open:
            assert is_closed(half_open)
        wait_until(lambda: messages == ["a"])


def test_secrets_of_websockets_show_in_no_message(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)

    async def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(403, "no\n")

    shown: list[Any] = []
    with Feed(numbers(1), process_request=refuse, logger=logging.getLogger("quiet")) as feed:
        for port in (feed.port, free_port()):
            address = f"ws://user:s3cret@{HOST}:{port}/s3cret?key=s3cret"
            stream = Stream()
            node = stream.to_websocket(address, headers={"X-Key": "s3cret"})
            with pytest.raises((OSError, InvalidStatus)) as caught:
                stream.emit("a")
            source = Stream.from_websocket_client(address)
            collect(source)
            source.start()
            with pytest.raises((OSError, InvalidStatus)) as failed:
                source.join(30)
            shown += [node, source, caught.value, failed.value]
    records = [r.getMessage() for r in caplog.records if r.name != "quiet"]
    text = "".join([*records, *(f"{each} {each!r}" for each in shown)])
    assert "s3cret" not in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Stream.from_websocket_client("http://user:s3cret@x/"),
            "from_websocket_client: uri must be a ws or wss URI, got 'http://x'",
        ),
        (
            lambda: Stream.from_websocket_client("ws://x/", subscribe="topic"),
            "from_websocket_client: subscribe must be a list of messages, got 'topic'",
        ),
        (lambda: Stream().to_websocket("ws://"), "to_websocket: uri must be a ws or wss URI"),
        (lambda: Stream.from_websocket(HOST, -1), "from_websocket: port must be an int from 0"),
        (lambda: Stream.from_websocket(HOST, 0, token=""), "from_websocket: token must be"),
        (lambda: Stream.from_websocket(HOST, 0, max_size=0), "from_websocket: max_size must be"),
    ],
)
def test_websockets_refuse_bad_arguments(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets", None)
    with pytest.raises(ImportError, match=r"from_websocket: .*pip install 'rapidz\[websocket\]'"):
        Stream.from_websocket(HOST, 0)


# --- throughput ----------------------------------------------------------------------------------

clock = time.process_time  # one thread does everything, and others may use the processors
OPTIONS: Any = {}  # those of the library: with compression


async def bare(count: int) -> float:
    """Send and receive messages by the library alone; return the seconds."""
    received = asyncio.Event()
    found: list[Any] = []

    async def receive(connection: Any) -> None:
        async for message in connection:
            found.append(message)
        received.set()

    async with serve(receive, HOST, 0, **OPTIONS) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        begin = clock()
        async with connect(uri(port), **OPTIONS) as connection:
            for _ in range(count):
                await connection.send(b"x" * 100)
        await received.wait()
        return clock() - begin


@contextlib.asynccontextmanager
async def listening(**options: Any) -> AsyncIterator[tuple[Any, list[Any]]]:
    source = Stream.from_websocket(HOST, 0, OPTIONS, asynchronous=True, **options)
    found = collect(source)
    source.start()
    try:
        yield source, found
    finally:
        source.stop()
        await source.join()


async def reading(count: int) -> float:
    """Receive by `from_websocket`, and send by the library."""
    async with listening() as (source, found):
        begin = clock()
        async with connect(uri(source.port), **OPTIONS) as connection:
            for _ in range(count):
                await connection.send(b"x" * 100)
        while len(found) < count:
            await asyncio.sleep(0.001)
        return clock() - begin


async def writing(count: int) -> float:
    """Send by `to_websocket`, and receive by the library."""
    received = asyncio.Event()
    found: list[Any] = []

    async def receive(connection: Any) -> None:
        async for message in connection:
            found.append(message)
        received.set()

    async with serve(receive, HOST, 0, **OPTIONS) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        stream: Any = Stream(asynchronous=True)
        stream.to_websocket(uri(port), OPTIONS)
        begin = clock()
        async with stream:
            for _ in range(count):
                await stream.emit(b"x" * 100)
        await received.wait()
        return clock() - begin


@pytest.mark.soak
def test_throughput_is_near_that_of_the_bare_library() -> None:
    rows: dict[str, list[float]] = {"bare": [], "from_websocket": [], "to_websocket": []}
    for _ in range(9):
        for name, way in zip(rows, (bare, reading, writing), strict=True):
            rows[name].append(asyncio.run(way(10_000)))
    least = {name: min(seconds) for name, seconds in rows.items()}  # the least disturbed
    ratios = {name: least["bare"] / seconds for name, seconds in least.items()}
    print(f"{10_000 / least['bare']:.0f} messages/s bare; relative throughput {ratios}")
    assert all(ratio >= 0.8 for ratio in ratios.values()), (ratios, os.cpu_count())
