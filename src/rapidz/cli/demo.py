"""Command `rapidz demo`: stream a year of flights through a pipeline."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from rapidz.cli.arguments import count
from rapidz.cli.status import INTERRUPTED, OK, USAGE


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: ArgumentParser = commands.add_parser(
        "demo",
        help="stream a year of flights through a pipeline",
        description="Stream the flights that left New York in 2013, one record at a time, through "
        "a pipeline that finds the delay of each carrier and the worst hours of the year.",
    )
    parser.add_argument("--limit", type=count, metavar="N", help="stop after N flights")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(command=demo_command)


def demo_command(options: Namespace) -> int:
    """Run the demo; return the exit status."""
    from rapidz.demo import run
    from rapidz.demo.data import MissingDataError

    try:
        run(sys.stdout, None if options.quiet else sys.stderr, options.limit)
    except MissingDataError as error:
        print(f"rapidz demo: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("\nrapidz demo: interrupted", file=sys.stderr)
        return INTERRUPTED
    return OK
