"""Failure attribution: which node raised an exception, in which pass.

A failure belongs to the node whose own function raised it, also if that
function got it from an `emit`, into another pipeline or its own.  The exception
carries an `Attribution`, and a note for the reader.

An exception object may come several times: a constant that a function raises
again and again, one that leaves a pipeline and is raised into another, one that
two branches share.  So what it carries is never taken for granted:

- Where a node calls its own function, and nothing else, that node raised the
  exception, whatever the exception says (`attribute_to`).
- Where an exception may as well come from downstream (`is_attributed_to`), an attribution
  counts if it was made since the step began, by a node of the same pipeline.

Nothing of this costs time unless something fails.
Decision 0013 tells why.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from rapidz.kernel.protocol.push import no_default
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime.pipeline_lock import has_lock, is_entry
from rapidz.kernel.runtime.stack_frames import is_fused, is_of_kernel
from rapidz.kernel.runtime.tracked_element import unbox

if TYPE_CHECKING:
    from rapidz.kernel.protocol.context import RuntimeContext
    from rapidz.kernel.protocol.node import Node

#: At most so many notes of ours stand on one exception.
MAX_NOTES = 8

_serials = itertools.count(1)
last_serial = 0
"""The serial number of the latest attribution."""


class Attribution:
    """What an exception says about where it was raised; it does not travel."""

    __slots__ = ("_node", "_pipeline", "element", "handled", "logged", "notes", "serial", "tail")

    def __init__(self, node: Node | None = None, element: str = "", serial: int = 0) -> None:
        self._node = None if node is None else weakref.ref(node)
        self._pipeline = None if node is None else weakref.ref(node._pipeline)
        self.element = element
        """The element, as messages show it."""
        self.serial = serial
        self.notes: list[str] = []
        """Those of the notes on the exception that are ours."""
        self.logged = False
        self.handled = False
        """Whether a policy has dealt with the failure, or it has left the pipeline."""
        self.tail: TracebackType | None = None
        """The traceback at that time: it is no part of what comes after."""

    @property
    def node(self) -> Node | None:
        return None if self._node is None else self._node()

    def is_in(self, pipeline: RuntimeContext) -> bool:
        """Return whether a node of *pipeline* raised it."""
        own = None if self._pipeline is None else self._pipeline()
        return own is not None and own.is_one_with(pipeline)

    def __reduce__(self) -> Any:
        return Attribution, ()


# --- what an exception carries ------------------------------------------------------------
#
# Classes of users may refuse attributes (frozen data classes), or do something else about them:
# go by what `BaseException` does, and do without where that is not to be had.


def _read_attribute(error: BaseException, name: str) -> Any:
    try:
        return object.__getattribute__(error, "__dict__").get(name)
    except Exception:
        return None


def _write_attribute(error: BaseException, name: str, value: Any) -> None:
    with contextlib.suppress(Exception):
        object.__getattribute__(error, "__dict__")[name] = value


def attribution(error: BaseException) -> Attribution | None:
    """Return the attribution that *error* itself carries, if any."""
    found = _read_attribute(error, "_rapidz_raised")
    return found if type(found) is Attribution else None


def clear_attribution(error: BaseException) -> None:
    """Drop the attribution of *error*, a copy of what a node has raised."""
    with contextlib.suppress(Exception):
        object.__getattribute__(error, "__dict__").pop("_rapidz_raised", None)


def add_note(error: BaseException, note: str) -> None:
    """Add *note* to *error*, once, also if its class is frozen; never raises."""
    notes = _read_attribute(error, "__notes__")
    if not isinstance(notes, list):
        _write_attribute(error, "__notes__", [note])
    elif note not in notes:
        notes.append(note)


def _remove_notes(error: BaseException, ours: list[str]) -> None:
    notes = _read_attribute(error, "__notes__")
    if isinstance(notes, list):
        notes[:] = [note for note in notes if note not in ours]


# --- attribution --------------------------------------------------------------------------


def attribute_to(error: BaseException, node: Node | None, x: Any = no_default) -> None:
    """Note on *error* that the function of *node*, and no node downstream, raised it for *x*."""
    global last_serial
    if node is None or not isinstance(error, Exception):
        return
    before = attribution(error)
    last_serial = next(_serials)
    record = Attribution(node, "" if x is no_default else short_repr(unbox(x)), last_serial)
    if before is not None:
        _continue_record(error, before, record)
    _write_attribute(error, "_rapidz_raised", record)
    if len(record.notes) < MAX_NOTES:
        element = f" for element {record.element}" if record.element else ""
        add_transient_note(error, f"raised in {node._describe()}{element}")


def add_transient_note(error: BaseException, note: str) -> None:
    """Add *note* to *error* until it is raised anew."""
    add_note(error, note)
    if (record := attribution(error)) is not None:
        record.notes.append(note)


def _continue_record(error: BaseException, before: Attribution, record: Attribution) -> None:
    """*error* was raised before: what it says of that stays only if this follows from it."""
    if before.handled:
        _remove_notes(error, before.notes)
        _cut_traceback(error, before.tail)
    else:
        record.notes = before.notes


def _cut_traceback(error: BaseException, tail: TracebackType | None) -> None:
    """Take *tail* off the traceback: Python prolongs that of an object raised again."""
    at = error.__traceback__ if tail is not None else None
    while at is not None and at.tb_next is not tail:
        at = at.tb_next
    if at is not None:
        at.tb_next = None


def is_attributed_to(error: Exception, node: Node | None, x: Any, since: int) -> bool:
    """Return whether *node* raised *error* itself, rather than a node downstream.

    Notes it on *error* if so.  *since*: `last_serial` when the step of *node* began.
    """
    if node is None:
        return False
    record = attribution(error)
    if record is not None and record.serial > since and record.node is node:
        return True
    if not node._is_end and comes_from_downstream(error, node._pipeline, since):
        return False
    attribute_to(error, node, x)
    return True


def comes_from_downstream(error: BaseException, pipeline: RuntimeContext, since: int) -> bool:
    """Return whether a node of *pipeline* was found to have raised *error* after *since*."""
    return any(record.serial > since and record.is_in(pipeline) for record in attributions(error))


def failure_test(node: Node) -> Callable[[BaseException, int], bool]:
    """Tell whether the node itself failed since a step began, and no node downstream of it."""
    ref = weakref.ref(node)

    def failed_here(error: BaseException, since: int) -> bool:
        node = ref()
        return node is None or all(
            record.serial <= since or record.node is node or not record.is_in(node._pipeline)
            for record in attributions(error)
        )

    return failed_here


def attributions(error: BaseException) -> Iterator[Attribution]:
    """Yield the attribution of *error*, or those of the errors in a group."""
    record = attribution(error)
    if record is not None:
        yield record
    elif isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from attributions(inner)


def raised_by(error: BaseException) -> Node | None:
    """Return the node that raised *error*, or the first error of a group, if known."""
    return next((record.node for record in attributions(error)), None)


def mark_handled(error: BaseException) -> None:
    """Say that *error* is dealt with: when it comes again, that is another failure."""
    for record in attributions(error):
        record.handled, record.tail = True, error.__traceback__


def mark_raised(error: BaseException) -> None:
    """Mark *error*, raised to the caller of `emit`, as handled, unless a node is the caller."""
    if not called_by_a_node():
        mark_handled(error)


def called_by_a_node() -> bool:
    """Return whether the code that called into the library was itself called by a node."""
    frame: Any = sys._getframe(2)
    if is_fused(frame):
        frame = frame.f_back  # the compiled `emit` that it leaves
    while frame is not None and is_of_kernel(frame) and not _is_node(frame):
        frame = frame.f_back
    while frame is not None:
        if is_of_kernel(frame):
            return True
        frame = frame.f_back
    return False


def _is_node(frame: FrameType) -> bool:
    """Return whether *frame* runs nodes, and is no compiled `emit` that went the slow way."""
    return is_fused(frame) and not (is_entry(frame) and not has_lock(frame))
