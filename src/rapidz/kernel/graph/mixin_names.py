"""Mixin names: methods of a user's mixin take precedence over new names of the base class.

In rapidz 0.2 ``class node(Stream, Documents)`` found ``stop`` in ``Documents``,
for `Stream` had no such method.  It has one now, and it comes first in the
method resolution order.  So a class of a user gets back every public name that
a later base defines and that `Stream` did not have then.  The engine never
calls these names; it calls underscored ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rapidz.kernel.protocol.node import Node

#: What `Stream` had in rapidz 0.2: these names won over a mixin's, and still do.
NAMES_OF_0_2 = frozenset(
    """
    accumulate asynchronous buffer collect combine_latest concat connect delay destroy disconnect
    emit filenames filter flatten frequencies from_kafka from_kafka_batched from_textfile gather
    latest loop map partition pluck rate_limit register_api remove scan scatter sink sink_to_list
    sliding_window starmap starsink start str_list timed_window to_batch to_dataframe union unique
    update upstream visualize zip zip_latest
    """.split()  # noqa: SIM905 - a list a page long
)
#: What the engine asks a compiled node for.
_HOOKS = frozenset({"compile", "inline"})


def prefer_mixin_names(cls: type[Node], base: type[Node]) -> None:
    """Let *cls*, below *base*, have the names of its mixins that *base* would hide."""
    own, mro = frozenset(base.__mro__), cls.__mro__
    mixins = [mixin for mixin in mro[mro.index(base) :] if mixin not in own]
    if not mixins:
        return
    hidden = {
        name: value
        for mixin in reversed(mixins)
        for name, value in vars(mixin).items()
        if not name.startswith("_") and name not in NAMES_OF_0_2
    }
    if "update" not in {name for other in mro[: mro.index(base)] for name in vars(other)}:
        hidden = {name: value for name, value in hidden.items() if name not in _HOOKS}
    for name, value in hidden.items():
        first = next(other for other in mro if name in vars(other))
        if first in own:
            setattr(cls, name, value)


def gives_way(node: Node, base: type[Node], name: str) -> bool:
    """Return whether the class of *node* has *name* from a mixin, and *base* has another."""
    mro = type(node).__mro__
    value = next(vars(other)[name] for other in mro if name in vars(other))
    after = mro[mro.index(base) :]
    return any(vars(other).get(name) is value for other in after if other not in base.__mro__)
