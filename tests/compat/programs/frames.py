"""Streaming frames as the documentation of the old libraries shows them.

sums of two hours: [3.0, 7.0]
means of two rows: [nan, 1.5, 2.5, 3.5]
means by parity in the window: [3.0, 2.0]
weighted: 1.67
"""

import pandas as pd

from rapidz import Stream
from rapidz.dataframe import DataFrame

example = pd.DataFrame({"x": [], "name": []}, index=pd.DatetimeIndex([]))
source = Stream()
sdf = DataFrame(source, example=example)
recent = sdf.window("2h").x.sum().stream.sink_to_list()
rolled = sdf.x.rolling(2).mean().stream.sink_to_list()
window = sdf.window(n=4)
grouped = window.groupby(window.x % 2).x.mean().stream.sink_to_list()
try:
    sdf.ewm(com=1, span=2)
except ValueError as error:
    assert "Can only provide one of" in str(error)
weighted = sdf.x.ewm(1).mean().stream.sink_to_list()
hours = pd.date_range("2020-01-01", periods=4, freq="1h")
for part in (slice(0, 2), slice(2, 4)):
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "name": list("abab")}, index=hours)[part]
    source.emit(rows)

print("sums of two hours:", [float(x) for x in recent])
print("means of two rows:", [x for rows in rolled for x in rows])
print("means by parity in the window:", grouped[-1].tolist())
print("weighted:", round(weighted[0], 2))
