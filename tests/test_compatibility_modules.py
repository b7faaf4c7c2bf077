"""Compatibility modules: the same objects as in their new modules, and the names they define."""

from __future__ import annotations

import asyncio
import builtins
import copy
import importlib
import inspect
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tornado import gen
from tornado.ioloop import IOLoop

import rapidz
from rapidz import Stream, compatibility, core, orderedweakset, plugins, sinks, utils, utils_test
from rapidz.kernel.graph import edges, registry
from rapidz.kernel.runtime import loop
from rapidz.link import link
from rapidz.utils import M, MethodCache, methodcaller
from rapidz.utils_test import (
    await_for,
    captured_logger,
    clean,
    double,
    free_port,
    gen_test,
    inc,
    metadata,
    pristine_loop,
    tmpfile,
    wait_for,
)

DOORS = [
    "core",
    "plugins",
    "link",
    "orderedweakset",
    "utils",
    "utils_test",
    "compatibility",
    "graph",
]
LEFT_OUT = {"filter", "map", "slice", "zip"}


@pytest.mark.parametrize("door", DOORS)
def test_a_compatibility_module_says_what_it_exports(door: str) -> None:
    module: Any = importlib.import_module(f"rapidz.{door}")
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("door", DOORS)
def test_a_compatibility_module_shadows_no_builtin(door: str) -> None:
    module: Any = importlib.import_module(f"rapidz.{door}")
    assert set(module.__all__) & set(dir(builtins)) == set()


@pytest.mark.parametrize("door", DOORS)
def test_a_compatibility_module_can_be_imported_first(door: str) -> None:
    script = f"import rapidz.{door}"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=50)


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_names_of_builtins_can_be_imported(name: str) -> None:
    assert name not in core.__all__
    assert getattr(core, name) is getattr(rapidz, name)
    assert getattr(core, name) is not getattr(builtins, name)


def test_the_core_module_has_every_operator() -> None:
    operators: Any = importlib.import_module("rapidz.operators")
    assert set(operators.__all__) <= set(core.__all__) | LEFT_OUT
    names = set(operators.__all__) | {"Stream", "Sink", "sink", "starsink", "RefCounter"}
    assert [name for name in names if getattr(core, name) is not _front(name)] == []


def _front(name: str) -> Any:
    operators: Any = importlib.import_module("rapidz.operators")
    return getattr(rapidz, name, None) or getattr(operators, name)


def test_every_node_class_can_be_found_again() -> None:
    for name, value in vars(core).items():
        if inspect.isclass(value) and issubclass(value, Stream):
            module = importlib.import_module(value.__module__)
            assert getattr(module, value.__name__) is value, name


def test_globals_are_one_object_in_every_module() -> None:
    assert core._global_sinks is vars(sinks)["_global_sinks"]
    assert core._io_loops is loop._io_loops
    assert core.no_default is rapidz.no_default
    assert orderedweakset.OrderedSet is edges.OrderedSet
    assert orderedweakset.OrderedWeakrefSet is edges.OrderedWeakrefSet
    assert plugins.load_plugins is registry.load_plugins
    assert core.logger is logging.getLogger("rapidz.core")
    assert isinstance(core.thread_state, threading.local)
    assert compatibility.get_thread_identity() == threading.get_ident()


def test_apply_joins_both_lots_of_arguments() -> None:
    assert core.apply(divmod, [7], (2,)) == (3, 1)
    assert core.apply(dict, (), None, {"a": 1}) == {"a": 1}


def test_convert_interval_raises_the_errors_of_the_library() -> None:
    assert core.convert_interval("500ms") == 0.5
    with pytest.raises(ValueError, match="convert_interval: interval must be"):
        core.convert_interval("soon")


# --- link --------------------------------------------------------------------------------


def test_link_gives_every_part_the_whole_namespace() -> None:
    got: list[dict[str, Any]] = []

    def part(**names: Any) -> dict[str, Any]:
        got.append(names)
        return {f"made_{len(got)}": len(got)}

    assert link(part, part, a=0) == {"a": 0, "made_1": 1, "made_2": 2}
    assert got == [{"a": 0}, {"a": 0, "made_1": 1}]


def test_link_leaves_the_rest_of_the_arguments_out_of_locals() -> None:
    def first(**kwargs: Any) -> dict[str, Any]:
        _source = Stream[int]()
        return locals()

    def second(_source: Stream[int], **rest: Any) -> dict[str, Any]:
        _doubled = _source.map(double)
        return locals()

    assert set(link(first, second, option=1)) == {"option", "_source", "_doubled"}


def test_link_of_nothing_is_the_namespace() -> None:
    assert link(a=1) == {"a": 1}


def test_link_takes_any_callable() -> None:
    assert link(dict, dict, a=1) == {"a": 1}


def test_link_wants_a_dict_from_every_part() -> None:
    def part(**_: Any) -> list[str]:
        return ["a"]

    wrong: Any = part
    with pytest.raises(TypeError, match="link: part must return a dict of names or None, got"):
        link(wrong)


def test_link_can_be_reached_in_both_old_ways() -> None:
    assert importlib.import_module("rapidz.link").link is link
    assert getattr(link, "link") is link  # noqa: B009


# --- utils -------------------------------------------------------------------------------


def test_there_is_one_method_caller_for_each_name() -> None:
    assert methodcaller("upper") is methodcaller("upper") is M.upper is MethodCache().upper
    assert methodcaller("upper") is not methodcaller("lower")
    assert pickle.loads(pickle.dumps(M.upper)) is M.upper
    assert copy.deepcopy(M.upper) is M.upper


