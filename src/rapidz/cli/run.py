"""Command `rapidz run`: run the pipelines of a script until they end or a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from typing import Any, TextIO

from rapidz.cli.arguments import interval
from rapidz.cli.status import FAILED, OK, SIGNALLED
from rapidz.cli.target import LoadedTarget, UsageError, parse_target
from rapidz.kernel.graph import shutdown
from rapidz.kernel.graph.stream import Stream
from rapidz.runner.failure_report import (
    UserTracebackFormatter,
    described_failure,
    is_of_broken_stdout,
    user_traceback,
)
from rapidz.runner.pipeline_run import PipelineRun
from rapidz.runner.progress import PLAIN_INTERVAL, RunProgress
from rapidz.runner.stop_signals import StopSignals
from rapidz.runner.supervisor import supervise

LEVELS = ("debug", "info", "warning", "error", "critical")
NAME = "rapidz run"


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: ArgumentParser = commands.add_parser(
        "run",
        help="run the pipelines of a script or module",
        description="Load a script, start the sources of its pipelines, and wait for their end. "
        "SIGINT and SIGTERM stop the sources and let everything that was emitted reach the "
        "sinks; a second signal ends the program at once.",
        epilog="exit status: 0 at the end, also after one signal; 1 if something failed; 2 for a "
        "wrong command line; 130 or 143 after a second SIGINT or SIGTERM",
    )
    parser.add_argument("target", help="FILE.py, FILE.py:name, module or module:name")
    parser.add_argument("arguments", nargs="*", help="sys.argv of the script; options after --")
    parser.add_argument(
        "--for", dest="limit", type=interval, metavar="TIME", help="stop after so long, as 10s"
    )
    parser.add_argument(
        "--until-idle", type=interval, metavar="TIME", help="stop after so long without an element"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--interval",
        type=interval,
        default=PLAIN_INTERVAL,
        metavar="TIME",
        help="time between two lines of progress that is not on a terminal (default 5s)",
    )
    parser.add_argument("--log-level", choices=LEVELS, help="level of the log (default warning)")
    parser.set_defaults(command=run_command)


def run_command(options: Namespace) -> int:
    """Run the pipelines; return the exit status."""
    loaded = LoadedTarget(parse_target(options.target), options.arguments)
    with StopSignals(exit_at_once) as signals:
        status, streams = _load(loaded, signals)
        if not streams:
            return status
        _configure_logging(options.log_level)
        run = PipelineRun(
            streams,
            options.limit,
            options.until_idle,
            counts=not options.quiet,
            is_fatal=is_of_broken_stdout,
        )
        if status != OK or signals.first is not None:
            run.request_end()
        elif not run.sources and not options.quiet:
            print(f"{NAME}: no pipeline has a source: all are closed", file=sys.stderr)
        out: TextIO | None = None if options.quiet or status != OK else sys.stderr
        with RunProgress(run, out, options.interval) as progress:
            supervise(run, signals, progress.tick, progress.every)
        return _report(run.failures) or (OK if status == SIGNALLED else status)


def _load(loaded: LoadedTarget, signals: StopSignals) -> tuple[int, list[Stream[Any]]]:
    """Load the script; return a status, and the streams to run: to end, if it is not 0."""
    status = OK
    try:
        signals.interrupting = True
        loaded.load()
        streams = loaded.streams()
        signals.interrupting = False
        return OK, streams
    except UsageError:
        signals.interrupting = False
        raise
    except SystemExit as error:
        interrupted = status = _exit_code(error)
    except BaseException as error:
        cancelled = isinstance(error, asyncio.CancelledError) and signals.first is not None
        if cancelled or isinstance(error, KeyboardInterrupt):
            status, interrupted = SIGNALLED, SIGNALLED + (signals.first or signal.SIGINT)
        else:
            print(f"{NAME}: {loaded.target.shown} failed:", file=sys.stderr)
            print(user_traceback(error), end="", file=sys.stderr)
            interrupted = status = FAILED
    signals.interrupting = False
    try:
        streams = loaded.streams()
    except UsageError:
        streams = []
    return (status if streams else interrupted), streams


def _exit_code(error: SystemExit) -> int:
    """Return the exit status that the script asked for."""
    if error.code is None or isinstance(error.code, int):
        return error.code or OK
    print(error.code, file=sys.stderr)
    return FAILED


def _report(failures: list[Exception]) -> int:
    """Print what failed; return the exit status."""
    for failure in failures:
        if is_of_broken_stdout(failure):
            continue
        print(f"{NAME}: failed:", file=sys.stderr)
        print(described_failure(failure), end="", file=sys.stderr)
    return FAILED if failures else OK


class CurrentStderrHandler(logging.Handler):
    """Log handler that writes to what sys.stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] and is_of_broken_stdout(record.exc_info[1]):
            return
        with contextlib.suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr)


def _configure_logging(level: str | None) -> None:
    """Log to stderr, unless the script has configured logging itself."""
    root = logging.getLogger()
    if not root.handlers:
        handler = CurrentStderrHandler()
        form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        handler.setFormatter(UserTracebackFormatter(form))
        root.addHandler(handler)
    if level is not None:
        root.setLevel(level.upper())


def exit_at_once(number: int) -> None:
    """End the program in a signal handler, whatever it is doing."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{NAME}: ended at once by a second signal\n".encode())
    for callback in shutdown.after_exit_timeout:
        with contextlib.suppress(Exception):
            callback()
    os._exit(SIGNALLED + number)
