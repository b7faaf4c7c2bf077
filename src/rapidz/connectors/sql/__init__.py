"""SQL connectors: tables and queries of SQLite and PostgreSQL as sources, tables as sinks."""

from __future__ import annotations

from rapidz.connectors.sql.sink import to_sql
from rapidz.connectors.sql.source import from_sql

__all__ = ["from_sql", "to_sql"]
