"""Grouper: the keys that rows are grouped by."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from rapidz.dataframe.collection.column_access import has_columns
from rapidz.dataframe.collection.errors import no_column
from rapidz.dataframe.collection.example import Example
from rapidz.dataframe.collection.partials import as_tuple, named_partial, selected
from rapidz.dataframe.collection.streaming import Streaming, make_collection
from rapidz.dataframe.collection.zip_by_element import align_by_element
from rapidz.dataframe.frames.base import needs_index, needs_name
from rapidz.dataframe.incremental.groups.keys import GivenKeys
from rapidz.dataframe.interop.native import is_nested
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["Grouper"]


class Grouper:
    """Keys of the rows of a streaming frame.

    Parameters
    ----------
    root : Streaming
        The streaming frame, or series.
    other : label, Streaming, callable, or a list of these
        Columns of it, separate series, functions of the index.
    """

    def __init__(self, root: Any, other: Any) -> None:
        self._root = root
        others = list(other) if isinstance(other, list) else [other]
        if not others:
            raise ValueError("groupby: other must name at least one column, got []")
        self.keys = [self._key(one) for one in others]
        self.external = [key for key in self.keys if isinstance(key, Streaming)]
        """The keys that are separate series."""

    def _key(self, other: Any) -> Any:
        if isinstance(other, Streaming):
            if has_columns(other):
                raise TypeError(
                    f"groupby: other must be a streaming series, got {short_repr(other)}"
                )
            if other._stream_type == "updating":
                raise TypeError(
                    "groupby: other must be a streaming series of the rows that are grouped, got "
                    f"results, {type(other).__name__}: make it of the frame's own columns, or "
                    "of the window's, as in window.groupby(window.x > 0)"
                )
            needs_name(other, "groupby")
            return _as_column(self._root, other)
        if callable(other):
            needs_index(self._root, "groupby by a function")
            return other
        if not has_columns(self._root):
            raise TypeError(
                "groupby: other must be a streaming series, or a function of the index, to group "
                f"a series by, got {short_repr(other)}"
            )
        return self._named(other)

    def _named(self, label: Any) -> Any:
        if not isinstance(label, Hashable):
            raise TypeError(
                "groupby: other must be a label, a streaming series, a function of the index, "
                f"or a list of these, got {short_repr(label)}"
            )
        example = self._root._example.get()
        if example is not None and label not in example.columns:
            raise no_column("groupby: other", example.columns, label)
        if example is not None and is_nested(example.dtypes[label]):
            raise TypeError(
                f"groupby: other must name columns whose values can be keys, got {label!r} of "
                f"{example.dtypes[label]}: group by a value made of it, by map_partitions"
            )
        if example is None:
            check = functools.partial(_must_name, label=label)
            self._root._example.add_check(check, self._root._inner)
        return label

    @property
    def columns(self) -> list[Any]:
        """The columns that are keys themselves."""
        return [key for key in self.keys if not isinstance(key, Streaming) and not callable(key)]

    def elements(self, chosen: Any = None) -> Streaming:
        """Return the root, with the columns *chosen*, or tuples of it and the external keys."""
        root: Streaming = self._root
        if chosen is not None and root._deferred is not None:
            labels = chosen if isinstance(chosen, list) else [chosen]
            root = self._root[list(dict.fromkeys([*self.columns, *labels]))]
        if not self.external:
            return root
        both = [root, *self.external]
        stream: Stream[Any] = align_by_element([one._inner for one in both])
        known = Example(None, as_tuple, [one._example for one in both])
        made: Streaming = make_collection(stream, known, "streaming", Streaming)
        return made

    def values(self, frame: Any, external: Iterator[Any]) -> list[Any]:
        """Return the keys of the rows of *frame*; *external* has those that are separate."""
        return [
            next(external) if isinstance(key, Streaming) else _key_values(frame, key)
            for key in self.keys
        ]

    def by(self, chosen: Any) -> Any:
        """Return where states find the keys: in columns of the rows, or given separately."""
        every = len(self.columns) == len(self.keys)
        return self.columns if every and chosen is None else GivenKeys()

    def splitter(self, chosen: Any) -> Callable[[Any], tuple[Any, list[Any]]] | None:
        """Return what splits an element into rows and keys; None if states do so themselves.

        The rows have the columns *chosen*; all but the keys if that is None.
        """
        if not isinstance(self.by(chosen), GivenKeys):
            return None
        external = [isinstance(key, Streaming) for key in self.keys]
        keys = [None if other else key for key, other in zip(self.keys, external, strict=True)]
        split: Callable[[Any], tuple[Any, list[Any]]]
        split = named_partial("keys", _split_keys, chosen, self.columns, keys, external)
        return split


def _as_column(root: Any, other: Streaming) -> Any:
    """Return the label if *other* is a column of *root*, which then is no external key."""
    node = other._inner
    taken = getattr(node, "func", None) is selected and not getattr(node, "kwargs", None)
    args: tuple[Any, ...] = getattr(node, "args", ())
    if taken and node.upstreams == [root._input_of(selected)] and len(args) == 1:
        label = args[0]
        if not isinstance(label, (list, slice)) and not callable(label):
            return label
    return other


def _must_name(frame: Any, label: Any) -> None:
    if label not in frame.columns:
        raise no_column("groupby: other", frame.columns, label)


def _split_keys(
    chosen: Any,
    columns: Sequence[Any],
    keys: Sequence[Any],
    external: Sequence[bool],
    element: Any,
) -> tuple[Any, list[Any]]:
    """Return the rows to aggregate and their keys.

    *element* is a frame; a tuple of a frame and keys if some are *external*.
    """
    paired = any(external)
    if paired and not isinstance(element, tuple):
        raise TypeError(
            "groupby: start must be a state where keys are separate series, "
            f"got {type(element).__name__}"
        )
    frame: Any = element[0] if paired else element
    rest = iter(element[1:] if paired else ())
    values = [
        next(rest) if other else _key_values(frame, key)
        for key, other in zip(keys, external, strict=True)
    ]
    if chosen is not None:
        return frame[chosen], values
    return frame.drop(columns=columns) if columns else frame, values


def _key_values(frame: Any, key: Any) -> Any:
    if callable(key):
        return frame.index.map(key)
    try:
        return frame[key]
    except KeyError:
        raise no_column("groupby: other", frame.columns, key) from None
