"""Notebook display of a stream: a diagram of its pipeline."""

from __future__ import annotations

import importlib
import subprocess
from typing import Any, Final

from rapidz.graph.draw import run_dot
from rapidz.graph.text import to_dot, to_mermaid
from rapidz.graph.walk import build_node_set
from rapidz.kernel.graph.stream import Stream

#: A pipeline of more nodes is displayed by name only: its diagram would be unreadable.
MAX_DRAWN: Final = 300
#: Time limit for Graphviz, in seconds.
TIMEOUT: Final = 10.0


def _repr_mimebundle_(
    node: Stream[Any], include: object = None, exclude: object = None
) -> dict[str, str]:
    """Return the representations of the pipeline around *node* for notebooks, by MIME type.

    SVG if Graphviz is installed, else a Mermaid flowchart; for a large pipeline its name only.
    The display is read-only.
    """
    bundle = {"text/plain": repr(node)}
    if len(build_node_set(node)) > MAX_DRAWN:
        return bundle
    try:
        bundle["image/svg+xml"] = run_dot(to_dot(node), "svg", TIMEOUT).decode()
    except (RuntimeError, OSError, subprocess.TimeoutExpired):
        bundle["text/vnd.mermaid"] = to_mermaid(node)
    return bundle


def _ipython_display_(node: Stream[Any], **kwargs: Any) -> None:
    """Display the pipeline around *node*; keywords are those of ``IPython.display.display``."""
    try:
        display = importlib.import_module("IPython.display").display
    except ImportError:
        print(repr(node))
        return
    display(_repr_mimebundle_(node), raw=True, **kwargs)
