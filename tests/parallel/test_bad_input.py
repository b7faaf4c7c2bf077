"""What cannot work is refused when the pipeline is built, in words that name the remedy."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from tests.parallel import functions as f
from tests.parallel.cases import own_operators
from tests.support import bounded, printed_by

import rapidz
from rapidz import Stream
from rapidz.parallel import ParallelStream

LOCK = threading.Lock()


def needs_a_lock(x: int, lock: Any = LOCK) -> int:
    return x


@pytest.fixture
def source() -> Iterator[Any]:
    made: Any = Stream()
    yield made
    made.close()


def test_an_unknown_backend_is_refused(source: Any) -> None:
    with pytest.raises(ValueError, match=r"scatter: backend must be .*'thread'.*, got 'threads'"):
        source.scatter("threads")
    assert not list(source.downstreams)


@pytest.mark.parametrize("backend", [None, 3, [], object()], ids=lambda x: type(x).__name__)
def test_what_is_no_backend_at_all_is_refused(source: Any, backend: Any) -> None:
    with pytest.raises(
        (TypeError, ValueError), match=rf"scatter: backend must be .*{re.escape(repr(backend))}"
    ):
        source.scatter(backend)
    assert not list(source.downstreams)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("threads", "thread"),
        ("Thread", "thread"),
        ("processes", "process"),
        ("multiprocessing", "process"),
        ("distributed", "dask"),
        ("dsk", "dask"),
    ],
)
def test_an_unknown_backend_is_refused_with_a_hint(name: str, meant: str, source: Any) -> None:
    with pytest.raises(ValueError, match=f"got '{name}'; did you mean '{meant}'\\?"):
        source.scatter(name)


@pytest.mark.parametrize(
    "client",
    [object(), "tcp://somewhere:8786", ThreadPoolExecutor],
    ids=["object", "text", "class"],
)
def test_what_is_no_client_is_refused(client: Any, source: Any) -> None:
    with pytest.raises(TypeError, match=r"scatter: client must be a distributed\.Client .*, got"):
        source.scatter(client=client)
    assert not list(source.downstreams)


@pytest.mark.parametrize("ordered", ["yes", None, 1.5, []], ids=repr)
def test_whether_order_counts_is_true_or_false(ordered: Any, source: Any) -> None:
    with pytest.raises(TypeError, match=r"scatter: ordered must be True or False, got"):
        source.scatter("thread", ordered=ordered)
    assert not list(source.downstreams)


def test_an_argument_that_is_misspelled_is_refused(source: Any) -> None:
    with pytest.raises(TypeError, match="bacth"):
        source.scatter("thread", bacth=3)
    assert not list(source.downstreams)


def test_a_class_of_executors_is_a_function_that_returns_one(source: Any) -> None:
    seen = source.scatter(ThreadPoolExecutor).map(f.inc).gather().sink_to_list()
    source.emit(1)
    assert seen == [2]


def test_a_function_that_fails_is_named(source: Any) -> None:
    def make() -> Any:
        raise f.Bad("no cluster today")

    with pytest.raises(f.Bad) as caught:
        source.scatter(make)
    (note,) = caught.value.__notes__
    assert note.startswith("scatter: raised by backend, the function ")
    assert "make" in note


async def later() -> Any:
    return None


@pytest.mark.parametrize(
    "backend", [later, lambda: "thread", lambda: None], ids=["async", "name", "None"]
)
def test_a_function_that_returns_no_backend_is_refused(backend: Any, source: Any) -> None:
    with pytest.raises(TypeError, match="scatter: backend must be"):
        source.scatter(backend)
    assert not list(source.downstreams)


@pytest.mark.parametrize("batch", [0, -1, "many", None, 1.5, True])
def test_a_batch_that_is_no_count_is_refused(source: Any, batch: Any) -> None:
    with pytest.raises(
        (TypeError, ValueError), match=r"scatter: batch must be 'auto' or a count of at least 1"
    ):
        source.scatter("thread", batch=batch)
    assert not list(source.downstreams)


def test_a_client_goes_with_dask_only(source: Any) -> None:
    with pytest.raises(ValueError, match="scatter: client must go with backend='dask'"):
        source.scatter("thread", client=object())


def test_dask_without_a_client_says_what_to_do() -> None:
    pytest.importorskip("distributed")
    (line,) = printed_by(
        """
from rapidz import Stream
try:
    Stream().scatter()
except RuntimeError as error:
    print(error)
