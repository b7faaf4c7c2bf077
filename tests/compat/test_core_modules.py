"""Compatibility modules of the core: module paths, names and signatures of the old libraries."""

from __future__ import annotations

import builtins
import importlib
import inspect
import logging
import pickle
import subprocess
import sys
import threading
import types
from collections.abc import Sequence
from typing import Any

import pytest
from tests.compat.helpers import core, rapidz, sinks, sources

OPERATORS: Sequence[str] = """
    accumulate buffer collect combine_latest delay filter flatten latest map map_async partition
    partition_unique pluck rate_limit sink slice sliding_window starmap starsink timed_window
    timed_window_unique union unique zip zip_latest
""".split()  # noqa: SIM905

NAMES = {
    "core": [
        *OPERATORS,
        "Stream", "APIRegisterMixin", "RefCounter", "apply", "args_kwargs", "convert_interval",
        "destroy_pipeline", "get_io_loop", "identity", "logger", "move_to_first", "no_default",
        "sync", "thread_state", "_deref_weakref", "_global_sinks", "_html_update_streams",
        "_io_loops", "_truthy", "_weakref_node",
    ],
    "sources": [
        "PeriodicCallback", "Source", "Stream", "filenames", "from_iterable", "from_periodic",
        "from_q", "from_textfile", "sink_to_file",
    ],
    "dask": [
        "DaskStream", "accumulate", "buffer", "combine_latest", "delay", "filenames",
        "from_textfile", "gather", "latest", "map", "partition", "rate_limit", "scatter",
        "sliding_window", "starmap", "timed_window", "union", "zip",
    ],
    "parallel": [
        "ParallelStream", "accumulate", "buffer", "combine_latest", "delay", "filter", "gather",
        "latest", "map", "partition", "pluck", "rate_limit", "scatter", "sliding_window",
        "starmap", "timed_window", "union", "zip", "zip_latest", "filenames", "from_textfile",
        "filter_null_wrapper", "return_null",
    ],
    "clients": [
        "DEFAULT_BACKENDS", "delayed_execution", "executor_to_client", "result_maybe",
        "thread_default_client",
    ],
    "sinks": ["Sink", "Stream", "_global_sinks", "sink", "sink_to_textfile"],
    "plugins": ["get_entry_point", "load_plugins", "try_register"],
    "link": ["link"],
    "orderedweakset": ["OrderedSet", "OrderedWeakrefSet"],
    "utils": ["M", "MethodCache", "methodcaller"],
    "utils_test": [
        "await_for", "captured_logger", "clean", "double", "free_port", "gen_test", "inc",
        "metadata", "pristine_loop", "tmpfile", "wait_for",
    ],
    "compatibility": [],
    "graph": [
        "_clean_text", "_get_display_cls", "build_node_set", "create_graph", "readable_graph",
        "to_graphviz", "visualize",
    ],
}  # fmt: skip

METHODS = """
    accumulate buffer collect combine_latest concat connect delay destroy disconnect emit filenames
    filter flatten frequencies from_iterable from_periodic from_q from_textfile latest map map_async
    partition partition_unique pluck rate_limit register_api register_plugin_entry_point remove scan
    gather scatter sink sink_to_list slice sliding_window starmap starsink start stop timed_window
    timed_window_unique to_batch to_dataframe union unique update upstream visualize zip zip_latest
    _add_downstream _add_upstream _emit _ipython_display_ _release_refs _remove_downstream
    _remove_upstream _retain_refs
""".split()  # noqa: SIM905


@pytest.mark.parametrize("module", NAMES)
def test_historic_modules_import_with_their_names(module: str) -> None:
    door = importlib.import_module(f"rapidz.{module}")
    missing = [name for name in NAMES[module] if not hasattr(door, name)]
    assert missing == []


def test_stream_has_every_old_method() -> None:
    missing = [name for name in METHODS if not hasattr(rapidz.Stream, name)]
    assert missing == []


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_one_object_in_every_module(name: str) -> None:
    assert getattr(rapidz, name) is getattr(core, name)
    assert issubclass(getattr(rapidz, name), rapidz.Stream)


def test_star_import_shadows_no_builtin() -> None:
    """Ruling 14: `from rapidz import *` of the originals replaced map, filter and zip."""
    assert set(rapidz.__all__) & set(dir(builtins)) == set()
    for name in ("map", "filter", "zip", "slice"):
        assert getattr(rapidz, name) is not getattr(builtins, name)


def test_all_names_that_are_exported_exist() -> None:
    assert [name for name in rapidz.__all__ if not hasattr(rapidz, name)] == []


NONE = inspect.Parameter.empty

