"""Where a node came from, how pipelines are joined, reordered and taken apart."""

from __future__ import annotations

import gc
import operator
import weakref
from typing import Any

import pytest
from tests.compat.helpers import core, emit_all, inc, rapidz, sinks, stream, third

from rapidz import Stream, destroy_pipeline, move_to_first
from rapidz.link import link

_deref_weakref, _weakref_node = core._deref_weakref, core._weakref_node

# --------------------------------------------------------------------- provenance


def test_args_kwargs_keeps_what_a_node_was_built_with() -> None:
    class scaled(Stream[Any]):
        def __init__(self, upstream: Any, factor: int, *more: Any, **options: Any) -> None:
            self.factor = factor
            super().__init__(upstream, stream_name=options.pop("stream_name", None))

    kept = core.args_kwargs(scaled)
    s = stream()
    node = kept(s, 3, "more", stream_name="n")
    assert kept.__name__ == "scaled"
    assert issubclass(kept, Stream)
    assert [_deref_weakref(value) for value in node._init_args] == [s, 3, "more"]
    assert isinstance(node._init_args[0], weakref.ref)
    assert node._init_kwargs == {"stream_name": "n"}
    assert (node.factor, node.name) == (3, "n")


def test_native_nodes_keep_what_they_were_built_with() -> None:
    s = stream()
    node = s.map(scale, 2, by=3, stream_name="n")
    assert [_deref_weakref(value) for value in node._init_args] == [s, scale, 2]
    assert node._init_kwargs == {"by": 3, "stream_name": "n"}


def test_streams_among_the_keywords_are_kept_weakly() -> None:
    s, reset = stream(), stream()
    node = s.accumulate(operator.add, reset_stream=reset)
    assert isinstance(node._init_kwargs["reset_stream"], weakref.ref)
    assert _deref_weakref(node._init_kwargs["reset_stream"]) is reset


def test_provenance_keeps_no_upstream_alive() -> None:
    s = stream()
    node: Any = Stream(upstream=s)
    gone = weakref.ref(s)
    s.disconnect(node)
    del s
    gc.collect()
    assert gone() is None


def test_a_node_can_be_built_again_from_its_provenance() -> None:
    s = stream()
    node = s.map(scale, 2, by=3)
    args = [_deref_weakref(value) for value in node._init_args]
    kwargs = {k: _deref_weakref(value) for k, value in node._init_kwargs.items()}
    seen = type(node)(*args, **kwargs).sink_to_list()
    s.emit(1)
    assert seen == [9]


def test_weakref_node_touches_only_streams() -> None:
    s = stream()
    ref = _weakref_node(s)
    assert isinstance(ref, weakref.ref)
    assert _deref_weakref(ref) is s
    assert _weakref_node(3) == 3
    assert _deref_weakref("three") == "three"


def test_signature_of_an_instance_can_be_read_through_args_kwargs() -> None:
    import inspect

    node = stream().map(inc)
    assert list(inspect.signature(node.__init__).parameters)[:3] == ["upstream", "func", "args"]


def scale(x: int, plus: int, by: int = 1) -> int:
    return (x + plus) * by


# --------------------------------------------------------------------------- link


def clean(raw: Any, **_: Any) -> dict[str, Any]:
    cleaned = raw.map(inc)
    return {"cleaned": cleaned}


def total(cleaned: Any, start: int = 0, **_: Any) -> dict[str, Any]:
    return {"summed": cleaned.accumulate(operator.add, start=start)}


def test_link_joins_pipelines_by_name() -> None:
    raw = stream()
    space = link(clean, total, raw=raw, start=10)
    assert {"raw", "cleaned", "summed", "start"} <= set(space)
    seen = space["summed"].sink_to_list()
    emit_all(raw, [1, 2])
    assert seen == [12, 15]


def test_link_takes_locals_as_they_come() -> None:
    raw = stream()
    space = link(third.doubles, third.ends, raw=raw)
    raw.emit(3)
    assert space["end"] == [6]


def test_link_lets_a_later_pipeline_replace_a_name() -> None:
    def again(cleaned: Any, **_: Any) -> dict[str, Any]:
        return {"cleaned": cleaned.map(operator.neg)}

    raw = stream()
    space = link(clean, again, raw=raw)
    seen = space["cleaned"].sink_to_list()
    raw.emit(1)
    assert seen == [-2]


