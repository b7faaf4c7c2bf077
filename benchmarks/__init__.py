"""What rapidz costs, beside the loop that you would have written by hand.

``python -m benchmarks`` times every row of the table in ``docs/performance.md``;
``python -m benchmarks.calls`` counts Python calls for each element, which is exact.
"""
