"""The harness of the connectors' tests: servers, cutting proxy, leak checks, killed programs."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.connectors.servers import (
    CuttingProxy,
    Server,
    answers,
    mqtt_broker,
    nats_server,
    no_leaks,
    redis_server,
    require_package,
    run_and_kill,
    wait_for_all,
    wait_until,
)

pytestmark = pytest.mark.server


def test_a_redis_server_keeps_its_data_when_it_is_killed() -> None:
    with redis_server() as server:
        port, folder = server.port, server.folder
        assert answers(b"SET a 1\r\n", b"+OK")(port)
        server.kill()
        assert not answers()(port)
        server.start()
        assert server.port == port
        assert answers(b"GET a\r\n", b"$1\r\n1")(port)
        pid = server.pid
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("make", [nats_server, mqtt_broker])
@pytest.mark.slow
def test_a_server_starts_again_on_the_same_port(make: Callable[[], Server]) -> None:
    with make() as server:
        server.kill()
        server.start()
        assert answers()(server.port)
        server.terminate()
        server.start()
        assert answers()(server.port)


def test_a_nats_server_can_serve_mqtt() -> None:
    config = 'server_name: one\nlisten: 127.0.0.1:-1\nmqtt { listen: "127.0.0.1:{port}" }'
    with nats_server(config=config) as server:
        connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
        assert answers(connect, b"\x20\x02\x00\x00")(server.port)


def test_a_server_that_does_not_answer_fails_with_its_log() -> None:
    server = Server("broken", lambda port, folder: [sys.executable, "-c", "1/0"])
    with pytest.raises(pytest.fail.Exception, match=r"broken does not answer(.|\n)*ZeroDivision"):
        server.__enter__()
    assert not server.folder.exists()


def test_a_missing_package_skips() -> None:
    with pytest.raises(pytest.skip.Exception, match="pip install no-such-package"):
        require_package("no-such-package")


def _echo(listener: socket.socket) -> None:
    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(100):
                    connection.sendall(data)
            except OSError:
                pass

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection,)).start()


def test_the_proxy_drops_refuses_and_stalls() -> None:
    with no_leaks(), socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_echo, args=(listener,))
        thread.start()
        with CuttingProxy(listener.getsockname()[1]) as proxy:
            address = (proxy.host, proxy.port)
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(b"a")
                assert client.recv(10) == b"a"
                assert proxy.connections == 1
                proxy.stall()
                client.sendall(b"b")
                client.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    client.recv(10)
                client.settimeout(10)
                proxy.stall(False)
                assert client.recv(10) == b"b"
                proxy.drop()
                assert _is_cut(client)
            proxy.refuse()
            with socket.create_connection(address, timeout=10) as client:
                assert _is_cut(client)
            proxy.refuse(False)
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(b"c")
                assert client.recv(10) == b"c"
            wait_until(lambda: proxy.connections == 0)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _is_cut(client: socket.socket) -> bool:
    try:
        return client.recv(10) == b""
    except ConnectionError:
        return True


def test_no_leaks_names_what_is_left() -> None:
    left: list[socket.socket] = []
    with pytest.raises(pytest.fail.Exception, match="socket:"), no_leaks(deadline=0.1):
        left.append(socket.socket())
    left.pop().close()


def test_a_wait_in_vain_shows_the_variables_of_its_condition() -> None:
    seen = list(range(10))
    with pytest.raises(pytest.fail.Exception, match=r"seen = \[0, .* \(10 elements\)"):
        wait_until(lambda: len(seen) == 11, deadline=0.02)


def test_a_wait_for_all_lasts_as_long_as_there_is_progress() -> None:
    count = itertools.count()
    wait_for_all(lambda: next(count), 30, stall=0.1)  # a look takes 5 ms
    with pytest.raises(pytest.fail.Exception, match=r"7 of 8, and no more in 0\.02 s"):
        wait_for_all(lambda: 7, 8, stall=0.02)


def test_a_program_is_killed_and_started_again_until_it_is_done(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.touch()
    program = """
        import sys, time
        file = open(sys.argv[1], "a+")
        file.seek(0)
        lines = file.read().count("\\n")
        print("started", flush=True)
        while lines < 60:
            lines += 1
            print(lines, file=file, flush=True)
            time.sleep(0.002)
    """

    def progress() -> int:
        return file.read_text().count("\n")

    kills = run_and_kill(program, file, kills=3, progress=progress, total=60, pause=(0, 0))
    assert 1 <= kills <= 3
    assert file.read_text().split() == [str(x) for x in range(1, 61)]


def test_a_program_that_fails_by_itself_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="ended with 3"):
        run_and_kill("raise SystemExit(3)", kills=0)
