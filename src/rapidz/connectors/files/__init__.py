"""Files: CSV, JSON lines, Parquet and text, in and out."""

from rapidz.connectors.files.rows import from_csv, from_jsonlines

__all__ = ["from_csv", "from_jsonlines"]
