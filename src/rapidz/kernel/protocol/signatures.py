"""Signature check: refuse arguments that a user's function cannot take when the node is built.

What the operators do not know themselves goes to the function, so a misspelled
option of an operator would fail only with the first element, as an unknown
keyword of the function.  Only what is certain is refused: a function whose
signature cannot be read, or is only claimed (``__signature__``, what
`functools.wraps` leaves), is taken at its own word.  Arguments that are missing
may be assigned later.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any, NoReturn

#: Keywords of a function that may be given by name, or by place.
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_arguments(
    node: object,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    elements: int | None = 1,
    argument: str = "func",
) -> None:
    """Refuse *args* and *kwargs* that *func* cannot take besides its *elements*.

    *elements*: how many arguments each element gives, None if that is not known.

    >>> def scaled(x, *, factor=1):
    ...     return x * factor
    >>> from rapidz import Stream
    >>> node = Stream().map(scaled, stream_nam="n")
    Traceback (most recent call last):
    ...
    TypeError: map: keywords must be among those of func scaled(x, factor), got stream_nam \
(did you mean stream_name?)
    """
    if not type(node).__module__.startswith("rapidz."):
        return  # a subclass may call the function as it likes
    if not args and not kwargs and not _takes_too_few(func, elements or 0):
        return
    parameters = _parameters(func)
    if parameters is None:
        return
    operator = type(node).__name__
    shown = f"{argument} {_name(func)}({', '.join(_shown(p) for p in parameters)})"
    _check_keywords(operator, shown, parameters, kwargs, _own_keywords(node))
    _check_places(operator, shown, parameters, len(args), kwargs, elements)


def _takes_too_few(func: Any, elements: int) -> bool:
    """Return whether a plain function has fewer parameters than that: found out at no cost."""
    if type(func) is not FunctionType:
        return False
    code = func.__code__
    return code.co_argcount < elements and not code.co_flags & inspect.CO_VARARGS


def _parameters(func: Any) -> list[inspect.Parameter] | None:
    """Return the parameters of *func*; None if they cannot be known for certain."""
    inner = func
    while isinstance(inner, functools.partial):
        inner = inner.func
    try:
        if hasattr(inner, "__signature__") or hasattr(type(inner), "__signature__"):
            return None
        signature = inspect.signature(func, follow_wrapped=False)
    except Exception:  # builtins have none, and classes of users may do anything
        return None
    return list(signature.parameters.values())


def _check_keywords(
    operator: str,
    shown: str,
    parameters: Iterable[inspect.Parameter],
    kwargs: Mapping[str, Any],
    own: Iterable[str],
) -> None:
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters if parameter.kind in _BY_NAME]
    for name in kwargs:
        if name not in known:
            import difflib  # on demand: only for a message

            close = difflib.get_close_matches(name, [*known, *own], 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise TypeError(
                f"{operator}: keywords must be among those of {shown}, got {name}{hint}"
            )


def _check_places(
    operator: str,
    shown: str,
    parameters: Iterable[inspect.Parameter],
    count: int,
    kwargs: Mapping[str, Any],
    elements: int | None,
) -> None:
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return
    places = [parameter for parameter in parameters if parameter.kind in _BY_PLACE]
    own = elements or 0
    given = count + own
    if len(places) < own:
        rule = f"take {own} argument{'s' * (own > 1)} by place"
        raise TypeError(f"{operator}: {shown.replace(' ', f' must {rule}, got ', 1)}")
    if given > len(places):
        besides = "" if elements is None else " besides the element"
        most = f"{len(places) - own}{besides}"
        raise TypeError(f"{operator}: args must be at most {most}, for {shown}, got {count}")
    if elements is None:
        return
    for parameter in places[:given]:
        if parameter.name in kwargs and parameter.kind in _BY_NAME:
            raise TypeError(
                f"{operator}: keywords must not name what is given by its place to {shown}, "
                f"got {parameter.name}"
            )


def refuse_keywords(node: object, unknown: Iterable[str]) -> NoReturn:
    """Refuse keywords that *node* does not have.

    >>> from rapidz import Stream
    >>> Stream().partition(2, timout="1s")
    Traceback (most recent call last):
    ...
    TypeError: partition: keywords must be among n, timeout, key, stream_name, loop, asynchronous, \
got timout (did you mean timeout?)
    """
    name = next(iter(unknown))
    hidden = ("upstream", "upstreams", "ensure_io_loop")
    own = [each for each in dict.fromkeys(_keywords_of_all(node)) if each not in hidden]
    import difflib  # on demand: only for a message

    close = difflib.get_close_matches(name, own, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise TypeError(
        f"{type(node).__name__}: keywords must be among {', '.join(own)}, got {name}{hint}"
    )


def _keywords_of_all(node: object) -> Iterator[str]:
    """Yield the keywords of the class of *node*, and of those that it hands the others on to."""
    for cls in type(node).__mro__:
        if "__init__" not in vars(cls) or cls is object:
            continue
        parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
        yield from (each.name for each in parameters if each.kind in _BY_NAME)
        if all(each.kind is not each.VAR_KEYWORD for each in parameters):
            return


def _own_keywords(node: object) -> list[str]:
    """Return the keywords of the operator itself."""
    return [
        parameter.name
        for cls in type(node).__mro__
        if "__init__" in vars(cls) and cls.__module__.startswith("rapidz.")
        for parameter in inspect.signature(vars(cls)["__init__"]).parameters.values()
        if parameter.kind in _BY_NAME and parameter.name != "self"
    ]


def _name(func: Any) -> str:
    while isinstance(func, functools.partial):
        func = func.func
    return str(getattr(func, "__name__", type(func).__name__))


def _shown(parameter: inspect.Parameter) -> str:
    stars = 1 if parameter.kind is parameter.VAR_POSITIONAL else 2
    several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return "*" * stars * several + parameter.name
