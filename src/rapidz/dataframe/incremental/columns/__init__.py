"""Columns: dtypes, codecs and the schema of a frame."""
