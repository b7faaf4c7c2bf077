"""Batches of many rows: the same groups as for few, and each different key is looked up once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from rapidz.dataframe.incremental import LastRows, create_aggregate
from rapidz.dataframe.incremental.groups.group_encoder import KeyEncoder

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
    "category": lambda at: pd.Series(pd.Categorical.from_codes(at % 5 - 1, pd.Index(list("dbca")))),
    "int64 of Arrow": lambda at: pd.Series(at, dtype="int64[pyarrow]"),
}


def text(at: Any, dtype: Any) -> pd.Series[Any]:
    words = WORDS[at].copy()
    words[at == 3] = None
    made: pd.Series[Any] = pd.Series(words, dtype=dtype)
    return made


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
    state = create_aggregate(made[0].iloc[:0], "sum", over, by, sort=sort, dropna=dropna)
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
    look_up = KeyEncoder._look_up

    def counted(level: KeyEncoder, index: pd.Index[Any]) -> Any:
        looked_up.append(len(index))
        return look_up(level, index)

    monkeypatch.setattr(KeyEncoder, "_look_up", counted)
    level = KeyEncoder(keys, dropna=True)
    codes = level.encode(keys)
    assert sum(looked_up) <= 20
    present = keys.notna().to_numpy()
    assert (codes[~present] == -1).all()
    assert level.index(codes[present], None).tolist() == keys[present].tolist()


TEXTS = ["str", "string[python]", "string[pyarrow]", "object", "category", "int64 of Arrow"]


@pytest.mark.parametrize("how", ["min", "max", "first", "last", "nunique", "value_counts", "count"])
@pytest.mark.parametrize("kind", TEXTS)
def test_what_is_kept_of_text_is_what_pandas_finds_in_all_rows(kind: str, how: str) -> None:
    if (kind, how) in {
        ("object", "min"),
        ("object", "max"),
        ("category", "min"),
        ("category", "max"),
    }:
        pytest.skip("pandas has no order of these")
    made = [batch.k for batch in batches(kind, 3)]
    parts = [made[0][:0], made[0][:1], made[0][made[0].isna()], made[0][1:], *made[1:]]
    state = create_aggregate(made[0].iloc[:0], how)
    for number, part in enumerate(parts, 1):
        result = state.update(part)
        rows = pd.concat(parts[:number])
        if how in ("first", "last"):
            present = rows.dropna()
            assert not len(present) or result == present.iloc[0 if how == "first" else -1]
        elif how == "value_counts":
            same = kind != "object"  # whose values may come back as text
            pd.testing.assert_series_equal(result, rows.value_counts(), check_index_type=same)
        elif len(rows.dropna()):
            assert result == getattr(rows, how)()


@pytest.mark.parametrize("how", ["min", "max", "first", "last", "nunique", "count"])
@pytest.mark.parametrize("kind", ["str", "string[python]", "string[pyarrow]", "object"])
def test_what_is_kept_of_text_by_group_is_what_pandas_finds(kind: str, how: str) -> None:
    if kind == "object" and how in ("min", "max"):
        pytest.skip("pandas has no order of missing values among objects")
    made = [batch[["j", "k"]] for batch in batches(kind, 4)]
    state = create_aggregate(made[0].iloc[:0], how, by="j")
    for number, batch in enumerate(made, 1):
        result = state.update(batch)
        expected = getattr(pd.concat(made[:number]).groupby("j"), how)()
        pd.testing.assert_frame_equal(result, expected, check_dtype=kind != "object")


def test_whole_numbers_counted_apart_may_be_one_float_once_floats_come() -> None:
    large = 2**53
    for by in (None, "j"):
        state = create_aggregate(pd.DataFrame({"j": [0], "x": [0]}), "nunique", by=by)
        first = pd.DataFrame({"j": [0, 0], "x": [large, large + 1]})
        last = pd.DataFrame({"j": [0, 1], "x": [0.5, 0.5]})
        assert state.update(first).x.tolist() == [2] if by else state.update(first).x == 2
        result = state.update(last)
        rows = pd.concat([first, last])
        expected = rows.nunique() if by is None else rows.groupby(by).nunique()
        assert np.array_equal(result.x, expected.x)
