"""State of built-in aggregates: takes batches of rows and returns the present result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rapidz.dataframe.incremental.columns.schema import Schema
from rapidz.dataframe.incremental.groups.keys import GroupKeys
from rapidz.dataframe.incremental.pandas_fallback import GroupByOptions
from rapidz.dataframe.incremental.plan import Plan
from rapidz.dataframe.incremental.spec import parse
from rapidz.dataframe.incremental.store import Store, create_store
from rapidz.dataframe.incremental.types import Frame
from rapidz.dataframe.incremental.windows.admission import WindowAdmission
from rapidz.dataframe.incremental.windows.extents import Extent

__all__ = ["AggregateState"]


class AggregateState:
    """State of the aggregates of all rows in a window.

    `update` takes the next rows and returns what pandas gives for all rows in the window; if it
    raises, the state does not change. `late` has the late rows of the last update.
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
        self.schema = Schema(example)
        self.keys = GroupKeys(by, example)
        self.how, self.grouping, self.options = how, grouping, self._read_options(options)
        self.admission = WindowAdmission(over)
        self.late: Frame = self.schema.empty
        parse(example, how, self.keys.columns, self.options)
        self.plan: Plan | None = None if self.schema.open else self._plan(example)
        self.store: Store | None = None

    def _read_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of the first result."""
        return dict(options)

    def _plan(self, sample: Frame) -> Plan:
        return Plan(
            sample, self.how, self.keys, self.grouping, self.options, self.admission.bounded
        )

    def update(self, frame: Frame, keys: Any = None) -> Any:
        """Take the next rows; return the result for all rows in the window.

        `keys` are the group keys if the state was made with `by="given"`: one array or
        Series as long as the frame, or a list of them.
        """
        frame, schema = self.schema.read(frame)
        key_columns = self.keys.read(frame, keys)
        if len(frame):
            with np.errstate(all="ignore"):
                self._take(frame, key_columns, schema)
        else:
            self.late = self.schema.empty
        return self.result()

    def _take(self, frame: Frame, keys: Sequence[pd.Series[Any]], schema: Schema) -> None:
        # Everything that can fail comes before the first change of the state.
        store = self._store_for(frame, keys, schema)
        change = self.admission.preview(frame.index)
        late = self.schema.empty if change.in_time else frame.iloc[change.late]
        if isinstance(change.take, slice) and change.entered == len(frame):
            entering, entering_keys = frame, list(keys)
        else:
            entering = frame.iloc[change.take]
            entering_keys = [key.iloc[change.take] for key in keys]
        step = store.prepare(change, entering, entering_keys)
        if store is not self.store:
            self.plan, self.store, self.schema = store.plan, store, schema
            self.keys.remember(keys)
        self.admission.commit(change)
        store.commit(step)
        self.late = late

    def _store_for(self, frame: Frame, keys: Sequence[pd.Series[Any]], schema: Schema) -> Store:
        """Return the store; another one of the same rows if these rows have other dtypes."""
        store = self.store
        if store is None:
            known = self.plan if self.schema.fits(frame) else None
            return create_store(known or self._plan(frame), frame, keys)
        if schema is self.schema and self.keys.fit(keys):
            return store
        return store.widen(self._plan(frame), schema, frame, keys)

    def why_rows(self) -> str | None:
        """Return for which aggregate all rows so far are buffered; None if they are not."""
        plan = self.plan if self.store is None else self.store.plan
        return None if plan is None or self.admission.bounded else plan.why_rows()

    def result(self) -> Any:
        """Return the present result."""
        if self.store is None:
            return self._result(self.plan or self._plan(self.schema.empty))
        with np.errstate(all="ignore"):
            return self.store.result()

    def _result(self, plan: Plan) -> Any:
        """Return the present result by another plan for the same rows."""
        if self.store is None:
            return plan.of_nothing(self.schema.empty, self.keys.empty(self.schema.empty))
        with np.errstate(all="ignore"):
            return self.store.with_plan(plan).result()

    def row(self) -> Any:
        """Return the result of a frame by column as one row; None if it has another shape."""
        empty = self.schema.empty
        if self.keys.given or isinstance(empty, pd.Series):
            return None
        plan = self.plan or self._plan(empty)
        if plan.spec.shape not in ("one", "map"):
            return None
        with np.errstate(all="ignore"):
            return plan.row_of_nothing(empty) if self.store is None else self.store.row()
