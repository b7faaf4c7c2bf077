"""Labels of windows: the index of final rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.groups.group_encoder import GroupEncoder, KeyEncoder
from rapidz.dataframe.incremental.types import Ints

__all__ = ["KeyLabels", "Layout", "Level"]

Level: TypeAlias = Literal["start", "end", "key"]
Part: TypeAlias = "tuple[pd.Index[Any], Ints]"


@dataclass(frozen=True)
class Layout:
    """Levels of the index: the windows' starts and ends, and the keys in their order.

    Parameters
    ----------
    levels : tuple
        "start", "end" and "key", one for each level.
    names : tuple
        The names of levels that are no keys.
    fills : bool
        Whether windows without rows, between others, have rows too.
    """

    levels: tuple[Level, ...]
    names: tuple[Any, ...]
    fills: bool = False

    def index(self, starts: Part, ends: Part, keys: Sequence[Part]) -> pd.Index[Any]:
        """Return the index of rows; each part has different labels, and the one of each row."""
        parts: list[Part] = []
        by_key = iter(keys)
        for level, name in zip(self.levels, self.names, strict=True):
            if level == "key":
                parts.append(next(by_key))
            else:
                labels, places = starts if level == "start" else ends
                parts.append((labels.rename(name), places))
        if len(parts) == 1:
            return parts[0][0].take(parts[0][1])
        levels: Any = [labels for labels, _ in parts]
        codes: Any = [places for _, places in parts]
        return pd.MultiIndex(
            levels=levels,
            codes=codes,
            names=[labels.name for labels, _ in parts],
            verify_integrity=False,
        )


class KeyLabels:
    """Labels of the keys of groups, in the order of pandas, which is sorted once for all."""

    def __init__(self, groups: GroupEncoder | None) -> None:
        self._groups = groups
        self._version: int | None = None
        self._levels: list[_SortedLevel] = []

    def of(self, keys: Ints) -> list[tuple[pd.Index[Any], Ints]]:
        """Return for each key its labels, and the position of the label of each row."""
        groups = self._groups
        if groups is None:
            return []
        if self._version != groups.version:
            named = zip(groups.levels, groups.by_level(), groups.names, strict=True)
            # The order of the groups is that of the labels of an only key.
            order = groups.order() if len(groups.levels) == 1 else None
            self._levels = [_SortedLevel(*level, groups.sort, order) for level in named]
            self._version = groups.version
        return [level.of(keys) for level in self._levels]


class _SortedLevel:
    """All labels of one key in order, and the position of that of each group."""

    def __init__(
        self, level: KeyEncoder, by_group: Ints, name: Any, sort: bool, order: Ints | None
    ) -> None:
        size = len(level.known)
        if order is None:
            order = np.argsort(level.ranks(), kind="stable") if sort else np.arange(size)
        labels = level.index(order, name)
        missing = np.asarray(labels.isna())
        if missing.any():
            order, labels = order[~missing], labels[~missing]
        places = np.full(size, -1, np.int64)
        places[order] = np.arange(len(order))
        self.labels, self.places = labels, places[by_group]

    def of(self, keys: Ints) -> tuple[pd.Index[Any], Ints]:
        """Return the labels that these groups have, and the position of that of each."""
        places = self.places[keys]
        used = np.zeros(len(self.labels) + 1, bool)
        used[places] = True
        used[-1] = False  # the place of missing labels
        if used[:-1].all():
            return self.labels, places
        narrow = np.full(len(used), -1, np.int64)
        chosen = np.flatnonzero(used)
        narrow[chosen] = np.arange(len(chosen))
        return self.labels.take(chosen), narrow[places]
