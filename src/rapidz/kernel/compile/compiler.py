"""Compiler: from the graph to functions; the edges of every node become one push.

`link` compiles the nodes downstream of a node, the furthest first, without recursion.  The
result sits in the node's `Outlet`; an edit makes the outlets upstream of it
forget theirs, and the next element links them anew.  Two things keep Python's
stack flat however long the way of an element is: runs of simple nodes are one
function (`fusion`), and a `Trampoline` takes up what a feedback edge or a very
deep pipeline hands it.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from rapidz.kernel.compile.diamond import fused_joins
from rapidz.kernel.compile.fusion import MAX_FUSED_NODES, Form, fuse
from rapidz.kernel.compile.intermediate import Branch, FusedRun, joined
from rapidz.kernel.compile.legacy import interpret, interpreted, overridden_emit
from rapidz.kernel.compile.wrappers import WrapContext, wrap
from rapidz.kernel.protocol.node import Node, edges
from rapidz.kernel.protocol.push import (
    BulkSlice,
    Pending,
    Push,
    Start,
    Step,
    step_of,
)
from rapidz.kernel.runtime import failures

InProgress: TypeAlias = "dict[Node, tuple[int, list[Branch]]]"

#: How many branches are written as one function.
MAX_FUSED_BRANCHES = 8
#: How many Python frames an element may stack up before a trampoline takes over.
MAX_DEPTH = 150


class Outlet:
    """Where a node's elements go: the compiled push of its edges.

    A step that pushes once and at once is given the push itself; one that
    pushes later, or several times, goes through the outlet, so that an edit of
    the graph reaches it.
    """

    __slots__ = (
        "_ref",
        "_start",
        "capacity",
        "depth",
        "linked",
        "push",
        "push_many",
        "run",
        "send",
        "version",
    )

    def __init__(self, node: Node) -> None:
        self._ref = weakref.ref(node)
        self.version = 0
        self.invalidate()

    def invalidate(self) -> None:
        """Link anew before the next element: the graph downstream has changed."""
        self.linked = False
        self.version += 1
        self.run = FusedRun()
        self.depth = 0
        self.push_many: Callable[[BulkSlice], Pending] | None = None
        """Takes several elements at once, if the one node downstream can do that."""
        self.capacity: Callable[[], int] | None = None
        """How many elements `push_many` takes without a wait, if there is a bound."""
        self.push: Push[Any] = self._link_and_push
        self.send: Push[Any] = self._link_and_send

    def link(self) -> None:
        """Compile the edges downstream now, if that has not happened yet."""
        if (node := self._ref()) is not None:
            link(node)

    def _link_and_push(self, x: Any) -> Pending:
        node = self._ref()
        if node is None:
            return None
        while True:
            link(node)
            push = self.push
            if push != self._link_and_push:
                return push(x)
            self.linked = False  # another thread was forgetting it meanwhile

    def _link_and_send(self, x: Any) -> Pending:
        node = self._ref()
        if node is None:
            return None
        while True:
            link(node)
            send = self.send
            if send not in (self._link_and_push, self._link_and_send):
                return send(x)
            self.linked = False

    def connect(self, node: Node, branches: list[Branch]) -> None:
        """Take up the compiled *branches* of *node*.

        Another thread may edit the graph at the same time: then they are forgotten at once.
        """
        version = self.version
        self._connect(node, branches)
        if self.version != version:
            self.invalidate()

    def _connect(self, node: Node, branches: list[Branch]) -> None:
        pipeline = node._pipeline
        self._start = pipeline.start
        self.run = joined(branches)
        self.depth = max((branch.depth for branch in branches), default=0) + (len(branches) > 1)
        context = WrapContext(node)
        pushes = [branch_push(branch, self._start) for branch in branches]
        fan_out = node._wrap_fan_out(pushes, self._start)
        self.push = wrap("push", context, fan_out)
        several = 1 < len(branches) <= MAX_FUSED_BRANCHES
        if self.push is fan_out and several and any(branch.run.nodes for branch in branches):
            self.run.joins = fused_joins(node, branches, self._start)
            self.push = fuse(self.run, start=self._start)
        self.send = wrap("send", context, self.push)
        self.run.push = self.push
        if self.send is self.push is self.run.tail and not node._pipeline.tracked:
            _, self.push_many, self.capacity = branches[0].step
        pipeline.compiled = True  # anew, if compiling a policy absorbed its stream of errors
        self.linked = True

    def fused(self, form: Form, node: Node, **surroundings: Any) -> Callable[..., Any]:
        """Return what *node* sends by as a function of another *form*."""
        run, send = self.run, self.send
        if (
            run.push is not send  # or another thread is about to invalidate both
            or node._record is not None
            or len(run.forks) > MAX_FUSED_BRANCHES
        ):
            run = FusedRun()
            run.tail = send
        return fuse(run, form, start=self._start, **surroundings)


def branch_push(branch: Branch, start: Start) -> Push[Any]:
    """Return the push of one edge."""
    if not branch.run.nodes and branch.run.tail is not None:
        return branch.run.tail
    return fuse(branch.run, start=start)


def link(root: Node) -> None:
    """Compile the nodes downstream of *root*, and every outlet on the way that needs it."""
    if (time := root._pipeline.time) is not None:
        time.refresh(root._pipeline)
    policies = Policies()
    root._pipeline.compiled = True
    root._unused = False
    in_progress: InProgress = {}
    stack = [root]
    while stack:
        node = stack[-1]
        if node._outlet.linked:
            stack.pop()
        elif node not in in_progress:
            branches: list[Branch] = []
            in_progress[node] = (node._outlet.version, branches)
            branches += [trace_branch(node, *edge, in_progress, policies) for edge in edges(node)]
            stack.extend(
                branch.then
                for branch in reversed(branches)
                if branch.then is not None
                and not branch.is_feedback
                and branch.then not in in_progress
                and not branch.then._outlet.linked
            )
        else:
            branches = in_progress[node][1]
            for branch in branches:
                finish_branch(branch, in_progress, policies)
            version = in_progress.pop(node)[0]
            if node._outlet.version == version:  # else it was edited meanwhile: once more
                node._outlet.connect(node, branches)
                if node._outlet.linked:
                    stack.pop()


def trace_branch(
    up: Node, down: Node, port: int, in_progress: InProgress, policies: Policies
) -> Branch:
    """Follow the edge from *up* to *down* through simple nodes, as far as it is a single line."""
    branch = Branch()
    run = branch.run.nodes
    node = down
    while (
        is_simple(node, policies)
        and len(run) < MAX_FUSED_NODES
        and len(node.upstreams) <= node._max_inline_ports
        and node not in in_progress
        and not (run and node is down)
        and not leads_back(up, node)
    ):
        node._compiled, node._effective_policy = True, None
        node._unused = False
        run.append((weakref.ref(node), port))
        if node._is_end:
            return branch
        if node._ends_run:
            branch.then = node
            return branch
        ahead = edges(node)
        last = port == len(node.upstreams) - 1
        if len(ahead) != 1 or not last or node._record is not None:
            branch.then = node
            return branch
        up = node
        node, port = ahead[0]
    node._compiled = True
    node._unused = False
    branch.edge, branch.up = (node, port), up
    branch.is_feedback = leads_back(up, node)
    branch.then = None if node._is_end else node
    return branch


def is_simple(node: Node, policies: Policies) -> bool:
    """Return whether the node can be a few lines of a fused function."""
    pipeline = node._pipeline
    return (
        node._fusible
        and node._can_inline()
        and not any(up is not None and up._wraps_edges for up in node.upstreams)
        and not node._serial_queue.busy()
        and not interpreted(node)
        and not overridden_emit(node)
        and not (pipeline.tracked and node._keeps_elements)
        and not (node._clock is not None and node._clock.is_boundary)
        and policies.of(node) is None
    )


def finish_branch(branch: Branch, in_progress: InProgress, policies: Policies) -> None:
    """Compile the end of a branch, now that what comes after it is linked."""
    feedback = branch.is_feedback or (branch.then is not None and branch.then in in_progress)
    below = 0 if branch.then is None else branch.then._outlet.depth
    if branch.edge is not None:
        node, port = branch.edge
        branch.step = compile_step(node, port, policies)
        branch.run.tail = branch.step.push
        below += frames_of_step(node)
    elif branch.then is not None:
        node = branch.then
        if node._ends_run:
            branch.depth = below + 1
            return
        branch.run.tail = node._outlet.push
    else:
        return
    branch.depth = below + 1
    if feedback and branch.edge is not None and branch.up is not None:
        note_feedback(branch.up, branch.edge[0])
    if feedback or branch.depth > MAX_DEPTH:
        branch.depth, branch.by_trampoline = 2, True
        branch.run.tail = node._pipeline.trampoline.take(branch.run.tail, feedback=feedback)


def note_feedback(up: Node, down: Node) -> None:
    """Note that the edge from *up* to *down* leads back.

    It shall be the same edge of its cycle wherever compiling begins the next time: an element
    that enters at *down* is not waited for by *up*, and must be by those ahead of it.
    """
    if down._feedback_from is None:
        down._feedback_from = weakref.WeakSet()
    down._feedback_from.add(up)


def leads_back(up: Node, down: Node) -> bool:
    """Return whether the edge from *up* to *down* was noted to lead back, and still does."""
    noted = down._feedback_from
    if noted is None or up not in noted:
        return False
    seen, stack = {down}, [down]
    while stack:
        node = stack.pop()
        if node is up:
            return True
        ahead = [each for each, _ in edges(node) if each not in seen]
        seen.update(ahead)
        stack += ahead
    noted.discard(up)
    return False


def frames_of_step(node: Node) -> int:
    """Return how many Python frames the step of *node* takes, at most."""
    return 8 if interpreted(node) or node._pipeline.policies or node._pipeline.tracked else 1


def compile_step(node: Node, port: int, policies: Policies) -> Step:
    """Compile the step for what arrives at *port* of *node*."""
    policy = node._effective_policy = policies.of(node)
    if interpreted(node):
        compiled = Step(interpret(node, port))
    else:
        compiled = step_of(node.compile(node._outlet.send, port))
    step = wrap("step", WrapContext(node, port, policy), compiled.push)
    return compiled if step is compiled.push else Step(step)


class Policies:
    """The policy in force at each node: its own, else the nearest one upstream."""

    def __init__(self) -> None:
        self._known: dict[Node, Any] = {}

    def of(self, node: Node) -> Any:
        if not node._pipeline.policies:
            return None
        path: list[Node] = []
        seen: set[Node] = set()
        ahead = deque([node])
        policy = None
        while ahead:
            at = ahead.popleft()
            if at in seen:
                continue
            seen.add(at)
            if at in self._known and not ahead:  # else another input may be nearer to one
                policy = self._known[at]
                break
            if at._policy is not None:
                policy = at._policy
                break
            if len(at.upstreams) <= 1 and len(ahead) == 0:
                path.append(at)
            ahead.extend(up for up in at.upstreams if up is not None)
        if isinstance(policy, failures.Raise):
            policy = None
        self._known.update(dict.fromkeys(path, policy))
        return policy
