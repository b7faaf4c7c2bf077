"""Copies of exceptions: one object for each element that shares a failure.

`copy.copy` pickles, in effect: it calls the constructor, which may take other
arguments or do something, and follows what a library has registered with
`copyreg`, which may share the attributes of the original.
"""

from __future__ import annotations

import contextlib
from types import MemberDescriptorType
from typing import Any, Final

from rapidz.kernel.runtime.attribution import attribution, clear_attribution

_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that is not built into the interpreter
_LINKS: Final = ("args", "__cause__", "__context__", "__traceback__", "__suppress_context__")


def copy_exception(error: BaseException) -> Exception:
    """Copy *error*: same class, arguments, links and attributes, but attributes of its own.

    The copy has not been raised by any node yet, whatever the original says of itself.
    The constructor is not called.  An error that cannot be copied, or that is not an `Exception`,
    becomes a `RuntimeError` with its text, caused by the original.
    """
    if isinstance(error, Exception):
        try:
            return _copy(error)
        except Exception:  # a class that is built in an unusual way
            pass
    replaced = RuntimeError(f"{type(error).__name__}: {_text_of(error)}")
    replaced.__cause__ = error
    return replaced


def _copy(error: Exception) -> Exception:
    own = _create_without_init(error)
    for cls in reversed(type(error).__mro__):
        for member in vars(cls).values():
            if isinstance(member, MemberDescriptorType):
                _copy_member(member, error, own)
    # The class may forbid assignment, as a frozen dataclass does.
    assign = object.__setattr__
    for name in _LINKS:
        assign(own, name, getattr(error, name))
    if (attributes := getattr(error, "__dict__", None)) is not None:
        assign(own, "__dict__", dict(attributes))
    if (notes := getattr(error, "__notes__", None)) is not None:
        record = attribution(error)
        ours = () if record is None else record.notes
        assign(own, "__notes__", [note for note in notes if note not in ours])
    clear_attribution(own)
    return own


def _create_without_init(error: Exception) -> Exception:
    """Make an exception of the class of *error*, initialised by the interpreter alone."""
    kind = type(error)
    built_in = next(cls for cls in kind.__mro__ if not cls.__flags__ & _HEAP_TYPE)
    own = built_in.__new__(kind, *error.args)
    if type(own) is not kind or own is error:
        raise TypeError(f"{kind.__name__} makes no new object")
    return own


def _copy_member(member: Any, error: Exception, own: Exception) -> None:
    """Copy the value of a slot, or an attribute that the interpreter keeps outside ``__dict__``."""
    absent = object()
    value, present = _read(member, error, absent), _read(member, own, absent)
    # What is equal already stays: `OSError` tells a name that is missing from None.
    if value is not absent and value is not present:
        with contextlib.suppress(AttributeError, TypeError):  # read-only: set when it was made
            member.__set__(own, value)


def _read(member: Any, error: Exception, default: Any) -> Any:
    try:
        return member.__get__(error, type(error))
    except AttributeError:  # an empty slot
        return default


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "its text cannot be shown"
