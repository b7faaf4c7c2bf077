"""Notebook detection: whether a thread runs the cells of a notebook.

Such a thread has a running event loop in every cell, although the code of a
cell is plain code that expects calls to block.
"""

from __future__ import annotations

import sys
import threading


def in_notebook_thread() -> bool:
    """Return whether the calling thread executes the cells of a notebook."""
    return _in_ipython_kernel() or _in_marimo()


def _in_ipython_kernel() -> bool:
    """Return whether an IPython kernel runs its cells in this thread.

    A kernel runs them in the main thread, or in one for each of its subshells.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None or "ipykernel" not in sys.modules:
        return False
    shell = ipython.get_ipython()
    if shell is None or getattr(shell, "kernel", None) is None:
        return False
    thread = threading.current_thread()
    return thread is threading.main_thread() or thread.name.startswith("subshell")


def _in_marimo() -> bool:
    """Return whether marimo runs its cells in this thread: its context belongs to one."""
    marimo = sys.modules.get("marimo")
    running = getattr(marimo, "running_in_notebook", None)
    return running is not None and bool(running())
