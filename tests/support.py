"""Helpers of several test modules: ways to feed a pipeline, and the form of errors."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, cast

import pytest
from hypothesis import strategies as st
from tornado import gen

from rapidz import Stream
from rapidz.kernel.protocol.push import Pending, Push
from rapidz.testing import run

T = TypeVar("T")
U = TypeVar("U")

Way: TypeAlias = Literal["emit", "emit_many", "await"]
Build: TypeAlias = Callable[[Stream[T]], Stream[U]]

ways: st.SearchStrategy[Way] = st.sampled_from(["emit", "emit_many", "await"])
numbers = st.lists(st.integers(-5, 5), max_size=20)
# Quarters of a second are exact in binary, so instants compare with ==.
gaps = st.lists(st.integers(0, 12).map(lambda quarters: quarters / 4), max_size=12)


async def settle(wait: object) -> None:
    """Await what `emit`, `flush`, `join` or `close` returned, if there is something to await."""
    if inspect.isawaitable(wait):
        await wait


async def send(stream: Stream[T], x: T) -> None:
    """Emit *x* and wait until the pipeline accepts the next one."""
    await settle(stream.emit(x))


def begin(stream: Stream[T], x: T) -> asyncio.Future[object]:
    """Emit *x* without waiting: the future tells later whether it had to wait."""
    wait: object = stream.emit(x)
    assert inspect.isawaitable(wait), "emit returns an awaitable inside a loop"
    return asyncio.ensure_future(cast("Awaitable[object]", wait))


async def turns(n: int = 20) -> None:
    """Let everything run that can run now, while no time passes."""
    for _ in range(n):
        await asyncio.sleep(0)


async def feed(stream: Stream[T], arrivals: Iterable[tuple[float, T]]) -> None:
    """Emit each element at its instant, without waiting for capacity."""
    now = asyncio.get_running_loop().time
    for instant, x in arrivals:
        if instant > now():
            await asyncio.sleep(instant - now())
        stream.emit(x)


def arrivals(distances: Sequence[float]) -> list[tuple[float, int]]:
    """Instants at these distances, the first one at 0, numbered from 0."""
    instants = [sum(distances[:i]) for i in range(len(distances) + 1)]
    return list(enumerate_instants(instants))


def enumerate_instants(instants: Iterable[float]) -> Iterable[tuple[float, int]]:
    return ((instant, number) for number, instant in enumerate(instants))


def through(
    build: Build[T, U], elements: Iterable[T], way: Way = "emit"
) -> tuple[list[U], list[U]]:
    """What came out of the operator that *build* adds: before the end, and in all."""
    if way == "await":
        return run(_through_a_loop(build, elements))
    with Stream[T]() as source:
        seen = build(source).sink_to_list()
        if way == "emit_many":
            source.emit_many(elements)
        else:
            for x in elements:
                source.emit(x)
        before = list(seen)
    return before, seen


async def _through_a_loop(build: Build[T, U], elements: Iterable[T]) -> tuple[list[U], list[U]]:
    async with Stream[T](asynchronous=True) as source:
        seen = build(source).sink_to_list()
        for x in elements:
            await send(source, x)
        await settle(source.join())
        before = list(seen)
    return before, seen


def emitted(build: Build[T, U], elements: Iterable[T], way: Way = "emit") -> list[U]:
    """What comes out while the pipeline is open; the end must add nothing."""
    before, in_all = through(build, elements, way)
    assert in_all == before, "the end of the pipeline brought something unexpected"
    return before


class Boom(Exception):
    """What the functions of the tests raise; *subject* is what they were called with."""

    def __init__(self, subject: object) -> None:
        super().__init__(subject)
        self.subject = subject


def booms(failure: BaseException) -> list[Boom]:
    """Every `Boom` in *failure*, which may be a group. Anything else is raised again."""
    if isinstance(failure, Boom):
        return [failure]
    if isinstance(failure, BaseExceptionGroup):
        return [boom for part in failure.exceptions for boom in booms(part)]
    raise failure


def refused(build: Callable[[Any], object], operator: str, argument: str, value: object) -> None:
    """Check that *build* is refused in the one voice, and leaves the graph as it was."""
    source: Stream[Any] = Stream()
    with pytest.raises((TypeError, ValueError)) as caught:
        build(source)
    pattern = rf"{operator}: {argument} must be .+, got {re.escape(repr(value))}"
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)
    assert not list(source.downstreams), "a refused node stays out of the graph"


def noted(failure: BaseException, *words: str) -> bool:
    """Whether one note of *failure* has all of *words*."""
    notes: list[str] = getattr(failure, "__notes__", [])
    return any(all(word in note for word in words) for note in notes)


def bounded(function: Callable[[], T], seconds: float = 20.0) -> T:
    """Call *function* in a thread of its own, and fail if it hangs."""
    results: list[T] = []
    failures: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        pytest.fail(f"hangs: no result within {seconds} s")
    if failures:
        raise failures[0]
    return results[0]


def in_thread(function: Callable[[], object]) -> threading.Thread:
    """Start *function* in a daemon thread."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def printed_by(program: str, seconds: float = 20.0) -> list[str]:
    """The lines that *program* prints in an interpreter of its own, which must end well."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class _Callable:
    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return self.function(*args, **kwargs)


def _coroutine_function(function: Callable[..., Any]) -> Callable[..., Any]:
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    return awaited


def _partial(function: Callable[..., Any]) -> Callable[..., Any]:
    return functools.partial(_coroutine_function(function))


def _tornado(function: Callable[..., Any]) -> Callable[..., Any]:
    def yielded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        yield gen.sleep(0.001)
        return function(*args, **kwargs)

    return gen.coroutine(yielded)


AsyncForm: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
async_forms: list[Any] = [
    pytest.param(_coroutine_function, id="async def"),
    pytest.param(_partial, id="partial"),
    pytest.param(_Callable, id="callable object"),
    pytest.param(_tornado, id="gen.coroutine"),
]


def same(x: T) -> T:
    return x


def double(x: int) -> int:
    return 2 * x


def add(total: int, x: int) -> int:
    return total + x


def odd(x: int) -> bool:
    return x % 2 == 1


def fail_on(bad: object) -> Callable[[Any], Any]:
    """A function that raises on *bad* and returns everything else."""

    def check(x: Any) -> Any:
        if x == bad:
            raise Boom(x)
        return x

    return check


class CompiledNode(Stream[Any]):
    """A node that is compiled, and attributes nothing itself."""

    def __init__(self, upstream: Stream[Any], func: Callable[[Any], Any]) -> None:
        self.func = func
        super().__init__(upstream)

    def compile(self, push: Push[Any], port: int = 0) -> Push[Any]:
        func = self.func

        def step(x: Any) -> Pending:
            return push(func(x))

        return step


class LegacyNode(Stream[Any]):
    """A node in the manner of the old libraries."""

    def __init__(self, upstream: Stream[Any], func: Callable[[Any], Any]) -> None:
        self.func = func
        super().__init__(upstream)

    def update(self, x: Any, who: Any = None) -> Any:
        return self._emit(self.func(x))
