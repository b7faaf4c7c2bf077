"""Fold of batches into a state, for aggregates, windows and groups."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from rapidz.dataframe.collection.streaming import Streaming
from rapidz.dataframe.incremental import AggregateState, RowWindow
from rapidz.dataframe.incremental.mixed_row import MixedRow
from rapidz.kernel.protocol.push import SKIP

#: Makes a state from an example of the rows; picklable.
Make: TypeAlias = "Callable[[Any], Any]"


def fold_rows(
    collection: Streaming,
    make: Make,
    *,
    start: Any = None,
    with_state: bool = False,
    split: Callable[[Any], tuple[Any, Any]] | None = None,
    stream_type: str = "updating",
    kind: type[Streaming] | None = None,
) -> Any:
    """Return a collection of the results of a state that is updated with each element.

    Parameters
    ----------
    make : callable
        Makes the state when the first element arrives, if there is no *start*.
    start : state, optional
        The state to resume from; it is copied.
    with_state : bool
        Emit ``(state, result)``: a copy of the state that later elements do not change.
    split : callable, optional
        Splits an element into rows and keys; otherwise the element is the rows.
    kind : class, optional
        The class of the collection while no example is known.
    """
    native = collection._example.kind is not None
    return collection.accumulate_partitions(
        RowFold(make, split, with_state, native),
        start=copy.deepcopy(start),
        returns_state=True,
        with_state=with_state,
        stream_type=stream_type,
        _kind=kind or Streaming,
    )


class RowFold:
    """Fold function: updates a state with the rows of an element; returns it with the result."""

    def __init__(
        self,
        make: Make,
        split: Callable[[Any], tuple[Any, Any]] | None = None,
        copies: bool = False,
        native: bool = False,
    ) -> None:
        self._make, self._split, self._copies, self._native = make, split, copies, native
        self._warned = False
        how = getattr(make, "keywords", {}).get("how")
        self.__name__ = how if isinstance(how, str) else "fold"

    def __call__(self, state: Any, element: Any) -> tuple[Any, Any]:
        new, *keys = (element,) if self._split is None else self._split(element)
        if state is None:
            state = self._make(new.iloc[:0])
        elif self._copies:
            state = copy.deepcopy(state)
        result = state.update(new, *keys)
        if not self._warned:
            self._warned = True
            _warn_of_rows(state)
        if self._native and isinstance(state, AggregateState) and (row := state.row()) is not None:
            result = MixedRow.of(result, row)
        return state, result


class KeepsRowsWarning(UserWarning):
    """An aggregate keeps all rows: its memory and its time for each batch grow."""


def _warn_of_rows(state: Any) -> None:
    why = getattr(state, "why_rows", lambda: None)()
    if why is not None:
        warnings.warn(
            f"all rows are kept, for {why}: memory and the time for each batch grow with the "
            "stream; use a window, an aggregate by its name, or an Aggregation of your own",
            KeepsRowsWarning,
            stacklevel=_outside(),
        )


def _outside() -> int:
    """Return the stack level of the caller outside the library."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("rapidz."):
        frame, level = frame.f_back, level + 1
    return level


def late_rows(collection: Streaming, extent: Any, start: Any = None) -> Any:
    """Return a collection of the rows that are too late for a window of *extent*.

    *start* is what the window resumes from: a state, or the rows before.
    """
    before = copy.deepcopy(getattr(start, "admission", None))
    if hasattr(start, "iloc"):
        window = RowWindow(start.iloc[:0], extent, keep=False)
        window.update(start)
        before = window.admission
    return collection.accumulate_partitions(
        _late,
        extent,
        before,
        start=None,
        returns_state=True,
        example=collection._example.get(),
        stream_type="streaming",
        _kind=type(collection),
    )


def _late(state: Any, new: Any, extent: Any, before: Any) -> tuple[Any, Any]:
    if state is None:
        state = RowWindow(new.iloc[:0], extent, keep=False)
        state.admission = copy.deepcopy(before) or state.admission
    state.update(new)
    return state, state.late if len(state.late) else SKIP
