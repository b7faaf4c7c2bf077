"""Missing keys are one group with dropna=False, whatever they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from rapidz.dataframe.incremental import AllRows, LastRows, create_aggregate

HOWS = ["sum", "size", "std", "quantile", "count", "max"]
BATCHES = {
    "None after a name": [["a"], [None], ["a", "b"]],
    "all kinds": [["a", None, np.nan], [pd.NA, pd.NaT, "c"], [None]],
    "None only": [[None], [None, np.nan], ["a"]],
}


def frame(keys: Any, dtype: Any = object) -> Any:
    return pd.DataFrame(
        {"j": 1, "k": pd.Series(keys, dtype=dtype), "x": [float(i) for i in range(len(keys))]}
    )


@pytest.mark.parametrize("over", [AllRows(), LastRows(4)], ids=["all", "window"])
@pytest.mark.parametrize("by", [["k"], ["k", "j"], ["j", "k"]], ids="".join)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", BATCHES)
def test_missing_objects_are_one_group(name: Any, how: Any, by: Any, over: Any) -> None:
    batches = [frame(keys) for keys in BATCHES[name]]
    state = create_aggregate(batches[0].iloc[:0], how, over, by, dropna=False)
    for number, batch in enumerate(batches, 1):
        result = state.update(batch)
        rows = pd.concat(batches[:number])
        rows = rows if isinstance(over, AllRows) else rows.iloc[-4:]
        groups = rows.groupby(by if len(by) > 1 else by[0], dropna=False)
        expected = getattr(groups, how)()
        assert result.to_numpy().ravel().tolist() == pytest.approx(
            expected.to_numpy().ravel().tolist(), nan_ok=True
        )
        pd.testing.assert_index_equal(result.index, expected.index, exact=False)


@pytest.mark.parametrize("first", ["Int64", "string", "float64"])
def test_missing_keys_stay_one_group_when_keys_become_objects(first: Any) -> None:
    values = ["a", None] if first == "string" else [1, None]
    batches = [frame(values, first), frame([values[0], None, "b" if first == "string" else 2])]
    state = create_aggregate(batches[0].iloc[:0], "sum", by="k", dropna=False)
    state.update(batches[0])
    result = state.update(batches[1])
    assert sorted(result.x.tolist()) == [0.0, 2.0, 2.0]
