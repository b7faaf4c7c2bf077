"""Accumulators: partial aggregates of one column by group; `registry` says which one when."""
