"""Fusion: simple nodes, generated as one function.

An operator that needs no more than a line or two of Python for its work writes
these lines (`Stream.inline`) about a variable ``x``.  The lines of a whole run
of nodes, and of the runs it forks into, make one function, in one of four forms:

``push``
    for one element that comes along an edge;
``emit``
    for one element that comes from outside, while the lock is free;
``bulk``
    for an iterator of elements, the loop inside;
``batch``
    for a list of elements, from which it makes the list of what became of each.

The source of a function shows in tracebacks, and each of its lines knows the
node it came from, so a failure is blamed on the right one at no cost.
"""

from __future__ import annotations

import functools
import linecache
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rapidz.kernel.compile.intermediate import MISSING, FusedJoin, FusedRun
from rapidz.kernel.protocol.attributes import LiveKwargs
from rapidz.kernel.protocol.push import SKIP, Pending, Push, Start, together
from rapidz.kernel.runtime.attribution import add_note, attribute_to, mark_raised
from rapidz.kernel.runtime.stack_frames import FUSED
from rapidz.kernel.runtime.tasks import detach

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

Form: TypeAlias = Literal["push", "emit", "bulk", "batch"]

#: What the form ``bulk`` returns when the pipeline was edited under it.
EDITED: Any = object()

#: How many nodes are written as one function, at most.
MAX_FUSED_NODES = 64


