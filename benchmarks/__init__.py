"""Benchmarks: the cost of rapidz relative to the equivalent hand-written loop.

``python -m benchmarks`` times every row of the table in ``docs/performance.md``;
``python -m benchmarks.calls`` counts Python calls for each element, which is exact.
"""
