"""Analysis of build functions: those that do no more than chain operators, whatever the key."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, Final

#: Methods that a build function may call, if it is to be called once for all keys.
_CHAINED: Final = frozenset({"map", "filter", "accumulate", "scan"})
#: Parts of the names of instructions that only load values, call, or return.
_HARMLESS: Final = (
    "RESUME",
    "NOP",
    "CACHE",
    "LOAD_FAST",
    "STORE_FAST",
    "LOAD_GLOBAL",
    "LOAD_CONST",
    "LOAD_DEREF",
    "LOAD_METHOD",
    "LOAD_ATTR",
    "COPY_FREE_VARS",
    "PUSH_NULL",
    "PRECALL",
    "CALL",
    "KW_NAMES",
    "MAKE_FUNCTION",
    "SET_FUNCTION_ATTRIBUTE",
    "RETURN_VALUE",
    "RETURN_CONST",
)
_ARGUMENTS: Final = 2
_GENERATOR: Final = 0x20 | 0x80 | 0x200


def is_same_for_all_keys(build: Callable[..., Any]) -> bool:
    """Return whether *build* gives the same chain for each key, and does nothing else.

    It may call `map`, `filter` and `accumulate` of streams with functions that refer to no
    variable of *build*, and must not read its second argument.  If in doubt, it does not.
    """
    if not isinstance(build, FunctionType):
        return False
    code = build.__code__
    plain = code.co_argcount == _ARGUMENTS and not code.co_kwonlyargcount
    if not plain or code.co_flags & (_GENERATOR | 0x04 | 0x08) or code.co_cellvars:
        return False
    key = code.co_varnames[1]
    calls = methods = 0
    for instruction in dis.get_instructions(code):
        name, value = instruction.opname, instruction.argval
        if not name.startswith(_HARMLESS) or name.startswith("CALL_FUNCTION_EX"):
            return False
        if "FAST" in name and key in (value if isinstance(value, tuple) else (value,)):
            return False
        calls += name in ("CALL", "CALL_KW")
        if name in ("LOAD_METHOD", "LOAD_ATTR"):
            methods += value in _CHAINED
    return calls == methods and all(map(_is_plain, _named(build, code)))


def _named(build: FunctionType, code: CodeType) -> Iterator[Any]:
    """Yield what *build* refers to by the names of globals and of variables around it."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL" and instruction.argval in build.__globals__:
            yield build.__globals__[instruction.argval]
    for cell in build.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            yield iter(())


def _is_plain(value: Any) -> bool:
    """Return whether *value* can be an argument, and is no object with methods of its own."""
    modules = type(dis)
    atoms = (type(None), bool, int, float, complex, str, bytes, tuple, frozenset, modules)
    return callable(value) or isinstance(value, atoms)