class Code:
    """The lines of a run, being written."""

    def __init__(self, form: Form, start: Start) -> None:
        self.form, self.start = form, start
        self.values: dict[str, Any] = {"SKIP": SKIP, "MISSING": MISSING}
        self.lines: list[str] = []
        self.nodes: list[weakref.ref[Node] | None] = []
        self.depth = 3
        self.forked = 0
        self.changed = False
        """Whether ``x`` may be another one now than at the last fork."""
        self.owned = ""
        """The name of the function that detaches a wait, once the element is one of several."""
        self.settle = ""
        """A statement that adds to the variable ``wait`` what else there is to wait for."""
        self._node: weakref.ref[Node] | None = None
        self._read: dict[str, Any] = {}
        """What the local variables that `read` has set were read by."""

    def at(self, node: Node | None) -> None:
        """Attribute what is written from now on to *node*."""
        self._node = None if node is None else weakref.ref(node)

    def bind(self, hint: str, value: Any) -> str:
        """Return the name under which the lines find *value*."""
        name = f"{hint}_{len(self.values)}"
        self.values[name] = value
        return name

    def line(self, text: str) -> None:
        """Write a line."""
        if text.startswith("x = "):
            self._read.clear()
        self.lines.append("    " * self.depth + text)
        self.nodes.append(self._node)

    def nest(self, condition: str) -> None:
        """Do the rest, nodes further downstream included, only on *condition*."""
        self.line(f"if {condition}:")
        self.depth += 1

    def otherwise(self, nests: int = 1) -> None:
        """Do the rest only if the condition of the *nests*-th last `nest` is false."""
        self.depth -= nests
        self._read.clear()
        self.line("else:")
        self.depth += 1

    def read(self, name: str, getter: Any) -> str:
        """Set the variable *name* to what *getter* reads from ``x``, unless it is that already.

        *getter* has a method ``write(code)``, which returns the source; two that are equal
        read the same.
        """
        if name not in self._read or self._read[name] != getter:
            self.line(f"{name} = {getter.write(self)}")
            self._read[name] = getter
        return name

    def call(
        self, func: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], x: str = "x"
    ) -> str:
        """Return the call of *func* on *x* and the further arguments of a node."""
        if args:
            x += f", *{self.bind('args', args)}"
        if kwargs or not isinstance(kwargs, LiveKwargs):
            x += f", **{self.bind('kwargs', kwargs)}"
        return f"{func}({x})"

    def pass_on(self, wait: str) -> None:
        """Write that the element is through: *wait* is what there is to wait for, or None."""
        if self.owned and wait != "None":
            self.line(f"wait = {wait}")
            self.line(f"if wait is not None: wait = {self.owned}(wait)")
            wait = "wait"
        if self.settle:
            self.line(f"wait = {wait}")
            self.line(self.settle)
            wait = "wait"
        if self.forked:
            self.line(f"wait = {wait}")
            self.line("if wait is not None: left = (left or []) + [wait]")
        elif self.form == "bulk":
            self.line(f"wait = {wait}")
            self.line("if wait is not None: return wait")
        else:
            self.line(f"return {wait}")

    def work(self, run: FusedRun) -> None:
        """Write what the nodes of *run* do."""
        for ref, port in run.nodes:
            if (node := ref()) is not None:  # else it has gone, and this is compiled anew
                self.at(node)
                if run.counts_arrivals and node._arrivals and port in node._arrivals:
                    self.line(f"{self.bind('arrivals', node._arrivals[port])}[0] += 1")
                node.inline(self, port)
                self.detach_if_combined(node)
        self.at(None)

    def detach_if_combined(self, node: Node) -> None:
        """Detach waits from here on, if *node* emits more than the element."""
        if node._combines_elements:
            own_wait = functools.partial(detach, node._pipeline)
            self.owned = self.owned or self.bind("detach", own_wait)

    def write(self, run: FusedRun) -> None:
        """Write *run*, and all that is downstream of it."""
        self.work(run)
        if run.tail is not None:
            self.pass_on(f"{self.bind('push', run.tail)}(x)")
        elif run.forks:
            self.fork(run)
        elif self.form == "batch":
            self.line("append(x); continue")
        elif self.settle:
            self.pass_on("None")
        else:
            self.line("pass")  # the block may be empty: a node may have gone meanwhile

    def fork(self, run: FusedRun) -> None:
        """Write every one of the forks of *run*, from the same element on; each is tried."""
        if run.joins:
            self.unless_elements_wait(run)
        self.forked += 1
        saved = f"x_{len(self.lines)}"
        self.line(f"{saved} = x")
        rows: dict[FusedJoin, list[BranchVariable]] = {join_: [] for join_ in run.joins}
        owned, self.changed = self.owned, False
        for index, fork in enumerate(run.forks):
            if self.changed:
                self.line(f"x = {saved}")
                self.changed = False
            join_ = next((join_ for join_ in run.joins if index in join_.before), None)
            if join_ is None:
                self.attempt(functools.partial(self.write, fork))
                self.changed = True
            else:
                place = BranchVariable(f"{saved}_{index}")
                self.attempt(functools.partial(self.keep, join_.before[index][1], place))
                self.line(f"    {place.name} = {place.absent}")
                rows[join_].append(place)
                if len(rows[join_]) == len(join_.before):
                    self.attempt(functools.partial(self.join, join_, rows[join_]))
                    self.changed = True
            self.owned = owned
        self.forked -= 1

    def attempt(self, write: Callable[[], None]) -> None:
        """Write lines that may fail without harm to what comes after them."""
        depth = self.depth
        self._read.clear()
        self.line("try:")
        self.depth += 1
        write()
        self.depth = depth
        self._read.clear()
        self.line("except BaseException as error:")  # the other branches get it all the same
        self.line("    attribute_line(error); left = (left or []) + [error]")

    def keep(self, before: FusedRun, place: BranchVariable) -> None:
        """Write a fork as far as a join that closes a diamond: what comes out is in *place*."""
        start, depth = len(self.lines), self.depth
        self.work(before)
        if self.lines[-1].endswith("if x is not SKIP:"):  # it tells by itself that it was skipped
            del self.lines[-1], self.nodes[-1]
            self.depth -= 1
            place.absent = "SKIP"
        only = self.lines[-1] if self.depth == depth and len(self.lines) == start + 1 else ""
        if only.lstrip().startswith("x = "):
            self.lines[-1] = only.replace("x = ", f"{place.name} = ", 1)
            return  # x is what it was
        self.line(f"{place.name} = x")
        self.changed = True
        if self.depth > depth:
            self.lines.insert(start, "    " * depth + f"{place.name} = {place.absent}")
            self.nodes.insert(start, None)

    def unless_elements_wait(self, run: FusedRun) -> None:
        """Run the general form of a fork while there is something in the queues of its joins."""
        queues = [queue for join_ in run.joins for queue in join_.queues]
        self.nest(" or ".join(self.bind("waiting", queue) for queue in queues))
        self.pass_on(f"{self.bind('queued', without_joints(run, self.start))}(x)")
        self.otherwise()

    def join(self, join_: FusedJoin, row: Sequence[BranchVariable]) -> None:
        """Write the work of a join whose inputs are in the places *row*, and what comes then."""
        node = join_.node()
        if node is None:
            return self.line("pass")
        take = functools.partial(join_.take, [self.values[place.absent] for place in row])
        names = [place.name for place in row]
        self.nest(" or ".join(f"{place.name} is {place.absent}" for place in row))
        self.pass_on(f"{self.bind('take', take)}(({', '.join(names)},))")
        self.otherwise()
        values = {up(): name for (up, _), name in zip(join_.before.values(), names, strict=True)}
        self.at(node)
        node.inline_row(self, [values[up] for up in node.upstreams])
        self.detach_if_combined(node)
        self.write(join_.rest)