#: Parameters after self, in order, with their defaults. Starred ones have their star.
SIGNATURES: dict[str, list[tuple[str, Any]]] = {
    "accumulate": [("upstream", NONE), ("func", NONE), ("start", "no_default"),
                   ("returns_state", False), ("reset_stream", None), ("**kwargs", NONE)],
    "buffer": [("upstream", NONE), ("n", NONE), ("**kwargs", NONE)],
    "collect": [("upstream", NONE), ("cache", None), ("metadata_cache", None), ("**kwargs", NONE)],
    "combine_latest": [("*upstreams", NONE), ("**kwargs", NONE)],
    "delay": [("upstream", NONE), ("interval", NONE), ("**kwargs", NONE)],
    "filter": [("upstream", NONE), ("predicate", NONE), ("*args", NONE), ("**kwargs", NONE)],
    "latest": [("upstream", NONE), ("**kwargs", NONE)],
    "map": [("upstream", NONE), ("func", NONE), ("*args", NONE), ("**kwargs", NONE)],
    "map_async": [("upstream", NONE), ("func", NONE), ("*args", NONE), ("parallelism", 1),
                  ("stop_on_exception", False), ("**kwargs", NONE)],
    "partition": [("upstream", NONE), ("n", NONE), ("timeout", None), ("key", None),
                  ("**kwargs", NONE)],
    "partition_unique": [("upstream", NONE), ("n", NONE), ("key", "identity"),
                         ("keep", "first"), ("**kwargs", NONE)],
    "pluck": [("upstream", NONE), ("pick", NONE), ("**kwargs", NONE)],
    "rate_limit": [("upstream", NONE), ("interval", NONE), ("**kwargs", NONE)],
    "sink": [("upstream", NONE), ("func", NONE), ("*args", NONE), ("**kwargs", NONE)],
    "slice": [("upstream", NONE), ("start", None), ("end", None), ("step", None),
              ("**kwargs", NONE)],
    "sliding_window": [("upstream", NONE), ("n", NONE), ("return_partial", False),
                       ("**kwargs", NONE)],
    "starmap": [("upstream", NONE), ("func", NONE), ("*args", NONE), ("**kwargs", NONE)],
    "starsink": [("upstream", NONE), ("func", NONE), ("*args", NONE), ("**kwargs", NONE)],
    "timed_window": [("upstream", NONE), ("interval", NONE), ("**kwargs", NONE)],
    "timed_window_unique": [("upstream", NONE), ("interval", NONE), ("key", "identity"),
                            ("keep", "first"), ("**kwargs", NONE)],
    "union": [("*upstreams", NONE), ("**kwargs", NONE)],
    "unique": [("upstream", NONE), ("history", None), ("key", "identity"), ("**kwargs", NONE)],
    "zip": [("*upstreams", NONE), ("**kwargs", NONE)],
    "zip_latest": [("lossless", NONE), ("*upstreams", NONE), ("**kwargs", NONE)],
    "Source": [("start", False), ("**kwargs", NONE)],
    "Sink": [("upstream", NONE), ("**kwargs", NONE)],
    "from_iterable": [("iterable", NONE), ("**kwargs", NONE)],
    "from_periodic": [("callback", NONE), ("poll_interval", 0.1), ("**kwargs", NONE)],
    "from_textfile": [("f", NONE), ("poll_interval", 0.1), ("delimiter", "\n"),
                      ("from_end", False), ("**kwargs", NONE)],
    "filenames": [("path", NONE), ("poll_interval", 0.1), ("**kwargs", NONE)],
    "from_q": [("q", NONE), ("sleep_time", 0.01), ("**kwargs", NONE)],
    "RefCounter": [("initial", 0), ("cb", None), ("loop", None)],
}  # fmt: skip

#: What had to be given, and need not be now.
OPTIONAL_NOW = {("sliding_window", "n")}
#: What the new library adds may stand anywhere, if old calls by position mean the same.
STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def looked_up(name: str) -> Any:
    doors = (rapidz, core, sources, sinks)
    return next(getattr(door, name) for door in doors if hasattr(door, name))


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_can_be_called_as_ever(name: str) -> None:
    """Each old parameter is there under its name, with its default, and in its place."""
    parameters = list(inspect.signature(looked_up(name).__init__).parameters.values())[1:]
    got = {STARS.get(p.kind, "") + p.name: p for p in parameters}
    defaults = {"no_default": rapidz.no_default, "identity": core.identity}
    for parameter, default in SIGNATURES[name]:
        if parameter == "**kwargs" and parameter not in got:
            assert {"stream_name", "asynchronous", "loop"} <= set(got)
            continue
        assert parameter in got, f"{name} has no {parameter}, but {list(got)}"
        if (name, parameter) in OPTIONAL_NOW:
            continue
        expected = defaults.get(default, default) if isinstance(default, str) else default
        assert got[parameter].default is expected or got[parameter].default == expected
    by_position = [p for p, _ in SIGNATURES[name] if not p.startswith("*")]
    starred = [i for i, p in enumerate(parameters) if p.kind is p.VAR_POSITIONAL]
    if name != "map_async":
        assert [p.name for p in parameters[: len(by_position)]] == by_position
    assert all("args" in parameters[i].name or "upstreams" in parameters[i].name for i in starred)