def test_a_method_caller_passes_arguments_on() -> None:
    assert M.split("a,b,c", ",", maxsplit=1) == ["a", "b,c"]
    assert (M.split.func, M.split.method, repr(M.split)) == (
        "split",
        "split",
        "<methodcaller: split>",
    )


def test_a_method_caller_works_in_a_pipeline() -> None:
    source = Stream[str]()
    seen: list[Any] = source.map(M.upper).sink_to_list()
    source.emit("a")
    assert seen == ["A"]


def test_a_method_cache_is_no_trap_for_those_who_look() -> None:
    assert copy.copy(M) is not None
    with pytest.raises(AttributeError):
        M.__wrapped__
    keep = M.upper
    assert "upper" in dir(M)
    assert keep("a") == "A"


def test_a_method_caller_wants_a_name() -> None:
    not_a_name: Any = 3
    with pytest.raises(TypeError, match="method must be a str, got 3"):
        methodcaller(not_a_name)


# --- utils_test --------------------------------------------------------------------------


def test_inc_and_double() -> None:
    assert (inc(1), double(2)) == (2, 4)


def test_the_metadata_node_emits_what_has_metadata() -> None:
    source: Any = Stream[int]()
    seen = metadata(source).sink_to_list()
    source.emit(1)
    source.emit(2, metadata=[{"number": 2}])
    assert seen == [[{"number": 2}]]


def test_a_pristine_loop_is_current_and_closed_in_the_end() -> None:
    with pristine_loop() as one:
        assert IOLoop.current() is one
        assert one.run_sync(lambda: gen.sleep(0)) is None
    inner: Any = one
    assert inner.asyncio_loop.is_closed()


def test_a_pristine_loop_leaves_no_task_behind() -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def begin() -> None:
        tasks.append(asyncio.create_task(endless()))
        await asyncio.sleep(0)

    tasks: list[Any] = []
    with pristine_loop() as one:
        one.run_sync(begin)
    assert ended == ["cancelled"]


def test_gen_test_runs_every_kind_of_coroutine() -> None:
    done: list[str] = []

    @gen_test()
    def generator(name: str) -> Any:
        yield gen.sleep(0)
        done.append(name)

    @gen_test(timeout=5)
    @gen.coroutine
    def coroutine(name: str) -> Any:
        yield gen.sleep(0)
        done.append(name)

    @gen_test(timeout=5)
    async def native(name: str) -> None:
        await asyncio.sleep(0)
        done.append(name)

    @gen_test()
    def plain(name: str) -> None:
        done.append(name)

    for test in (generator, coroutine, native, plain):
        assert test(test.__name__) is None
    assert done == ["generator", "coroutine", "native", "plain"]


def test_gen_test_ends_in_time_and_passes_failures_on() -> None:
    @gen_test(timeout=0.01)
    async def endless() -> None:
        await asyncio.Event().wait()

    @gen_test()
    def failing() -> Any:
        yield gen.sleep(0)
        raise KeyError("told")

    with pytest.raises(TimeoutError):
        endless()
    with pytest.raises(KeyError, match="told"):
        failing()


async def test_await_for_waits_until_it_is_so() -> None:
    now = asyncio.get_running_loop().time
    await await_for(lambda: now() >= 3, timeout=5, period=1)
    assert now() == pytest.approx(3)


async def test_await_for_times_out() -> None:
    calls: list[float] = []
    now = asyncio.get_running_loop().time
    with pytest.raises(pytest.fail.Exception, match="condition not reached within 2 seconds"):
        await await_for(lambda: False, 2, lambda: calls.append(now()), period=0.5)
    assert calls == [pytest.approx(2.5)]


def test_wait_for_waits_in_a_thread() -> None:
    answers = iter([False, True])
    wait_for(lambda: next(answers), timeout=5)
    with pytest.raises(pytest.fail.Exception, match="condition not reached"):
        wait_for(lambda: False, timeout=0)


def test_a_captured_logger_is_as_before_afterwards() -> None:
    logger = logging.getLogger("rapidz.test_doors")
    logger.setLevel(logging.ERROR)
    with captured_logger(logger, logging.INFO, propagate=False) as log:
        logger.info("told")
        logger.debug("not told")
    assert log.getvalue() == "told\n"
    assert (logger.level, logger.handlers, logger.propagate) == (logging.ERROR, [], True)
    with captured_logger("rapidz.test_doors") as log:
        logger.warning("by name")
    assert log.getvalue() == "by name\n"


@pytest.mark.parametrize(("extension", "end"), [("csv", ".csv"), (".csv", ".csv"), ("", "")])
def test_tmpfile_is_gone_after_the_block(extension: str, end: str) -> None:
    with tmpfile(extension) as name:
        assert name.endswith(end)
        assert not os.path.exists(name)
        Path(name).write_text("x")
    assert not os.path.exists(name)
    with tmpfile() as name:
        os.mkdir(name)
    assert not os.path.exists(name)


def test_a_free_port_can_be_had() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_the_clean_fixture_destroys_what_sinks_are_left(
    request: pytest.FixtureRequest,
) -> None:
    mine = Stream[int]().sink(inc)
    wrapped: Any = clean
    cleaning = inspect.unwrap(getattr(wrapped, "__wrapped__", wrapped))()
    next(cleaning)
    other = Stream[int]().sink(inc)
    next(cleaning, None)
    assert mine in core._global_sinks
    assert other not in core._global_sinks
    mine.destroy()


def test_compatibility_modules_belong_to_the_package() -> None:
    for module in (utils, utils_test, plugins):
        assert module.__name__.startswith("rapidz.")
