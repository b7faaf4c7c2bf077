"""An exception that is raised for several elements is a true copy for each of them."""

from __future__ import annotations

import asyncio
import copyreg
import json
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import pytest
from tests.support import printed_by

from rapidz import Stream
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.attribution import raised_by as raised_by_node
from rapidz.parallel import WorkerDied, WorkersGone
from rapidz.parallel.scheduling.exception_copies import copy_exception


class Odd(Exception):
    """The constructor takes other arguments than it passes on."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")
        self.both = one, two


class KeywordOnly(Exception):
    def __new__(cls, *, key: int) -> KeywordOnly:
        return super().__new__(cls)

    def __init__(self, *, key: int) -> None:
        super().__init__()
        self.key = key


class Slotted(Exception):
    __slots__ = ("__hidden", "empty", "shown")

    def __init__(self, value: int) -> None:
        self.shown = self.__hidden = value

    def __str__(self) -> str:
        return f"{self.shown} {self.__hidden}"


@dataclass(frozen=True)
class Frozen(Exception):
    n: int


class Group(ExceptionGroup[ValueError]):
    pass


def decodes() -> None:
    b"\xff".decode()


def opens() -> None:
    open("/there/is/no/such/file").close()


def parses() -> None:
    json.loads("{")


def compiles() -> None:
    compile("a b", "file", "exec")


def raises(error: Exception) -> Callable[[], None]:
    def go() -> None:
        raise error from KeyError("cause")

    return go


CASES: list[Callable[[], None]] = [
    decodes,
    opens,
    parses,
    compiles,
    raises(Odd(1, 2)),
    raises(KeywordOnly(key=3)),
    raises(Slotted(4)),
    raises(Frozen(5)),
    raises(Group("several", [ValueError(1)])),
    raises(KeyError("a")),
    raises(OSError(2, "absent", "one", None, "two")),
    raises(ImportError("absent", name="module")),
    raises(subprocess.CalledProcessError(1, "command", "output")),
    raises(asyncio.IncompleteReadError(b"a", 3)),
    raises(urllib.error.HTTPError("url", 404, "absent", {}, None)),  # type: ignore[arg-type]
    raises(WorkersGone("gone")),
    raises(WorkerDied("died")),
]


def raised_by(case: Callable[[], None]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        case()
    return caught.value


def said(error: BaseException) -> Any:
    """All that a reader or a handler sees of an exception, but for what it stores for itself."""
    links = error.__cause__, error.__context__, error.__traceback__, error.__suppress_context__
    attributes = {
        name: repr(getattr(error, name, None))
        for name in dir(error)
        if not name.startswith("__") and not callable(getattr(error, name, None))
    }
    return type(error), str(error), repr(error), error.args, links, attributes


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(raised_by(case))[:40])
def test_a_copy_says_what_the_original_says(case: Callable[[], None]) -> None:
    error = raised_by(case)
    assert said(copy_exception(error)) == said(error)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not isinstance(raised_by(case), Frozen)],
    ids=lambda case: repr(raised_by(case))[:40],
)
def test_notes_and_attributes_of_a_copy_are_its_own(case: Callable[[], None]) -> None:
    error = raised_by(case)
    error.__notes__ = ["before"]
    own = copy_exception(error)
    own.add_note("after")
    own.element = 1  # type: ignore[attr-defined]
    assert error.__notes__ == ["before"]
    assert own.__notes__ == ["before", "after"]
    assert getattr(error, "element", None) is None


def test_a_copy_was_raised_by_no_node_yet() -> None:
    source: Any = Stream()
    node = source.map(abs)
    error = ValueError("x")
    error.add_note("a note of the function's own")
    attribute_to(error, node, 1)
    own = copy_exception(error)
    assert own.__notes__ == ["a note of the function's own"]
    assert raised_by_node(own) is None
    attribute_to(own, node, 2)
    assert "for element 1" in error.__notes__[1]
    assert "for element 2" in own.__notes__[1]
    source.close()


class Unusual(Exception):
    """A class that nothing can be made of."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__traceback__":
            raise RuntimeError("not for you")
        return super().__getattribute__(name)

    def __str__(self) -> str:
        raise RuntimeError("not for you either")


