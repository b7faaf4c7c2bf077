"""Several quantiles at once, of values that are kept once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.aggregate import AggregateState
from rapidz.dataframe.incremental.pandas_reference import GroupByOptions
from rapidz.dataframe.incremental.plan import row_like
from rapidz.dataframe.incremental.types import Frame
from rapidz.dataframe.incremental.windows.extents import Extent
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["QuantilesState"]


class QuantilesState(AggregateState):
    """The quantiles of a list `q`, as pandas labels them: by `q`, or by group and `q`.

    >>> from rapidz.dataframe.incremental import AllRows
    >>> rows = pd.Series([1.0, 2.0, 3.0])
    >>> state = QuantilesState(
    ...     rows, "quantile", AllRows(), None, GroupByOptions(), {"q": [0.0, 0.5]}
    ... )
    >>> state.update(rows).to_dict()
    {0.0: 1.0, 0.5: 2.0}
    """

    def __init__(
        self,
        example: Frame,
        how: Any,
        over: Extent,
        by: Any,
        grouping: GroupByOptions,
        options: Mapping[str, Any],
    ) -> None:
        self.shares = [float(share) for share in options["q"]]
        if not self.shares or not all(0 <= share <= 1 for share in self.shares):
            raise ValueError(
                f"quantile: q must be shares between 0 and 1, got {short_repr(options['q'])}"
            )
        first = {**options, "q": self.shares[0]}
        super().__init__(example, how, over, by, grouping, first)

    def result(self) -> Any:
        """The present results."""
        results = [self._one(share) for share in self.shares]
        if not self.keys.given:
            if not isinstance(results[0], pd.Series):
                return pd.Series(results, index=self.shares, name=self.schema.empty.name)
            table = pd.concat(results, axis=1, keys=self.shares).T
            asked = row_like(self.schema.empty)[list(table)].quantile(self.shares)
            return table.astype(asked.dtypes.to_dict())
        together = pd.concat(results, keys=self.shares)
        groups = together.index.nlevels - 1
        together = together.reorder_levels([*range(1, groups + 1), 0])
        number, several = len(results[0]), len(results)
        places = np.arange(number * several).reshape(several, number).T.ravel()
        return together.iloc[places]

    def _one(self, share: float) -> Any:
        """The result for one share."""
        plan = self.plan or self._plan(self.schema.empty)
        before, slow = (plan.spec, plan.finalizers), None if self.store is None else self.store.slow
        plan.spec = replace(plan.spec, options={**plan.spec.options, "q": share})
        plan.finalizers = [found and replace(found, option=share) for found in plan.finalizers]
        try:
            if self.store is not None and plan.holds_rows:
                self.store.slow = plan.of_rows(self.store.rows)
            self.plan = plan
            return super().result()
        finally:
            plan.spec, plan.finalizers = before
            if self.store is not None and slow is not None:
                self.store.slow = slow

    def row(self) -> Any:
        """There are several rows."""
        return None
