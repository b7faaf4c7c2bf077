"""Command `rapidz check`: look for mistakes in the pipelines of a script, without running them."""

from __future__ import annotations

import importlib
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any, NamedTuple

from rapidz.cli.blocking_calls import BlockingCall, blocking_calls
from rapidz.cli.dry_load import UNKNOWN, CodeLocation, DryLoad
from rapidz.cli.status import FAILED, OK
from rapidz.cli.target import LoadedTarget, UsageError, parse_target
from rapidz.cli.unbounded_state import bound_missing
from rapidz.eventtime.keyed.sub_pipeline import SubPipelineHub
from rapidz.kernel.graph import signals
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.runtime.pipeline import Pipeline, all_pipelines
from rapidz.runner.failure_report import user_traceback
from rapidz.runner.selection import SelectedPipeline, identity, select
from rapidz.sources.base import Source

#: What an ImportError of a connector without its library says.
EXTRA = re.compile(r"pip install 'rapidz\[\w+\]'")
#: Names of operators whose functions run on workers, or in threads of their own.
_WORKERS = ("rapidz.parallel.", "rapidz.sinks.writer")

DESCRIPTION = """\
Load a script, and look for mistakes in its pipelines; its sources are not started.

It finds
- branches without a sink, and chains that nothing refers to;
- dead-letter streams without a sink;
- functions of pipelines with an event loop that block it: time.sleep, requests.get, open,
  subprocess.run, sqlite3.connect and others, by the names in their code, also in functions of
  the same package that they call; not by way of arguments or of other libraries;
- sources that `rapidz run` would not find and that the script does not start;
- keyed state and joins without a bound;
- a connector whose library is not installed (the first one).
"""


class Mistake(NamedTuple):
    """Something that `rapidz check` has found."""

    place: CodeLocation
    text: str


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    from argparse import RawDescriptionHelpFormatter

    parser: ArgumentParser = commands.add_parser(
        "check",
        help="look for mistakes in the pipelines of a script or module",
        description=DESCRIPTION,
        formatter_class=RawDescriptionHelpFormatter,
        epilog="exit status: 0 if nothing was found, 1 otherwise, 2 for a wrong command line",
    )
    parser.add_argument("target", help="FILE.py, FILE.py:name, module or module:name")
    parser.add_argument("arguments", nargs="*", help="sys.argv of the script; options after --")
    parser.set_defaults(command=check_command)


def check_command(options: Namespace) -> int:
    """Check the pipelines; return the exit status."""
    dry = DryLoad(LoadedTarget(parse_target(options.target), options.arguments))
    before = list(all_pipelines())
    try:
        dry.execute()
        selected = select(dry.streams())
    except UsageError:
        if not (lost := _lost_sources(dry, before, [])):
            raise
        return _report(lost, [])
    except (Exception, SystemExit) as error:
        if isinstance(error, ImportError) and EXTRA.search(str(error)):
            return _report([Mistake(_place_of(error), str(error))], [])
        print(f"rapidz check: {options.target} failed:", file=sys.stderr)
        print(user_traceback(error), end="", file=sys.stderr)
        return FAILED
    mistakes = [*_unused_chains(dry)]
    for one in selected:
        mistakes += [
            *_without_sink(dry, one),
            *_that_block(dry, one),
            *_without_bound(dry, one),
        ]
    if not dry.loaded.target.attribute:
        mistakes += _lost_sources(dry, before, selected)
    return _report(mistakes, selected)


def _report(mistakes: list[Mistake], selected: list[SelectedPipeline]) -> int:
    """Print what was found; return the exit status."""
    for mistake in sorted(mistakes):
        place = str(mistake.place)
        print(f"{place}: {mistake.text}" if place else mistake.text)
    if mistakes:
        print(f"{len(mistakes)} found" if len(mistakes) > 1 else "1 found")
        return FAILED
    nodes = sum(len(one.nodes) for one in selected)
    print(f"nothing found in {_counted(len(selected), 'pipeline')} of {_counted(nodes, 'node')}")
    return OK


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _place_of(error: BaseException) -> CodeLocation:
    """Return the innermost line of the user that has raised *error*."""
    place, at = UNKNOWN, error.__traceback__
    package = str(importlib.import_module("rapidz").__path__[0])
    while at is not None:
        path = at.tb_frame.f_code.co_filename
        if not path.startswith((package, "<")):
            place = CodeLocation(path, at.tb_lineno)
        at = at.tb_next
    return place