"""
    )
    assert line.startswith("scatter: backend 'dask' needs a client")
    for remedy in ("Client(", "client=", "'thread'", "'process'"):
        assert remedy in line


def test_a_closed_client_is_refused_when_built_or_at_the_first_element(client: Any) -> None:
    closed = type(client)(client.cluster, set_as_default=False)
    closed.close()
    source: Any = Stream()

    def go() -> None:
        source.scatter(client=closed).map(f.inc).gather().sink(print)
        source.emit(1)

    with pytest.raises(RuntimeError, match="client"):
        bounded(go)
    source.close()


def test_a_pool_that_was_shut_down_is_an_error_at_the_first_element() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    source: Any = Stream()
    source.scatter(pool).map(f.inc).gather().sink(print)
    with pytest.raises(RuntimeError, match="shutdown"):
        bounded(lambda: source.emit(1))
    source.close()


BUILDS: dict[str, Callable[[Any, Any], Any]] = {
    "map": lambda s, bad: s.map(bad),
    "starmap": lambda s, bad: s.starmap(bad),
    "filter": lambda s, bad: s.filter(bad),
    "map_async": lambda s, bad: s.map_async(bad),
    "accumulate": lambda s, bad: s.accumulate(bad),
}


@pytest.mark.parametrize("name", BUILDS)
def test_a_function_that_cannot_travel_is_refused_when_built(
    name: str, source: Any, processes: ProcessPoolExecutor
) -> None:
    import functools

    scattered = source.scatter(processes)
    bad = functools.partial(needs_a_lock, lock=threading.Lock())
    with pytest.raises(TypeError) as caught:
        BUILDS[name](scattered, bad)
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert "needs_a_lock" in message
    assert "another process" in message
    assert "lock" in message
    assert not list(scattered.downstreams)


def test_without_cloudpickle_a_lambda_is_refused_with_the_remedy() -> None:
    (line,) = printed_by(
        """
import sys
sys.modules["cloudpickle"] = None
from rapidz import Stream
try:
    Stream().scatter("process").map(lambda x: x)
except TypeError as error:
    print(error)
"""
    )
    assert line.startswith("map: func must be something that can be sent to another process")
    assert "<lambda>" in line
    assert line.endswith("define it in a module, or install cloudpickle")


def test_an_argument_that_cannot_travel_is_refused_or_fails_its_element(
    source: Any, processes: ProcessPoolExecutor
) -> None:
    def go() -> None:
        source.scatter(processes).map(needs_a_lock, lock=threading.Lock()).gather().sink(print)
        source.emit(1)

    with pytest.raises(TypeError, match="lock"):
        bounded(go)


def test_threads_take_what_cannot_travel(source: Any) -> None:
    seen = source.scatter("thread").map(needs_a_lock, lock=threading.Lock()).gather().sink_to_list()
    source.emit(1)
    assert seen == [1]


def test_an_element_that_cannot_travel_fails_alone(processes: ProcessPoolExecutor) -> None:
    source: Any = Stream()
    scattered = source.scatter(processes).map(type).on_error("send")
    failures = scattered.errors.sink_to_list()
    seen = scattered.buffer(10).gather().sink_to_list()
    lock = threading.Lock()
    bounded(lambda: (source.emit_many([1, lock, "a"]), source.close()))
    assert seen == [int, str]
    assert [failure.element for failure in failures] == [lock]


def returns_a_lock(x: Any) -> Any:
    return threading.Lock() if x == 1 else x


def test_a_result_that_cannot_travel_fails_alone(processes: ProcessPoolExecutor) -> None:
    source: Any = Stream()
    scattered = source.scatter(processes).map(returns_a_lock).on_error("send")
    failures = scattered.errors.sink_to_list()
    seen = scattered.buffer(10).gather().sink_to_list()
    bounded(lambda: (source.emit_many([0, 1, 2]), source.close()))
    assert seen == [0, 2]
    assert [failure.element for failure in failures] == [1]


class Odd(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")


def raises_odd(x: int) -> int:
    raise Odd(1, 2)


def test_an_exception_that_cannot_travel_is_described(processes: ProcessPoolExecutor) -> None:
    source: Any = Stream()
    source.scatter(processes).map(raises_odd).gather().sink(print)
    with pytest.raises(RuntimeError, match="Odd: odd"):
        bounded(lambda: source.emit(1))
    source.close()


def test_two_backends_are_not_mixed(source: Any, processes: ProcessPoolExecutor) -> None:
    threads, other = source.scatter("thread"), source.scatter(processes)
    for name in ("zip", "union", "combine_latest", "zip_latest"):
        with pytest.raises(
            ValueError, match=rf"{name}: backend must be the same .* thread .*gather"
        ):
            getattr(threads, name)(other)
    assert not list(threads.downstreams)
    assert not list(other.downstreams)


def test_two_clients_are_not_mixed(source: Any, client: Any) -> None:
    with type(client)(client.cluster, set_as_default=False) as other:
        one, two = source.scatter(client=client), source.scatter(client=other)
        with pytest.raises(ValueError, match="backend must be the same"):
            one.zip(two)


def test_two_scatters_of_the_same_backend_go_together(source: Any, backend: Any) -> None:
    other: Any = Stream()
    pairs = source.scatter(backend).map(f.inc).zip(other.scatter(backend).map(f.double))
    seen = pairs.gather().sink_to_list()
    other.emit(1)
    source.emit(1)
    assert seen == [(2, 2)]
    other.close()


def test_a_plain_stream_joins_a_scattered_one(source: Any, backend: Any) -> None:
    other: Any = Stream()
    seen = source.scatter(backend).map(f.inc).zip(other).gather().sink_to_list()
    other.emit(1)
    source.emit(1)
    other.close()
    assert seen == [(2, 1)]


def test_a_scattered_stream_does_not_join_a_plain_one(source: Any) -> None:
    other: Any = Stream()
    for name in ("zip", "union", "combine_latest", "zip_latest"):
        scattered = source.scatter("thread")
        with pytest.raises(TypeError, match=rf"{name}: upstream must not be scattered: .*gather"):
            getattr(other, name)(scattered)
        assert not list(other.downstreams)
        assert not list(scattered.downstreams)


def test_a_plain_operator_without_a_scattered_class_says_so(
    source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scattered = source.scatter("thread")
    with pytest.raises(TypeError, match=r"delay: upstream must not be .*call it as a method, .*"):
        rapidz.delay(scattered, 1)
    monkeypatch.delattr(ParallelStream, "delay")
    with pytest.raises(TypeError, match=r"delay: .* delay does not support scattered streams; gat"):
        scattered.delay(1)


def test_a_scattered_stream_is_not_scattered_again(source: Any) -> None:
    with pytest.raises(TypeError, match=r"scatter: upstream must not be scattered already"):
        source.scatter("thread").scatter("thread")


@pytest.mark.parametrize("name", sorted(own_operators() - {"gather", "scan", "concat"}))
def test_a_plain_operator_refuses_a_scattered_stream(name: str, source: Any) -> None:
    scattered = source.scatter("thread")
    operator = getattr(rapidz, name)
    parameters = list(inspect.signature(operator.__init__).parameters.values())[1:]
    needed = [
        p
        for p in parameters
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "upstream"
    ]
    args: list[Any] = [f.add if p.name in ("func", "predicate") else 1 for p in needed]
    if name in ("zip_latest",):
        args = [Stream()]
    if name == "sliding_window":  # either n or time is needed
        args = [1]
    with pytest.raises(TypeError, match=rf"{name}: .*{name}\(.*gather\(\)"):
        operator(scattered, *args)
    assert not list(scattered.downstreams)


def test_what_is_refused_on_plain_streams_is_refused_on_scattered_ones(source: Any) -> None:
    """Ruling 19 (docs/rulings.md)."""
    scattered = source.scatter("thread")
    refusals: list[tuple[str, Callable[[], Any]]] = [
        ("partition: n must be", lambda: scattered.partition(0)),
        ("sliding_window: n must be", lambda: scattered.sliding_window(0)),
        ("buffer: n must be", lambda: scattered.buffer(0)),
        ("slice: start must be", lambda: scattered.slice(-1)),
        ("timed_window: interval must be", lambda: scattered.timed_window("soon")),
        ("map: func must be", lambda: scattered.map(3)),
        ("filter: predicate must be", lambda: scattered.filter(3)),
    ]
    for message, build in refusals:
        with pytest.raises((TypeError, ValueError), match=message):
            build()
    assert not list(scattered.downstreams)


def test_gather_on_a_plain_stream_is_that_stream(source: Any) -> None:
    assert source.gather() is source
    node = source.map(f.inc)
    assert node.gather() is node


def test_a_custom_parallel_stream_takes_the_backend_by_name() -> None:
    node: Any = ParallelStream(backend="thread")
    assert node.backend == "thread"
    with pytest.raises(ValueError, match="'nowhere'"):
        ParallelStream(backend="nowhere")
