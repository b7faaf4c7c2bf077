"""By what rows are grouped: columns, values beside the rows, functions of the index."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from typing import Any

from rapidz.dataframe.collection.alignment import together
from rapidz.dataframe.collection.calls import Example
from rapidz.dataframe.collection.column_access import has_columns, no_column
from rapidz.dataframe.collection.partials import selected
from rapidz.dataframe.collection.streaming import Streaming, _made
from rapidz.dataframe.frames.base import needs_index, needs_name
from rapidz.dataframe.incremental.groups.keys import GivenKeys
from rapidz.dataframe.interop.native import is_nested
from rapidz.kernel.graph.stream import Stream
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["Grouper", "Keyed"]


class Grouper:
    """What groups the rows of a streaming frame.

    Parameters
    ----------
    root : Streaming
        The streaming frame, or series.
    other : label, Streaming, callable, or a list of these
        Columns of it, values that come beside the rows, functions of the index.
    """

    def __init__(self, root: Any, other: Any) -> None:
        self._root = root
        others = list(other) if isinstance(other, list) else [other]
        if not others:
            raise ValueError("groupby: other must name at least one column, got []")
        self.keys = [self._key(one) for one in others]
        self.beside = [key for key in self.keys if isinstance(key, Streaming)]
        """The keys that come beside the rows."""

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
            self._root._example.ask(check, self._root._inner)
        return label

    @property
    def columns(self) -> list[Any]:
        """The columns that are keys themselves."""
        return [key for key in self.keys if not isinstance(key, Streaming) and not callable(key)]

    def elements(self, chosen: Any = None) -> Streaming:
        """The root, with the columns *chosen*; where keys come beside it, tuples of both."""
        root: Streaming = self._root
        if chosen is not None and root._deferred is not None:
            labels = chosen if isinstance(chosen, list) else [chosen]
            root = self._root[list(dict.fromkeys([*self.columns, *labels]))]
        if not self.beside:
            return root
        both = [root, *self.beside]
        stream: Stream[Any] = together([one._inner for one in both])
        known = Example(None, _tuple_of, [one._example for one in both])
        made: Streaming = _made(stream, known, "streaming", Streaming)
        return made

    def by(self, chosen: Any) -> Any:
        """Where states find the keys: in columns of the rows, or given beside them."""
        every = len(self.columns) == len(self.keys)
        return self.columns if every and chosen is None else GivenKeys()

    def rows(self, chosen: Any) -> Keyed | None:
        """Takes elements apart: the columns *chosen*, all others than the keys if None.

        None if states do that themselves.
        """
        if not isinstance(self.by(chosen), GivenKeys):
            return None
        beside = [isinstance(key, Streaming) for key in self.keys]
        keys = [None if other else key for key, other in zip(self.keys, beside, strict=True)]
        return Keyed(chosen, self.columns, keys, beside)


def _as_column(root: Any, other: Streaming) -> Any:
    """The label, if *other* is just a column of *root*: then no stream need come beside it."""
    node = other._inner
    taken = getattr(node, "func", None) is selected and not getattr(node, "kwargs", None)
    args: tuple[Any, ...] = getattr(node, "args", ())
    if taken and node.upstreams == [root._given_to(selected)] and len(args) == 1:
        label = args[0]
        if not isinstance(label, (list, slice)) and not callable(label):
            return label
    return other


def _must_name(frame: Any, label: Any) -> None:
    if label not in frame.columns:
        raise no_column("groupby: other", frame.columns, label)


def _tuple_of(*parts: Any) -> tuple[Any, ...]:
    return parts


class Keyed:
    """Makes the rows to be aggregated and their keys of an element; picklable."""

    def __init__(
        self, chosen: Any, columns: Sequence[Any], keys: Sequence[Any], beside: Sequence[bool]
    ) -> None:
        self._chosen, self._columns = chosen, list(columns)
        self._keys, self._beside, self._paired = list(keys), list(beside), any(beside)
        self.__name__ = "keyed"

    def __call__(self, element: Any) -> tuple[Any, list[Any]]:
        if self._paired and not isinstance(element, tuple):
            raise TypeError(
                "groupby: start must be a state where keys come from beside the rows, "
                f"got {type(element).__name__}"
            )
        frame, *others = element if self._paired else [element]
        rest = iter(others)
        keys = [
            next(rest) if beside else self._read(frame, key)
            for key, beside in zip(self._keys, self._beside, strict=True)
        ]
        return self._choose(frame), keys

    def _read(self, frame: Any, key: Any) -> Any:
        if callable(key):
            return frame.index.map(key)
        try:
            return frame[key]
        except KeyError:
            raise no_column("groupby: other", frame.columns, key) from None

    def _choose(self, frame: Any) -> Any:
        if self._chosen is not None:
            return frame[self._chosen]
        return frame.drop(columns=self._columns) if self._columns else frame
