"""Accumulators: partial aggregates of one column by group."""
