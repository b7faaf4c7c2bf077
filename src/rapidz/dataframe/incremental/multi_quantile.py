"""Several quantiles at once, of values that are kept once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.aggregate_state import AggregateState
from rapidz.dataframe.incremental.plan import row_like
from rapidz.kernel.protocol.short_repr import short_repr

__all__ = ["QuantilesState"]


class QuantilesState(AggregateState):
    """The quantiles of a list `q`, as pandas labels them: by `q`, or by group and `q`.

    >>> from rapidz.dataframe.incremental import create_aggregate
    >>> state = create_aggregate(pd.Series([0.0]), "quantile", q=[0.0, 0.5])
    >>> state.update(pd.Series([1.0, 2.0, 3.0])).to_dict()
    {0.0: 1.0, 0.5: 2.0}
    """

    def _read_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.shares = [float(share) for share in options["q"]]
        if not self.shares or not all(0 <= share <= 1 for share in self.shares):
            raise ValueError(
                f"quantile: q must be shares between 0 and 1, got {short_repr(options['q'])}"
            )
        return {**options, "q": self.shares[0]}

    def result(self) -> Any:
        """Return the present quantiles."""
        plan = self.plan or self._plan(self.schema.empty)
        results = [self._result(plan.with_option("q", share)) for share in self.shares]
        if not self.keys.given:
            if not isinstance(results[0], pd.Series):
                return pd.Series(results, index=self.shares, name=self.schema.empty.name)
            table = pd.concat(results, axis=1, keys=self.shares).T
            asked = row_like(self.schema.empty)[list(table)].quantile(self.shares)
            return table.astype(asked.dtypes.to_dict())
        both = pd.concat(results, keys=self.shares)
        both = both.reorder_levels([*range(1, both.index.nlevels), 0])
        positions = np.arange(len(both)).reshape(len(results), -1).T.ravel()
        return both.iloc[positions]

    def row(self) -> Any:
        """Return None: there are several rows."""
        return None
