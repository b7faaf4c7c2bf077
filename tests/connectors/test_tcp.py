"""from_tcp, to_tcp: frames over TCP, their limits, and what is lost with a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connectors.helpers import no_leaks, wait_until
from tests.connectors.proxy import CuttingProxy
from tests.connectors.servers import free_port
from tests.connectors.web import Authority, client, is_closed, running, send_until_blocked

from rapidz import Stream
from rapidz.sources.restart import Restart

FAST = Restart(wait=0.01, limit=0.05)


def collect(source: Stream[Any]) -> list[Any]:
    elements: list[Any] = []
    source.sink(elements.append)
    return elements


# --- elements ------------------------------------------------------------------------------------


def test_from_tcp_emits_frames_with_their_delimiter() -> None:
    source = Stream.from_tcp(0)
    frames = collect(source)
    with running(source), client(source.port) as connection:
        connection.sendall(b"one\ntwo\n\nincom")
        wait_until(lambda: len(frames) == 3)
        connection.sendall(b"plete\n")
        wait_until(lambda: len(frames) == 4)
    assert frames == [b"one\n", b"two\n", b"\n", b"incomplete\n"]


def test_from_tcp_finds_a_delimiter_that_two_packets_share() -> None:
    source = Stream.from_tcp(0, b"--")
    frames = collect(source)
    with running(source), client(source.port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (b"a-b-", b"-c-", b"-"):
            connection.sendall(part)
            time.sleep(0.02)
        wait_until(lambda: len(frames) == 2)
    assert frames == [b"a-b--", b"c--"]


def test_from_tcp_awaits_an_asynchronous_sink() -> None:
    source, seen = Stream.from_tcp(0), []

    async def write(x: bytes) -> None:
        await asyncio.sleep(0)
        seen.append(x)

    source.sink(write)
    with running(source), client(source.port) as connection:
        connection.sendall(b"a\nb\n")
        wait_until(lambda: len(seen) == 2)
    assert seen == [b"a\n", b"b\n"]


def test_from_tcp_may_stop_at_once_and_start_again() -> None:
    source = Stream.from_tcp(0)
    frames = collect(source)
    source.stop()
    source.start()
    port = source.port
    source.stop()
    source.stop()
    source.join(30)
    assert source.state == "stopped"
    with running(source), client(port) as connection:
        connection.sendall(b"a\n")
        wait_until(lambda: frames == [b"a\n"])
        assert source.port == port != 0


@pytest.mark.parametrize("clients", [1, 4])
def test_from_tcp_loses_and_doubles_nothing_of_100_000_frames(clients: int) -> None:
    source = Stream.from_tcp(0)
    frames = collect(source)
    count = 100_000 // clients

    def send(number: int) -> None:
        with client(source.port) as connection:
            for begin in range(0, count, 1000):
                lines = (b"%d %d\n" % (number, i) for i in range(begin, begin + 1000))
                connection.sendall(b"".join(lines))

    with running(source):
        threads = [threading.Thread(target=send, args=(n,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        wait_until(lambda: len(frames) == clients * count)
    for number in range(clients):
        mine = [int(x.split()[1]) for x in frames if x.startswith(b"%d " % number)]
        assert mine == list(range(count))


def test_from_tcp_does_not_read_while_the_sink_is_slow() -> None:
    source, seen, go_on = Stream.from_tcp(0), [0], threading.Event()

    async def write(x: bytes) -> None:
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        seen[0] += 1

    source.sink(write)
    with running(source), client(source.port) as connection:
        sent = send_until_blocked(connection, b"x" * 999 + b"\n")
        assert sent < 1 << 25, "the rest waits in the client, in buffers of the system"
        go_on.set()
        wait_until(lambda: seen[0] >= sent // 1000 - 1)


def test_from_tcp_decodes_frames_by_a_codec() -> None:
    source = Stream.from_tcp(0, codec="json")
    elements = collect(source)
    with running(source), client(source.port) as connection:
        connection.sendall(b'{"a": 1}\n[2]\n')
        wait_until(lambda: len(elements) == 2)
    assert elements == [{"a": 1}, [2]]


# --- failures ------------------------------------------------------------------------------------


def test_undecodable_frame_disconnects_its_client_alone() -> None:
    source = Stream.from_tcp(0, codec="json")
    elements = collect(source)
    with running(source), client(source.port) as bad, client(source.port) as good:
        bad.sendall(b"1\nnot json\n2\n")
        assert is_closed(bad)
        good.sendall(b"3\n")
        wait_until(lambda: 3 in elements)
        assert source.state == "running"
    assert elements == [1, 3]


def test_undecodable_frame_goes_to_the_policy_with_its_bytes() -> None:
    source = Stream.from_tcp(0, codec="json")
    failures = collect(source.on_error("send").errors)
    elements = collect(source)
    with running(source), client(source.port) as connection:
        connection.sendall(b"1\nnot json\n2\n")
        wait_until(lambda: len(elements) == 2)
    assert elements == [1, 2]
    assert [failure.element for failure in failures] == [b"not json"]


def test_failure_downstream_fails_the_source_and_frees_the_port() -> None:
    source = Stream.from_tcp(0)
    source.map(int).sink(lambda x: 1 // x)
    source.start()
    with client(source.port) as connection:
        connection.sendall(b"0\n")
        wait_until(lambda: source.state == "failed")
        assert is_closed(connection)
    assert isinstance(source.exception, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        source.join(30)
    wait_until(lambda: not accepts(source.port))


def test_policy_downstream_keeps_the_source_alive() -> None:
    source = Stream.from_tcp(0)
    numbers = collect(source.map(int).on_error("skip"))
    with running(source), client(source.port) as connection:
        connection.sendall(b"1\nx\n2\n")
        wait_until(lambda: numbers == [1, 2])


def is_cut(connection: socket.socket, data: bytes) -> bool:
    """Send *data* slowly, again and again; return whether the peer closes the connection."""
    try:
        for _ in range(1000):
            connection.sendall(data)
            time.sleep(0.03)
    except OSError:
        return True
    return False


def accepts(port: int) -> bool:
    try:
        with client(port, timeout=5):
            return True
    except OSError:
        return False


def test_port_in_use_is_an_error_of_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        source = Stream.from_tcp(other.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            source.start()
        assert source.state == "new"


def test_listener_is_on_loopback_unless_told_otherwise() -> None:
    source = Stream.from_tcp(0)
    collect(source)
    with running(source):
        wait_until(lambda: source.server)
        addresses = [s.getsockname()[0] for s in source.server._sockets.values()]
    assert addresses == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1"])
def test_listener_may_be_on_other_addresses(host: str) -> None:
    source = Stream.from_tcp(0, host=host)
    frames = collect(source)
    with (
        running(source),
        socket.create_connection((host or "localhost", source.port), timeout=30) as connection,
    ):
        connection.sendall(b"a\n")
        wait_until(lambda: frames == [b"a\n"])


def test_from_tcp_passes_on_the_arguments_of_the_server() -> None:
    authority = Authority()
    source = Stream.from_tcp(
        0, b"\n", {"ssl_options": authority.server, "max_buffer_size": 1 << 20}
    )
    frames = collect(source)
    with running(source):
        assert source.server is None or source.server.max_buffer_size == 1 << 20
        with Stream() as stream:
            stream.to_tcp("127.0.0.1", source.port, ssl=authority.client)
            stream.emit("a")
        wait_until(lambda: frames == [b"a\n"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"port": "80"}, "from_tcp: port must be an int from 0 to 65535, got '80'"),
        ({"port": 65536}, "from_tcp: port must be an int from 0 to 65535, got 65536"),
        ({"delimiter": ""}, "from_tcp: delimiter must be bytes, and not empty, got ''"),
        ({"max_clients": 0}, "from_tcp: max_clients must be an int >= 1, got 0"),
        ({"ssl": True}, "from_tcp: ssl must be an ssl.SSLContext, got True"),
        ({"host": None}, "from_tcp: host must be a str, got None"),
        ({"timeout": -1}, "from_tcp: timeout must be"),
        ({"codec": "yaml"}, "from_tcp: codec must be"),
    ],
)
def test_from_tcp_refuses_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    options: Any = {"port": 0, **arguments}
    with pytest.raises((TypeError, ValueError)) as caught:
        Stream.from_tcp(**options)
    assert str(caught.value).startswith(message)


# --- hostile clients -----------------------------------------------------------------------------


def test_oversize_frame_disconnects_its_client_alone() -> None:
    source = Stream.from_tcp(0, max_size=1000)
    frames = collect(source)
    with running(source), client(source.port) as bad, client(source.port) as good:
        bad.settimeout(30)
        sent = 0
        try:
            while sent < 1 << 26:
                sent += bad.send(b"x" * 65536)
        except OSError:
            pass
        assert sent < 1 << 26
        assert is_closed(bad)
        good.sendall(b"a\n")
        wait_until(lambda: frames == [b"a\n"])


def test_slow_frame_disconnects_its_client_alone() -> None:
    source = Stream.from_tcp(0, timeout=0.3)
    frames = collect(source)
    with running(source), client(source.port) as slow, client(source.port) as good:
        good.sendall(b"a\n")
        assert is_cut(slow, b"x")  # one byte at a time does not prolong it
        good.sendall(b"b\n")
        wait_until(lambda: frames == [b"a\n", b"b\n"])


def test_back_pressure_is_no_slowness_of_the_client() -> None:
    source, gate, seen = Stream.from_tcp(0, timeout=1), threading.Event(), []

    async def write(x: bytes) -> None:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        seen.append(x)

    source.sink(write)
    with running(source), client(source.port) as connection:
        connection.sendall(b"a\nb\nincom")
        time.sleep(1.2)  # more than the timeout
        gate.set()
        wait_until(lambda: len(seen) == 2)
        connection.sendall(b"plete\n")
        wait_until(lambda: len(seen) == 3)


def test_idle_clients_are_disconnected_only_on_request() -> None:
    patient, strict = Stream.from_tcp(0, timeout=0.1), Stream.from_tcp(0, idle_timeout=0.2)
    collect(patient)
    collect(strict)
    with running(patient), running(strict):
        with client(strict.port) as connection:
            assert is_closed(connection)
        with client(patient.port, timeout=0.5) as connection:
            assert not is_closed(connection)


def test_further_clients_are_refused_until_one_leaves() -> None:
    source = Stream.from_tcp(0, max_clients=1)
    frames = collect(source)
    with running(source):
        with client(source.port) as first:
            first.sendall(b"a\n")
            wait_until(lambda: frames)
            with client(source.port) as second:
                assert is_closed(second)

        def is_admitted() -> bool:
            with client(source.port) as third:
                third.sendall(b"b\n")
                third.shutdown(socket.SHUT_WR)
                return is_closed(third) and b"b\n" in frames

        wait_until(is_admitted)


@settings(max_examples=60)
@given(
    st.lists(st.binary(max_size=40), max_size=8),
    st.sampled_from([b"\n", b"\r\n", b"ab", b"\x00"]),
)
def test_any_bytes_are_frames_or_an_incomplete_one(parts: list[bytes], delimiter: bytes) -> None:
    source = FUZZED[delimiter]
    frames = source.frames
    frames.clear()
    data = b"".join(parts)
    expected = [part + delimiter for part in data.split(delimiter)[:-1]]
    with client(source.port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        assert is_closed(connection)
    wait_until(lambda: len(frames) == len(expected))
    assert frames == expected


FUZZED: dict[bytes, Any] = {}


@pytest.fixture(autouse=True)
def _fuzzed(request: pytest.FixtureRequest) -> Any:
    if "any_bytes" not in request.node.name:
        yield
        return
    for delimiter in (b"\n", b"\r\n", b"ab", b"\x00"):
        source: Any = Stream.from_tcp(0, delimiter)
        source.frames = collect(source)
        source.start()
        FUZZED[delimiter] = source
    yield
    for source in FUZZED.values():
        source.stop()
        source.join(30)
    FUZZED.clear()


# --- resources -----------------------------------------------------------------------------------


def test_twenty_starts_and_stops_of_from_tcp_leave_nothing() -> None:
    source = Stream.from_tcp(0)
    frames = collect(source)
    with no_leaks():
        for n in range(20):
            source.start()
            with client(source.port) as connection:
                connection.sendall(b"%d\n" % n)
                wait_until(lambda n=n: len(frames) == n + 1)  # type: ignore[misc]
                source.stop()
                assert is_closed(connection)
            source.join(30)
        source.start()
        source.stop()
        source.join(30)


# --- TLS -----------------------------------------------------------------------------------------


def test_tcp_verifies_certificates() -> None:
    trusted, other = Authority(), Authority()
    source = Stream.from_tcp(0, ssl=trusted.server)
    frames = collect(source)
    with running(source):
        with Stream() as good:
            good.to_tcp("127.0.0.1", source.port, ssl=trusted.client)
            good.emit_many([b"a", b"b"])
        wait_until(lambda: frames == [b"a\n", b"b\n"])
        for ssl in (other.client, True):
            bad = Stream()
            bad.to_tcp("127.0.0.1", source.port, ssl=ssl)
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                bad.emit(b"secret")
        assert source.state == "running"
    assert frames == [b"a\n", b"b\n"]


def test_client_that_does_not_finish_its_handshake_is_disconnected() -> None:
    source = Stream.from_tcp(0, ssl=Authority().server, timeout=0.3)
    collect(source)
    with running(source), client(source.port) as half_open:
        assert is_closed(half_open)


# --- to_tcp --------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 1000])
def test_to_tcp_loses_and_doubles_nothing_of_100_000_elements(batch: int) -> None:
    count = 100_000 if batch > 1 else 20_000
    source = Stream.from_tcp(0, codec="text")
    received = collect(source)
    with running(source):
        with Stream() as stream:
            stream.map(str).to_tcp("127.0.0.1", source.port, batch=batch)
            stream.emit_many(range(count))
        wait_until(lambda: len(received) == count)
    assert received == [str(n) for n in range(count)]


def test_to_tcp_refuses_an_element_that_contains_the_delimiter() -> None:
    source = Stream.from_tcp(0)
    frames = collect(source)
    with running(source), Stream() as stream:
        node = stream.to_tcp("127.0.0.1", source.port).on_error("send")
        failures = collect(node.errors)
        stream.emit_many([b"a", b"b\nc", b"d\n"])
        wait_until(lambda: len(frames) == 2)
    assert frames == [b"a\n", b"d\n"]
    assert [(f.element, type(f.exception)) for f in failures] == [(b"b\nc", ValueError)]


def test_to_tcp_waits_for_a_server_that_does_not_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = Stream(asynchronous=False)
        stream.to_tcp(*listener.getsockname(), restart=False)
        sent = [0]

        def send() -> None:
            for _ in range(4000):
                stream.emit(b"x" * 9999)
                sent[0] += 1

        thread = threading.Thread(target=send)
        thread.start()
        connection, _ = listener.accept()
        with connection:
            before = -1
            while sent[0] != before:
                before = sent[0]
                time.sleep(0.3)
            assert before < 2000, "buffers of the system and no more"
            received = 0
            while received < 40_000_000 and (data := connection.recv(1 << 20)):
                received += len(data)
        thread.join(30)
        stream.close()
    assert received == 40_000_000


def test_to_tcp_fails_at_once_without_a_server() -> None:
    stream = Stream()
    stream.to_tcp("127.0.0.1", free_port())
    with pytest.raises(ConnectionRefusedError):
        stream.emit(b"a")


def test_to_tcp_connects_again_and_loses_only_what_was_in_flight() -> None:
    source = Stream.from_tcp(0, codec="text")
    received = collect(source)
    with running(source), CuttingProxy(source.port) as proxy:
        stream = Stream()
        stream.map(str).to_tcp("127.0.0.1", proxy.port, restart=FAST)
        for n in range(2000):
            stream.emit(n)
            if n % 500 == 250:
                wait_until(lambda: received)
                proxy.drop()
        stream.emit("end")
        wait_until(lambda: "end" in received)
        stream.close()
    numbers = [int(x) for x in received if x != "end"]
    assert numbers == sorted(numbers)
    doubled = len(numbers) - len(set(numbers))
    print(f"lost {2000 - len(set(numbers))}, doubled {doubled}")
    assert doubled <= 4


def test_to_tcp_survives_a_server_that_starts_again() -> None:
    source = Stream.from_tcp(0, codec="text")
    received = collect(source)
    source.start()
    stream = Stream()
    stream.map(str).to_tcp("127.0.0.1", source.port, restart=FAST)
    stream.emit(0)
    wait_until(lambda: received == ["0"])
    source.stop()
    source.join(30)

    def is_received() -> bool:
        stream.emit(1)
        return "1" in received

    source.start()
    wait_until(is_received)
    stream.close()
    source.stop()
    source.join(30)


def test_from_tcp_that_starts_after_a_failure_loses_no_frame() -> None:
    source = Stream.from_tcp(0)
    seen = source.map(int).sink_to_list()
    source.start()
    with client(source.port) as connection:
        connection.sendall(b"x\n")
        wait_until(lambda: source.state == "failed")
    source.start()
    with client(source.port) as connection:
        connection.sendall(b"5\n6\n")
        wait_until(lambda: seen == [5, 6])
    assert source.state == "running"
    source.stop()
    with pytest.raises(ValueError, match="x"):
        source.join(30)


def test_twenty_sinks_to_tcp_leave_nothing() -> None:
    source = Stream.from_tcp(0)
    frames = collect(source)
    with running(source), client(source.port) as first:
        first.sendall(b"x\n")
        wait_until(lambda: frames)  # the source, which is no leak, runs
        with no_leaks():
            for n in range(20):
                with Stream() as stream:
                    stream.to_tcp("127.0.0.1", source.port)
                    stream.emit(b"%d" % n)
            wait_until(lambda: len(frames) == 21)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"port": 0}, "to_tcp: port must be an int from 1 to 65535, got 0"),
        ({"delimiter": b""}, "to_tcp: delimiter must be bytes, and not empty, got b''"),
        ({"ssl": "yes"}, "to_tcp: ssl must be a bool or an ssl.SSLContext, got 'yes'"),
        ({"codec": "yaml"}, "to_tcp: codec must be"),
        ({"batch": 0}, "to_tcp: batch must be an int >= 1, got 0"),
    ],
)
def test_to_tcp_refuses_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    options: Any = {"port": 1, **arguments}
    with pytest.raises((TypeError, ValueError)) as caught:
        Stream().to_tcp("127.0.0.1", **options)
    assert str(caught.value).startswith(message)


@pytest.mark.slow
def test_memory_stays_flat_with_a_slow_sink() -> None:
    source, gate = Stream.from_tcp(0, max_size=1 << 16), threading.Event()
    seen = [0]

    async def write(x: bytes) -> None:
        seen[0] += 1
        if not gate.is_set():
            await asyncio.sleep(0.001)

    source.sink(write)
    with running(source), client(source.port) as connection:
        connection.settimeout(0.2)
        frame = b"x" * 9999 + b"\n"
        tracemalloc.start()
        try:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    connection.sendall(frame * 10)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        gate.set()
    assert seen[0] > 100
    assert peak < 8 << 20