FUNCTIONS = {
    "core.apply": "func args args2 kwargs",
    "core.args_kwargs": "cls",
    "core.convert_interval": "interval",
    "core.destroy_pipeline": "source_node",
    "core.get_io_loop": "asynchronous",
    "core.identity": "x",
    "core.move_to_first": "node f",
    "core.sync": "loop func args kwargs",
    "core._deref_weakref": "x",
    "core._weakref_node": "x",
    "core._truthy": "x",
    "link.link": "args kwargs",
    "plugins.get_entry_point": "eps group",
    "plugins.load_plugins": "cls",
    "plugins.try_register": "cls entry_point modifier",
    "sources.sink_to_file": "filename upstream mode prefix suffix flush",
    "graph._clean_text": "text match",
    "graph.build_node_set": "node s",
    "graph.create_graph": "node graph",
    "graph.readable_graph": "graph",
    "utils_test.await_for": "predicate timeout fail_func period",
    "utils_test.captured_logger": "logger level propagate",
    "utils_test.gen_test": "timeout",
    "utils_test.tmpfile": "extension",
    "utils_test.wait_for": "predicate timeout fail_func period",
}


@pytest.mark.parametrize("path", FUNCTIONS)
def test_functions_name_their_parameters_as_ever(path: str) -> None:
    module, name = path.split(".")
    function = getattr(importlib.import_module(f"rapidz.{module}"), name)
    assert list(inspect.signature(function).parameters) == FUNCTIONS[path].split()


def test_methods_name_their_parameters_as_ever() -> None:
    expected = {
        "_emit": "self x metadata",
        "_release_refs": "self metadata n",
        "_retain_refs": "self metadata n",
        "_add_upstream": "self upstream",
        "_remove_upstream": "self upstream",
        "_add_downstream": "self downstream",
        "_remove_downstream": "self downstream",
        "connect": "self downstream",
        "disconnect": "self downstream",
        "destroy": "self streams",
        "emit": "self x asynchronous metadata",
        "remove": "self predicate",
    }
    got = {
        name: " ".join(inspect.signature(getattr(rapidz.Stream, name)).parameters)
        for name in expected
    }
    assert got == expected


def test_module_globals_are_what_they_were() -> None:
    assert isinstance(core._io_loops, list)
    assert isinstance(core._html_update_streams, set)
    assert isinstance(core.thread_state, threading.local)
    assert isinstance(core.logger, logging.Logger)
    assert core.logger.name == "rapidz.core"
    assert core.no_default is rapidz.no_default


def test_convert_interval_reads_numbers_and_strings() -> None:
    convert = core.convert_interval
    values = ["1s", "500ms", 3, 0.5, "2 min"]
    assert [convert(x) for x in values] == [1, 0.5, 3, 0.5, 120]


def test_apply_calls_with_both_lots_of_arguments() -> None:
    assert core.apply(max, [1], [3, 2]) == 3
    assert core.apply(int, ["11"], None, {"base": 2}) == 3


def test_identity_and_truthy() -> None:
    marker = object()
    assert core.identity(marker) is marker
    assert [bool(core._truthy(x)) for x in (0, 2, "", "a")] == [False, True, False, True]


def test_ordered_sets() -> None:
    sets: Any = importlib.import_module("rapidz.orderedweakset")
    ordered = sets.OrderedSet([3, 1, 3])
    ordered.add(2)
    ordered.discard(1)
    assert list(ordered) == [3, 2]
    assert list(ordered.copy()) == [3, 2]
    a, b = rapidz.Stream(), rapidz.Stream()
    weak = sets.OrderedWeakrefSet([a, b, a])
    assert list(weak) == [a, b]
    assert weak.index(b) == 1
    weak.remove(a)
    assert (len(weak), a in weak, b in weak) == (1, False, True)


def test_method_callers() -> None:
    utils: Any = importlib.import_module("rapidz.utils")
    upper = utils.M.upper
    assert upper("ab") == "AB"
    assert utils.M.upper is upper
    assert str(upper) == "<methodcaller: upper>"
    assert pickle.loads(pickle.dumps(upper))("ab") == "AB"
    assert utils.methodcaller("split")("a b") == ["a", "b"]


def test_import_brings_in_no_heavy_library() -> None:
    script = (
        "import sys, rapidz, rapidz.core, rapidz.sources, rapidz.sinks;"
        "print(sorted(set(sys.modules) & {'pandas', 'numpy', 'dask', 'distributed', 'networkx',"
        "'graphviz', 'IPython', 'pytest'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.strip() == "[]"


def test_old_modules_are_attributes_once_the_package_is_imported() -> None:
    """`import rapidz` was enough to write `rapidz.core.zip`."""
    script = "import rapidz; rapidz.core.zip, rapidz.sources.Source, rapidz.sinks.Sink"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr


def test_link_is_a_module_and_a_function() -> None:
    module = importlib.import_module("rapidz.link")
    assert isinstance(module, types.ModuleType)
    assert callable(module.link)
    assert callable(rapidz.link)
