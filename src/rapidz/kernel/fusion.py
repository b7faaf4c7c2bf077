"""Runs of simple nodes, written as one function.

An operator that needs no more than a line or two of Python for its work writes
these lines (`Stream.inline`) about a variable ``x``.  The lines of a whole run
of nodes make one function, in one of three forms:

``push``
    for one element that comes along an edge;
``emit``
    for one element that comes from outside, under the pipeline's lock;
``bulk``
    for an iterator of elements, the loop inside.

The source of a function shows in tracebacks, and each of its lines knows the
node it came from, so a failure is blamed on the right one at no cost.
"""

from __future__ import annotations

import functools
import linecache
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rapidz.kernel.failures import blame
from rapidz.kernel.push import SKIP, Push
from rapidz.kernel.tuning import Options

if TYPE_CHECKING:
    from rapidz.kernel.stream import Stream

Form: TypeAlias = Literal["push", "emit", "bulk"]

#: What the form ``bulk`` returns when the pipeline was edited under it.
EDITED: Any = object()

#: The longest run written as one function, and the deepest it may be nested.
LONGEST, DEEPEST = 64, 40


class Code:
    """The lines of a run, being written."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.values: dict[str, Any] = {"SKIP": SKIP}
        self.lines: list[str] = []
        self.nodes: list[weakref.ref[Stream[Any]] | None] = []
        self.depth = 3
        self._node: weakref.ref[Stream[Any]] | None = None

    def at(self, node: Stream[Any] | None) -> None:
        """What is written from now on is the work of *node*."""
        self._node = None if node is None else weakref.ref(node)

    def bind(self, hint: str, value: Any) -> str:
        """Return the name under which the lines find *value*."""
        name = f"{hint}_{len(self.values)}"
        self.values[name] = value
        return name

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.depth + text)
        self.nodes.append(self._node)

    def nest(self, condition: str) -> None:
        """Do the rest, nodes further down included, only on *condition*."""
        self.line(f"if {condition}:")
        self.depth += 1

    def call(self, func: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], x: str = "x") -> str:
        """Return the call of *func* on *x* and the further arguments of a node."""
        if args:
            x += f", *{self.bind('args', args)}"
        if kwargs or not isinstance(kwargs, Options):
            x += f", **{self.bind('kwargs', kwargs)}"
        return f"{func}({x})"

    def give(self, wait: str) -> None:
        """Write the end of the run: *wait* is what the last push returned."""
        if self.form == "bulk":
            self.line(f"wait = {wait}")
            self.line("if wait is not None: return wait")
        else:
            self.line(f"return {wait}")


def fuse(
    run: Sequence[Stream[Any]],
    tail: Push[Any] | None,
    form: Form = "push",
    **surroundings: Any,
) -> Callable[..., Any]:
    """Write *run* as one function that ends in *tail*, if there is one."""
    code = Code(form)
    for node in run:
        code.at(node)
        node.inline(code)
    code.at(None)
    if tail is not None:
        code.give(f"{code.bind('push', tail)}(x)")
    elif not run:
        code.line("pass")
    head, foot = _FRAMES[form]
    table = [None] * len(head) + code.nodes
    values = {**code.values, **surroundings}
    if form == "bulk":  # locals are quicker to read than what a closure holds
        head = [f"    def bulk(elements, *, {', '.join(f'{v}={v}' for v in values)}):", *head[1:]]
    values["blame_line"] = functools.partial(blame_line, table)
    lines = [f"def make({', '.join(values)}):", *head, *code.lines, *foot, f"    return {form}", ""]
    source = "\n".join(lines)
    name = "-".join(type(node).__name__ for node in run[:8]) or "pipeline"
    namespace: dict[str, Any] = {}
    exec(_compiled(source, f"<rapidz {form} {name} {abs(hash(source)):x}>"), namespace)
    made: Callable[..., Any] = namespace["make"](**values)
    return made


_FRAMES: dict[str, tuple[list[str], list[str]]] = {
    "push": (
        ["    def push(x):", "        try:"],
        ["        except Exception as error:", "            blame_line(error)", "            raise"],
    ),
    "emit": (
        [
            "    def emit(x, asynchronous=False, metadata=None):",
            "        if retired or asynchronous or metadata is not None:",
            "            return slowly(x, asynchronous, metadata)",
            "        acquire()",
            "        try:",
        ],
        [
            "        except Exception as error:",
            "            blame_line(error)",
            "            raise",
            "        finally:",
            "            release()",
        ],
    ),
    "bulk": (
        ["    def bulk(elements):", "        try:", "          for x in elements:"],
        [
            "            if retired: return edited",
            "        except Exception as error:",
            "            blame_line(error)",
            "            raise",
        ],
    ),
}


@functools.lru_cache(maxsize=512)
def _compiled(source: str, filename: str) -> CodeType:
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    return compile(source, filename, "exec")


def blame_line(table: list[weakref.ref[Stream[Any]] | None], error: Exception) -> None:
    """Blame *error* on the node whose line of a fused function raised it."""
    traceback = error.__traceback__
    if traceback is None:
        return
    at = traceback.tb_lineno - 2  # the first line is that of `make`
    ref = table[at] if at < len(table) else None
    if ref is not None:
        blame(error, ref(), traceback.tb_frame.f_locals.get("x"))
