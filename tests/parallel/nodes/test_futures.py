"""Futures: sinks and custom node classes on scattered streams get futures of the backend."""

from __future__ import annotations

import concurrent.futures
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from tests.parallel import functions as f

from rapidz import Stream, clients
from rapidz.parallel import ParallelStream


def kind_of_future(backend: Any) -> type[Any]:
    if backend == "thread" or isinstance(backend, ProcessPoolExecutor):
        return concurrent.futures.Future
    import distributed

    future: type[Any] = distributed.Future
    return future


class passing(ParallelStream[Any]):
    """A node as users write them: it passes on what it gets."""

    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        return self._emit(x)


class reading(ParallelStream[Any]):
    """One that notes the futures that it gets, and passes them on."""

    def __init__(self, upstream: Any, **kwargs: Any) -> None:
        super().__init__(upstream, **kwargs)
        self.got: list[Any] = []

    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        self.got.append(x)
        return self._emit(x)


class submitting(ParallelStream[Any]):
    """One that sends work of its own to the client, as the operators of rapidz did."""

    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        client = self.default_client()
        return self._emit(client.submit(f.inc, x))


class old_submitting(ParallelStream[Any]):
    """The same as a coroutine, and with results for arguments."""

    async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        client = self.default_client()
        return self._emit(client.submit(f.inc, clients.result_maybe(x)))


def test_a_sink_gets_futures_of_the_backend(backend: Any) -> None:
    source: Any = Stream()
    got: list[Any] = []
    source.scatter(backend).map(f.inc).sink(got.append)
    source.emit(1)
    source.emit(2)
    source.join()
    assert [type(x) for x in got] == [kind_of_future(backend)] * 2
    assert [x.result(10) for x in got] == [2, 3]
    source.close()


def test_a_sink_directly_after_scatter_gets_futures(backend: Any) -> None:
    source: Any = Stream()
    got = source.scatter(backend).sink_to_list()
    source.emit("x")
    source.join()
    assert isinstance(got[0], kind_of_future(backend))
    assert got[0].result(10) == "x"
    source.close()


def test_a_sink_gets_nothing_of_what_was_filtered_out(backend: Any) -> None:
    source: Any = Stream()
    got = source.scatter(backend).filter(f.even).sink_to_list()
    for x in range(4):
        source.emit(x)
    source.join()
    assert [x.result(10) for x in got] == [0, 2]
    source.close()


def test_a_sink_after_zip_gets_futures_in_a_tuple(backend: Any) -> None:
    source: Any = Stream()
    scattered = source.scatter(backend)
    got = scattered.map(f.inc).zip("x", scattered.map(f.double)).sink_to_list()
    source.emit(5)
    source.join()
    ((first, between, last),) = got
    assert (first.result(10), between, last.result(10)) == (6, "x", 10)
    source.close()


def test_a_sink_after_flatten_gets_a_future_for_each_item(backend: Any) -> None:
    source: Any = Stream()
    got = source.scatter(backend).flatten().sink_to_list()
    source.emit([1, 2])
    source.join()
    assert [x.result(10) for x in got] == [1, 2]
    source.close()


def test_a_sink_after_accumulate_gets_futures(backend: Any) -> None:
    source: Any = Stream()
    got = source.scatter(backend).accumulate(f.add).sink_to_list()
    for x in range(4):
        source.emit(x)
    source.join()
    assert [x.result(10) for x in got] == [0, 1, 3, 6]
    source.close()


def test_sinks_and_gather_may_stand_side_by_side(backend: Any) -> None:
    source: Any = Stream()
    node = source.scatter(backend).map(f.inc)
    got, seen = node.sink_to_list(), node.gather().sink_to_list()
    below = node.map(f.double).gather().sink_to_list()
    source.emit(1)
    source.join()
    assert [x.result(10) for x in got] == [2]
    assert (seen, below) == ([2], [4])
    source.close()


def test_starsink_gets_the_futures_of_a_tuple(backend: Any) -> None:
    source: Any = Stream()
    scattered = source.scatter(backend)
    sums: list[int] = []

    def note(one: Any, two: Any) -> None:
        sums.append(one.result(10) + two.result(10))

    if backend == "thread" or isinstance(backend, ProcessPoolExecutor):
        scattered.zip(scattered.map(f.inc)).starsink(note)
        source.emit(1)
        source.join()
        assert sums == [3]
    source.close()


@pytest.mark.parametrize("node", [passing, reading])
def test_a_custom_node_may_stand_anywhere(node: Any, backend: Any) -> None:
    source: Any = Stream()
    first = node(source.scatter(backend))
    second = node(first.map(f.inc))
    seen = second.filter(f.even).map(f.double).buffer(5).gather().sink_to_list()
    source.emit_many(range(6))
    source.close()
    assert seen == [4, 8, 12]
    if node is reading:
        assert [x.result(10) for x in second.got] == [1, 2, 3, 4, 5, 6]
        assert {type(x) for x in second.got} == {kind_of_future(backend)}


