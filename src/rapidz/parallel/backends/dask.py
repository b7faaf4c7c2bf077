"""A Dask cluster: tasks go to its scheduler, results stay on its workers until they are fetched."""

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
from rapidz.parallel.backends.protocol import Verdict
from rapidz.parallel.wire.outcomes import TaskResult
from rapidz.parallel.wire.payload import TaskPayload, pick, run, summarize
from rapidz.parallel.wire.program import LARGE_CHAIN_BYTES, Chain, OperatorSpec, load_chain

drain_first()  # before the pools that Dask uses shut down

#: How often to ask how many threads the cluster has, in seconds.
CENSUS_SECONDS = 5.0

_CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)


class Dask:
    """Tasks go to the scheduler of a `distributed.Client`."""

    name = "dask"
    chains = patient = True

    def __init__(self, client: Any) -> None:
        self.client = client
        address = getattr(getattr(client, "scheduler", None), "address", "")
        self.travels = not str(address).startswith("inproc")
        self._threads = 0
        self._asked = 0.0
        self._names = itertools.count()
        self._chains: weakref.WeakKeyDictionary[Chain, Any] = weakref.WeakKeyDictionary()
        self._id = uuid.uuid4().hex[:8]

    def slots(self) -> int:
        now = time.monotonic()
        if now > self._asked + CENSUS_SECONDS:
            self._asked = now
            self._there(self._census())
        return self._threads or 2

    async def _census(self) -> None:
        with contextlib.suppress(Exception):  # asked again before long
            self._threads = sum((await self.client.scheduler.ncores()).values())

    def _key(self, label: str) -> str:
        """A name that Dask's dashboard groups by *label*."""
        return f"{label}-{self._id}{next(self._names)}"

    def submit(self, work: TaskPayload, needs: list[Any], *, alone: bool = False) -> Any:
        if self.client.status in ("closed", "closing"):
            raise RuntimeError(f"the client must be open, got {short_repr(self.client)}")
        label = work.chain.label
        if self.travels and len(work.chain.data) > LARGE_CHAIN_BYTES:
            work, needs = self._relieved(work, needs)
        return self._submit(label, run, work, *needs)

    def _submit(self, label: str, function: Any, *args: Any) -> Any:
        """Submit under the name *label*, without a word about large elements: they are wanted."""
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            return self.client.submit(function, *args, key=self._key(label), pure=False)

    def _relieved(self, work: TaskPayload, needs: list[Any]) -> tuple[TaskPayload, list[Any]]:
        """The same without the chain, which is sent once, for all tasks that need it."""
        chain = work.chain
        sent = self._chains.get(chain)
        if sent is None or self.lost(sent):
            sent = self._submit(f"functions-of-{chain.label}", load_chain, chain.data)
            self._chains[chain] = sent
        light = copy.copy(work)
        light.chain, light.chain_at = None, len(needs)
        return light, [*needs, sent]

    def loaded(self, result: Any) -> TaskResult:
        return result  # type: ignore[no-any-return]

    def fetch(self, ref: Any, values: bool, state_limit: float | None) -> Any:
        return self._there(self._fetched(ref, values, state_limit))

    async def _fetched(self, ref: Future[Any], values: bool, state_limit: float | None) -> Any:
        if not values or state_limit is not None:
            key = f"report-{ref.key}-{next(self._names)}"
            ref = self.client.submit(summarize, ref, values, state_limit or 0, key=key, pure=False)
        return await self.client.gather(ref, asynchronous=True)

    def _there(self, coroutine: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Run *coroutine* on the loop of the client."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self.client.loop.asyncio_loop)
        except RuntimeError as error:  # that loop is closed
            coroutine.close()
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()
            future.set_exception(error)
            return future

    def lost(self, ref: Any) -> bool:
        return getattr(ref, "status", "") in ("cancelled", "error")

    def stranded(self, ref: Any) -> bool:
        return False  # the client says of every task what became of it

    def verdict(self, ref: Any, error: BaseException) -> Verdict:
        if self.client.status in ("closed", "closing"):
            return "gone"
        if isinstance(error, KilledWorker):
            return "alone"
        if isinstance(error, (*_CANCELLED, CommClosedError, OSError)):
            return "again"
        return "final"

    def explained(self, error: BaseException) -> str:
        closed = self.client.status in ("closed", "closing")
        return f"dask: {'the client was closed' if closed else error}"

    def is_future(self, x: Any) -> bool:
        return isinstance(x, Future)

    def value(self, future: Any) -> Any:
        return self._there(self._fetched(future, True, None))

    def future(self, ref: Any, index: int, value: Any) -> Any:
        if ref is None:
            return self.client.submit(_same, value, key=self._key("element"), pure=False)
        return self.client.submit(pick, ref, index, key=self._key("element"), pure=False)

    def home_loop(self) -> asyncio.AbstractEventLoop | None:
        loop: asyncio.AbstractEventLoop | None = self.client.loop.asyncio_loop
        return loop

    def same(self, other: Any) -> bool:
        return isinstance(other, Dask) and other.client is self.client

    def check(self, spec: OperatorSpec) -> None:
        if self.travels:
            spec.check_picklable()

    def client_of(self) -> Any:
        return self.client

    def close(self) -> None:
        """The client is the user's."""

    def __repr__(self) -> str:
        return f"dask at {getattr(self.client.scheduler, 'address', 'no scheduler')}"


def _same(x: Any) -> Any:
    return x


def current_client() -> Any:
    """The client that Dask itself would use; ValueError if there is none."""
    if _in_task():
        with contextlib.suppress(KeyError):  # that was done already
            # The task waits for others: its thread must not be missed meanwhile.
            distributed.secede()  # type: ignore[no-untyped-call]
        return distributed.get_client()
    return distributed.client.default_client()  # type: ignore[no-untyped-call]


def _in_task() -> bool:
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True
