"""Pictures by Graphviz and graphs for networkx; each is imported when it is needed only."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from rapidz.graph.text import to_dot, to_mermaid
from rapidz.graph.walk import _clean_text, picture
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

if TYPE_CHECKING:
    from pathlib import Path

#: What of the formats is text, and how it is made.
_TEXTS: Final[dict[str, Callable[..., str]]] = {"dot": to_dot, "gv": to_dot}
_DRAWN: Final = ("png", "svg", "pdf", "jpeg", "jpg", "gif", "webp", "ps", "eps")
_FORMATS: Final = (*_DRAWN, *_TEXTS, "mmd")


def _imported(name: str, why: str) -> Any:
    """Import what only this part of the library uses."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{why} needs {name}: pip install 'rapidz[graph]'", name=name) from error


# --- graphs for networkx -----------------------------------------------------------------


def create_graph(node: Stream[Any], graph: Any = None) -> Any:
    """Put the pipeline around *node* into a graph of networkx.

    Parameters
    ----------
    node : Stream
        Any node of the pipeline.
    graph : networkx.DiGraph or MultiDiGraph, optional
        The graph to add to; a new DiGraph by default. A stream that enters a node at several
        ports has several edges in a MultiDiGraph.

    Returns the graph. Its nodes are called ``hash(node)``; they have the attributes ``node``, a
    weak reference to the node itself, ``label``, ``shape``, ``orientation``, ``style`` and
    ``fillcolor``. An edge has a ``label`` if there are several from that node, numbered in the
    order in which an element takes them, and a ``style`` if the node below tells one: ``"dashed"``
    for what `combine_latest` does not emit on.
    """
    if graph is None:
        graph = _imported("networkx", "create_graph without a graph").DiGraph()
    drawn = picture(node)
    keys = [dot.key for dot in drawn.dots]
    for dot in drawn.dots:
        label = _clean_text(dot.label)
        graph.add_node(dot.key, node=dot.node, label=label, **dot.attributes())
    for line in drawn.lines:
        graph.add_edge(keys[line.above], keys[line.below], **line.attributes)
    return graph


def readable_graph(graph: Any) -> Any:
    """Return a copy of what `create_graph` made in which nodes are called by their labels.

    Of those with the same label, the second one has ``-1`` at the end, and so on.
    """
    readable = type(graph)()
    names: dict[Any, str] = {}
    for key, attributes in graph.nodes(data=True):
        name = label = str(attributes.get("label", key))
        count = 0
        while name in readable:
            count += 1
            name = f"{label}-{count}"
        names[key] = name
        readable.add_node(name, **attributes)
    for above, below, attributes in graph.edges(data=True):
        readable.add_edge(names[above], names[below], **attributes)
    return readable


def to_graphviz(graph: Any, **graph_attr: Any) -> Any:
    """Return a ``graphviz.Digraph`` of what `create_graph` or `readable_graph` made.

    Parameters
    ----------
    graph : networkx.DiGraph or MultiDiGraph
        Attributes of its nodes and edges are those of Graphviz, but for ``node``.
    **graph_attr
        Attributes of the whole picture, e.g. ``rankdir="LR"``.
    """
    graphviz = _imported("graphviz", "to_graphviz")
    digraph = graphviz.Digraph(graph_attr={key: str(x) for key, x in graph_attr.items()})
    for name, attributes in graph.nodes(data=True):
        shown = {key: str(x) for key, x in attributes.items() if key != "node"}
        digraph.node(str(name), **shown)
    for above, below, attributes in graph.edges(data=True):
        digraph.edge(str(above), str(below), **{key: str(x) for key, x in attributes.items()})
    return digraph


# --- pictures ----------------------------------------------------------------------------


def visualize(
    node: Stream[Any], filename: str | Path | None = "mystream.png", **kwargs: Any
) -> Any:
    """Draw the pipeline around *node*, to the end of all its branches.

    Parameters
    ----------
    filename : str, Path or None
        Where to write the picture; its extension is the format. None: nowhere.
    format : str, optional
        The format, if *filename* has no extension: ``"png"`` by default. Graphviz's program
        ``dot`` must be there for ``png``, ``svg``, ``pdf``, ``jpg`` and the like; ``dot`` and
        ``mmd`` (Mermaid) are text, and need nothing.
    **kwargs
        Attributes of the whole picture, as Graphviz calls them, e.g. ``rankdir="LR"``.

    Returns what shows the picture in a notebook if IPython is there and can, else None. The shapes
    and colours are the ``_graphviz_shape``, ``_style``, ``_fillcolor`` and ``_orientation`` of the
    nodes. Raises RuntimeError if ``dot`` is not installed, ValueError for an unknown format.
    """
    path, form = _target(filename, kwargs.pop("format", None))
    if form == "mmd":
        data = to_mermaid(node, kwargs.get("rankdir", "TD")).encode()
    elif form in _TEXTS:
        data = _TEXTS[form](node, **kwargs).encode()
    else:
        data = run_dot(to_dot(node, **kwargs), form)
    if path is not None:
        path.write_bytes(data)
    if form not in _DRAWN:
        return None
    return _get_display_cls(form)(data=data.decode() if form == "svg" else data)


def _target(filename: str | Path | None, form: str | None) -> tuple[Path | None, str]:
    """Where to write, and in which format."""
    from pathlib import Path  # as shutil below: `import rapidz` is to be quick

    path = None if filename is None else Path(filename)
    extension = "" if path is None else path.suffix[1:].lower()
    if form is not None and form not in _FORMATS:
        listed = ", ".join(_FORMATS)
        raise ValueError(f"visualize: format must be one of {listed}, got {short_repr(form)}")
    if path is not None and extension not in _FORMATS:
        form = form or "png"
        path = path.with_name(f"{path.name}.{form}")
    return path, form or extension or "png"


def run_dot(source: str, form: str, timeout: float | None = None) -> bytes:
    """Let Graphviz draw *source*."""
    import shutil

    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            f"visualize: a picture as {form} needs Graphviz's program `dot`, which is not "
            "installed (see graphviz.org/download). Without it there are "
            "stream.visualize('mystream.mmd') and rapidz.graph.to_mermaid(stream), for Mermaid, "
            "and stream.visualize('mystream.dot') and rapidz.graph.to_dot(stream)"
        )
    done = subprocess.run(
        [program, f"-T{form}"], input=source.encode(), capture_output=True, timeout=timeout
    )
    if done.returncode:
        raise RuntimeError(f"visualize: dot failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _get_display_cls(format: str) -> Callable[..., Any]:
    """Return the class of IPython that shows a picture of that format.

    Without IPython, and for a format that it cannot show, a function that returns None.
    """
    if format not in _FORMATS:
        raise ValueError(
            f"_get_display_cls: format must be a format of pictures, got {short_repr(format)}"
        )

    def nothing(*args: Any, **kwargs: Any) -> None:
        return None

    try:
        display = importlib.import_module("IPython.display")
    except ImportError:
        return nothing
    shown: Callable[..., Any] = {
        "svg": display.SVG, "png": display.Image, "jpeg": display.Image, "jpg": display.Image,
        "gif": display.Image, "webp": display.Image,
    }.get(format, nothing)  # fmt: skip
    return shown