@pytest.mark.parametrize(
    "error",
    [Unusual("x"), KeyboardInterrupt("x"), SystemExit(3)],
    ids=lambda error: type(error).__name__,
)
def test_what_cannot_be_copied_is_described_and_is_the_cause(error: BaseException) -> None:
    own = copy_exception(error)
    assert type(own) is RuntimeError
    assert type(error).__name__ in str(own)
    assert own.__cause__ is error


@pytest.fixture
def shares_its_attributes() -> Iterator[type[Exception]]:
    """An exception class that a library has registered as tblib does."""

    class Registered(WorkersGone):
        pass

    def restored(attributes: dict[str, Any]) -> Exception:
        made = Registered()
        made.__dict__ = attributes
        return made

    reduced: Any = lambda error: (restored, (error.__dict__,))  # noqa: E731
    copyreg.pickle(Registered, reduced)
    yield Registered
    del copyreg.dispatch_table[Registered]


def test_what_is_registered_for_pickling_does_not_matter(
    shares_its_attributes: type[Exception],
) -> None:
    error = shares_its_attributes("gone")
    error.element = 0  # type: ignore[attr-defined]
    copies: list[Any] = [copy_exception(error) for _ in range(3)]
    for number, own in enumerate(copies):
        own.element = number
    assert [own.element for own in copies] == [0, 1, 2]


IMPORTS = ("import rapidz.parallel", "import distributed", "import tblib, cloudpickle")
PROGRAM = """
from concurrent.futures import ThreadPoolExecutor
from rapidz import Stream
from rapidz.kernel.runtime.attribution import attribute_to
from rapidz.kernel.runtime.attribution import raised_by as raised_by_node
pool = ThreadPoolExecutor(2)
source = Stream()
node = source.scatter(pool, batch=5).map(abs).on_error("send")
failures = node.errors.sink_to_list()
node.buffer(10).gather().sink(print)
pool.shutdown()
source.emit_many(range(5))
source.close()
for failure in failures:
    (note,) = failure.exception.__notes__
    print(failure.element, failure.exception.element, note)
"""


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_each_failure_of_a_batch_names_its_element_in_any_import_order(
    order: tuple[int, ...],
) -> None:
    pytest.importorskip("distributed")
    lines = printed_by("\n".join(IMPORTS[at] for at in order) + PROGRAM)
    assert lines == [f"{x} {x} raised in <map: abs> for element {x}" for x in range(5)]


@pytest.mark.parametrize("batch", [1, 3, "auto"])
def test_failures_for_one_reason_share_one_cause(batch: Any) -> None:
    pool = ThreadPoolExecutor(2)
    source: Any = Stream()
    node = source.scatter(pool, batch=batch).map(abs).on_error("send")
    failures = node.errors.sink_to_list()
    node.buffer(100).gather().sink(print)
    pool.shutdown()
    source.emit_many(range(20))
    source.close()
    assert [failure.exception.element for failure in failures] == list(range(20))
    assert len({id(failure.exception) for failure in failures}) == 20
    assert len({id(failure.exception.__cause__) for failure in failures}) == 1
    assert len({str(failure.exception) for failure in failures}) == 1
    assert failures[0].exception.elements == list(range(20))


def test_failures_of_one_cause_are_raised_together_with_all_elements() -> None:
    pool = ThreadPoolExecutor(2)
    source: Any = Stream()
    source.scatter(pool, batch=3).map(abs).buffer(100).gather().sink(print)
    pool.shutdown()
    source.emit_many(range(20))
    with pytest.raises(WorkersGone) as caught:
        source.close()
    assert sorted(caught.value.elements) == list(range(20))
    assert any(note.startswith("20 elements failed") for note in caught.value.__notes__)


def test_the_message_about_a_backend_that_is_gone_is_bounded() -> None:
    class Pool(ThreadPoolExecutor):
        def __repr__(self) -> str:
            return "x" * 100_000

    pool = Pool(1)
    source: Any = Stream()
    source.scatter(pool).map(abs).gather().sink(print)
    pool.shutdown()
    with pytest.raises(WorkersGone) as caught:
        source.emit(1)
    assert len(str(caught.value)) < 1000
    source.close()
