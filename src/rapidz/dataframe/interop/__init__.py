"""Interoperability: frames of pandas, polars, pyarrow and cudf."""
