"""How a stream looks in a notebook: a picture of its pipeline."""

from __future__ import annotations

import importlib
import subprocess
from typing import Any, Final

from rapidz.graph.draw import run_dot
from rapidz.graph.text import to_dot, to_mermaid
from rapidz.graph.walk import build_node_set
from rapidz.kernel.graph.stream import Stream

#: A picture of more nodes nobody could read, nor would the browser like it.
MOST_DRAWN: Final = 300
#: Seconds that drawing it may take.
TIMEOUT: Final = 10.0


def _repr_mimebundle_(
    node: Stream[Any], include: object = None, exclude: object = None
) -> dict[str, str]:
    """The pipeline around *node* as notebooks show it, by MIME type.

    As SVG if Graphviz is installed, else as a Mermaid flowchart; a large one by name only. To show
    a stream changes nothing in it.
    """
    bundle = {"text/plain": repr(node)}
    if len(build_node_set(node)) > MOST_DRAWN:
        return bundle
    try:
        bundle["image/svg+xml"] = run_dot(to_dot(node), "svg", TIMEOUT).decode()
    except (RuntimeError, OSError, subprocess.TimeoutExpired):
        bundle["text/vnd.mermaid"] = to_mermaid(node)
    return bundle


def _ipython_display_(node: Stream[Any], **kwargs: Any) -> None:
    """Show the pipeline around *node*; keywords go to ``IPython.display.display``."""
    try:
        display = importlib.import_module("IPython.display").display
    except ImportError:
        print(repr(node))
        return
    display(_repr_mimebundle_(node), raw=True, **kwargs)
