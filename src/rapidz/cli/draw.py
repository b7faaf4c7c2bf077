"""Command `rapidz draw`: draw the pipelines of a script, without running them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, TextIO

from rapidz.cli.dry_load import DryLoad
from rapidz.cli.status import FAILED, OK
from rapidz.cli.target import LoadedTarget, UsageError, parse_target
from rapidz.cli.tree import ASCII, UNICODE, TreeStyle, to_tree
from rapidz.graph.draw import _DRAWN, visualize
from rapidz.graph.text import to_dot, to_mermaid
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.runner.failure_report import user_traceback
from rapidz.runner.selection import select

#: Formats that are text, by the extensions of files.
TEXTS = {"txt": "txt", "mmd": "mermaid", "mermaid": "mermaid", "dot": "dot", "gv": "dot"}


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: ArgumentParser = commands.add_parser(
        "draw",
        help="draw the pipelines of a script or module",
        description="Load a script, and draw its pipelines; its sources are not started. Images "
        "need the program `dot` of Graphviz; text needs nothing.",
    )
    parser.add_argument("target", help="FILE.py, FILE.py:name, module or module:name")
    parser.add_argument("arguments", nargs="*", help="sys.argv of the script; options after --")
    parser.add_argument(
        "-o",
        "--output",
        default="txt",
        metavar="OUT",
        help="file to write, whose extension is the format: svg, png, pdf, mermaid, dot, txt; or "
        "txt, mermaid or dot alone, for stdout (default txt). Several pipelines make several "
        "files: out-1.svg, out-2.svg, ...",
    )
    parser.set_defaults(command=draw_command)


def draw_command(options: Namespace) -> int:
    """Draw the pipelines; return the exit status."""
    form = _format(options.output)
    dry = DryLoad(LoadedTarget(parse_target(options.target), options.arguments))
    try:
        dry.execute()
        streams = [one.stream for one in select(dry.streams())]
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        print(f"rapidz draw: {options.target} failed:", file=sys.stderr)
        print(user_traceback(error), end="", file=sys.stderr)
        return FAILED
    if options.output in TEXTS:
        print("\n\n".join(as_text(stream, form, style_for(sys.stdout)) for stream in streams))
        return OK
    try:
        for path, stream in zip(_paths(Path(options.output), len(streams)), streams, strict=True):
            _write(path, form, stream)
    except (RuntimeError, OSError) as error:
        print(f"rapidz draw: {error}", file=sys.stderr)
        return FAILED
    return OK


def _format(output: str) -> str:
    """Return the format that the option means."""
    name = output if output in TEXTS else Path(output).suffix[1:].lower()
    form = TEXTS.get(name) or (name if name in _DRAWN else None)
    if form is None:
        known = ", ".join([*_DRAWN, *TEXTS])
        raise UsageError(f"-o must have one of the extensions {known}, got {short_repr(output)}")
    return form


def _paths(path: Path, count: int) -> list[Path]:
    """Return the files of *count* pipelines."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{n}{path.suffix}") for n in range(1, count + 1)]


def _write(path: Path, form: str, stream: Stream[Any]) -> None:
    if form in _DRAWN:
        visualize(stream, path)
    else:
        path.write_text(as_text(stream, form, UNICODE) + "\n", "utf-8")
    print(path)


def as_text(stream: Stream[Any], form: str, style: TreeStyle) -> str:
    """Return the pipeline of *stream* in a format that is text."""
    if form == "mermaid":
        return to_mermaid(stream)
    return to_dot(stream) if form == "dot" else to_tree(stream, style)


def style_for(out: TextIO | None) -> TreeStyle:
    """Return the characters that *out* can write."""
    try:
        "".join(UNICODE).encode(getattr(out, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE
