"""What the tests of message brokers have in common."""

from __future__ import annotations

import gc
import ssl
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.helpers import wait_until
from tests.connectors.servers import require_package

from rapidz import Stream
from rapidz.sources.base import Source


@dataclass
class Authority:
    """A certificate for 127.0.0.1, and who has issued it."""

    file: Path
    """Certificate of the authority, for clients."""
    certificate: Path
    key: Path

    @property
    def server(self) -> ssl.SSLContext:
        """Context for servers."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    @property
    def client(self) -> ssl.SSLContext:
        """Context for clients that trust the authority."""
        return ssl.create_default_context(cafile=str(self.file))


def new_authority(folder: Path) -> Authority:
    """Return a new authority, with its files in *folder*."""
    trustme = require_package("trustme", "trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    found = Authority(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(found.file)
    issued.cert_chain_pems[0].write_to_path(found.certificate)
    issued.private_key_pem.write_to_path(found.key)
    return found


def assert_refuses(source: Source[Any]) -> None:
    """Check that a source does not accept the certificate of its server."""
    source.sink_to_list()
    source.start()
    wait_until(lambda: source.state == "failed")
    texts: list[str] = []
    error: BaseException | None = source.exception
    while error is not None:
        texts.append(f"{type(error).__name__} {error}")
        error = error.__cause__ or error.__context__
    assert any("ertificate" in text or "CERTIFICATE" in text for text in texts), texts
    with pytest.raises(Exception, match=r".") as raised:
        source.close()
    assert raised.value is source.exception


def is_connected(source: Any) -> bool:
    """Whether a source runs and has a connection."""
    run = source._source_run
    return run is not None and run.connected and source.state == "running"


def start_and_connect(source: Source[Any]) -> None:
    """Start a source, and wait until it is connected."""
    source.start()
    wait_until(lambda: is_connected(source), what=f"{source}: {source.state} {source.exception}")


def collect(source: Source[Any], func: Callable[[Any], Any] = lambda x: x) -> list[Any]:
    """Return the list that gets ``func`` of each element."""
    return source.map(func).sink_to_list()


def write(sink: Callable[[Stream[Any]], object], elements: Iterable[Any]) -> None:
    """Write elements to a sink, and close it."""
    with Stream[Any](asynchronous=False) as source:
        sink(source)
        source.emit_many(elements)


def numbers_in(file: Path) -> list[int]:
    """The numbers in a file, one a line; a line that is not complete does not count."""
    return [int(line) for line in file.read_text().split("\n")[:-1] if line]


def duplicates(found: Iterable[int]) -> int:
    """How many elements are there more than once."""
    return sum(count - 1 for count in Counter(found).values())


def peak_memory(work: Callable[[], object]) -> int:
    """Return the bytes that *work* needed at most, beyond what there was."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def median_ratio(bare: Callable[[], object], ours: Callable[[], object], rounds: int = 5) -> float:
    """Return how many times as fast *ours* is as *bare*: medians of alternate runs."""
    times: tuple[list[float], list[float]] = ([], [])
    bare()
    ours()
    for _ in range(rounds):
        for work, found in zip((bare, ours), times, strict=True):
            begin = time.perf_counter()
            work()
            found.append(time.perf_counter() - begin)
    slow, fast = (sorted(found)[rounds // 2] for found in times)
    print(f"bare {slow:.3f} s, rapidz {fast:.3f} s, ratio {slow / fast:.2f}")
    return slow / fast
