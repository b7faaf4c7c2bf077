"""Failure reports: what failed, with node and element, and the frames of the user's code alone."""

from __future__ import annotations

import importlib
import logging
import os
import select
import sys
import traceback
from pathlib import Path
from typing import TextIO

from rapidz.kernel.runtime.attribution import attributions
from rapidz.kernel.runtime.pending_failures import LOGGED

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_ASYNCIO = str(Path(importlib.import_module("asyncio").__file__ or "").parent) + os.sep
#: What the names of files begin with whose frames a report leaves out.
_HIDDEN = (_PACKAGE, _ASYNCIO, "<rapidz ", "<frozen importlib", "<frozen runpy")


def user_traceback(error: BaseException) -> str:
    """Return the traceback of *error* without the frames of the library and of asyncio."""
    report = traceback.TracebackException.from_exception(error)
    _hide_frames(report, set())
    return "".join(report.format())


def _hide_frames(report: traceback.TracebackException | None, seen: set[int]) -> None:
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    shown = [frame for frame in report.stack if not frame.filename.startswith(_HIDDEN)]
    report.stack[:] = shown
    for inner in (report.__cause__, report.__context__, *(report.exceptions or ())):
        _hide_frames(inner, seen)


def described_failure(error: Exception) -> str:
    """Return the report of a failure: its traceback, unless the log has it, and its notes."""
    if not any(record.logged for record in attributions(error)):
        return user_traceback(error)
    lines = traceback.format_exception_only(error)
    return "".join(line for line in lines if line.rstrip() != LOGGED)


def is_of_broken_stdout(error: BaseException) -> bool:
    """Return whether *error* says that the reader of stdout has closed the pipe."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_of_broken_stdout(inner) for inner in error.exceptions)
    return isinstance(error, BrokenPipeError) and _is_broken(sys.stdout)


def _is_broken(stream: TextIO | None) -> bool:
    """Return whether *stream* is a pipe without a reader."""
    if stream is None:
        return False
    try:
        stream.flush()
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(stream.fileno(), 0)  # it reports errors alone
            return bool(poll.poll(0))
    except BrokenPipeError:
        return True
    except (OSError, ValueError):
        return False
    return False


class UserTracebackFormatter(logging.Formatter):
    """Log formatter whose tracebacks have the frames of the user's code alone."""

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is that of `logging`
        error = ei[1] if isinstance(ei, tuple) else None
        return "" if error is None else user_traceback(error).rstrip("\n")
