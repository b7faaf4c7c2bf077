"""The command line: `rapidz demo`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import rapidz
from rapidz.demo import run
from rapidz.demo.data import MissingDataError
from rapidz.kernel.protocol.short_repr import short_repr

FAILED, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv*, by default the command line; return its exit status."""
    options = _parser().parse_args(argv)
    try:
        run(sys.stdout, None if options.quiet else sys.stderr, options.limit)
        sys.stdout.flush()
    except MissingDataError as error:
        print(f"rapidz demo: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\nrapidz demo: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe, as in `rapidz demo | head -3`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rapidz", description="Pipelines over continuous streams of Python objects."
    )
    parser.add_argument("--version", action="version", version=f"rapidz {rapidz.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="stream a year of flights through a pipeline",
        description="Stream the flights that left New York in 2013, one record at a time, through "
        "a pipeline that finds the delay of each carrier and the worst hours of the year.",
    )
    demo.add_argument("--limit", type=_count, metavar="N", help="stop after N flights")
    demo.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _count(text: str) -> int:
    if text.isdecimal() and (n := int(text)) > 0:
        return n
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {short_repr(text)}")


if __name__ == "__main__":
    sys.exit(main())