# --- branches -----------------------------------------------------------------------------------


def _unused_chains(dry: DryLoad) -> Iterator[Mistake]:
    """Yield chains that were collected, because nothing refers to them and they have no sink."""
    for warning in dry.warnings:
        if "has no reference and no sink" in str(warning.message):
            yield Mistake(CodeLocation(warning.filename, warning.lineno), str(warning.message))


def _without_sink(dry: DryLoad, one: SelectedPipeline) -> Iterator[Mistake]:
    """Yield the nodes at the end of a branch that are no sinks."""
    letters = signals.streams_of_failures(one.pipeline, ended=False)
    for node in one.nodes:
        inner = isinstance(node, SubPipelineHub)
        if node._is_end or inner or list(node.downstreams) or _is_of_a_user(node):
            continue
        place = dry.place_of(node)
        if node in letters:
            yield Mistake(place, f"{node}: gets failures, and nothing is downstream of it")
        elif node._record is None:  # else the program reads its `current_value`
            yield Mistake(place, f"{node}: the branch ends here without a sink")


def _is_of_a_user(node: Stream[Any]) -> bool:
    """Return whether the class of *node* may do something with elements that is not known."""
    return not type(node).__module__.startswith("rapidz.") and not isinstance(node, Source)


def _without_bound(dry: DryLoad, one: SelectedPipeline) -> Iterator[Mistake]:
    """Yield the nodes whose state grows with every new key."""
    for node in one.nodes:
        if (missing := bound_missing(node)) is not None:
            yield Mistake(dry.place_of(node), f"{node}: {missing}")


# --- functions ----------------------------------------------------------------------------------


def _that_block(dry: DryLoad, one: SelectedPipeline) -> Iterator[Mistake]:
    """Yield the functions of a pipeline with a loop that would block it."""
    if not (one.pipeline.needs_loop or one.sources):
        return
    for node in one.nodes:
        if type(node).__module__.startswith(_WORKERS):
            continue
        for function in _functions_of(node):
            for call in blocking_calls(function):
                yield Mistake(_place(dry, node, call), _described(node, call))


def _functions_of(node: Stream[Any]) -> list[Any]:
    """Return the functions of the user that *node* calls."""
    found = [value for value in list(vars(node).values()) if _is_a_function(value)]
    for cls in type(node).__mro__:
        if cls.__module__.startswith("rapidz."):
            break
        found += [value for value in vars(cls).values() if _is_a_function(value)]
    return found


def _is_a_function(value: Any) -> bool:
    """Return whether *value* is a function that is none of the library."""
    if not callable(value) or isinstance(value, (type, Stream)):
        return False
    owner = getattr(value, "__self__", None)
    if isinstance(owner, Stream):
        return False
    return not str(getattr(value, "__module__", "")).startswith("rapidz.")


def _place(dry: DryLoad, node: Stream[Any], call: BlockingCall) -> CodeLocation:
    return CodeLocation(call.path, call.line) if call.path else dry.place_of(node)


def _described(node: Stream[Any], call: BlockingCall) -> str:
    through = f" through {call.through}" if call.through else ""
    return (
        f"{node}: calls {call.name}{through}, which blocks the event loop: use an `async def` "
        "function, asyncio.to_thread, or scatter('thread')"
    )


# --- sources ------------------------------------------------------------------------------------


def _lost_sources(
    dry: DryLoad, before: list[Pipeline], selected: list[SelectedPipeline]
) -> list[Mistake]:
    """Return the sources of the script that would not be started."""
    known = {id(vars(pipeline)) for pipeline in before}
    known |= {identity(one.stream) for one in selected}
    return [
        Mistake(
            dry.place_of(node),
            f"{node}: is in no global name and is not started: `rapidz run` does not find it",
        )
        for pipeline in all_pipelines()
        if id(vars(pipeline)) not in known
        for node in list(pipeline.nodes)
        if isinstance(node, Source) and node._emits_itself() and node not in dry.started
    ]
