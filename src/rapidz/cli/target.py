"""Target of a command: a script or a module, and a name in it; from there to its streams."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr
from rapidz.kernel.runtime import loop as loops
from rapidz.runner.selection import as_streams, running_streams, select


class UsageError(Exception):
    """Error in the arguments of a command."""


class Target(NamedTuple):
    """Script or module, and the name of what to take from it; "" for all pipelines."""

    script: Path | None
    module: str
    attribute: str

    @property
    def shown(self) -> str:
        return self.module if self.script is None else str(self.script)


def parse_target(text: str) -> Target:
    """Return the target that *text* names.

    >>> parse_target("app:source")
    Target(script=None, module='app', attribute='source')
    """
    if Path(text).is_file():
        return _script(Path(text), "")
    head, separator, attribute = text.partition(".py:")
    if separator:
        head += ".py"
    elif not text.endswith(".py"):
        head, separator, attribute = text.partition(":")
    if separator and not all(part.isidentifier() for part in attribute.split(".")):
        raise UsageError(
            "the name after the colon must be one name, as in app.py:source, "
            f"got {short_repr(attribute)}"
        )
    if head.endswith(".py") or os.sep in head or (os.altsep and os.altsep in head):
        if not Path(head).is_file():
            raise UsageError(f"there is no file {head}")
        return _script(Path(head), attribute)
    if not all(part.isidentifier() for part in head.split(".")):
        raise UsageError(
            "the target must be FILE.py, FILE.py:name, module or module:name, "
            f"got {short_repr(text)}"
        )
    return Target(None, head, attribute)


def _script(path: Path, attribute: str) -> Target:
    name = path.stem.replace(".", "_")
    if name in sys.modules or name in sys.stdlib_module_names:
        name = f"{name}_script"  # the other one stays what it is for everything else
    return Target(path, name, attribute)


def is_in_memory(value: Any) -> bool:
    """Return whether to look for streams in a global: a mapping may be a database."""
    return isinstance(value, dict) or not isinstance(value, Mapping)


class ScriptLoader(importlib.machinery.SourceFileLoader):
    """Loader of a script: compiled each time, so that it writes no cache next to the script."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class LoadedTarget:
    """Module of a target, from the begin of its execution on."""

    def __init__(self, target: Target, arguments: Sequence[str] = ()) -> None:
        self.target, self._arguments = target, list(arguments)
        self.module: ModuleType | None = None

    def load(self) -> None:
        """Execute the module; its name is that of the file, never ``__main__``.

        Modules next to the script, or in the working directory, can be imported as always.
        """
        target = self.target
        folder = os.getcwd() if target.script is None else str(target.script.resolve().parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        sys.argv = [target.shown, *self._arguments]
        if target.script is None:
            self._import(target.module)
        else:
            self._execute(target.module, target.script)

    def _import(self, name: str) -> None:
        try:
            self.module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{name}.".startswith(f"{error.name}."):
                raise UsageError(f"there is no module {error.name}") from None
            raise

    def _execute(self, name: str, path: Path) -> None:
        loader = ScriptLoader(name, str(path.resolve()))
        spec = importlib.util.spec_from_file_location(name, loader.path, loader=loader)
        assert spec is not None
        self.module = sys.modules[name] = importlib.util.module_from_spec(spec)
        loader.exec_module(self.module)

    def streams(self) -> list[Stream[Any]]:
        """Return the streams that the target names, and those that the script has started."""
        named = self._named() if self.target.attribute else self._in_globals()
        return named + running_streams()

    def _in_globals(self) -> list[Stream[Any]]:
        """Return a stream of each pipeline among the globals of the module."""
        known = list(vars(self.module).values()) if self.module is not None else []
        found = [as_streams(value) or [] for value in known if is_in_memory(value)]
        streams = [stream for part in found for stream in part]
        if not streams and not running_streams():
            raise UsageError(
                f"no pipeline in {self.target.shown}: assign its source to a global name, or name "
                f"a function that returns it, as in {self.target.shown}:make"
            )
        return [one.stream for one in select(streams)]

    def _named(self) -> list[Stream[Any]]:
        value: Any = self.module
        for name in self.target.attribute.split("."):
            if not hasattr(value, name):
                raise UsageError(self._missing(value, name))
            value = getattr(value, name)
        if callable(value) and as_streams(value) is None:
            value = self._called(value)
        streams = as_streams(value)
        if streams is None:
            raise UsageError(
                f"{self.target.shown}:{self.target.attribute} must be a stream, a list of streams, "
                f"or a function that returns them, got {short_repr(value)}"
            )
        return streams

    def _called(self, function: Any) -> Any:
        try:
            inspect.signature(function).bind()
        except TypeError as error:
            raise UsageError(
                f"{self.target.shown}:{self.target.attribute} is called without arguments: {error}"
            ) from None
        except ValueError:  # it does not tell
            pass
        result = function()
        if inspect.iscoroutine(result):
            future = asyncio.run_coroutine_threadsafe(result, loops.background_loop())
            result = future.result()
        return result

    def _missing(self, value: Any, name: str) -> str:
        known = {key for key, each in vars(value).items() if as_streams(each)}
        close = difflib.get_close_matches(name, sorted(known | set(dir(value))), 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        if known and not hint:
            hint = f"; it has {', '.join(sorted(known))}"
        return f"{self.target.shown} has no {name}{hint}"
