"""register_api, and plug-ins by entry point in the groups of both libraries."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from tests.compat.helpers import inc, stream

from rapidz import Source, Stream
from rapidz.plugins import get_entry_point, load_plugins, try_register
from rapidz.sinks import Sink

PLUGIN = '''
from rapidz import Source, Stream
from rapidz.sinks import Sink

class plugged(Stream):
    """Says what it got, twice."""

    def update(self, x, who=None, metadata=None):
        return [self._emit(x), self._emit(x)]

class plugged_sink(Sink):
    got = []

    def update(self, x, who=None, metadata=None):
        self.got.append(x)

class plugged_source(Source):
    """Brings three."""

class not_a_stream:
    pass

def a_function(stream):
    return stream
'''


@pytest.fixture
def base() -> type[Any]:
    """A class of streams of its own, so that nothing sticks to `Stream`."""

    class MyStream(Stream[Any]):
        pass

    return MyStream


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that nobody has imported yet."""
    name = "a_plugin_of_rapidz"
    (tmp_path / f"{name}.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield name
    sys.modules.pop(name, None)


def point(module: str, cls: str, group: str, name: str | None = None) -> EntryPoint:
    return EntryPoint(name=name or cls, value=f"{module}:{cls}", group=group)


def install(folder: Path, entry_points: str) -> None:
    """Leave in *folder*, which is on the path, what an installer leaves of a package."""
    info = folder / "a_distribution-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-distribution\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


# ------------------------------------------------------------------- register_api


def test_register_api_gives_the_class_back_and_adds_a_method(base: Any) -> None:
    @base.register_api()
    class my_node(Stream[Any]):
        """What it does."""

    assert isinstance(my_node, type)
    node = base().my_node()
    assert isinstance(node, my_node)
    assert base.my_node.__name__ == "my_node"
    assert base.my_node.__doc__ == "What it does."


def test_register_api_on_a_subclass_stays_there(base: Any) -> None:
    @base.register_api()
    class only_mine(base):  # type: ignore[misc]
        pass

    class below(base):  # type: ignore[misc]
        pass

    assert not hasattr(Stream, "only_mine")
    assert str(base().only_mine()) == "<only_mine>"
    assert isinstance(below().only_mine(), only_mine)
    assert hasattr(base(), "map")


def test_register_api_takes_another_name(base: Any) -> None:
    @base.register_api(attribute_name="other")
    class my_node(Stream[Any]):
        pass

    assert isinstance(base().other(), my_node)
    assert not hasattr(base, "my_node")


def test_register_api_takes_a_modifier_for_sources(base: Any) -> None:
    @base.register_api(staticmethod)
    class my_source(Source[Any]):
        pass

    assert isinstance(base.my_source(), my_source)
    assert list(base().my_source().upstreams) in ([], [None])


def test_register_api_may_replace_a_built_in_only_in_a_subclass(base: Any) -> None:
    @base.register_api()
    class map(Stream[Any]):
        pass

    assert isinstance(base().map(), map)
    assert not isinstance(stream().map(inc), map)


def test_register_api_on_stream_reaches_every_class(base: Any) -> None:
    @Stream.register_api()
    class for_everybody(Stream[Any]):
        pass

    try:
        made: Any = stream()
        assert isinstance(made.for_everybody(), for_everybody)
        assert isinstance(base().for_everybody(), for_everybody)
        assert isinstance(made.map(inc).for_everybody(), for_everybody)
    finally:
        delattr(Stream, "for_everybody")


def test_registered_sinks_and_mixins_keep_their_arguments(base: Any) -> None:
    @base.register_api()
    class to_box(Sink[Any]):
        def __init__(self, upstream: Any, box: list[Any], *, twice: bool = False, **kw: Any):
            self.box, self.twice = box, twice
            super().__init__(upstream, **kw)

        def update(self, x: Any, who: Any = None, metadata: Any = None) -> None:
            self.box.extend([x, x] if self.twice else [x])

    root, box = base(), list[Any]()
    sink = root.to_box(box, twice=True, stream_name="b")
    root.emit(1)
    assert box == [1, 1]
    assert sink.name == "b"
    sink.destroy()


# ------------------------------------------------------------------- entry points


def test_an_entry_point_is_loaded_at_its_first_use(base: Any, plugin: str) -> None:
    base.register_plugin_entry_point(point(plugin, "plugged", "streamz.nodes"))
    assert hasattr(base, "plugged")
    assert plugin not in sys.modules
    root = base()
    seen = root.plugged().sink_to_list()
    assert plugin in sys.modules
    root.emit(1)
    assert seen == [1, 1]
    assert isinstance(root.plugged(), sys.modules[plugin].plugged)
    assert "twice" in base.plugged.__doc__


def test_an_entry_point_with_a_modifier_is_a_source(base: Any, plugin: str) -> None:
    base.register_plugin_entry_point(
        point(plugin, "plugged_source", "streamz.sources"), staticmethod
    )
    assert plugin not in sys.modules
    assert isinstance(base.plugged_source(), Source)
    assert isinstance(base().plugged_source(), Source)


@pytest.mark.parametrize("wrong", ["not_a_stream", "a_function"])
def test_an_entry_point_of_the_wrong_type_is_refused(base: Any, plugin: str, wrong: str) -> None:
    base.register_plugin_entry_point(point(plugin, wrong, "streamz.nodes", name="wrong"))
    with pytest.raises(TypeError, match="wrong"):
        base().wrong()


def test_an_entry_point_whose_module_is_gone_fails_at_its_use_only(base: Any) -> None:
    base.register_plugin_entry_point(point("no_such_module", "x", "streamz.nodes"))
    with pytest.raises(ImportError):
        base().x()


@pytest.mark.parametrize("library", ["rapidz", "streamz"])
def test_load_plugins_reads_the_groups_of_both_libraries(
    base: Any, plugin: str, library: str, tmp_path: Path
) -> None:
    install(
        tmp_path,
        f"[{library}.nodes]\nplugged = {plugin}:plugged\n"
        f"[{library}.sources]\nplugged_source = {plugin}:plugged_source\n"
        f"[{library}.sinks]\nplugged_sink = {plugin}:plugged_sink\n"
        f"[somebody.else]\nnot_a_stream = {plugin}:not_a_stream\n",
    )
    importlib.invalidate_caches()
    load_plugins(base)
    assert plugin not in sys.modules
    assert not hasattr(base, "not_a_stream")
    assert isinstance(base.plugged_source(), Source)
    root = base()
    seen = root.plugged().sink_to_list()
    end = root.plugged_sink()
    root.emit(1)
    assert seen == [1, 1]
    assert end.got == [1]
    end.destroy()


def test_a_plugin_does_not_replace_what_is_built_in(base: Any, plugin: str) -> None:
    with pytest.warns(UserWarning, match="map"):
        try_register(base, point(plugin, "plugged", "streamz.nodes", name="map"))
    seen = (root := base()).map(inc).sink_to_list()
    root.emit(1)
    assert seen == [2]


def test_an_entry_point_with_a_name_that_is_taken_is_refused(base: Any, plugin: str) -> None:
    taken = point(plugin, "plugged", "streamz.nodes", name="map")
    with pytest.raises(ValueError, match="map"):
        base.register_plugin_entry_point(taken)


def test_get_entry_point_selects_a_group(plugin: str) -> None:
    points = EntryPoints([point(plugin, "plugged", "streamz.nodes")])
    assert [p.name for p in get_entry_point(points, "streamz.nodes")] == ["plugged"]
    assert list(get_entry_point(points, "streamz.sinks")) == []


def test_an_installed_plugin_is_found_when_rapidz_is_imported(tmp_path: Path) -> None:
    (tmp_path / "installed_plugin.py").write_text(PLUGIN)
    install(
        tmp_path,
        "[streamz.nodes]\nplugged = installed_plugin:plugged\n"
        "[rapidz.sources]\nplugged_source = installed_plugin:plugged_source\n"
        "[rapidz.sinks]\nplugged_sink = installed_plugin:plugged_sink\n",
    )
    script = (
        "import sys\n"
        "from rapidz import Stream\n"
        "assert 'installed_plugin' not in sys.modules\n"
        "s = Stream()\n"
        "seen = s.plugged().sink_to_list()\n"
        "s.emit(1)\n"
        "print(seen, type(Stream.plugged_source()).__name__, type(s.plugged_sink()).__name__)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=50,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.stdout.strip() == "[1, 1] plugged_source plugged_sink", done.stderr