def test_a_custom_node_gets_futures_even_directly_after_another(backend: Any) -> None:
    source: Any = Stream()
    node = reading(passing(source.scatter(backend).map(f.inc)))
    seen = node.gather().sink_to_list()
    source.emit(1)
    source.join()
    assert [x.result(10) for x in node.got] == [2]
    assert seen == [2]
    source.close()


def test_a_custom_node_may_emit_futures_that_it_made(client: Any) -> None:
    source: Any = Stream()
    seen = submitting(source.scatter()).map(f.double).buffer(5).gather().sink_to_list()
    source.emit_many([1, 2])
    source.close()
    assert seen == [4, 6]


def test_a_custom_node_may_submit_to_the_thread_pool() -> None:
    source: Any = Stream()
    node = old_submitting(source.scatter("thread"))
    seen = node.map(f.double).accumulate(f.add).buffer(5).gather().sink_to_list()
    source.emit_many([1, 2])
    source.close()
    assert seen == [4, 10]


def test_the_future_of_a_task_that_fails_leaves_a_custom_node_alone(backend: Any) -> None:
    source: Any = Stream()
    top = source.scatter(backend).map(f.fails_on_thirds).on_error("skip")
    node = reading(top)
    seen = node.gather().sink_to_list()
    for x in (1, 3, 2):
        source.emit(x)
    source.close()
    assert [x.result(10) for x in node.got] == [1, 2]
    assert seen == [1, 2]


def test_a_failing_future_of_the_user_is_reported(backend: Any) -> None:
    class failing(ParallelStream[Any]):
        def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            return self._emit(self.default_client().submit(f.raises, 1))

    source: Any = Stream()
    failing(source.scatter(backend)).gather().sink(print)
    with pytest.raises(f.Bad):
        source.emit(1)
    source.close()


def test_a_registered_node_is_a_method_of_scattered_streams() -> None:
    ParallelStream.register_api(attribute_name="passing_for_tests")(passing)
    try:
        source: Any = Stream()
        node = source.scatter("thread").passing_for_tests()
        assert isinstance(node, passing)
        seen = node.map(f.inc).gather().sink_to_list()
        source.emit(1)
        assert seen == [2]
        assert not hasattr(source, "passing_for_tests")
        source.close()
    finally:
        delattr(ParallelStream, "passing_for_tests")


def test_scattered_nodes_are_dask_streams(client: Any) -> None:
    """Ruling 21 (docs/rulings.md): `rapidz.dask.DaskStream`; tests of others ask isinstance."""
    from rapidz.dask import DaskStream

    source: Any = Stream()
    scattered = source.scatter()
    for node in (scattered, scattered.map(f.inc), scattered.buffer(3), scattered.partition(2)):
        assert isinstance(node, DaskStream)
    assert not isinstance(scattered.gather(), DaskStream)
    source.close()


def test_default_client_is_the_one_that_work_goes_to(
    client: Any, processes: ProcessPoolExecutor
) -> None:
    source: Any = Stream()
    assert source.scatter().default_client() is client
    assert source.scatter(client=client).default_client() is client
    assert source.scatter(processes).default_client() is processes
    assert source.scatter(lambda: processes).default_client() is processes
    source.close()


def test_default_client_is_the_function_that_was_given(client: Any) -> None:
    with ThreadPoolExecutor(1) as pool:

        def own() -> Any:
            return pool

        source: Any = Stream()
        scattered = source.scatter(backend=own)
        assert scattered.default_client is own
        assert scattered.map(f.inc).default_client is own
        dask = source.scatter(backend=distributed_client)
        assert dask.default_client is distributed_client
        assert dask.default_client() is client
        source.close()


def distributed_client() -> Any:
    import distributed

    made: Any = distributed
    return made.default_client()


@pytest.mark.parametrize("name", ["thread", "process", "executor", "function"])
def test_a_custom_node_may_submit_work_on_the_futures_that_it_gets(name: str) -> None:
    """It was written for 0.2: what it gets is a future, and its client takes futures."""
    with ThreadPoolExecutor(2) as pool:
        backends = {"executor": pool, "function": lambda: pool}
        source: Any = Stream()
        node = submitting(source.scatter(backends.get(name, name)).map(f.inc))
        seen = submitting(node).map(f.double).buffer(5).gather().sink_to_list()
        source.emit_many([1, 2])
        source.close()
    assert seen == [8, 10]


