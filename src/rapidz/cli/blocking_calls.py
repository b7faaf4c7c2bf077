"""Blocking calls: what the code of a function calls that blocks a thread, found by its names.

The code object of the function is read, and that of the functions of the same module that it
calls.  Chains of names, such as ``time.sleep`` or ``session.get``, are looked up in the globals
and the closure of the function, and compared with the list below.  So this does not find
blocking calls by way of attributes of arguments (``x.download()``), of local variables other
than imported modules, or inside other libraries; loops that compute for long are not found
either.  The methods of `BLOCKING_METHODS` are found by their name alone.
"""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

#: Functions that block, by their full name.
BLOCKING_FUNCTIONS = (
    "time.sleep", "os.system", "os.wait", "os.waitpid", "os.popen", "io.open", "builtins.input",
    "socket.create_connection", "socket.getaddrinfo", "socket.gethostbyname", "select.select",
    "urllib.request.urlopen", "urllib.request.urlretrieve", "shutil.copy", "shutil.copyfile",
    "shutil.copytree", "shutil.move", "shutil.rmtree", "subprocess.run", "subprocess.call",
    "subprocess.check_call", "subprocess.check_output", "sqlite3.connect", "psycopg.connect",
    "psycopg2.connect", "pymysql.connect", "concurrent.futures.wait", "asyncio.run",
)  # fmt: skip
#: Modules whose functions block, but not their classes.
BLOCKING_MODULES = ("requests", "requests.api", "httpx", "httpx._api")
#: Classes whose methods block when they are called on an object in a global or closure.
BLOCKING_CLASSES = (
    "requests.Session", "httpx.Client", "sqlite3.Connection", "sqlite3.Cursor", "socket.socket",
    "psycopg.Connection", "psycopg.Cursor", "redis.Redis", "smtplib.SMTP", "ftplib.FTP",
    "http.client.HTTPConnection", "urllib3.PoolManager", "threading.Thread",
)  # fmt: skip
#: Methods that block, with the classes of the objects.
BLOCKING_CLASS_METHODS = {
    "queue.Queue": ("get", "put", "join"),
    "queue.SimpleQueue": ("get",),
    "threading.Event": ("wait",),
    "threading.Condition": ("wait", "wait_for"),
    "multiprocessing.queues.Queue": ("get", "put"),
}
#: Methods that block, whatever the object: those of `pathlib.Path`.
BLOCKING_METHODS = ("read_text", "read_bytes", "write_text", "write_bytes")
#: Functions that call what they are given in another thread.
THREAD_FUNCTIONS = ("to_thread", "run_in_executor", "submit", "in_thread")

_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_FAST", "LOAD_FAST_BORROW")
_NOTHING: Any = object()


class BlockingCall(NamedTuple):
    """A call that blocks, where it stands, and the function by which it is reached, if any."""

    name: str
    path: str
    line: int
    through: str = ""


class _Chain(NamedTuple):
    """Names joined by dots in a code object: ``time.sleep``."""

    names: tuple[str, ...]
    position: dis.Positions
    local: bool


def blocking_calls(function: Callable[..., Any]) -> list[BlockingCall]:
    """Return the calls in *function* that block, each name once.

    >>> import time
    >>> def slow(x):
    ...     time.sleep(1)
    ...     return x
    >>> [call.name for call in blocking_calls(slow)]
    ['time.sleep']
    """
    found: dict[str, BlockingCall] = {}
    seen: set[types.CodeType] = set()
    stack: list[tuple[Any, str]] = [(function, "")]
    while stack:
        at, through = stack.pop()
        while isinstance(at, functools.partial):
            at = at.func
        plain = plain_function(at)
        if plain is None:
            if name := blocking_name(at):
                found.setdefault(name, BlockingCall(name, "", 0))
            continue
        if plain.__code__ in seen:
            continue
        seen.add(plain.__code__)
        for code in _codes(plain.__code__):
            for chain in _called(code):
                name, value = _resolve(chain, plain, code)
                if name:
                    line = chain.position.lineno or code.co_firstlineno
                    call = BlockingCall(name, code.co_filename, line, through)
                    found.setdefault(name, call)
                elif isinstance(value, types.FunctionType) and _is_near(value, plain):
                    stack.append((value, value.__name__))
    return list(found.values())


def plain_function(value: Any) -> types.FunctionType | None:
    """Return the function in Python behind a callable, None if there is none."""
    if isinstance(value, types.MethodType):
        value = value.__func__
    if not isinstance(value, types.FunctionType) and not isinstance(value, type):
        value = getattr(type(value), "__call__", None)  # noqa: B004 - which, not whether
    return inspect.unwrap(value) if isinstance(value, types.FunctionType) else None


def _is_near(value: types.FunctionType, plain: types.FunctionType) -> bool:
    """Return whether two functions are in the same package of the user."""
    return value.__module__.partition(".")[0] == plain.__module__.partition(".")[0]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield *code* and the code of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _called(code: types.CodeType) -> list[_Chain]:
    """Return the chains of names that *code* calls, except in another thread."""
    calls: list[dis.Positions] = []
    chains = _longest(_chains(code, calls))
    in_threads = [
        call
        for chain in chains
        if chain.names[-1] in THREAD_FUNCTIONS
        for call in calls
        if _begin(call) == _begin(chain.position)
    ]
    begins = set(map(_begin, calls))
    return [
        chain
        for chain in chains
        if chain.position.lineno is None  # the interpreter keeps no positions
        or (
            _begin(chain.position) in begins
            and not any(_is_inside(chain.position, call) for call in in_threads)
        )
    ]


