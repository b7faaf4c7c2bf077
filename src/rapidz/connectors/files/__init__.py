"""Files: CSV, JSON lines, Parquet and text, in and out."""

from rapidz.connectors.files.parquet_in import from_parquet
from rapidz.connectors.files.parquet_out import to_parquet
from rapidz.connectors.files.rows import from_csv, from_jsonlines
from rapidz.connectors.files.sinks import to_csv, to_jsonlines, to_textfile

__all__ = [
    "from_csv",
    "from_jsonlines",
    "from_parquet",
    "to_csv",
    "to_jsonlines",
    "to_parquet",
    "to_textfile",
]