@pytest.mark.parametrize("policy", ["skip", "send"])
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_the_policy_of_a_custom_node_applies(policy: Any, kind: str, backend: Any) -> None:
    """Ruling 1 (docs/rulings.md)."""

    class failing(ParallelStream[Any]):
        def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            if x.result(10) == 2:
                raise f.Bad(x)
            return self._emit(x)

    class failing_later(failing):
        async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            return super().update(x)

    if kind == "async" and kind_of_future(backend) is not concurrent.futures.Future:
        pytest.skip("result() would block the loop of the client")
    source: Any = Stream()
    node = (failing if kind == "plain" else failing_later)(source.scatter(backend)).on_error(policy)
    failures = node.errors.sink_to_list() if policy == "send" else None
    seen = node.map(f.inc).buffer(5).gather().sink_to_list()
    source.emit_many(range(4))
    source.close()
    assert seen == [1, 2, 4]
    assert node.skipped == (1 if policy == "skip" else 0)
    assert failures is None or [failure.node for failure in failures] == [node]


# --- rapidz.clients ----------------------------------------------------------------------------


def test_result_maybe_takes_futures_and_anything_else() -> None:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    future.set_result(3)
    assert clients.result_maybe(future) == 3
    assert clients.result_maybe([1]) == [1]


def test_futures_for_arguments_may_be_done_later_or_fail() -> None:
    with ThreadPoolExecutor(1) as pool:
        client: Any = clients.executor_to_client(pool)
        later: concurrent.futures.Future[int] = concurrent.futures.Future()
        sums = [client.submit(f.plus, later, y=later), client.submit(f.add, later, later)]
        last = client.submit(f.double, sums[0])
        cancelled = client.submit(f.inc, later)
        assert cancelled.cancel()
        assert client.submit(f.inc, 1).result(5) == 2, "nothing waits on a worker"
        later.set_result(3)
        assert [future.result(5) for future in (*sums, last)] == [6, 6, 12]
        failed = client.submit(f.inc, client.submit(f.raises, 1))
        with pytest.raises(f.Bad):
            failed.result(5)
        gone: concurrent.futures.Future[int] = concurrent.futures.Future()
        gone.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            client.submit(f.inc, gone).result(5)


def test_an_executor_that_takes_no_attributes_stays_as_it_is() -> None:
    class Slotted(concurrent.futures.Executor):
        __slots__ = ()

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return clients.DEFAULT_BACKENDS["thread"]().submit(fn, *args, **kwargs)

    pool = Slotted()
    assert clients.executor_to_client(pool) is pool
    source: Any = Stream()
    seen = source.scatter(pool).map(f.inc).gather().sink_to_list()
    source.emit(1)
    source.close()
    assert seen == [2]


def test_the_old_names_exist() -> None:
    """What rapidz 0.2 had."""
    from rapidz import parallel

    assert parallel.return_null(f.inc)(parallel.NULL_COMPUTE) is parallel.NULL_COMPUTE
    assert parallel.filter_null_wrapper(f.even)(1) is parallel.NULL_COMPUTE
    assert {"dask", "thread"} <= set(clients.FILL_COLOR_LOOKUP)


def test_delayed_execution_waits_for_its_arguments() -> None:
    with ThreadPoolExecutor(1) as pool:
        x, y = pool.submit(f.inc, 1), pool.submit(f.inc, 2)
        assert clients.delayed_execution(f.plus)(x, y, factor=2) == 8
    assert clients.delayed_execution(f.plus)(1, y=2) == 3


def test_executor_to_client_gives_an_executor_the_methods_of_a_client() -> None:
    with ThreadPoolExecutor(1) as pool:
        client: Any = clients.executor_to_client(pool)
        one = client.scatter(1)
        two = client.submit(f.inc, one)
        assert client.gather(client.submit(f.add, one, two)) == 3
        assert client.gather([one, two]) == [1, 2]
        assert clients.executor_to_client(client) is not None


def test_what_executor_to_client_gives_is_a_backend() -> None:
    with ThreadPoolExecutor(2) as pool:
        source: Any = Stream()
        client = clients.executor_to_client(pool)
        seen = source.scatter(client).map(f.inc).buffer(3).gather().sink_to_list()
        source.emit_many([1, 2])
        source.close()
    assert seen == [2, 3]


def test_thread_default_client_is_what_the_thread_backend_uses() -> None:
    source: Any = Stream()
    assert source.scatter("thread").default_client() is clients.thread_default_client()
    source.close()


def test_the_default_backends_are_functions_that_return_a_client(client: Any) -> None:
    assert {"dask", "thread"} <= set(clients.DEFAULT_BACKENDS)
    assert clients.DEFAULT_BACKENDS["dask"]() is client
    for name, make in clients.DEFAULT_BACKENDS.items():
        if name != "process":
            assert hasattr(make(), "submit")
            source: Any = Stream()
            seen = source.scatter(make).map(f.inc).gather().sink_to_list()
            source.emit(1)
            source.close()
            assert seen == [2]


# --- containers of futures ---------------------------------------------------------------------


class emitting(ParallelStream[Any]):
    """A node that emits a container of what it gets."""

    def __init__(self, upstream: Any, build: Any, **kwargs: Any) -> None:
        super().__init__(upstream, **kwargs)
        self.build = build

    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        return self._emit(self.build(x))


CONTAINERS: dict[str, tuple[Any, Any]] = {
    "a list": (lambda x: [x, x], [6, 6]),
    "a tuple with a value": (lambda x: (x, "a"), (6, "a")),
    "a dict": (lambda x: {"a": x, "b": 1}, {"a": 6, "b": 1}),
    "a set": (lambda x: {x}, {6}),
    "a frozen set": (lambda x: frozenset([x]), frozenset([6])),
    "nested": (lambda x: [{"a": (x, [x])}, []], [{"a": (6, [6])}, []]),
    "nothing": (lambda x: {}, {}),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_gather_gives_the_values_of_a_container_of_futures(name: str, backend: Any) -> None:
    build, wanted = CONTAINERS[name]
    source: Any = Stream()
    seen = emitting(source.scatter(backend).map(f.inc), build).gather().sink_to_list()
    source.emit(5)
    source.join()
    assert seen == [wanted]
    assert type(seen[0]) is type(wanted)
    source.close()


@pytest.mark.parametrize("name", CONTAINERS)
def test_functions_get_the_values_of_a_container_of_futures(name: str, backend: Any) -> None:
    build, wanted = CONTAINERS[name]
    source: Any = Stream()
    node = emitting(source.scatter(backend).map(f.inc), build).map(f.alone)
    seen = node.buffer(3).gather().sink_to_list()
    source.emit(5)
    source.close()
    assert seen == [[wanted]]


@pytest.mark.parametrize("name", ["zip", "combine_latest"])
def test_futures_and_elements_are_brought_together(name: str, backend: Any) -> None:
    source: Any = Stream()
    top = source.scatter(backend)
    node = getattr(emitting(top.map(f.inc), lambda x: {"a": x}), name)(top.map(f.double))
    seen = node.buffer(4).gather().sink_to_list()
    source.emit(5)
    source.close()
    assert seen == [({"a": 6}, 10)]


def test_futures_in_a_window_are_brought(backend: Any) -> None:
    source: Any = Stream()
    node = emitting(source.scatter(backend).map(f.inc), lambda x: [x])
    seen = node.sliding_window(2).gather().sink_to_list()
    for x in range(3):
        source.emit(x)
    source.close()
    assert seen == [([1], [2]), ([2], [3])]


def test_futures_that_are_not_done_are_waited_for(client: Any) -> None:
    source: Any = Stream()
    node = submitting(source.scatter(client))
    seen = emitting(node, lambda x: {"a": [x]}).map(f.alone).gather().sink_to_list()
    source.emit(1)
    source.close()
    assert seen == [[{"a": [2]}]]


def test_a_value_that_contains_a_future_is_unchanged() -> None:
    """What a function returns is a value, whatever it is: it is nothing that was emitted."""
    future: Any = concurrent.futures.Future()
    source: Any = Stream()
    top = source.scatter("thread").map(lambda x: {"a": future})
    seen = top.zip(top.map(f.alone)).gather().sink_to_list()
    source.emit(1)
    source.close()
    assert seen == [({"a": future}, [{"a": future}])]


@pytest.mark.parametrize("container", [lambda x: x, lambda x: {"a": [1, x]}], ids=["bare", "held"])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_future_that_was_cancelled_is_a_failure(container: Any, mapped: bool) -> None:
    def cancelled(x: Any) -> Any:
        future: Any = concurrent.futures.Future()
        future.cancel()
        return container(future)

    source: Any = Stream()
    node: Any = emitting(source.scatter("thread"), cancelled)
    node = node.map(f.alone) if mapped else node
    seen = node.gather().sink_to_list()
    with pytest.raises(RuntimeError, match="the future was cancelled"):
        source.emit(1)
    assert seen == []
    source.close()


def test_a_failed_future_in_a_container_is_reported_once(backend: Any) -> None:
    class half(ParallelStream[Any]):
        def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            submit = self.default_client().submit
            return self._emit({"good": submit(f.inc, 1), "bad": submit(f.raises, 1)})

    source: Any = Stream()
    seen = half(source.scatter(backend)).gather().sink_to_list()
    with pytest.raises(f.Bad):
        source.emit(1)
    source.close()
    assert seen == []
