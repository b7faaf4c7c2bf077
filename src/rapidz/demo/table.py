"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class TableColumn(NamedTuple):
    """Column with a heading and the format of its numbers; without a format it is text."""

    heading: str
    format: str = ""

    def cell(self, value: object) -> str:
        return "-" if value is None else format(value, self.format)


def render(columns: Sequence[TableColumn], rows: Iterable[Sequence[object]]) -> str:
    """Return a table: text aligned to the left, numbers to the right, None as a dash.

    >>> print(
    ...     render(
    ...         [TableColumn("Airport"), TableColumn("Delay", ".1f")], [("EWR", 15.1), ("X", None)]
    ...     )
    ... )
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
