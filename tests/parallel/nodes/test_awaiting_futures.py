"""Asynchronous nodes and sinks of users await the futures that they get, on Dask."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.parallel import functions as f
from tests.support import bounded
from tornado import gen

from rapidz import Stream
from rapidz.parallel import ParallelStream

distributed = pytest.importorskip("distributed")


class awaits_the_future(ParallelStream[Any]):
    async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        return self._emit(await x)


class gathers(ParallelStream[Any]):
    async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        value = await distributed.default_client().gather(x, asynchronous=True)
        return self._emit(value)


class gathers_with_the_client_of_the_node(ParallelStream[Any]):
    async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        value = await self.default_client().gather(x, asynchronous=True)
        for wait in self._emit(value):
            await wait


class yields(ParallelStream[Any]):
    @gen.coroutine
    def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        value = yield self.default_client().gather(x, asynchronous=True)
        yield self._emit(value)


class plain(Stream[Any]):
    async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        for wait in self._emit(await x):
            await wait


KINDS = [awaits_the_future, gathers, gathers_with_the_client_of_the_node, yields, plain]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@kinds
def test_a_node_awaits_what_it_gets(kind: Any, client: Any) -> None:
    source: Any = Stream()
    seen = kind(source.scatter().map(f.inc)).gather().sink_to_list()

    def go() -> None:
        for x in range(4):
            source.emit(x)
        source.close()

    bounded(go)
    assert seen == [1, 2, 3, 4]


@kinds
def test_a_node_behind_a_buffer_awaits_what_it_gets(kind: Any, client: Any) -> None:
    source: Any = Stream()
    seen = kind(source.scatter().map(f.inc).buffer(5)).gather().map(f.double).sink_to_list()
    bounded(lambda: (source.emit_many(range(20)), source.close()))
    assert seen == [2 * x for x in range(1, 21)]


@kinds
def test_elements_emitted_into_a_loop_are_awaited_too(kind: Any, client: Any) -> None:
    async def main() -> list[int]:
        async with Stream(asynchronous=True) as source:
            top: Any = source
            seen: list[int] = kind(top.scatter().map(f.inc)).gather().sink_to_list()
            await asyncio.gather(*[source.emit(x) for x in range(4)])
        return seen

    assert bounded(lambda: asyncio.run(main())) == [1, 2, 3, 4]


def test_a_client_of_the_same_loop_needs_no_other(client: Any) -> None:
    async def main() -> list[int]:
        async with (
            distributed.Client(client.cluster.scheduler_address, asynchronous=True) as own,
            Stream(asynchronous=True) as source,
        ):
            top: Any = source
            seen: list[int] = awaits_the_future(top.scatter(client=own).map(f.inc)).sink_to_list()
            for x in range(3):
                await source.emit(x)
        return seen

    assert bounded(lambda: asyncio.run(main())) == [1, 2, 3]


def test_an_asynchronous_sink_awaits_what_it_gets(client: Any) -> None:
    source: Any = Stream()
    seen: list[int] = []

    async def keep(x: Any, *args: Any) -> None:
        seen.append(await x)

    source.scatter().map(f.inc).sink(keep, "more")
    bounded(lambda: (source.emit_many(range(4)), source.close()))
    assert seen == [1, 2, 3, 4]


def test_downstream_of_an_async_node_runs_on_the_pipelines_loop(client: Any) -> None:
    source: Any = Stream()
    threads: list[str] = []
    node = awaits_the_future(source.scatter().map(f.inc))
    node.sink(lambda x: threads.append(threading.current_thread().name))
    source.emit(1)
    source.close()
    (name,) = threads
    assert "rapidz" in name


@kinds
def test_a_failure_downstream_of_an_async_node_is_raised(kind: Any, client: Any) -> None:
    source: Any = Stream()
    seen = kind(source.scatter().map(f.inc)).gather().map(f.fails_on_thirds).sink_to_list()

    source.emit(1)
    with pytest.raises(f.Bad):
        bounded(lambda: (source.emit(2), source.close()))
    source.close()
    assert seen == [2]


def test_close_raises_the_failure_of_an_emission_that_is_kept(
    client: Any,
) -> None:
    emissions: list[Any] = []  # as another thread may refer to them for longer than it should

    class refers(ParallelStream[Any]):
        async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            emissions.extend(self._emit(await x))

    source: Any = Stream()
    refers(source.scatter().map(f.inc)).gather().map(f.fails_on_thirds).sink(print)
    with pytest.raises(f.Bad):
        bounded(lambda: (source.emit(2), source.close()))
    assert len(emissions) == 1


def test_an_emission_that_is_awaited_late_takes_its_failure_back(client: Any) -> None:
    emissions: list[Any] = []
    raised: list[BaseException] = []
    both_are_in = threading.Event()

    class awaits_the_one_before(ParallelStream[Any]):
        async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            value = await x
            while not both_are_in.is_set():
                await asyncio.sleep(0.001)
            for before in emissions:
                try:
                    await before
                except f.Bad as error:
                    raised.append(error)
            emissions[:] = self._emit(value)

    source: Any = Stream()
    node = awaits_the_one_before(source.scatter().map(f.inc).buffer(5))
    seen = node.gather().map(f.fails_on_thirds).sink_to_list()

    def go() -> None:
        source.emit_many([2, 3])
        both_are_in.set()
        source.close()

    bounded(go)
    assert seen == [4]
    assert [str(error) for error in raised] == ["3"]


class failing(ParallelStream[Any]):
    async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
        value = await x
        if value == 2:
            raise f.Bad(value)
        return self._emit(value)


def test_a_failure_of_an_asynchronous_node_reaches_its_policy(client: Any) -> None:
    source: Any = Stream()
    node = failing(source.scatter().map(f.inc)).on_error("send")
    failures = node.errors.map(lambda failure: failure.node).sink_to_list()
    seen = node.gather().sink_to_list()
    bounded(lambda: (source.emit_many(range(3)), source.close()))
    assert seen == [1, 3]
    assert failures == [node]


def test_a_node_that_raises_system_exit_leaves_the_clients_loop_alone(
    client: Any,
) -> None:
    class leaves(ParallelStream[Any]):
        async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            raise SystemExit(3)

    source: Any = Stream()
    leaves(source.scatter().map(f.inc)).gather().sink(print)
    with pytest.raises(RuntimeError, match="SystemExit"):
        bounded(lambda: source.emit(1))
    assert client.submit(f.inc, 1).result(5) == 2
    source.close()


def test_metadata_goes_along(client: Any) -> None:
    class hands_on(ParallelStream[Any]):
        async def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            return self._emit(await x, metadata=metadata)

    source: Any = Stream()
    got: list[Any] = []

    class notes(Stream[Any]):
        def update(self, x: Any, who: Any = None, metadata: Any = None) -> Any:
            got.append((x, metadata))
            return self._emit(x)

    notes(hands_on(source.scatter().map(f.inc)).gather()).sink_to_list()
    bounded(lambda: source.emit(1, metadata=[{"a": 1}]))
    source.close()
    assert got == [(2, [{"a": 1}])]
