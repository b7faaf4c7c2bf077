"""Streaming frames: DataFrame, Series, Index, and their windows, groups and joins."""
