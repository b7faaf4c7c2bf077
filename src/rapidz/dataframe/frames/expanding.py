"""Expanding and exponentially weighted windows: all rows so far."""

from __future__ import annotations

import functools
from typing import Any

from rapidz.dataframe.frames.groupby import EWMGroupBy, GroupBy
from rapidz.dataframe.frames.resume import resume_aggregate, resume_window
from rapidz.dataframe.frames.window import Window, result_class
from rapidz.dataframe.incremental import AllRows, EwmState
from rapidz.dataframe.incremental.ewm import decay
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["EWM", "Expanding"]


class Expanding(Window):
    """Expanding window: all rows so far; see `Window`.  No row leaves and none is late.

    >>> import pandas as pd
    >>> from rapidz.dataframe import DataFrame
    >>> sdf = DataFrame(example=pd.DataFrame({"x": [0]}))
    >>> shown = sdf.expanding().x.max().stream.map(int).sink(print)
    >>> sdf.emit(pd.DataFrame({"x": [3, 2]}))
    3
    """

    def _extent_of(self, sdf: Any, n: Any, value: Any) -> Any:
        return AllRows()

    def _resume(self, start: Any, make: Any, wanted: dict[str, Any]) -> tuple[Any, Any]:
        if "how" in wanted and not isinstance(start, dict):
            return resume_aggregate(type(self).__name__, wanted["how"], start, make)
        return resume_window(type(self).__name__, start, make, **wanted)

    def groupby(
        self, other: Any, *, sort: bool = True, dropna: bool = True, observed: bool = True
    ) -> GroupBy:
        """Group all rows so far."""
        return self._grouped(GroupBy, other, sort=sort, dropna=dropna, observed=observed)


class EWM(Expanding):
    """Exponentially weighted window of all rows so far; it offers `mean` alone.

    Emits the mean at the last row, which is ``.ewm(...).mean().iloc[-1]`` in pandas.

    Parameters
    ----------
    com, span, halflife, alpha : float
        Exactly one of them, as in pandas.
    """

    def __init__(
        self,
        sdf: Any,
        n: Any = 1,
        value: Any = None,
        with_state: bool = False,
        start: Any = None,
        com: float | None = None,
        span: float | None = None,
        halflife: float | None = None,
        alpha: float | None = None,
    ) -> None:
        super().__init__(sdf, n, value, with_state, start)
        self.com, self.span, self.halflife, self.alpha = com, span, halflife, alpha
        self._decay: dict[str, Any] = {
            "com": com,
            "span": span,
            "halflife": halflife,
            "alpha": alpha,
        }
        self._stay = decay(**self._decay)

    @staticmethod
    def _get_com(
        com: float | None, span: float | None, halflife: float | None, alpha: float | None
    ) -> float:
        """Return the centre of mass, by one of the four parameters."""
        stay = decay(com=com, span=span, halflife=halflife, alpha=alpha)
        return stay / (1 - stay)

    def _for_root(self, root: Any, **own: Any) -> Any:
        return super()._for_root(root, **self._decay, **own)

    def _aggregate(self, how: Any, start: Any, with_state: bool, **options: Any) -> Any:
        if how != "mean":
            raise NotImplementedError(f"EWM: only mean is supported, got {short_repr(how)}")
        make = functools.partial(EwmState, **self._decay)
        kind = result_class(self.root, how)
        return self._fold(make, start, with_state, kind, stay=self._stay)

    def full(self) -> Any:
        """Refuse the rows: they have no weights of their own."""
        raise NotImplementedError("EWM: only mean is supported, got 'full'")

    def groupby(
        self, other: Any, *, sort: bool = True, dropna: bool = True, observed: bool = True
    ) -> GroupBy:
        """Group all rows so far: `mean` is that at the last row of each group."""
        return self._grouped(EWMGroupBy, other, decay=self._decay, sort=sort, dropna=dropna)
