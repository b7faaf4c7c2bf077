"""Rows of open panes, for what only pandas can compute: functions, and rare dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.types import Frame, Ints
from rapidz.dataframe.incremental.windows.row_window import WindowRows

__all__ = ["PaneRows"]


class PaneRows:
    """Buffer of the rows of open panes, each with the code of its pane and its time."""

    def __init__(self, empty: Frame) -> None:
        self.empty = empty
        self._frames: list[Frame] = []
        self._codes: list[Ints] = []
        self._times: list[Ints] = []

    def add(self, frame: Frame, codes: Ints, times: Ints) -> None:
        """Add rows; those of code -1 are in no pane."""
        kept = codes >= 0
        if kept.all():
            frame = frame.copy()  # the caller may reuse its buffer
        else:
            frame, codes, times = frame[kept], codes[kept], times[kept]
        self._frames.append(frame)
        self._codes.append(codes)
        self._times.append(times)

    def cast(self, schema: Schema) -> PaneRows:
        """Return the same rows in the wider dtypes of a schema."""
        cast = PaneRows(schema.empty)
        cast._frames = [schema.align(frame) for frame in self._frames]
        cast._codes, cast._times = self._codes, self._times
        return cast

    def rows_of(self, codes: Ints) -> WindowRows:
        """Return the rows of some panes by time, grouped by the positions of these codes."""
        frame, places, times = self.places_of(codes)
        chosen = np.argsort(times, kind="stable")
        return WindowRows(frame.iloc[chosen], [pd.Series(places[chosen])])

    def places_of(self, codes: Ints) -> tuple[Frame, Ints, Ints]:
        """Return the rows of some panes, the positions of their codes among these, and times."""
        frame, own, times = self._joined()
        position = np.full(max(int(a.max(initial=-1)) for a in (own, codes)) + 1, -1, np.int64)
        position[codes] = np.arange(len(codes))
        places = position[own]
        chosen = np.flatnonzero(places >= 0)
        return frame.iloc[chosen], places[chosen], times[chosen]

    def recode(self, codes: Ints) -> None:
        """Let the rows of each pane be of the pane that *codes* has at its place."""
        self._codes = [codes[own] for own in self._codes]

    def select(self, codes: Ints) -> None:
        """Keep only the rows of these panes, which get the codes 0, 1 and so on."""
        if not len(codes):
            self._frames, self._codes, self._times = [], [], []
            return
        frame, own, times = self._joined()
        new_code = np.full(max(int(a.max(initial=-1)) for a in (own, codes)) + 1, -1, np.int64)
        new_code[codes] = np.arange(len(codes))
        places = new_code[own]
        kept = places >= 0
        self._frames, self._codes, self._times = [frame[kept]], [places[kept]], [times[kept]]

    def _joined(self) -> tuple[Any, Ints, Ints]:
        """Return all rows as one frame, their codes and their times."""
        if len(self._frames) > 1:
            self._frames = [pd.concat(self._frames)]
            self._codes = [np.concatenate(self._codes)]
            self._times = [np.concatenate(self._times)]
        if not self._frames:
            return self.empty, np.empty(0, np.int64), np.empty(0, np.int64)
        return self._frames[0], self._codes[0], self._times[0]
