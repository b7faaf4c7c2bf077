"""Arguments that a user's function cannot take are refused when the node is built. Ruling 19."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from tornado import gen

import rapidz
from rapidz import Stream
from rapidz.parallel import scatter
from rapidz.testing import run


def plain(x: Any, a: int = 1, *, b: int = 2) -> Any:
    return x, a, b


def open_to_all(x: Any, **kwargs: Any) -> Any:
    return kwargs


async def later(x: Any, a: int = 1) -> Any:
    return x


@gen.coroutine
def old_coroutine(x: Any, a: int = 1) -> Any:
    return x


class Caller:
    def __call__(self, x: Any, k: int = 1) -> Any:
        return x

    def method(self, x: Any, k: int = 1) -> Any:
        return x


def ignoring(func: Callable[[], Any]) -> Callable[..., Any]:
    """A decorator whose function takes other arguments than the one that it wraps."""

    @functools.wraps(func)
    def wrapper(x: Any, **kwargs: Any) -> Any:
        return func()

    return wrapper


class Untruthful:
    """An object whose signature is not what it takes."""

    __signature__ = "nonsense"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs


TAKEN: list[Callable[[Any], Any]] = [
    lambda s: s.map(plain, 1, b=3),
    lambda s: s.map(plain, stream_name="n"),
    lambda s: s.map(open_to_all, stream_nam="the function's own"),
    lambda s: s.map(Caller(), k=2),
    lambda s: s.map(Caller().method, 2),
    lambda s: s.map(Caller.method),
    lambda s: s.map(ignoring(lambda: 1), z=2),
    lambda s: s.map(Untruthful(), 1, 2, 3, z=2),
    lambda s: s.map(Mock(), 1, z=2),
    lambda s: s.map(old_coroutine, a=1),
    lambda s: s.map(print, 1, sep=""),
    lambda s: s.map(max, key=abs),
    lambda s: s.map(int, base=2),
    lambda s: s.map(dict, a=1),
    lambda s: s.map(str.upper),
    lambda s: s.map(round, ndigits=1),
    lambda s: s.map(functools.partial(plain, b=3), b=4),
    lambda s: s.map(functools.partial(ignoring(lambda: 1), z=3), y=4),
    lambda s: s.map(lambda *a: a, 1, 2),
    lambda s: s.map(lambda x, needed: x),  # may be assigned later
    lambda s: s.sink([].append),
    lambda s: s.sink(plain, a=1, loop=None),
    lambda s: s.accumulate(operator.add),
    lambda s: s.accumulate(lambda a, x, k: a, k=1),
    lambda s: s.starmap(pow),
    lambda s: s.starmap(lambda: 1),
    lambda s: s.starmap(plain, 1),
    lambda s: s.filter(plain, 1),
    lambda s: s.map_async(later, a=2),
]

REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (
        lambda s: s.map(plain, stream_nam="n"),
        "map: keywords must be among those of func plain(x, a, b), got stream_nam "
        "(did you mean stream_name?)",
    ),
    (
        lambda s: s.map(plain, colour=1),
        "map: keywords must be among those of func plain(x, a, b), got colour",
    ),
    (
        lambda s: s.map(plain, 1, 2),
        "map: args must be at most 1 besides the element, for func plain(x, a, b), got 2",
    ),
    (
        lambda s: s.map(plain, x=1),
        "map: keywords must not name what is given by its place to func plain(x, a, b), got x",
    ),
    (
        lambda s: s.map(plain, 1, a=2),
        "map: keywords must not name what is given by its place to func plain(x, a, b), got a",
    ),
    (lambda s: s.map(lambda: 1), "map: func must take 1 argument by place, got <lambda>()"),
    (
        lambda s: s.map(Caller(), kk=1),
        "map: keywords must be among those of func Caller(x, k), got kk (did you mean k?)",
    ),
    (
        lambda s: s.map(functools.partial(plain, 1), 1, 2),
        "map: args must be at most 0 besides the element, for func plain(a, b), got 2",
    ),
    (
        lambda s: s.map(later, stream_names="n"),
        "map: keywords must be among those of func later(x, a), got stream_names "
        "(did you mean stream_name?)",
    ),
    (
        lambda s: s.accumulate(lambda total, x: total, strt=0),
        "accumulate: keywords must be among those of func <lambda>(total, x), got strt "
        "(did you mean start?)",
    ),
    (
        lambda s: s.scan(lambda total, x: total, return_state=True),
        "accumulate: keywords must be among those of func <lambda>(total, x), got return_state "
        "(did you mean returns_state?)",
    ),
    (
        lambda s: s.accumulate(lambda total: total),
        "accumulate: func must take 2 arguments by place, got <lambda>(total)",
    ),
    (
        lambda s: s.filter(plain, stream_nme="n"),
        "filter: keywords must be among those of predicate plain(x, a, b), got stream_nme "
        "(did you mean stream_name?)",
    ),
    (
        lambda s: s.sink(plain, lop=None),
        "sink: keywords must be among those of func plain(x, a, b), got lop (did you mean loop?)",
    ),
    (
        lambda s: s.sink([].append, 1),
        "sink: args must be at most 0 besides the element, for func append(object), got 1",
    ),
    (
        lambda s: s.starmap(plain, streamname="n"),
        "starmap: keywords must be among those of func plain(x, a, b), got streamname "
        "(did you mean stream_name?)",
    ),
    (
        lambda s: s.starsink(plain, 1, 2, 3),
        "starsink: args must be at most 2, for func plain(x, a, b), got 3",
    ),
    (
        lambda s: s.map_async(later, paralelism=3),
        "map_async: keywords must be among those of func later(x, a), got paralelism "
        "(did you mean parallelism?)",
    ),
]


@pytest.mark.parametrize("build", TAKEN)
def test_what_a_function_can_take_or_may_is_accepted(build: Callable[[Any], Any]) -> None:
    source = Stream[Any]()
    assert build(source).upstreams == [source]


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_what_a_function_cannot_take_is_refused_when_the_node_is_built(
    build: Callable[[Any], Any], message: str
) -> None:
    source = Stream[Any]()
    with pytest.raises(TypeError) as caught:
        build(source)
    assert str(caught.value) == message
    assert not list(source.downstreams), "a node that is refused is not there"


def test_arguments_are_checked_downstream_of_scatter() -> None:
    scattered: Any = scatter(Stream[Any](), backend="thread")
    with pytest.raises(TypeError, match="did you mean stream_name"):
        scattered.map(plain, stream_nam="n")
    with pytest.raises(TypeError, match="did you mean start"):
        scattered.accumulate(lambda total, x: total, strt=0)


def test_what_is_assigned_later_is_for_the_function_to_judge() -> None:
    source = Stream[int]()
    node = source.map(plain)
    seen = node.sink_to_list()
    node.kwargs = {"colour": 1}
    with pytest.raises(TypeError, match="colour"):
        source.emit(1)
    node.func = open_to_all
    source.emit(1)
    assert seen == [{"colour": 1}]


def test_a_class_of_a_user_may_call_the_function_as_it_likes() -> None:
    class weighted(rapidz.map[Any]):
        def update(self, x: Any, who: Any = None) -> Any:
            return self._emit(self.func(x, *self.args, who=who, **self.kwargs))

    source = Stream[int]()
    seen = weighted(source, lambda *args, who: args, 1, 2).sink_to_list()
    node = weighted(source, lambda: 1, colour="red")
    source.downstreams.discard(node)
    source.emit(0)
    assert seen == [(0, 1, 2)]


def test_an_unreadable_signature_costs_nothing_but_the_check() -> None:
    class Hostile:
        @property
        def __signature__(self) -> Any:
            raise RuntimeError

        def __call__(self, x: Any, **kwargs: Any) -> Any:
            return x

    async def go() -> list[Any]:
        source = Stream[int](asynchronous=True)
        seen = source.map(Hostile(), a=1).sink_to_list()
        await source.emit(1)
        return seen

    assert run(go()) == [1]
