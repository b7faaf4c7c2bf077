"""Batches of many rows: the same groups as for few, and each different key is looked up once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from rapidz.dataframe.state import LastRows, make_state
from rapidz.dataframe.state.groups import Level

WORDS = np.array([f"{first}{second}" for first in "abcde" for second in "vwxyz"], dtype=object)
TIMES = pd.date_range("2030-01-01", periods=25, freq="h")
KINDS: dict[str, Any] = {
    "int64": lambda at: pd.Series(at * 7 - 20),
    "uint8": lambda at: pd.Series(at, dtype="uint8"),
    "bool": lambda at: pd.Series(at > 12),
    "float64": lambda at: pd.Series(np.where(at == 3, np.nan, at / 4)),
    "Int64": lambda at: pd.Series(at, dtype="Int64").mask(pd.Series(at == 3)),
    "boolean": lambda at: pd.Series(at > 12, dtype="boolean").mask(pd.Series(at == 3)),
    "Float64": lambda at: pd.Series(at / 4, dtype="Float64").mask(pd.Series(at == 3)),
    "str": lambda at: text(at, "str"),
    "string[python]": lambda at: text(at, "string[python]"),
    "string[pyarrow]": lambda at: text(at, "string[pyarrow]"),
    "object": lambda at: text(at, object),
    "all kinds of objects": lambda at: pd.Series(
        [[1, "a", 2.5, None, np.nan, (1, 2), pd.NA][place % 7] for place in at], dtype=object
    ),
    "times": lambda at: pd.Series(TIMES[at]).mask(pd.Series(at == 3)),
    "times in a zone": lambda at: pd.Series(TIMES.tz_localize("Europe/Rome")[at]),
    "lengths of time": lambda at: pd.Series(pd.to_timedelta(at, unit="s")),
    "category": lambda at: pd.Series(pd.Categorical.from_codes(at % 5 - 1, list("dbca"))),
    "int64 of Arrow": lambda at: pd.Series(at, dtype="int64[pyarrow]"),
}


def text(at: Any, dtype: Any) -> pd.Series[Any]:
    words = WORDS[at].copy()
    words[at == 3] = None
    return pd.Series(words, dtype=dtype)


def batches(kind: str, seed: int) -> list[pd.DataFrame]:
    random = np.random.default_rng(seed)
    made = []
    for number in range(4):  # each with keys that those before did not have
        at = random.integers(0, 6 * (number + 1), 200)
        frame = pd.DataFrame({"k": KINDS[kind](at), "j": at % 3, "x": at.astype("float64")})
        made.append(frame)
    return made


@pytest.mark.parametrize("dropna", [True, False], ids=["dropna", "keepna"])
@pytest.mark.parametrize("by", [["k"], ["j", "k"]], ids="".join)
@pytest.mark.parametrize("window", [None, 500], ids=["all rows", "window"])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_many_rows_have_the_groups_of_pandas(
    kind: str, window: int | None, by: list[str], dropna: bool
) -> None:
    # Keys that cannot be put in order stay as pandas leaves them.
    sort = kind != "all kinds of objects"
    made = batches(kind, 1)
    over = None if window is None else LastRows(window)
    state = make_state(made[0].iloc[:0], "sum", over, by, sort=sort, dropna=dropna)
    for number, batch in enumerate(made, 1):
        result = state.update(batch)
        rows = pd.concat(made[:number])
        rows = rows if window is None else rows.iloc[-window:]
        expected = rows.groupby(by, sort=sort, dropna=dropna, observed=True).sum()
        pd.testing.assert_frame_equal(result, expected, check_index_type=False)


@pytest.mark.parametrize("kind", ["str", "string[pyarrow]", "object", "times", "float64"])
def test_each_different_key_of_a_batch_is_looked_up_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KINDS[kind](np.random.default_rng(2).integers(0, 20, 10_000))
    looked_up = []
    look_up = Level._look_up

    def counted(level: Level, index: pd.Index[Any]) -> Any:
        looked_up.append(len(index))
        return look_up(level, index)

    monkeypatch.setattr(Level, "_look_up", counted)
    level = Level(keys, dropna=True)
    codes = level.encode(keys)
    assert sum(looked_up) <= 20
    present = keys.notna().to_numpy()
    assert (codes[~present] == -1).all()
    assert level.index(codes[present], None).tolist() == keys[present].tolist()
