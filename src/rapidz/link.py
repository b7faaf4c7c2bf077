"""Composition of pipelines from parts, by the names of their streams."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["link"]


def link(*args: Callable[..., Mapping[str, Any] | None], **kwargs: Any) -> dict[str, Any]:
    """Build the parts of a pipeline in order, each from the named streams of those before.

    Parameters
    ----------
    *args : callable
        Each builds a part of the pipeline. It is called with the whole namespace as keyword
        arguments, so it declares those it uses and takes the others as ``**kwargs``. It returns
        a dict of names to add, often ``locals()``, or None to add nothing; an existing name is
        replaced.
    **kwargs
        The initial namespace: streams, and options of the parts.

    Returns
    -------
    dict
        The final namespace. It refers to the nodes, which without a sink would be collected.

    Raises TypeError if a part requires a name that is missing, or returns anything else.

    >>> from rapidz import Stream
    >>> def clean(raw, **kwargs):
    ...     cleaned = raw.map(str.strip)
    ...     return locals()
    >>> def report(cleaned, prefix="", **kwargs):
    ...     return {"reported": cleaned.map(prefix.__add__)}
    >>> space = link(clean, report, raw=Stream(), prefix="got ")
    >>> lines = space["reported"].sink_to_list()
    >>> space["raw"].emit(" a line ")
    >>> lines
    ['got a line']
    """
    namespace = dict(kwargs)
    for part in args:
        made = part(**namespace)
        if made is None:
            continue
        if not isinstance(made, Mapping):
            name = getattr(part, "__name__", type(part).__name__)
            raise TypeError(
                f"link: {name} must return a dict of names or None, got {short_repr(made)}"
            )
        rest = _rest_parameter(part)
        namespace.update({name: value for name, value in made.items() if name != rest})
    return namespace


def _rest_parameter(part: Callable[..., Any]) -> str | None:
    """Return the name of the ``**kwargs`` parameter, which is no stream though in ``locals()``."""
    try:
        parameters = inspect.signature(part).parameters.values()
    except (TypeError, ValueError):
        return None
    return next((each.name for each in parameters if each.kind is each.VAR_KEYWORD), None)


# `from rapidz import link` is the function, and after `import rapidz.link` so is `rapidz.link`.
setattr(link, "link", link)  # noqa: B010
