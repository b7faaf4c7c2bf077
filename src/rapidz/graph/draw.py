"""Images by Graphviz and graphs of networkx; both are imported on demand."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from rapidz.graph.text import to_dot, to_mermaid
from rapidz.graph.walk import _clean_text, diagram_of
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

if TYPE_CHECKING:
    from pathlib import Path

#: Renderers of the text formats.
_TEXTS: Final[dict[str, Callable[..., str]]] = {"dot": to_dot, "gv": to_dot}
_DRAWN: Final = ("png", "svg", "pdf", "jpeg", "jpg", "gif", "webp", "ps", "eps")
_FORMATS: Final = (*_DRAWN, *_TEXTS, "mmd")


def _imported(name: str, why: str) -> Any:
    """Import an optional dependency, or raise ImportError with the extra to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{why} needs {name}: pip install 'rapidz[graph]'", name=name) from error


# --- graphs for networkx -----------------------------------------------------------------


def create_graph(node: Stream[Any], graph: Any = None) -> Any:
    """Add the pipeline around *node* to a graph of networkx.

    Parameters
    ----------
    node : Stream
        Any node of the pipeline.
    graph : networkx.DiGraph or MultiDiGraph, optional
        The graph to add to; a new DiGraph by default. A stream that enters a node at several
        ports has several edges in a MultiDiGraph.

    Returns the graph. The keys of its nodes are ``hash(node)``; their attributes are ``node``, a
    weak reference to the node itself, ``label``, ``shape``, ``orientation``, ``style`` and
    ``fillcolor``. The edges of a node to several downstream nodes have a ``label``: their number,
    in the order in which an element takes them. An edge has a ``style`` if the downstream node
    defines one: ``"dashed"`` for the inputs that `combine_latest` does not emit on.
    """
    if graph is None:
        graph = _imported("networkx", "create_graph without a graph").DiGraph()
    drawn = diagram_of(node)
    keys = [drawn_node.key for drawn_node in drawn.nodes]
    for drawn_node in drawn.nodes:
        label = _clean_text(drawn_node.label)
        graph.add_node(drawn_node.key, node=drawn_node.node, label=label, **drawn_node.attributes())
    for edge in drawn.edges:
        graph.add_edge(keys[edge.upstream], keys[edge.downstream], **edge.attributes)
    return graph


def readable_graph(graph: Any) -> Any:
    """Return a copy of a graph of `create_graph` whose keys are the labels of the nodes.

    The second node with the same label has the suffix ``-1``, and so on.
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
    for tail, head, attributes in graph.edges(data=True):
        readable.add_edge(names[tail], names[head], **attributes)
    return readable


def to_graphviz(graph: Any, **graph_attr: Any) -> Any:
    """Return a ``graphviz.Digraph`` of a graph of `create_graph` or `readable_graph`.

    Parameters
    ----------
    graph : networkx.DiGraph or MultiDiGraph
        A graph whose attributes, except ``node``, are those of Graphviz.
    **graph_attr
        Attributes of the graph, e.g. ``rankdir="LR"``.
    """
    graphviz = _imported("graphviz", "to_graphviz")
    digraph = graphviz.Digraph(graph_attr={key: str(x) for key, x in graph_attr.items()})
    for name, attributes in graph.nodes(data=True):
        shown = {key: str(x) for key, x in attributes.items() if key != "node"}
        digraph.node(str(name), **shown)
    for tail, head, attributes in graph.edges(data=True):
        digraph.edge(str(tail), str(head), **{key: str(x) for key, x in attributes.items()})
    return digraph


# --- images ------------------------------------------------------------------------------


def visualize(
    node: Stream[Any], filename: str | Path | None = "mystream.png", **kwargs: Any
) -> Any:
    """Draw the pipeline around *node*, to the end of all its branches.

    Parameters
    ----------
    filename : str, Path or None
        The file to write; its extension is the format. None: write no file.
    format : str, optional
        The format, if *filename* has no extension: ``"png"`` by default. Images such as ``png``,
        ``svg``, ``pdf`` and ``jpg`` need Graphviz's program ``dot``; ``dot`` and ``mmd`` (Mermaid)
        are text, and need no program.
    **kwargs
        Attributes of the graph in Graphviz, e.g. ``rankdir="LR"``.

    Returns an object that a notebook displays as the image, or None if IPython is not installed
    or cannot display the format. The shapes and colours are the ``_graphviz_shape``, ``_style``,
    ``_fillcolor`` and ``_orientation`` of the nodes. Raises RuntimeError if ``dot`` is not
    installed, ValueError for an unknown format.
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
    """Return the file to write and the format."""
    from pathlib import Path  # imported late, as shutil: `import rapidz` stays fast

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
    """Return the image that Graphviz renders of *source*."""
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
    """Return the class of IPython that displays an image of that format.

    Without IPython, and for a format that it cannot display, a function that returns None.
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