def test_link_complains_about_a_missing_name() -> None:
    with pytest.raises(TypeError):
        link(total, start=1)


def test_link_is_in_front_too() -> None:
    assert rapidz.link is link or callable(rapidz.link)


# -------------------------------------------------------------------------- order


def test_move_to_first_makes_a_node_the_first_of_its_upstream() -> None:
    s = stream()
    order: list[str] = []
    a = s.map(lambda x: order.append("a"))
    b = s.map(lambda x: order.append("b"))
    s.emit(1)
    move_to_first(b)
    s.emit(1)
    assert order == ["a", "b", "b", "a"]
    assert list(s.downstreams) == [b, a]


def test_move_to_first_moves_a_node_in_all_upstreams() -> None:
    a, b = stream(), stream()
    one, two = a.map(inc), b.map(inc)
    node = a.union(b)
    move_to_first(node)
    assert list(a.downstreams) == [node, one]
    assert list(b.downstreams) == [node, two]


@pytest.mark.parametrize("many", [False, True])
def test_move_to_first_takes_the_upstreams_meant(many: bool) -> None:
    a, b = stream(), stream()
    one, two = a.map(inc), b.map(inc)
    node = a.union(b)
    move_to_first(node, [a] if many else a)
    assert list(a.downstreams) == [node, one]
    assert list(b.downstreams) == [two, node]


@pytest.mark.parametrize("kind", ["zip", "combine_latest", "zip_latest"])
def test_first_moves_while_the_node_is_built(kind: str) -> None:
    a, b = stream(), stream()
    one, two = a.map(inc), b.map(inc)
    node = getattr(a, kind)(b, first=True)
    assert list(a.downstreams) == [node, one]
    assert list(b.downstreams) == [node, two]
    node.destroy()
    node = getattr(a, kind)(b, first=b)
    assert list(a.downstreams) == [one, node]
    assert list(b.downstreams) == [node, two]
    node.destroy()
    node = getattr(a, kind)(b, first=[a])
    assert list(a.downstreams) == [node, one]
    assert list(b.downstreams) == [two, node]


def test_first_decides_what_combine_latest_sees() -> None:
    """The old use of it: emit before the other branch has moved on."""
    s = stream()
    other = s.map(inc)
    late = other.combine_latest(s, emit_on=s)
    seen = late.sink_to_list()
    emit_all(s, [1, 2])
    early_source = stream()
    early_other = early_source.map(inc)
    early = early_other.combine_latest(early_source, emit_on=early_source, first=early_source)
    early_seen = early.sink_to_list()
    emit_all(early_source, [1, 2])
    assert seen == [(2, 1), (3, 2)]
    assert early_seen == [(2, 2)]


# -------------------------------------------------------------------- taking apart


def test_destroy_pipeline_disconnects_everything_downstream() -> None:
    s = stream()
    a, b = s.map(inc), s.filter(None)
    joined = a.zip(b)
    seen = joined.sink_to_list()
    (sink,) = joined.downstreams
    s.emit(1)
    assert sink in sinks._global_sinks
    destroy_pipeline(s)
    s.emit(2)
    assert seen == [(2, 1)]
    assert sink not in sinks._global_sinks
    assert [len(node.downstreams) for node in (s, a, b, joined)] == [0, 0, 0, 0]
    assert joined.upstreams == a.upstreams == []
    destroy_pipeline(s)


def test_destroy_pipeline_of_a_loop_ends() -> None:
    s = stream()
    node = s.map(inc)
    end = node.filter(lambda x: x < 3)
    end.connect(s)
    destroy_pipeline(s)
    assert len(s.downstreams) == 0


def test_destroyed_pipelines_are_collected() -> None:
    s = stream()
    gone = [weakref.ref(s), weakref.ref(s.map(inc).sink(print))]
    assert gone[1]() is not None
    destroy_pipeline(s)
    del s
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_a_node_without_reference_or_sink_is_collected() -> None:
    """Ruling 8 (docs/rulings.md)."""
    s = stream()
    seen: list[int] = []
    node = s.map(seen.append)
    s.emit(1)
    del node
    gc.collect()
    s.emit(2)
    assert seen == [1]
    assert not s.downstreams


def test_a_sink_keeps_its_pipeline() -> None:
    s = stream()
    seen = s.map(inc).filter(None).sink_to_list()
    gc.collect()
    s.emit(1)
    assert seen == [2]
