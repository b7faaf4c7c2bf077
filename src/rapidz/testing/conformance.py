"""Conformance checks for custom node classes."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.push import step_of
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.failures import StreamClosed
from rapidz.kernel.runtime.tracking import RefCounter
from rapidz.testing.background import virtual_background
from rapidz.testing.loop import run

__all__ = ["check_operator"]

Factory: TypeAlias = "Callable[[Any], Stream[Any]]"

_UNSET: Final = object()
#: How long a check waits for timers of the node, in virtual seconds.
_TIMER_WAIT: Final = 1_000_000.0


def check_operator(
    factory: Callable[[Any], Stream[Any]],
    elements: Iterable[Any] = range(6),
    *,
    outputs: Any = _UNSET,
    fails_on: Any = _UNSET,
    ordered: bool = True,
) -> None:
    """Check that a custom node class keeps the contract of a node.

    Every check builds a new node on a new stream, and runs in virtual time.

    - The node emits the same elements in synchronous pipelines, by `emit` and by
      `emit_many`, inside a loop and with the loop in the background; it emits
      nothing after the end.
    - Its step returns None or an awaitable.
    - It passes back pressure on: where it emits an element at once, `emit`
      waits for the sink.
    - An edit of the graph loses no state.
    - A node without references is garbage-collected: its step does not close
      over it.
    - The reference counter in the metadata of an element is released when the
      element and everything derived from it is done.
    - With *fails_on*: the exception names the node, and the policy ``"skip"``
      drops that element alone.

    Parameters
    ----------
    factory : callable
        Builds the node to check on a stream, directly or further downstream.
    elements : iterable
        The elements to emit; the node receives the same objects in every check.  They
        must be elements that the node accepts: give rows to a sink that writes rows.
    outputs : list, optional
        The expected output of the node, the end of the stream included.
    fails_on : object, optional
        An element on which the node's own function raises an exception.  It must not be
        one of *elements*, which every other check emits.
    ordered : bool
        False: compare the outputs without regard to their order.

    Raises an AssertionError that lists every check that failed.

    >>> from rapidz import Stream
    >>> class every(Stream):
    ...     def __init__(self, upstream, n):
    ...         self.n, self.count = n, [0]
    ...         super().__init__(upstream)
    ...
    ...     def compile(self, push, port=0):
    ...         n, count = self.n, self.count
    ...
    ...         def step(x):
    ...             count[0] += 1
    ...             return push(x) if count[0] % n == 0 else None
    ...
    ...         return step
    >>> check_operator(lambda stream: every(stream, 2), range(5), outputs=[1, 3])
    """
    if not callable(factory):
        raise TypeError(f"check_operator: factory must be callable, got {short_repr(factory)}")
    given = None if outputs is _UNSET else list(outputs)
    checks = _Checks(factory, list(elements), given, ordered)
    checks.run_all()
    if fails_on is not _UNSET:
        checks.run("a failure is reported and skipped", lambda: checks.failure(fails_on))
    if checks.found:
        listed = "\n".join(f"- {line}" for line in checks.found)
        raise AssertionError(f"check_operator: {len(checks.found)} checks failed\n{listed}")


class _Checks:
    """Checks of one node class, and the violations that they have found."""

    def __init__(
        self, factory: Factory, elements: list[Any], outputs: list[Any] | None, ordered: bool
    ) -> None:
        self.factory, self.elements, self.outputs = factory, elements, outputs
        self.ordered = ordered
        self.found: list[str] = []
        self.sources: list[Stream[Any]] = []
        """The sources of the check that runs."""

    def run_all(self) -> None:
        self.run("the same however it runs", self.every_mode)
        self.run("the step returns None or an awaitable", self.what_steps_return)
        self.run("back pressure", lambda: self._run(self.back_pressure()))
        self.run("an edit of the graph loses nothing", lambda: self._run(self.edits()))
        self.run("collected without references", lambda: self._run(self.collected()))
        self.run("reference counters", lambda: self._run(self.counters()))

    def run(self, name: str, check: Callable[[], None]) -> None:
        try:
            check()
        except _BrokenRuleError as error:
            self.found.append(f"{name}: {error}")
        except Exception as error:
            self.found.append(f"{name}: {type(error).__name__}: {error}")

    def _source(self, **options: Any) -> Any:
        """Return a new source, which is closed after the check even if that fails."""
        source: Stream[Any] = Stream(**options)
        self.sources.append(source)
        return source

    def _run(self, check: Coroutine[Any, Any, Any]) -> Any:
        """Run *check* in virtual time, and close its sources."""

        async def closing() -> Any:
            try:
                return await check
            finally:
                for source in self._unclosed():
                    with suppress(Exception):
                        await asyncio.wait_for(_awaited(source.close()), _TIMER_WAIT)

        return run(closing())

    @contextmanager
    def _background(self) -> Iterator[None]:
        """Give virtual time to the background loop; close the sources of the check."""
        with virtual_background():
            try:
                yield
            finally:
                for source in self._unclosed():
                    with suppress(Exception):
                        source.close()

    def _unclosed(self) -> list[Stream[Any]]:
        sources, self.sources = self.sources, []
        return [source for source in sources if not source._ended]

    # --- what is emitted ---------------------------------------------------------------

    def every_mode(self) -> None:
        """Compare the outputs of all modes with the expected ones, or with those of the first."""
        modes: dict[str, Callable[[], list[Any]]] = {
            "inside a loop": lambda: self._run(self._in_a_loop()),
            "in a synchronous pipeline": self._synchronous,
            "by emit_many": self._in_bulk,
            "in the background": self._in_the_background,
        }
        for mode, outputs_of in modes.items():
            seen = outputs_of()
            if self.outputs is None:
                self.outputs = seen
            self._same(seen, mode)

    def _same(self, seen: list[Any], what: str) -> None:
        wanted = self.outputs
        if wanted is None:
            return
        same = seen == wanted if self.ordered else _counts(seen) == _counts(wanted)
        _require(same, f"{what} it emits {short_repr(seen)}, not {short_repr(wanted)}")

    async def _in_a_loop(self) -> list[Any]:
        source, _, seen = self._build(asynchronous=True)
        for x in self.elements:
            await source.emit(x)
        await source.close()
        before = list(seen)
        await asyncio.sleep(_TIMER_WAIT)
        _require(seen == before, f"it emits {short_repr(seen[len(before) :])} after the end")
        try:
            await source.emit(None)
        except StreamClosed:
            return before
        raise _BrokenRuleError("an element after the end is accepted")

    def _synchronous(self) -> list[Any]:
        with self._background():
            source, _, seen = self._build()
            for x in self.elements:
                source.emit(x)
            source.close()
        return seen

    def _in_bulk(self) -> list[Any]:
        with self._background():
            source, _, seen = self._build()
            source.emit_many(self.elements)
            source.close()
        return seen

    def _in_the_background(self) -> list[Any]:
        with self._background():
            source, _, seen = self._build(asynchronous=False)
            for x in self.elements:
                source.emit(x)
            source.close()
        return seen

    def _build(self, **options: Any) -> tuple[Stream[Any], Stream[Any], list[Any]]:
        source = self._source(**options)
        node = self.factory(source)
        if not isinstance(node, Stream):
            raise TypeError(f"factory must return a Stream, got {short_repr(node)}")
        return source, node, [] if node._is_end else node.sink_to_list()

    # --- the rest of the contract ---------------------------------------------------------

    def what_steps_return(self) -> None:
        source = self._source()
        with self._background():
            node: Any = self.factory(source)
            if "update" in vars(node) or not _is_compiled(node):
                return
            made = node.compile

            def compile(push: Any, port: int = 0) -> Any:
                step = step_of(made(push, port)).push

                def checked(x: Any) -> Any:
                    wait = step(x)
                    _require(
                        wait is None or inspect.isawaitable(wait),
                        f"the step of {node} returned {short_repr(wait)}",
                    )
                    return wait

                return checked

            node.compile = compile
            kept = None if node._is_end else node.sink_to_list()
            for x in self.elements:
                source.emit(x)
            source.close()
            del kept

    async def back_pressure(self) -> None:
        source = self._source(asynchronous=True)
        node: Any = self.factory(source)
        if node._is_end:
            return
        gate = asyncio.Event()
        arrived: list[Any] = []
        node.sink(arrived.append)
        node.sink(lambda _: gate.wait())
        for x in self.elements:
            arrived.clear()
            emitted = source.emit(x)
            at_once = bool(arrived)
            wait = asyncio.ensure_future(_awaited(emitted))
            await asyncio.wait([wait], timeout=_TIMER_WAIT)
            _require(
                not (at_once and wait.done()),
                f"emit of {short_repr(x)} does not wait for the sink",
            )
            if not wait.done():
                break
        gate.set()
        await source.close()

    async def edits(self) -> None:
        source, node, seen = self._build(asynchronous=True)
        for x in self.elements:
            branch: Any = source.sink(lambda _: None)
            further = [] if node._is_end else [node.sink(lambda _: None)]
            await source.emit(x)
            for each in (branch, *further):
                each.destroy()
        await source.close()
        self._same(seen, "with edits of the graph between elements")

    async def collected(self) -> None:
        source = self._source(asynchronous=True)
        node: Any = self.factory(source)
        if node._is_end:
            return
        dead = weakref.ref(node)
        for x in self.elements:
            await source.emit(x)
        await source.join()
        del node
        for _ in range(20):
            await asyncio.sleep(0)
        gc.collect()
        _require(dead() is None, "it is not collected; does a step close over `self`?")
        await source.close()

    async def counters(self) -> None:
        source, _, _ = self._build(asynchronous=True)
        counters = [RefCounter() for _ in self.elements]
        for x, counter in zip(self.elements, counters, strict=True):
            await source.emit(x, metadata=[{"ref": counter}])
        await source.close()
        await asyncio.sleep(_TIMER_WAIT)
        left = [x for x, c in zip(self.elements, counters, strict=True) if c.count]
        _require(
            not left, f"the counters of {short_repr(left)} are not released; see `_keeps_elements`"
        )

    def failure(self, bad: Any) -> None:
        self._run(self._raises(bad))
        self._run(self._skips(bad))

    async def _raises(self, bad: Any) -> None:
        source, node, _ = self._build(asynchronous=True)
        name = type(node).__name__
        failure: BaseException | None = None
        try:
            await source.emit(bad)
            await source.close()
        except Exception as error:
            failure = error
        _require(failure is not None, f"{short_repr(bad)} raises nothing")
        notes = getattr(failure, "__notes__", [])
        _require(any(name in note for note in notes), f"no note names {name}: {notes}")

    async def _skips(self, bad: Any) -> None:
        source = self._source(asynchronous=True)
        source.on_error("skip")
        node = self.factory(source)
        seen: list[Any] = [] if node._is_end else node.sink_to_list()
        middle = len(self.elements) // 2
        for x in (*self.elements[:middle], bad, *self.elements[middle:]):
            await source.emit(x)
        await source.close()
        self._same(seen, f"when {short_repr(bad)} was skipped")


class _BrokenRuleError(Exception):
    """Violation of the contract of a node; the message describes it."""


def _require(kept: bool, message: str) -> None:
    if not kept:
        raise _BrokenRuleError(message)


def _is_compiled(node: Any) -> bool:
    return type(node).compile is not Stream.compile and type(node).update is Stream.update


def _counts(outputs: list[Any]) -> list[str]:
    return sorted(map(repr, outputs))


def _awaited(wait: Any) -> Coroutine[Any, Any, None]:
    async def waiting() -> None:
        if wait is not None:
            await wait

    return waiting()
