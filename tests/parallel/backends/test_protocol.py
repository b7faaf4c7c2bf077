"""Custom backends: objects that satisfy the protocol, or names of entry points."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from tests.parallel import functions as f
from tests.support import bounded

from rapidz import Stream
from rapidz.parallel import WorkerDied, WorkersGone
from rapidz.parallel.backends import registry
from rapidz.parallel.backends.pools import PoolBackend
from rapidz.parallel.backends.protocol import BACKEND_MEMBERS, Backend, FutureBackend, TaskRejected
from rapidz.parallel.wire.payload import run, run_pickled
from rapidz.parallel.wire.pickling import dumps
from rapidz.testing import assert_equivalent

PAGE = Path(__file__).parents[3] / "docs" / "writing-backends.md"


class Lost(Exception):
    """What says that a worker was lost."""


class Own(FutureBackend):
    """Threads behind a wire: work and results travel as bytes."""

    name = "own"

    def __init__(self, tasks: int = 2) -> None:
        self.threads = ThreadPoolExecutor(tasks, "rapidz-own")
        self.sent: list[int] = []
        self.closed = 0

    def slots(self) -> int:
        return 2

    def submit(self, payload: Any, dependencies: list[Any], *, isolated: bool = False) -> Any:
        self.sent.append(len(payload.inputs))
        return self.threads.submit(self.run, dumps(payload))

    def run(self, data: bytes) -> bytes:
        return run_pickled(data)

    def close(self) -> None:
        self.closed += 1
        self.threads.shutdown(wait=False)


class InHere(Own):
    """The same without pickling."""

    crosses_process = False

    def submit(self, payload: Any, dependencies: list[Any], *, isolated: bool = False) -> Any:
        return self.threads.submit(run, payload)


class Fragile(Own):
    """Its workers die over an element; the first tasks of all are not taken."""

    refused = 0

    def submit(self, payload: Any, dependencies: list[Any], *, isolated: bool = False) -> Any:
        self.refused += 1
        if self.refused < 3:
            raise TaskRejected("busy")
        if 7 in payload.inputs:
            return self.threads.submit(self.dies)
        return super().submit(payload, dependencies, isolated=isolated)

    def dies(self) -> bytes:
        raise Lost("a worker was lost")

    def classify_failure(self, ref: Any, error: BaseException) -> Any:
        return "isolate" if isinstance(error, Lost) else super().classify_failure(ref, error)


@pytest.fixture(params=[Own, InHere])
def own(request: pytest.FixtureRequest) -> Iterator[Own]:
    made = request.param()
    yield made
    made.threads.shutdown()


def pipeline(stream: Any) -> Any:
    node = stream.map(f.inc).filter(f.even).accumulate(f.add, start=0)
    return node.zip(stream.map(f.double)).partition(2)


def test_an_object_that_satisfies_the_protocol_is_a_backend(own: Own) -> None:
    source: Any = Stream()
    scattered = source.scatter(own)
    assert scattered.backend == "own"
    assert scattered.default_client() is own
    seen = scattered.map(f.inc).buffer(9).gather().sink_to_list()
    source.emit_many(range(5))
    source.close()
    assert seen == [1, 2, 3, 4, 5]
    assert own.closed == 1


@pytest.mark.parametrize("kind", [Own, InHere])
def test_a_pipeline_gives_the_same_on_a_custom_backend(kind: Any) -> None:
    assert_equivalent(pipeline, range(9), on=["inline", kind()])


def test_two_streams_of_one_backend_meet(own: Own) -> None:
    one, two = Stream(), Stream()
    a, b = one.scatter(own), two.scatter(own)
    seen = a.map(f.inc).zip(b.map(f.double)).gather().sink_to_list()
    one.emit(1)
    two.emit(1)
    assert seen == [(2, 2)]
    with pytest.raises(ValueError, match="backend must be the same"):
        a.zip(Stream().scatter("thread"))
    one.close()
    two.close()


def test_a_function_may_return_a_backend(own: Own) -> None:
    source: Any = Stream()
    assert source.scatter(lambda: own).map(f.inc).default_client() is own
    source.close()


def test_what_the_backend_says_of_its_workers_is_believed() -> None:
    backend = Fragile()
    source: Any = Stream()
    node = source.scatter(backend, batch=4).map(f.inc)
    failures = node.errors.sink_to_list()
    seen = node.buffer(99).gather().sink_to_list()
    source.emit_many(range(20))
    bounded(source.close)
    assert seen == [x + 1 for x in range(20) if x != 7]
    (failure,) = failures
    assert isinstance(failure.exception, WorkerDied)
    assert failure.exception.element == failure.element == 7


def test_a_backend_that_is_gone_says_so(own: Own) -> None:
    own.threads.shutdown()
    own.classify_failure = lambda ref, error: "unavailable"  # type: ignore[method-assign]
    source: Any = Stream()
    source.scatter(own).map(f.inc).gather().sink(print)
    with pytest.raises(WorkersGone, match="own: cannot schedule new futures"):
        bounded(lambda: source.emit(1))
    source.close()


class WithoutMap(InHere):
    """It is gone once a `map` is to run."""

    def submit(self, payload: Any, dependencies: list[Any], *, isolated: bool = False) -> Any:
        if payload.chain.label.startswith("map"):
            raise BrokenExecutor("no map")
        return super().submit(payload, dependencies, isolated=isolated)


def test_the_items_of_a_flattened_element_fail_with_their_task() -> None:
    source: Any = Stream()
    flat = source.scatter(WithoutMap()).flatten()
    items = flat.gather().sink_to_list()
    mapped = flat.map(f.inc)
    failures = mapped.errors.sink_to_list()
    seen = mapped.buffer(9).gather().sink_to_list()
    source.emit([1, 2, 3])
    bounded(source.close)
    assert items == [1, 2, 3]
    assert seen == []
    assert [failure.element for failure in failures] == [1, 2, 3]
    assert {type(failure.exception) for failure in failures} == {WorkersGone}


def test_a_backend_that_lacks_something_is_refused_when_built() -> None:
    class Half:
        name = "half"

        def submit(self, work: Any, needs: Any) -> None: ...
        def classify_failure(self, ref: Any, error: Any) -> None: ...

    source: Any = Stream()
    with pytest.raises(TypeError, match=r"scatter: backend must have .*FutureBackend") as caught:
        source.scatter(Half())
    missing = str(caught.value).rpartition(" without ")[2]
    assert {"fetch", "slots", "supports_dependencies"} <= set(re.findall(r"\w+", missing))
    assert not list(source.downstreams)


def test_submit_must_be_written() -> None:
    source: Any = Stream()
    source.scatter(FutureBackend()).map(f.inc).gather().sink(print)
    with pytest.raises(NotImplementedError, match="FutureBackend: submit must be written"):
        bounded(lambda: source.emit(1))
    source.close()


def test_all_backends_satisfy_the_protocol(client: Any) -> None:
    from rapidz.parallel.backends.dask import DaskBackend

    backends: list[Any] = [
        DaskBackend(client),
        PoolBackend("p", ThreadPoolExecutor),
        FutureBackend(),
    ]
    for backend in backends:
        assert isinstance(backend, Backend)
        assert [name for name in BACKEND_MEMBERS if not hasattr(backend, name)] == []


def test_the_page_documents_every_member_and_nothing_else() -> None:
    text = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text, re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)[`(:]", row)}
    assert named - {"Executor"} == set(BACKEND_MEMBERS)


# --- by name -----------------------------------------------------------------------------------

made: list[Own] = []


def make() -> Own:
    made.append(Own())
    return made[-1]


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint("mine", f"{__name__}:make", group), EntryPoint("broken", "no:x", group)]

    monkeypatch.setattr(registry, "entry_points", entry_points)


@pytest.mark.usefixtures("_installed")
def test_an_entry_point_gives_a_backend_its_name() -> None:
    source: Any = Stream()
    seen = source.scatter("mine").map(f.inc).gather().sink_to_list()
    source.emit(1)
    source.close()
    assert seen == [2]
    assert [backend.closed for backend in made] == [1]


@pytest.mark.usefixtures("_installed")
def test_the_names_of_entry_points_stand_in_the_message_for_an_unknown_one() -> None:
    source: Any = Stream()
    with pytest.raises(ValueError, match=r"'mine', got 'mime'; did you mean 'mine'\?"):
        source.scatter("mime")


@pytest.mark.usefixtures("_installed")
def test_the_names_of_entry_points_are_modes_of_assert_equivalent() -> None:
    assert_equivalent(lambda s: s.map(f.inc), [1, 2], on=["inline", "mine"])
    with pytest.raises(ValueError, match=r"on must be of .*'thread'.*'mine', .*Backends, got 'x'"):
        assert_equivalent(lambda s: s, [], on=["inline", "x"])


def test_every_built_in_backend_stands_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._BUILT_IN, "workers", make)
    for bad in ("worker", None):
        with pytest.raises((TypeError, ValueError), match="'dask', 'thread', 'process', 'workers'"):
            Stream[Any]().scatter(bad)  # type: ignore[call-overload]


@pytest.mark.usefixtures("_installed")
def test_an_entry_point_that_cannot_be_loaded_is_named() -> None:
    source: Any = Stream()
    with pytest.raises(ModuleNotFoundError) as caught:
        source.scatter("broken")
    (note,) = caught.value.__notes__
    assert "scatter: raised by the entry point 'broken' of rapidz.backends" in note
