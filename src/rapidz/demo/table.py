"""Render rows as a table of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Column(NamedTuple):
    """A heading and, for numbers, how to format them; a column without format is text."""

    heading: str
    format: str = ""

    def cell(self, value: object) -> str:
        return "-" if value is None else format(value, self.format)


def render(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> str:
    """Return a table: text to the left, numbers to the right, None as a dash.

    >>> print(render([Column("Airport"), Column("Delay", ".1f")], [("EWR", 15.1), ("X", None)]))
    Airport  Delay
    -------  -----
    EWR       15.1
    X            -
    """
    cells = [
        [column.cell(value) for column, value in zip(columns, row, strict=True)] for row in rows
    ]
    headings = [column.heading for column in columns]
    widths = [max(map(len, texts)) for texts in zip(headings, *cells, strict=True)]
    lines = [headings, ["-" * width for width in widths], *cells]
    return "\n".join(
        "  ".join(
            text.rjust(width) if column.format else text.ljust(width)
            for column, text, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )
