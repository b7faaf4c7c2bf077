"""State of exponentially weighted means: the value at the last row, over all or by group."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.groups.group_encoder import GroupEncoder
from rapidz.dataframe.incremental.groups.keys import GroupKeys
from rapidz.dataframe.incremental.spec import numeric_columns
from rapidz.dataframe.incremental.types import Bools, Floats, Frame, Ints
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["EwmState", "decay"]

RULES = {"com": (0.0, False), "span": (1.0, False), "halflife": (0.0, True), "alpha": (0.0, True)}
# The rules in the words of pandas and of the old libraries, which programs may search for.
WORDS = {
    "com": "comass must satisfy: comass >= 0",
    "span": "span must satisfy: span >= 1",
    "halflife": "halflife must satisfy: halflife > 0",
    "alpha": "alpha must satisfy: 0 < alpha <= 1",
}
NONE_GIVEN = "Must pass one of com, span, halflife, or alpha"
TOO_MANY = "Can only provide one of `com`, `span`, `halflife`, `alpha`. They are mutually exclusive"


def decay(**given: float | None) -> float:
    """Return the decay factor: the weight of a row after the next one, from one of four parameters.

    >>> decay(com=1), decay(alpha=0.25)
    (0.5, 0.75)
    >>> decay(com=1, span=3)
    Traceback (most recent call last):
    ValueError: ewm: exactly one of com, span, halflife, alpha must be given, got com, span: \
Can only provide one of `com`, `span`, `halflife`, `alpha`. They are mutually exclusive
    """
    names = {name: value for name, value in given.items() if value is not None}
    if len(names) != 1:
        got = f"{', '.join(names)}: {TOO_MANY}" if names else f"none: {NONE_GIVEN}"
        raise ValueError(f"ewm: exactly one of {', '.join(RULES)} must be given, got {got}")
    name, value = names.popitem()
    least, open_ = RULES[name]
    if not isinstance(value, numbers.Real):
        raise TypeError(f"ewm: {name} must be a number, got {short_repr(value)}")
    if value < least or (open_ and value == least) or (name == "alpha" and value > 1):
        rule = f"above {least:g}" if open_ else f"at least {least:g}"
        raise ValueError(
            f"ewm: {name} must be {rule}{' and at most 1' * (name == 'alpha')}, "
            f"got {short_repr(value)}: "
            f"{WORDS[name]}"
        )
    if name == "halflife":
        return math.exp(-math.log(2) / value)
    alpha = {"com": 1 / (1 + value), "span": 2 / (1 + value), "alpha": value}[name]
    return 1 - alpha


class EwmState:
    """State of the exponentially weighted mean at the last row: `ewm(...).mean().iloc[-1]`.

    As in pandas with `adjust=True, ignore_na=False`, a missing or infinite value has no weight,
    but ages the others. With `by`, the value at the last row of each group.

    >>> EwmState(pd.Series([0.0]), com=1).update(pd.Series([1.0, np.nan, 3.0]))
    np.float64(2.6)
    """

    def __init__(
        self,
        example: Frame,
        *,
        com: float | None = None,
        span: float | None = None,
        halflife: float | None = None,
        alpha: float | None = None,
        how: str = "mean",
        by: Any = None,
        sort: bool = True,
        dropna: bool = True,
    ) -> None:
        if how != "mean":
            raise ValueError(f"ewm: how must be 'mean', got {short_repr(how)}")
        self.stay = decay(com=com, span=span, halflife=halflife, alpha=alpha)
        self.schema = Schema(example)
        self.keys = GroupKeys(by, example)
        self.sort, self.dropna = sort, dropna
        self.groups: GroupEncoder | None = None
        self.label: Any = None
        self.labels: list[Any] = []
        # One row a group, one column a column.
        self.mean: Floats = np.empty((0, 0))
        self.weight: Floats = np.empty((0, 0))
        self.seen: Floats = np.empty((0, 0))

    def update(self, frame: Frame, keys: Any = None) -> Any:
        """Take the next rows; return the value at the last one."""
        frame, schema = self.schema.read(frame)
        key_columns = self.keys.read(frame, keys)
        if not len(frame):
            return self.result()
        numbers_ = self._numbers(frame)
        data = numbers_.to_numpy("float64", na_value=np.nan).reshape(len(frame), -1)
        groups = self.groups
        if self.keys.given and groups is None:
            groups = GroupEncoder(key_columns, sort=self.sort, dropna=self.dropna)
        elif groups is not None and not self.keys.fit(key_columns):
            groups = groups.widen(key_columns)
        codes = np.zeros(len(frame), np.int64) if groups is None else groups.encode(key_columns)
        labels = [None] if isinstance(numbers_, pd.Series) else list(numbers_.columns)
        self.schema = schema
        self.keys.remember(key_columns)
        self.groups, self.label = groups, frame.index[-1]
        self._resize(1 if groups is None else len(groups), labels)
        known = codes >= 0
        with np.errstate(all="ignore"):
            self._add(data[known], codes[known])
        return self.result()

    def _numbers(self, frame: Frame) -> Frame:
        if isinstance(frame, pd.DataFrame):
            frame = frame.drop(columns=self.keys.columns)
        return numeric_columns(frame, "ewm")

    def _resize(self, groups: int, labels: list[Any]) -> None:
        """Extend the arrays to new groups, and to columns that turn out to be of numbers."""
        known = [labels.index(label) for label in self.labels]
        for name in ("mean", "weight", "seen"):
            array = getattr(self, name)
            wider = np.zeros((groups, len(labels)))
            wider[: len(array), known] = array
            setattr(self, name, wider)
        self.labels = labels

    def _add(self, data: Floats, codes: Ints) -> None:
        # `age` is the number of later rows of the same group in this batch.
        sizes = np.bincount(codes, minlength=len(self.mean))
        age = pd.Series(codes).groupby(codes).cumcount(ascending=False).to_numpy()
        for number in range(data.shape[1]):
            column = data[:, number]
            valid = np.isfinite(column)  # to pandas an infinite value is missing here
            self._add_column(number, column[valid], codes[valid], age[valid], sizes)

    def _add_column(self, at: int, data: Floats, codes: Ints, age: Ints, sizes: Ints) -> None:
        mean, weight = self.mean[:, at], self.weight[:, at]
        groups = len(mean)
        # Weights are relative to the last value of the batch, so that the newest never underflow.
        newest = np.full(groups, np.iinfo(np.int64).max)
        np.minimum.at(newest, codes, age)
        some: Bools = np.bincount(codes, minlength=groups) > 0
        behind = np.where(some, newest, sizes)
        weights = self.stay ** (age - newest[codes])
        old = weight * self.stay ** (sizes - behind)
        total = old + np.bincount(codes, weights=weights, minlength=groups)
        moved = np.bincount(codes, weights=weights * (data - mean[codes]), minlength=groups)
        total_ = np.where(total > 0, total, 1.0)
        new = mean + np.where(some, moved / total_, 0.0)
        if not np.isfinite(new).all():  # the difference overflowed, the mean may not
            shares = np.bincount(codes, weights=weights / total_[codes] * data, minlength=groups)
            new = np.where(np.isfinite(new), new, mean * (old / total_) + shares)
        mean[:] = new
        weight[:] = total * self.stay**behind
        self.seen[some, at] = 1

    def result(self) -> Any:
        """Return the present value."""
        sample = self._numbers(self.schema.empty)
        if not len(self.mean):
            return self._of_nothing(sample)
        values = np.where(self.seen > 0, self.mean, np.nan)
        if self.groups is None:
            if isinstance(sample, pd.Series):
                return values[0, 0]
            return pd.Series(values[0], index=sample.columns, name=self.label)
        order = self.groups.order()
        index = self.groups.index(order)
        if isinstance(sample, pd.Series):
            return pd.Series(values[order, 0], index=index, name=sample.name)
        return pd.DataFrame(values[order], index=index, columns=sample.columns)

    def _of_nothing(self, sample: Frame) -> Any:
        if not self.keys.given:
            empty = isinstance(sample, pd.Series)
            return np.nan if empty else pd.Series(np.nan, index=sample.columns)
        groups = GroupEncoder(self.keys.empty(self.schema.empty), sort=True, dropna=True)
        index = groups.index(np.empty(0, np.int64))
        return sample.astype("float64").set_axis(index)