def _chains(code: types.CodeType, calls: list[dis.Positions]) -> list[_Chain]:
    """Return the chains of names in *code*, and their beginnings; add its calls to *calls*."""
    chains: list[_Chain] = []
    names: tuple[str, ...] = ()
    for instruction in dis.get_instructions(code):
        operation, position = instruction.opname, instruction.positions or dis.Positions()
        if operation in _LOADS:
            names = (str(instruction.argval),)
            chains.append(_Chain(names, position, "FAST" in operation))
        elif operation in ("LOAD_ATTR", "LOAD_METHOD") and names:
            names = (*names, str(instruction.argval))
            chains.append(chains[-1]._replace(names=names))
        elif operation not in ("PUSH_NULL", "CACHE", "EXTENDED_ARG"):
            names = ()
        if operation.startswith("CALL"):
            calls.append(position)
    return chains


def _begin(position: dis.Positions) -> tuple[int | None, int | None]:
    return position.lineno, position.col_offset


def _longest(chains: list[_Chain]) -> list[_Chain]:
    """Return the chains that are not the begin of the next one."""
    pairs = [*itertools.pairwise(chains), *((chain, None) for chain in chains[-1:])]
    return [
        chain
        for chain, after in pairs
        if after is None or (after.position, after.names[:-1]) != (chain.position, chain.names)
    ]


def _is_inside(inner: dis.Positions, outer: dis.Positions) -> bool:
    """Return whether *inner* is in *outer*, and not at its begin."""
    if None in (*inner, *outer):
        return False
    begin, end = _begin(outer), (outer.end_lineno, outer.end_col_offset)
    return begin < _begin(inner) < end


def _resolve(chain: _Chain, function: types.FunctionType, code: types.CodeType) -> tuple[str, Any]:
    """Return the name of a blocking call, empty if it is none, and what the chain means."""
    head, *rest = chain.names
    value = _imported_in(code, head) if chain.local else _variable(function, head)
    if value is not _NOTHING and (name := blocking_name(value)):
        return name, value
    for attribute in rest:
        if value is not _NOTHING:
            if attribute in _methods_that_block(value):
                return f"{'.'.join(chain.names)}", value
            value = _attribute(value, attribute)
            if value is not _NOTHING and (name := blocking_name(value)):
                return name, value
        if attribute in BLOCKING_METHODS:
            return attribute, value
    return "", value


def _variable(function: types.FunctionType, name: str) -> Any:
    """Return the value of a variable of the closure, the globals or the builtins."""
    for free, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        if free == name:
            try:
                return cell.cell_contents
            except ValueError:
                return _NOTHING
    if name in function.__globals__:
        return function.__globals__[name]
    return vars(sys.modules["builtins"]).get(name, _NOTHING)


def _imported_in(code: types.CodeType, name: str) -> Any:
    """Return the module, or what of a module, that *code* imports as the variable *name*."""
    module = value = _NOTHING
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            module = value = sys.modules.get(str(instruction.argval), _NOTHING)
        elif instruction.opname == "IMPORT_FROM" and module is not _NOTHING:
            value = _attribute(module, str(instruction.argval))
        elif instruction.opname.startswith("STORE_FAST"):
            if instruction.argval == name:
                return value
            value = module
    return _NOTHING


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute of *value*, without running code of it."""
    if isinstance(value, types.ModuleType):
        return vars(value).get(name, _NOTHING)
    found = inspect.getattr_static(value, name, _NOTHING)
    return _NOTHING if isinstance(found, property) else found


def blocking_name(value: Any) -> str:
    """Return the name of *value* if it is a function that blocks, an empty one if not."""
    for name in BLOCKING_FUNCTIONS:
        if value is _loaded(name):
            return "open" if name == "io.open" else name.removeprefix("builtins.")
    module = getattr(value, "__module__", None)
    if isinstance(value, types.FunctionType) and module in BLOCKING_MODULES:
        return f"{module.partition('.')[0]}.{value.__name__}"
    return ""


def _methods_that_block(value: Any) -> tuple[str, ...]:
    """Return the names of the methods of *value* that block."""
    for name, methods in BLOCKING_CLASS_METHODS.items():
        kind = _loaded(name)
        if isinstance(kind, type) and isinstance(value, kind):
            return methods
    for name in BLOCKING_CLASSES:
        kind = _loaded(name)
        if isinstance(kind, type) and isinstance(value, kind):
            return tuple(each for each in dir(kind) if not each.startswith("_"))
    return ()


def _loaded(name: str) -> Any:
    """Return the object of that name, if its module is loaded."""
    module, _, attribute = name.rpartition(".")
    return vars(sys.modules[module]).get(attribute, _NOTHING) if module in sys.modules else _NOTHING