class BranchVariable:
    """A variable for what comes out of a branch, and what it is if nothing does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.absent = "MISSING"


def without_joints(run: FusedRun, start: Start) -> Push[Any]:
    """Return the fork *run* in its general form, compiled when it is first needed."""
    general = FusedRun()
    general.forks = run.forks
    made: list[Push[Any]] = []

    def push(x: Any) -> Pending:
        if not made:
            made.append(fuse(general, start=start))
        return made[0](x)

    return push


def pass_through(awaitable: Awaitable[object]) -> Pending:
    """Return *awaitable*: the start of a run that cannot fork."""
    return awaitable


def fuse(
    run: FusedRun,
    form: Form = "push",
    start: Start = pass_through,
    **surroundings: Any,
) -> Callable[..., Any]:
    """Write *run* as one function.

    *start* is that of the pipeline; a run that forks needs it.
    """
    code = Code(form, start)
    if run.forks:
        code.line("left = None")
        code.write(run)
        code.depth = 3
        code.nest("left is not None")
        code.pass_on(f"{code.bind('together', functools.partial(together, start))}(left)")
        if code.settle:
            code.otherwise()
            code.pass_on("None")
    else:
        code.write(run)
    head, foot = _FRAMES[form]
    table = [None] * len(head) + code.nodes
    values = {**code.values, **surroundings}
    if form in ("bulk", "batch"):  # locals are quicker to read than variables of a closure
        head = [f"    def {form}(elements, *, {', '.join(f'{v}={v}' for v in values)}):", *head[1:]]
    values["attribute_line"] = functools.partial(attribute_line, table)
    values["table"] = table
    values["mark_raised"] = mark_raised
    lines = [f"def make({', '.join(values)}):", *head, *code.lines, *foot, f"    return {form}", ""]
    source = "\n".join(lines)
    name = "-".join(type(ref()).__name__ for ref, _ in run.nodes[:8]) or "pipeline"
    namespace: dict[str, Any] = {"__name__": FUSED}
    try:
        exec(_compiled(source, f"<rapidz {form} {name} {abs(hash(source)):x}>"), namespace)
    except SyntaxError as error:
        _note_node(table, error)
        raise
    made: Callable[..., Any] = namespace["make"](**values)
    return made


_FRAMES: dict[str, tuple[list[str], list[str]]] = {
    "push": (
        ["    def push(x):", "        try:"],
        [
            "        except Exception as error:",
            "            attribute_line(error)",
            "            raise",
        ],
    ),
    "emit": (
        [
            "    def emit(x, asynchronous=False, metadata=None):",
            "        if lock.busy or validity.retired or asynchronous or metadata is not None:",
            "            return slow_path(x, asynchronous, metadata)",
            "        lock.busy = has_lock = True",
            "        try:",
        ],
        [
            "        except Exception as error:",
            "            attribute_line(error); mark_raised(error)",
            "            raise",
            "        finally:",
            "            lock.busy = has_lock = False",
            "            if lock.waiters: lock.pass_on()",
        ],
    ),
    "bulk": (
        ["    def bulk(elements):", "        try:", "          for x in elements:"],
        [
            "            if validity.retired: return edited",
            "        except Exception as error:",
            "            attribute_line(error)",
            "            raise",
        ],
    ),
    "batch": (
        [
            "    def batch(elements):",
            "        outcomes = []; append = outcomes.append; special = False",
            "        for x in elements:",
            "          try:",
        ],
        [
            "            append(nothing); special = True",
            "          except BaseException as error:",  # the worker serves others too
            "            append(failed(table, error)); special = True",
            "        return outcomes, special",
        ],
    ),
}


def _note_node(table: list[weakref.ref[Node] | None], error: SyntaxError) -> None:
    """Say on *error* which node wrote the line."""
    at = (error.lineno or 0) - 2
    ref = table[at] if 0 <= at < len(table) else None
    if ref is not None and (node := ref()) is not None:
        add_note(error, f"in a line that {node._describe()} wrote by inline()")


#: Sources kept for tracebacks; what is older is forgotten.
MAX_SOURCES = 512


@functools.lru_cache(maxsize=MAX_SOURCES)
def _compiled(source: str, filename: str) -> CodeType:
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    _known.append(filename)
    if len(_known) > MAX_SOURCES:
        linecache.cache.pop(_known.popleft(), None)
    return compile(source, filename, "exec")


_known: deque[str] = deque()


def line_of(table: list[weakref.ref[Node] | None], error: BaseException) -> tuple[Node | None, Any]:
    """Return the node whose line of a fused function raised *error*, and the element."""
    traceback = error.__traceback__
    if traceback is None:
        return None, None
    at = traceback.tb_lineno - 2  # the first line is that of `make`
    ref = table[at] if at < len(table) else None
    return None if ref is None else ref(), traceback.tb_frame.f_locals.get("x")


def attribute_line(table: list[weakref.ref[Node] | None], error: BaseException) -> None:
    """Blame *error* on the node whose line of a fused function raised it."""
    node, x = line_of(table, error)
    if node is not None:
        attribute_to(error, node, x)
        if node._effective_policy is None or not isinstance(error, Exception):
            # else its policy may yet get it through
            node._report_loss()
