"""Dask backend: tasks go to a scheduler, results stay on its workers until they are fetched."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import itertools
import time
import uuid
import weakref
from collections.abc import Coroutine
from typing import Any

import dask.config
import distributed
from distributed.client import Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from rapidz.kernel.graph.shutdown import drain_first
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.parallel.backends.protocol import FailureKind, FutureBackend
from rapidz.parallel.wire.chain import LARGE_CHAIN_BYTES, Chain, load_chain
from rapidz.parallel.wire.payload import TaskPayload, pick, run, summarize

drain_first()  # before the pools that Dask uses shut down

#: How many seconds the number of threads of the cluster is cached.
SLOTS_CACHE_SECONDS = 5.0

_TRANSIENT = (
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    CommClosedError,
    OSError,
)


class DaskBackend(FutureBackend):
    """Backend whose tasks go to the scheduler of a `distributed.Client`."""

    name = "dask"
    supports_dependencies = retries_worker_death = True

    def __init__(self, client: Any) -> None:
        self._client = client
        address = getattr(getattr(client, "scheduler", None), "address", "")
        self.crosses_process = not str(address).startswith("inproc")
        self._threads = 0
        self._workers: list[str] = []
        """Their addresses, as far as they are known."""
        self._asked = 0.0
        self._names = itertools.count()
        self._chains: weakref.WeakKeyDictionary[Chain, Any] = weakref.WeakKeyDictionary()
        self._id = uuid.uuid4().hex[:8]

    def slots(self) -> int:
        now = time.monotonic()
        if now > self._asked + SLOTS_CACHE_SECONDS:
            self._asked = now
            self._on_client_loop(self._count_threads())
        return self._threads or 2

    async def _count_threads(self) -> None:
        with contextlib.suppress(Exception):  # asked again before long
            cores = await self._client.scheduler.ncores()
            self._threads, self._workers = sum(cores.values()), sorted(cores)

    def _is_closed(self) -> bool:
        return self._client.status in ("closed", "closing")

    def _key(self, label: str) -> str:
        """Return a unique name that Dask's dashboard groups by *label*."""
        return f"{label}-{self._id}{next(self._names)}"

    def submit(
        self, payload: TaskPayload, dependencies: list[Any], *, isolated: bool = False
    ) -> Any:
        if self._is_closed():
            raise RuntimeError(f"the client must be open, got {short_repr(self._client)}")
        label = payload.chain.label
        if self.crosses_process and len(payload.chain.data) > LARGE_CHAIN_BYTES:
            payload, dependencies = self._without_chain(payload, dependencies)
        return self._submit(label, run, payload, *dependencies)

    def open_lane(self, lane: int) -> DaskBackend:
        """Return where the calls of one lane run."""
        return self

    def submit_call(self, function: Any, x: Any, lane: int) -> Any:
        """Call *function* with *x* on the worker of a lane, or another if that is lost."""
        if self._is_closed():
            raise RuntimeError(f"the client must be open, got {short_repr(self._client)}")
        self.slots()  # which looks which workers the cluster has
        workers = self._workers
        options: dict[str, Any] = {}
        if workers:
            options = {"workers": [workers[lane % len(workers)]], "allow_other_workers": True}
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            ref = self._client.submit(
                function, x, key=self._key(f"lane-{lane}"), pure=False, **options
            )
        return self._on_client_loop(self._fetch(ref, True, None))

    def close_lane(self) -> None:
        """Free what belongs to a lane alone: nothing."""

    def _submit(self, label: str, function: Any, *args: Any) -> Any:
        # Large elements are intended: Dask's warning about them is off.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            return self._client.submit(function, *args, key=self._key(label), pure=False)

    def _without_chain(
        self, payload: TaskPayload, dependencies: list[Any]
    ) -> tuple[TaskPayload, list[Any]]:
        """Return the same task with the chain as a dependency, which all its tasks share."""
        chain = payload.chain
        sent = self._chains.get(chain)
        if sent is None or self.is_lost(sent):
            sent = self._submit(f"functions-of-{chain.label}", load_chain, chain.data)
            self._chains[chain] = sent
        light = copy.copy(payload)
        light.chain, light.chain_at = None, len(dependencies)
        return light, [*dependencies, sent]

    def fetch(self, ref: Any, values: bool, state_limit: float | None) -> Any:
        return self._on_client_loop(self._fetch(ref, values, state_limit))

    async def _fetch(self, ref: Future[Any], values: bool, state_limit: float | None) -> Any:
        if not values or state_limit is not None:
            key = f"report-{ref.key}-{next(self._names)}"
            limit = state_limit or 0
            ref = self._client.submit(summarize, ref, values, limit, key=key, pure=False)
        return await self._client.gather(ref, asynchronous=True)

    def _on_client_loop(
        self, coroutine: Coroutine[Any, Any, Any]
    ) -> concurrent.futures.Future[Any]:
        """Run *coroutine* on the loop of the client."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)
        except RuntimeError as error:  # that loop is closed
            coroutine.close()
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()
            future.set_exception(error)
            return future

    def is_lost(self, ref: Any) -> bool:
        return getattr(ref, "status", "") in ("cancelled", "error")

    def classify_failure(self, ref: Any, error: BaseException) -> FailureKind:
        if self._is_closed():
            return "unavailable"
        if isinstance(error, KilledWorker):
            return "isolate"
        return "retry" if isinstance(error, _TRANSIENT) else "fail"

    def describe_failure(self, error: BaseException) -> str:
        return f"dask: {'the client was closed' if self._is_closed() else error}"

    def is_future(self, x: Any) -> bool:
        return isinstance(x, Future)

    def value_future(self, future: Any) -> Any:
        return self._on_client_loop(self._fetch(future, True, None))

    def element_future(self, ref: Any, index: int, value: Any) -> Any:
        call = (_identity, value) if ref is None else (pick, ref, index)
        return self._client.submit(*call, key=self._key("element"), pure=False)

    def event_loop(self) -> asyncio.AbstractEventLoop | None:
        loop: asyncio.AbstractEventLoop | None = self._client.loop.asyncio_loop
        return loop

    def shares_results(self, other: Any) -> bool:
        return isinstance(other, DaskBackend) and other._client is self._client

    def client(self) -> Any:
        return self._client

    def __repr__(self) -> str:
        return f"dask at {getattr(self._client.scheduler, 'address', 'no scheduler')}"


def _identity(x: Any) -> Any:
    return x


def current_client() -> Any:
    """Return the client that Dask itself would use; raise ValueError if there is none."""
    if _in_task():
        with contextlib.suppress(KeyError):  # it has seceded already
            # The task waits for others, which need its thread.
            distributed.secede()  # type: ignore[no-untyped-call]
        return distributed.get_client()
    return distributed.client.default_client()  # type: ignore[no-untyped-call]


def _in_task() -> bool:
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True
