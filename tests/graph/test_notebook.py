"""Display of streams in a notebook."""

from __future__ import annotations

import shutil
import sys
import types
from typing import Any

import pytest

from rapidz import Stream
from rapidz.graph.notebook import MAX_DRAWN

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")


def pipeline() -> Any:
    return Stream[int](stream_name="numbers").map(str)


@needs_dot
def test_a_stream_shows_itself_as_svg() -> None:
    bundle = pipeline()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/svg+xml"}
    assert bundle["text/plain"] == "<map: str>"
    assert "numbers; Stream" in bundle["image/svg+xml"]


def test_a_stream_shows_itself_as_mermaid_without_graphviz(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    bundle = pipeline()._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/plain", "text/vnd.mermaid"}
    assert bundle["text/vnd.mermaid"].startswith("flowchart TD")


def test_a_large_pipeline_shows_its_name_only() -> None:
    source: Any = Stream[int]()
    kept = [source.map(str) for _ in range(MAX_DRAWN)]
    assert source._repr_mimebundle_() == {"text/plain": "<Stream>"}
    assert kept


def test_ipython_gets_the_bundle_and_the_keywords(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    display = types.ModuleType("IPython.display")
    vars(display).update(display=lambda *args, **kwargs: calls.append((args, kwargs)))
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    node = pipeline()
    assert node._ipython_display_(display_id="a") is None
    ((args, kwargs),) = calls
    assert args[0] == node._repr_mimebundle_()
    assert kwargs == {"raw": True, "display_id": "a"}


def test_without_ipython_the_name_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    pipeline()._ipython_display_()
    assert capsys.readouterr().out == "<map: str>\n"


def test_to_show_a_stream_changes_nothing() -> None:
    source = Stream[int]()
    seen = source.map(str).sink_to_list()
    source.emit(1)
    (node,) = source.downstreams
    before = dict(vars(source)), dict(vars(node))
    node._repr_mimebundle_()
    assert (dict(vars(source)), dict(vars(node))) == before
    source.emit(2)
    assert seen == ["1", "2"]


def test_a_real_ipython_shows_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("IPython")
    pipeline()._ipython_display_()
    assert "<map: str>" in capsys.readouterr().out
