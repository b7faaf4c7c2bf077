"""Command line: `rapidz run`, `draw`, `check` and `demo`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import rapidz
from rapidz.cli import check, demo, draw, run
from rapidz.cli.status import FAILED, INTERRUPTED, USAGE
from rapidz.cli.target import UsageError

#: Modules of the commands, in the order of the help.
COMMANDS = (run, draw, check, demo)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv*, by default the command line; return its exit status."""
    own, script = _split(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(own)
    options.arguments = [*getattr(options, "arguments", ()), *script]
    name = f"rapidz {options.name}"
    try:
        status: int = options.command(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except UsageError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe, as in `rapidz demo | head -3`
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _split(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Split the command line at ``--`` into our arguments and those of the script."""
    at = argv.index("--") if "--" in argv else len(argv)
    return argv[:at], argv[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rapidz", description="Pipelines over continuous streams of Python objects."
    )
    parser.add_argument("--version", action="version", version=f"rapidz {rapidz.__version__}")
    commands = parser.add_subparsers(dest="name", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
