"""Notebooks as tests run them: one kernel for each, cells in, what they show out."""

from __future__ import annotations

import doctest
import os
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Shown(NamedTuple):
    """What one cell showed."""

    text: str
    error: str
    warnings: str


def executed(cells: list[str]) -> list[Shown]:
    """Run *cells* in a kernel of its own, those after one that failed too."""
    v4: Any = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=60,
        iopub_timeout=60,
        raise_on_iopub_timeout=True,  # else a late output is lost, with a line in a log
        allow_errors=True,
        resources={"metadata": {"path": str(ROOT)}},
        extra_arguments=["--HistoryManager.enabled=False"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own
        client.execute(env={**os.environ, "PYTHONWARNINGS": "default"})
    return [shown(cell.outputs) for cell in notebook.cells]


def shown(outputs: list[Any]) -> Shown:
    text, error, told = "", "", ""
    for output in outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                told += output.text
            else:
                text += output.text
        elif output.output_type == "error":
            error = f"{output.ename}: {output.evalue}"
        else:
            text += output.data.get("text/plain", "") + "\n"
    return Shown(text, error, told)


def for_notebooks(source: str) -> str:
    """The same for a cell, where a loop is running already."""
    return re.sub(r"\b(?:asyncio\.run|IOLoop\(\)\.run_sync)\((\w+)(\(\))?\)", r"await \1()", source)


def examples(page: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples((ROOT / page).read_text("utf-8"))


def normal(message: str) -> str:
    """An error message without the module of its class, on one line."""
    return " ".join(re.sub(r"^[\w.]+\.(?=\w+:)", "", message).split())


def differences(page: str) -> list[str]:
    """Run the examples of *page* as the cells of one notebook; say which show something else."""
    found = examples(page)
    check = doctest.OutputChecker().check_output
    wrong = []
    outcome = executed([for_notebooks(example.source) for example in found])
    for example, cell in zip(found, outcome, strict=True):
        got = cell.text
        if example.exc_msg is not None:
            good = bool(cell.error) and normal(example.exc_msg).startswith(normal(cell.error))
        else:
            good = not cell.error and check(example.want, got, FLAGS)
        if not good or cell.warnings:
            wrong.append(f"{page}:{example.lineno + 1}\n{example.source}-> {cell}")
    return wrong
